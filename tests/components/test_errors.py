"""Errors cross from a step's process to the terminal whole: their kind, their sentence, their exit code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import (
    ConfigError,
    DataError,
    GateRefused,
    IntegrityError,
    MozartError,
    RegistryError,
    ResourceError,
    announce,
    did_you_mean,
    read_announcement,
)

KINDS = (MozartError, ConfigError, DataError, ResourceError, RegistryError, GateRefused, IntegrityError)


@given(kind=st.sampled_from(KINDS), sentence=st.text())
def test_an_announced_error_is_read_back_the_same(kind: type[MozartError], sentence: str) -> None:
    line = announce(kind(sentence))
    assert len(line.splitlines()) == 1
    error = read_announcement(line)
    assert type(error) is kind
    assert str(error) == sentence


@given(st.text().filter(lambda line: not line.startswith("@mozart-error ")))
def test_ordinary_output_is_no_error(line: str) -> None:
    assert read_announcement(line) is None


def test_each_kind_has_an_exit_code_of_its_own_and_none_is_success() -> None:
    codes = [kind.exit_code for kind in KINDS]
    assert codes == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("given_", "end"),
    [("vea", "did you mean 'vae'?"), ("zzz", "known: dcgan, hmm, vae")],
)
def test_the_end_of_a_sentence_names_the_nearest_or_all(given_: str, end: str) -> None:
    assert did_you_mean(given_, {"vae", "hmm", "dcgan"}).endswith(end)


def test_nothing_is_proposed_where_nothing_is_known() -> None:
    assert did_you_mean("x", []) == ""
    assert did_you_mean("float16", ["float32", "mixed_float16"]) == " — did you mean 'mixed_float16'?"
