"""Names of models and references to their versions: what the registry takes, and what reaches nothing."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ConfigError
from components.registry import Registry, check_name

RULE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@given(st.text(max_size=70) | st.text(string.ascii_lowercase + "0.-_", max_size=70))
def test_a_name_is_accepted_exactly_where_the_rule_says_so(name: str) -> None:
    if RULE.fullmatch(name) and ".." not in name:
        assert check_name(name) == name
        assert (Path("/root/bundles") / name).resolve().parent == Path("/root/bundles")
    else:
        with pytest.raises(ConfigError, match="is no name for a model: at most 63"):
            check_name(name)


@pytest.mark.parametrize(
    "name", ["-rf", "m@champion", "a/b", "a\n", "a\0", "%2e%2e", '"; drop', "A", "", "é"]
)
def test_hostile_names_reach_nothing(tmp_path: Path, name: str) -> None:
    registry = Registry(tmp_path)
    for use in (registry.champion, registry.rollback):
        with pytest.raises(ConfigError):
            use(name)
    assert not (tmp_path / "registry" / "mlflow.db").exists()


@pytest.mark.parametrize(
    "reference", ["a@", "a:0", "a:x", "a@b:1", "a:1:2", "@champion", "a b", "a@../x", ""]
)
def test_a_reference_that_cannot_be_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigError):
        Registry(tmp_path).resolve(reference)
