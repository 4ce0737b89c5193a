"""Publishing: what is blessed becomes a version, what is not leaves no trace, and crashes change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.artifacts import read_json, reading
from components.bundle import check_bundle
from components.errors import ConfigError, GateRefused, IntegrityError
from components.publish import publish
from components.registry import Registry
from tests.components.publishing import evaluation_folder, evaluation_of, model_folder, said, start

PUBLISH = """
import json, sys
from pathlib import Path
from components.publish import publish
model, evaluation, home, out = map(Path, sys.argv[1:])
print(json.dumps(publish(model, evaluation, home, "tiny", out, key=out.name)))
"""


class Raced(NamedTuple):
    home: Path
    traces_of_the_killed: list[Any]
    releases: list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("models")
    return [model_folder(root / f"model-{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def raced(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Raced:
    """A home where one real process was killed while it published, and then two published at once."""
    root = tmp_path_factory.mktemp("raced")
    home = root / "home"
    evaluations = [
        evaluation_folder(root / f"evaluation-{number}", evaluation_of(models[number])) for number in (0, 1)
    ]

    def publisher(number: int) -> subprocess.Popen[str]:
        return start(PUBLISH, models[number], evaluations[number], home, root / f"release-{number}")

    killed = publisher(0)
    while not list((home / "bundles").glob("[0-9a-f]*")):  # the bundle is there, nothing has used it
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    traces = [Registry(home).champion("tiny"), *Registry(home).models(), *root.glob("release-*")]
    return Raced(home, traces, [said(process) for process in [publisher(0), publisher(1)]])


def test_a_killed_publisher_leaves_neither_version_nor_champion(raced: Raced) -> None:
    assert raced.traces_of_the_killed == [None]


def test_two_publishers_at_once_make_two_versions_and_one_champion(raced: Raced) -> None:
    home = raced.home
    winner, loser = sorted(raced.releases, key=lambda release: not release["champion"])
    assert (winner["champion"], loser["champion"]) == (True, False)
    assert {winner["version"], loser["version"]} == {1, 2}
    assert winner["message"].endswith("is published and is the champion")
    assert (
        f"there was no champion when it was measured, and now version {winner['version']}" in loser["message"]
    )
    for number, release in enumerate(raced.releases):
        folder = home.parent / f"release-{number}"
        reading(folder)
        assert read_json(folder / "release.json") == release
        assert check_bundle(Path(release["bundle"]))["name"] == "tiny"
    assert Registry(home).champion("tiny").digest == winner["digest"]
    assert len(Registry(home).models()) == 2
    assert len(list((home / "bundles").iterdir())) == 2


def test_a_model_that_beat_the_champion_takes_its_place_and_a_repeat_changes_nothing(
    raced: Raced, models: list[Path], tmp_path: Path
) -> None:
    home = raced.home
    champion = Registry(home).champion("tiny").version
    evaluation = evaluation_folder(tmp_path / "evaluation", evaluation_of(models[2], 4.0, champion))
    release = publish(models[2], evaluation, home, "tiny", tmp_path / "release")
    assert (release["version"], release["champion"], release["previous"]) == (3, True, champion)
    again = publish(models[2], evaluation, home, "tiny", tmp_path / "again")
    assert again == release
    assert len(Registry(home).models()) == 3
    assert len(Registry(home).promotions.entries("tiny")) == 2
    assert Registry(home).rollback("tiny").version == champion
    undone = publish(models[2], evaluation, home, "tiny", tmp_path / "undone")
    assert (undone["version"], undone["champion"]) == (3, False)
    assert "rolled back by a person" in undone["message"]
    assert Registry(home).champion("tiny").version == champion
    uncompared = evaluation_of(models[2]) | {"gates": {"champion": False}}
    release = publish(
        models[2], evaluation_folder(tmp_path / "uncompared", uncompared), home, "tiny", tmp_path / "release"
    )
    assert (release["version"], release["champion"], release["previous"]) == (3, True, champion)


def refused(model: Path, tmp_path: Path, content: dict[str, Any]) -> str:
    """The refusal's sentence, after nothing of the publication was found anywhere."""
    evaluation = evaluation_folder(tmp_path / "evaluation", content)
    with pytest.raises(GateRefused) as refusal:
        publish(model, evaluation, tmp_path / "home", "tiny", tmp_path / "release")
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "release").exists()
    return str(refusal.value)


def test_an_unblessed_model_is_refused_with_the_reasons(models: list[Path], tmp_path: Path) -> None:
    content = evaluation_of(models[0])
    content["verdict"] = {"blessed": False, "reasons": ["passed: a is 1.", "failed: b is 2, above 1."]}
    assert refused(models[0], tmp_path, content) == "nothing was published: failed: b is 2, above 1."


@pytest.mark.parametrize("blessed", ["true", 1, None])
def test_only_true_is_a_blessing(models: list[Path], tmp_path: Path, blessed: Any) -> None:
    content = evaluation_of(models[0]) | {"verdict": {"blessed": blessed, "reasons": []}}
    assert "the gates refused" in refused(models[0], tmp_path, content)


@pytest.mark.parametrize("value", [10.5, 25.0, None])
def test_a_blessing_that_the_numbers_belie_is_refused(
    models: list[Path], tmp_path: Path, value: float | None
) -> None:
    content = evaluation_of(models[0])
    content["validation"]["classifier_fid"] |= {"value": value, "low": value, "high": value}
    assert "failed: classifier_fid" in refused(models[0], tmp_path, content)


def test_the_evaluation_of_another_model_is_refused(models: list[Path], tmp_path: Path) -> None:
    assert "the evaluation is of model" in refused(models[0], tmp_path, evaluation_of(models[1]))


def test_folders_that_were_changed_are_refused(models: list[Path], tmp_path: Path) -> None:
    evaluation = evaluation_folder(tmp_path / "evaluation", evaluation_of(models[0]))
    text = (evaluation / "evaluation.json").read_text()
    (evaluation / "evaluation.json").write_text(text.replace("4.5", "0.5"))
    with pytest.raises(IntegrityError, match=r"evaluation\.json is not the file"):
        publish(models[0], evaluation, tmp_path / "home", "tiny", tmp_path / "release")
    with pytest.raises(ConfigError, match="is no name for a model"):
        publish(models[0], evaluation, tmp_path / "home", "../tiny", tmp_path / "release")
    assert not (tmp_path / "home").exists()
