"""The verdict of a run on a cluster, from the word that its steps left."""

from __future__ import annotations

import json

import pytest

from components.artifacts import read_json
from components.errors import DataError
from components.history import History
from components.step import finish, look, told
from components.verdict import leave_word, verdict_of

RELEASED = {"version": 3, "champion": True}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder in a home of its own."""
    monkeypatch.setenv("MOZART_HOME", str(tmp_path))
    monkeypatch.setenv("MOZART_RUN", "run-1")
    return tmp_path / "runs/run-1"


@pytest.mark.parametrize(
    ("words", "state", "verdict", "reasons"),
    [
        ([("publish", "published", ["version 3"], RELEASED)], "SUCCEEDED", "published", ["version 3"]),
        ([("validate", "fail", ["too few"])], "SUCCEEDED", "refused", ["too few"]),
        (
            [("validate", "pass", []), ("evaluate", "fail", ["fid 9 above 1"])],
            "SUCCEEDED",
            "refused",
            ["fid 9 above 1"],
        ),
        ([("train", "failed", ["disk full"])], "FAILED", "failed", ["step 'train': disk full"]),
        ([("look", "nothing-to-do", ["no new span"])], "SUCCEEDED", "nothing-to-do", ["no new span"]),
        ([("train", "failed", ["x"]), ("train", "done", [])], "FAILED", "failed", ["pod gone"]),
        ([], "FAILED", "failed", ["pod gone"]),
        ([("train", "done", [])], "CANCELED", "cancelled", ["somebody ended the run"]),
    ],
)
def test_the_verdict_and_its_reasons(run, words, state, verdict, reasons):
    for word in words:
        leave_word(*word)
    found = verdict_of("tiny", "run-1", state, "pod gone")
    assert (found["name"], found["run"]) == ("tiny", "run-1")
    assert (found["verdict"], found["reasons"]) == (verdict, reasons)


def test_a_refusal_from_the_cache_says_where_its_reasons_are(run):
    (reason,) = verdict_of("tiny", "run-1", "SUCCEEDED", "")["reasons"]
    assert "that run has the reasons" in reason


def test_a_step_that_fails_leaves_word_and_the_exit_handler_finds_it(run, tmp_path, capsys):
    @told
    def train():
        raise DataError("row 7 is broken")

    with pytest.raises(SystemExit) as ended:
        train()
    assert ended.value.code == 3
    assert finish("tiny", "{}", "FAILED", "", str(tmp_path / "out")) == "failed"
    assert read_json(run / "verdict.json") == json.loads((tmp_path / "out/verdict.json").read_text())
    assert "step 'train': row 7 is broken" in capsys.readouterr().out


def test_a_crash_is_a_failure(run):
    @told
    def train():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    found = verdict_of("tiny", "run-1", "FAILED", "")
    assert (found["verdict"], found["reasons"]) == ("failed", ["step 'train': ZeroDivisionError"])


def test_too_few_spans_are_nothing_to_do_and_on_record(run, tmp_path):
    (tmp_path / "day-1").mkdir()
    (tmp_path / "day-1/a.png").write_bytes(b"x")
    data = {"source": f"images:{tmp_path}/day-{{SPAN}}", "spans": {"fewest": 3}}
    looked = look("tiny", json.dumps(data), "{}", "{}", "{}", "{}", "")
    assert looked[-1] != "yes"
    assert finish("tiny", "{}", "SUCCEEDED", "", str(tmp_path / "out")) == "nothing-to-do"
    (entry,) = History(tmp_path).entries("tiny")
    assert (entry["verdict"], entry["run"], entry["reasons"]) == ("nothing-to-do", "run-1", [looked[-1]])


def test_what_was_published_is_on_record(run, tmp_path):
    leave_word("publish", "published", ["version 3"], RELEASED)
    finish("tiny", "{}", "SUCCEEDED", "", str(tmp_path / "out"))
    (entry,) = History(tmp_path).entries("tiny")
    assert (entry["verdict"], entry["version"], entry["champion"]) == ("published", 3, True)


def test_a_run_here_leaves_no_word(monkeypatch, tmp_path):
    monkeypatch.setenv("MOZART_HOME", str(tmp_path))
    monkeypatch.delenv("MOZART_RUN", raising=False)
    leave_word("train", "done", [])
    assert list(tmp_path.iterdir()) == []
