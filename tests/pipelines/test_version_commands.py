"""`mozart history`, `promote` and `rollback`: who is champion, since when and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.artifacts import read_json
from components.errors import ConfigError, RegistryError
from components.history import History
from components.registry import Registry
from pipelines.cli import app
from pipelines.version_commands import lines_of
from tests.components.publishing import other_bundle


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three versions of `tiny`, the second of which is champion."""
    folder = tmp_path_factory.mktemp("shelf")
    registry = Registry(folder / "home")
    for seed in (1, 2, 3):
        bundle = other_bundle(folder, seed)
        facts = (read_json(bundle / f"{name}.json") for name in ("evaluation", "provenance"))
        version = registry.register("tiny", bundle, *facts, key=f"line-{seed}")
        if seed < 3:
            registry.promote(version, seed - 1 or None, "measured")
    return folder / "home"


@pytest.fixture(autouse=True)
def _at_home(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOZART_HOME", str(shelf))


def asked(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_a_person_promotes_and_rolls_back_and_the_reasons_are_on_record(shelf: Path) -> None:
    registry = Registry(shelf)
    assert asked("promote", "tiny", "3", "--because", "clearer sevens").output == (
        "The champion of tiny is version 3; it was version 2.\n"
    )
    assert asked("promote", "tiny", "3", "--because", "again").output == (
        "Version 3 of tiny is the champion already.\n"
    )
    assert asked("rollback", "tiny", "--because", "no eights").output == (
        "The champion of tiny is version 2 again.\n"
    )
    champion = registry.champion("tiny")
    assert champion is not None
    assert champion.version == 2
    moves = registry.promotions.entries("tiny")[2:]
    assert [(move["kind"], move["from"], move["to"], move["reason"]) for move in moves] == [
        ("promotion", 2, 3, "by a person: clearer sevens"),
        ("rollback", 3, 2, "rolled back from version 3: no eights"),
    ]


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("promote", "tiny", "9", "--because", "x"), RegistryError, "model 'tiny' has no version 9"),
        (("promote", "tiny", "3", "--because", " "), ConfigError, "--because is empty: say why"),
        (("history", "tinny"), RegistryError, "nothing is known of 'tinny' in "),
        (("history", "../x"), ConfigError, "is no name for a model"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: tuple[str, ...], kind: type[Exception], said: str) -> None:
    found = asked(*words).exception
    assert isinstance(found, kind)
    assert said in str(found)


def test_the_history_lists_published_and_refused_with_run_verdict_and_reasons(shelf: Path) -> None:
    log = History(shelf)
    facts = {"name": "mine", "asked": "a", "data": "d", "version": None, "champion": False}
    log.append({**facts, "run": "mine-1", "verdict": "published", "version": 1, "champion": True,
                "reasons": ["version 1 is the champion", "passed: all"]})  # fmt: skip
    log.append({**facts, "run": "mine-2", "verdict": "refused", "reasons": ["passed: a", "failed: nats is 9."],
                "start": "warm start from mine:1, weights and optimizers", "drift": ["size of train: 0.4"]})  # fmt: skip
    log.append({**facts, "run": "", "verdict": "nothing-to-do", "reasons": ["nothing was trained"]})
    assert [(line["run"], line["verdict"], line["version"], line["why"]) for line in lines_of("mine")] == [
        ("mine-1", "published", "1", "version 1 is the champion"),
        (
            "mine-2",
            "refused",
            "",
            "failed: nats is 9.\ndrifted since the champion: size of train: 0.4\n"
            "warm start from mine:1, weights and optimizers",
        ),
        ("—", "nothing-to-do", "", "nothing was trained"),
    ]
    shown = asked("history", "mine", "--last", "2").output
    assert "mine-1" not in shown
    assert "refused" in shown


def test_the_history_shows_five_digits_of_a_number_and_all_of_a_name(shelf: Path) -> None:
    said = "failed: nats is 9.12345678 (9.00000001 to 123456.789), kid 3.1415926e-07 of v1.20000.5 and 2026-11.2026."
    log = History(shelf)
    facts = {"name": "long", "asked": "a", "data": "d", "version": None, "champion": False, "run": "long-1"}
    log.append({**facts, "verdict": "refused", "reasons": [said]})
    (line,) = lines_of("long")
    assert (
        line["why"] == "failed: nats is 9.1235 (9 to 123457), kid 3.1416e-07 of v1.20000.5 and 2026-11.2026."
    )
    assert log.entries("long")[0]["reasons"] == [said]


def test_moves_of_the_champion_stand_among_the_runs() -> None:
    moves = [line for line in lines_of("tiny") if line["verdict"] in ("champion", "rollback")]
    assert moves[0]["version"] == "1"
    assert moves[0]["why"] == "measured"


def test_a_run_is_judged_before_where_data_and_recipe_are_the_same(tmp_path: Path) -> None:
    log = History(tmp_path)
    assert log.judged("m", "d", "a") is None
    run = {
        "name": "m",
        "run": "1",
        "reasons": [],
        "data": "d",
        "asked": "a",
        "version": None,
        "champion": False,
    }
    for verdict in ("failed", "nothing-to-do"):
        log.append({**run, "verdict": verdict})
    log.append({**run, "verdict": "published", "version": 1})  # another was promoted meanwhile: run again
    assert log.judged("m", "d", "a") is None
    log.append({**run, "verdict": "refused"})
    assert log.judged("other", "d", "a") is log.judged("m", "e", "a") is log.judged("m", "d", "b") is None
    found = log.judged("m", "d", "a")
    assert found is not None
    assert found["verdict"] == "refused"
