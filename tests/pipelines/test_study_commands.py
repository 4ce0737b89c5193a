"""`mozart study` and `study-results`: what is written, and what a person is told."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from components.artifacts import read_json
from components.errors import ConfigError, DataError
from pipelines import study_commands
from tests.components.study_samples import NAMES, answers, pictures, tunes, write_answers

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(study_commands.study)
app.command()(study_commands.study_results)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def names(tmp_path):
    """Two folders of samples, named as a person would."""
    return [pictures(tmp_path / name, 12, i).name for i, name in enumerate(NAMES[:2])]


def invoke(*arguments):
    """A command in this process; MozartError comes back as `result.exception`."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def told(output):
    """The words of an output, however it was folded."""
    return " ".join(output.split())


def test_a_study_says_what_to_send_and_what_to_keep(names, tmp_path):
    result = invoke("study", *names, "--pairs", 12, "--out", "here", "--question", "Which is finer?")
    assert result.exit_code == 0, result.output
    assert f"12 pairs of {names[0]} and {names[1]}; 1 of them come again" in result.output
    assert f"send     {tmp_path / 'here' / 'index.html'}" in result.output
    assert f"keep     {tmp_path / 'here' / 'key.json'}" in result.output
    assert "must not see it" in result.output
    assert "Which is finer?" in (tmp_path / "here" / "index.html").read_text("utf-8")
    again = invoke("study", *names, "--out", "here")
    assert isinstance(again.exception, ConfigError)
    assert "--out here is there already" in str(again.exception)


def test_what_cannot_be_a_study_is_one_sentence(names, tmp_path):
    few = invoke("study", *names)
    assert isinstance(few.exception, DataError)
    assert "ask for --pairs 12" in str(few.exception)
    mixed = invoke("study", names[0], tunes(tmp_path / "tunes", 2, 0))
    assert isinstance(mixed.exception, ConfigError)
    assert "one kind" in str(mixed.exception)
    assert not (tmp_path / "study").exists()


def test_answers_come_back_as_a_table_a_page_and_numbers(names, tmp_path):
    assert invoke("study", *names, "--pairs", 12).exit_code == 0
    key = read_json(tmp_path / "study" / "key.json")
    sent = tmp_path / "sent"
    sent.mkdir()
    for i in range(3):
        write_answers(sent, answers(key, f"{i:016x}", lambda left, right: "left" if left == 0 else "right"))
    (sent / "answers-torn.json").write_text("{")
    result = invoke("study-results", "study", *sorted(sent.iterdir()), "--out", "seen.html")
    assert result.exit_code == 0, result.output
    said = told(result.output)
    assert f"{names[0]} {names[1]} 36 0 0 100% 90% to 100% 100%" in said
    assert "shown" in said
    assert "36 answers of 3 judges; of 3 pairs shown again 100% were answered the same" in said
    assert "No interval of strengths" in said
    assert "answers-torn.json: it holds no answers" in said
    assert json.loads((tmp_path / "seen.json").read_text())["answers"] == 36
    assert f"page {tmp_path / 'seen.html'}" in said


def test_answers_beside_the_key_need_no_names(names, tmp_path):
    assert invoke("study", *names, "--pairs", 12).exit_code == 0
    missing = invoke("study-results", "study")
    assert isinstance(missing.exception, DataError)
    assert "no file answers" in str(missing.exception)
    key = read_json(tmp_path / "study" / "key.json")
    write_answers(tmp_path / "study", answers(key, "a" * 16, lambda left, right: "same"))
    result = invoke("study-results", "study")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "study" / "results.html").is_file()
    nowhere = invoke("study-results", "elsewhere")
    assert isinstance(nowhere.exception, DataError)
    assert "is missing" in str(nowhere.exception)
