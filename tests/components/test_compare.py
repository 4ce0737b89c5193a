"""Comparisons of published models and of folders of samples: real ones, trained and published here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from components.compare import compare
from components.errors import ConfigError, DataError, MozartError
from components.evaluate import evaluate
from components.examples import Examples
from components.publish import publish
from components.settings import DataSettings, EvaluateSettings, GateSettings, ModelSettings, TrainSettings

SETTINGS = EvaluateSettings(samples=200, most_samples=200, classifier_epochs=15)
LENIENT = GateSettings(metric="nats", beat_floors=False)
UNSEEN = EvaluateSettings(samples=100, classifier_epochs=1, classifier_accuracy=1)  # by likelihood alone


def write_images(folder: Path, images: np.ndarray) -> Path:
    """One PNG an image `[n, 8, 8]` of 0 to 16."""
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(np.round(np.clip(image, 0, 16) * 255 / 16).astype(np.uint8)).save(
            folder / f"{i:04d}.png"
        )
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home with two published normals of the digits, and folders of samples: real and noisy digits."""
    from components.ingest import ingest
    from components.statistics import statistics
    from components.train import train
    from components.transform import transform

    root = tmp_path_factory.mktemp("shop")
    patch = pytest.MonkeyPatch()
    patch.setenv("MOZART_HOME", str(root / "home"))
    data = DataSettings(source="digits")
    ingest(data, root / "records")
    statistics(root / "records", root / "statistics")
    transform(root / "records", root / "statistics", root / "examples", data)
    assert Examples(root / "examples").count("test") > 100
    for name, shape in (("full", "full"), ("plain", "diagonal")):
        model, learn = ModelSettings(family="normal", config={"covariance": shape}), TrainSettings(epochs=1)
        recipe = {
            "name": name,
            "data": data.model_dump(mode="json"),
            "model": model.model_dump(mode="json"),
            "train": learn.model_dump(mode="json"),
        }
        train(root / "examples", root / name / "model", model, learn, recipe)
        evaluate(root / "examples", root / name / "model", root / name / "evaluation", UNSEEN, LENIENT)
        publish(
            root / name / "model", root / name / "evaluation", root / "home", name, root / name / "release"
        )
    images = load_digits().images
    write_images(root / "real", images[:150])
    noise = np.random.default_rng(0).normal(0, 6, images[:150].shape)
    write_images(root / "noisy", images[:150] + noise)
    yield root
    patch.undo()


@pytest.fixture(autouse=True)
def at_home(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this file looks into the shop's registry."""
    monkeypatch.setenv("MOZART_HOME", str(shop / "home"))


@pytest.fixture(scope="module")
def board(shop: Path) -> Any:
    """The comparison that most tests look at."""
    names = ["plain", "full:1", str(shop / "noisy"), str(shop / "real")]
    return compare(names, shop / "board", SETTINGS), shop / "board"


def test_the_board_is_ranked_as_the_samples_are_worth(board: Any, shop: Path) -> None:
    result, out = board
    assert result["metric"] == "classifier_fid"
    assert [one["name"] for one in result["entrants"]] == [
        str(shop / "real"), str(shop / "noisy"), "full:1", "plain:1"
    ]  # fmt: skip
    for one in result["entrants"]:
        for split in ("validation", "test"):
            entry = one[split]["classifier_fid"]
            assert entry["low"] <= entry["value"] <= entry["high"]
            assert entry["features"].startswith("classifier@")
    assert len({one["test"]["classifier_fid"]["features"] for one in result["entrants"]}) == 1
    assert sorted(path.name.split("-")[0] for path in out.glob("*.png")) == ["1", "2", "3", "4"]
    page = (out / "index.html").read_text("utf-8")
    assert all(one["name"] in page for one in result["entrants"])
    assert json.loads((out / "comparison.json").read_text("utf-8")) == result


def test_all_give_as_many_samples_as_the_one_that_has_the_fewest(board: Any) -> None:
    assert {one["samples"] for one in board[0]["entrants"]} == {150}


def test_only_models_have_a_likelihood(board: Any) -> None:
    have = {one["name"]: "nats" in one["test"] for one in board[0]["entrants"]}
    assert [name for name, yes in have.items() if yes] == ["full:1", "plain:1"]


def test_likelihoods_rank_models_and_their_difference_is_paired(shop: Path) -> None:
    result = compare(["plain", "full"], shop / "two", SETTINGS)
    assert result["metric"] == "nats"
    assert [one["name"] for one in result["entrants"]] == ["full:1", "plain:1"]
    (gap,) = result["differences"]
    assert gap["low"] > 0
    assert gap["interval"].startswith("paired")


def test_the_data_are_read_once_and_a_second_time_gives_the_same(shop: Path, board: Any) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (shop / "home" / "comparisons").glob("*/records/*")}
    names = ["plain", "full:1", str(shop / "noisy"), str(shop / "real")]
    again = compare(names, shop / "board again", SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert again == board[0]


def test_a_damaged_file_is_left_out_and_told(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(shop / "real", tmp_path / "some")
    (tmp_path / "some" / "0003.png").write_bytes(b"no picture")
    result = compare([str(tmp_path / "some")], tmp_path / "out", SETTINGS, source="digits")
    (one,) = result["entrants"]
    assert (one["samples"], one["set_aside"]) == (149, 1)


def test_a_folder_is_written_anew_only_where_it_held_a_comparison(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="holds no comparison"):
        compare(["full"], tmp_path / "mine", SETTINGS)
    assert (tmp_path / "mine" / "thesis.txt").is_file()


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["nobody"], {}, "no model 'nobody'"),
        (["full"], {"metric": "fidelity"}, "no such metric"),
        (["SAMPLES"], {}, "name the real data, e.g. --data"),
        (["full"], {"source": "text:book.txt"}, "another kind of data"),
        (["full", "LARGE"], {}, "data.read.resize=SIDE"),
        (["full", "EMPTY"], {}, "no"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    shop: Path, tmp_path: Path, names: list[str], options: dict[str, Any], said: str
) -> None:
    write_images(tmp_path / "large", np.zeros((20, 16, 16)))
    (tmp_path / "empty").mkdir()
    meant = {"SAMPLES": shop / "real", "LARGE": tmp_path / "large", "EMPTY": tmp_path / "empty"}
    with pytest.raises(MozartError, match=said) as refusal:
        compare([str(meant.get(name, name)) for name in names], tmp_path / "out", SETTINGS, **options)
    assert "\n" not in str(refusal.value)
    assert isinstance(refusal.value, ConfigError | DataError) or "nobody" in names
    assert not (tmp_path / "out").exists()


def test_the_commands_print_what_the_page_says(shop: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipelines.cli import app

    quick = ["--set", "evaluate.samples=100", "--set", "evaluate.classifier_epochs=15"]
    done = CliRunner().invoke(
        app, ["evaluate", "full", "--against", str(shop / "real"), "--out", str(tmp_path / "a"), *quick]
    )
    assert done.exit_code == 0, done.output
    assert "classifier_fid" in done.output
    assert str(tmp_path / "a" / "index.html") in done.output.replace("\n", "")
    wrong = CliRunner().invoke(app, ["compare", "full", "--set", "gates.metric=nats"])
    assert isinstance(wrong.exception, ConfigError)
    assert "there are data and evaluate here" in str(wrong.exception)
