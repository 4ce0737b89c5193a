"""complete, translate, fill and tag as a person calls them, on tiny models in the place of published ones."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import keras_models
from components import bundle
from components.errors import ConfigError, DataError
from components.modalities import text
from components.registry import Registry
from keras_models import saving
from pipelines import cli
from pipelines.few_shot import FewShot

CHARACTERS = {
    "modality": "text",
    "unit": "characters",
    "length": 12,
    "stride": 12,
    "tags": [],
    "vocabulary": ["\ufffd", "\t", " ", "a", "b", "c"],
    "separator": 1,
}
WORDS = {
    "modality": "text",
    "unit": "words",
    "space": " ",
    "length": 8,
    "stride": 8,
    "vocabulary": ["\ufffd", "", "the", "dog", "barks"],
    "tags": ["_", "DET", "NOUN", "VERB"],
}
NET = {"layers": 1, "heads": 1, "width": 8}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gpt": (NET, CHARACTERS),
    "lstm": ({"units": 8, "embedding": 4}, CHARACTERS),
    "transformer": (NET, CHARACTERS),
    "masked_lm": (NET, CHARACTERS),
    "hmm": ({"learner": "tags"}, WORDS),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Each family's model with its encoding, as a bundle holds them."""
    root = tmp_path_factory.mktemp("models")
    for family, (settings, encoding) in MODELS.items():
        config = keras_models.describe(family).config.parse(settings)
        saving.save(keras_models.build(family, text.spec(encoding), config), root / family)
        (root / family / "encoding.json").write_text(json.dumps(encoding))
    return root


@pytest.fixture(autouse=True)
def _published(folders, monkeypatch):
    monkeypatch.setattr(Registry, "resolve", lambda self, name: SimpleNamespace(bundle_path=folders / name))
    monkeypatch.setattr(bundle, "load_bundle", saving.load)


def said(*arguments: str) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("family", ["gpt", "lstm"])
def test_a_completion_begins_with_its_prompt_and_the_seed_decides_the_rest(family):
    asked = ("complete", family, "--length", "9", "--seed", "3")
    found = said(*asked, "--prompt", "ab c")
    assert found.startswith("ab c")
    assert len(found) == len("ab c") + 9 + 1
    assert said(*asked, "--prompt", "ab c") == found
    assert len(said(*asked)) == 9 + 1, "without a prompt from the beginning"


def test_a_stop_ends_a_completion():
    whole = said("complete", "gpt", "--temperature", "0", "--length", "20", "--prompt", "a")
    stop = whole[5]
    found = said("complete", "gpt", "--temperature", "0", "--length", "20", "--prompt", "a", "--stop", stop)
    assert found == whole[: whole.index(stop, 1)] + "\n"


def test_of_a_long_prompt_the_end_counts_and_that_is_said():
    found = said("complete", "gpt", "--prompt", "ab" * 10, "--length", "4")
    assert "note: a prompt has 20 symbols and 'gpt' reads 12 at once: its end counts" in found
    assert "note" not in said("complete", "lstm", "--prompt", "ab" * 10, "--length", "4")


@pytest.mark.parametrize("family", ["gpt", "lstm"])
def test_worked_examples_make_a_prompt_and_the_answer_alone_is_said(family, tmp_path):
    file = tmp_path / "few.jsonl"
    file.write_text('{"text": "a\\tb"}\n')
    asked = ("complete", family, "--temperature", "0", "--length", "9")
    found = said(*asked, "--examples", str(file), "--template", "{question}\\t{answer}c", "--prompt", "b")
    plain = said(*asked, "--prompt", "a\tbcb\t").removeprefix("a\tbcb\t")
    assert found == plain.rstrip("\n").split("c")[0] + "\n"


def test_how_examples_are_written():
    shots = FewShot("Q: {question}\nA: {answer}\n\n", [("1+1", "2"), ("{answer}", "{question}")])
    asked = "Q: 1+1\nA: 2\n\nQ: {answer}\nA: {question}\n\nQ: 2+2\nA: "
    assert shots.prompt("2+2") == asked
    assert shots.answer("4\n\nQ: 5") == "4"
    assert FewShot(examples=[("two", "2")]).prompt("six") == "two\t2\nsix\t"


def test_a_translation_is_a_line_for_each_text():
    found = said("translate", "transformer", "--text", "ab", "--text", "c", "--beams", "2")
    assert len(found.split("\n")) == 3


def test_fill_changes_blanks_alone():
    (found,) = said("fill", "masked_lm", "--text", "a?c b?", "--blank", "?").splitlines()
    assert len(found) == 6
    assert (found[0], found[2:5]) == ("a", "c b")
    assert set(found) <= set(CHARACTERS["vocabulary"])


def test_each_word_has_its_tag():
    (found,) = said("tag", "hmm", "--text", "the dog sneezes").splitlines()
    assert [pair.split("/")[0] for pair in found.split()] == ["the", "dog", "sneezes"]
    assert {pair.split("/")[1] for pair in found.split()} <= set(WORDS["tags"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("complete", "gpt", "--prompt", "abX"),
            "--prompt: the character 'X' at place 3 is in none of the texts",
        ),
        (("complete", "gpt", "--prompt", ""), "--prompt is empty"),
        (("complete", "gpt", "--top-p", "2"), "top_p is between 0 and 1"),
        (("complete", "lstm", "--stop", "a"), "--stop: family 'lstm' does without it"),
        (("complete", "hmm", "--prompt", "the"), "family 'hmm': none that completes text"),
        (
            ("complete", "gpt", "--prompt", "a", "--template", "{answer}{question}"),
            "each once, then what ends",
        ),
        (
            ("complete", "gpt", "--prompt", "a", "--template", "{question}\t{answer}"),
            "then what ends an answer",
        ),
        (
            ("complete", "gpt", "--prompt", "a", "--template", "{question} {answer} "),
            "--examples are written",
        ),
        (("complete", "gpt", "--examples", "missing.jsonl", "--prompt", "a"), "it cannot be read"),
        (("complete", "gpt", "--examples", __file__, "--prompt", "a"), "line 1 is no row"),
        (("complete", "gpt", "--examples", os.devnull, "--prompt", "a"), "the file holds no examples"),
        (("translate", "gpt", "--text", "a"), "family 'gpt': none that translates text"),
        (("translate", "transformer", "--text", "a\tb"), "place 1 is the separator"),
        (("translate", "transformer", "--text", "a" * 12), "at most 11 symbols long, and these are 12"),
        (("fill", "masked_lm", "--text", "abc"), "holds no blank '_'"),
        (("fill", "masked_lm", "--text", "a_" * 7), "at most 12 symbols long, and these are 14"),
        (("tag", "hmm", "--text", " "), "--text is empty"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, sentence):
    result = CliRunner().invoke(cli.app, list(arguments))
    assert isinstance(result.exception, ConfigError | DataError)
    assert sentence in str(result.exception)
