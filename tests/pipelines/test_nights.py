"""Retrainings night after night: what arrives may be empty, broken, drifted or worse, and the champion stays good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import read_json
from components.errors import ConfigError, DataError, GateRefused, NothingToDo
from components.frozen import frozen_folder
from components.history import History
from components.registry import Registry
from tests.pipelines.nights import Nights, day, written

ENDINGS = {
    "good": (type(None), "published"),
    "nothing": (NothingToDo, "nothing-to-do"),
    "empty": (NothingToDo, "nothing-to-do"),
    "corrupt": (DataError, "refused"),
    "drifted": (DataError, "refused"),
    "worse": (GateRefused, "refused"),
}


@pytest.fixture(autouse=True)
def _not_compiled() -> Iterator[None]:
    """A new model each night would be compiled each night, which takes longer than it learns."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def history(nights: Nights) -> list[dict[str, Any]]:
    return History(nights.home).entries("nightly")


def perplexities(nights: Nights) -> list[tuple[float, float]]:
    """Of each champion in turn, on the frozen split: the value, and what may be lost of it (its noise)."""
    registry = Registry(nights.home)
    found = []
    for move in registry.promotions.entries("nightly"):
        bundle = registry.resolve(f"nightly:{move['to']}").bundle_path
        entry = read_json(bundle / "evaluation.json")["validation"]["perplexity"]
        found.append((entry["value"], (entry["high"] - entry["low"]) / 4))
    return found


def check_the_promises(nights: Nights) -> None:
    """Nothing was published twice, and no champion is worse than the best before it beyond its noise."""
    published = [entry for entry in history(nights) if entry["verdict"] == "published"]
    versions = [entry["version"] for entry in published]
    assert versions == list(range(1, len(versions) + 1))
    assert len({entry["data"] for entry in published}) == len(published)
    best, noise = perplexities(nights)[0]
    for value, own in perplexities(nights)[1:]:
        assert value <= best + noise
        if value < best:
            best, noise = value, own


def test_a_week_of_nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = Nights(tmp_path / "week", monkeypatch)
    first = nights.run(0, "good")
    assert first is None, first
    frozen = frozen_folder(nights.home, "nightly") / "manifest.json"
    before = frozen.read_bytes()

    for night, kind in enumerate(("nothing", "empty", "corrupt", "drifted", "worse"), start=1):
        error = nights.run(night, kind, 8000, *alone(night, kind))
        assert isinstance(error, ENDINGS[kind][0]), (kind, error)
    second = nights.run(6, "good", 30_000, *alone(6, "good"))
    assert second is None, second

    ended = history(nights)
    assert [entry["time"][:10] for entry in ended] == [day(night) for night in range(7)]
    kinds = ("good", "nothing", "empty", "corrupt", "drifted", "worse", "good")
    assert [entry["verdict"] for entry in ended] == [ENDINGS[kind][1] for kind in kinds]
    assert all(entry["reasons"] for entry in ended)
    assert "nothing new has come since" in ended[1]["reasons"][0]
    assert "cannot be read" in ended[3]["reasons"][1]
    assert any("character" in one for one in ended[4]["drift"])
    refused = ended[5]
    assert any(said.startswith("failed: perplexity") for said in refused["reasons"])
    assert (Path(refused["model"]) / "weights.safetensors").is_file(), "a refused challenger stays findable"
    assert frozen.read_bytes() == before
    check_the_promises(nights)


def test_a_broken_day_beside_a_judged_one_is_refused_and_no_night_without_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of both days together are those of the first alone, but something came that nobody can read."""
    nights = Nights(tmp_path / "two", monkeypatch)
    nights.run(0, "good")
    assert isinstance(nights.run(1, "corrupt"), DataError)
    assert isinstance(nights.run(2, "nothing"), NothingToDo), "it was judged; nothing else has come"
    assert [entry["verdict"] for entry in history(nights)] == ["published", "refused", "nothing-to-do"]


def alone(night: int, kind: str) -> list[str]:
    """Broken days are looked at alone, as a window of one; the next good one leaves them out."""
    return ["data.spans.window=1"] if kind not in ("nothing", "empty") else []


@pytest.mark.slow
def test_thirty_nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is two days, so a broken day is in two windows; good days bring more and more text."""
    nights = Nights(tmp_path / "month", monkeypatch)
    odd = {4: "empty", 6: "corrupt", 9: "nothing", 11: "drifted", 15: "worse", 18: "empty", 21: "corrupt"}
    odd |= {24: "drifted", 25: "nothing", 27: "worse"}
    champions = []
    for night in range(30):
        nights.run(night, odd.get(night, "good"), 8000 + 1000 * night)
        champion = Registry(nights.home).champion("nightly")
        champions.append(champion.version if champion else None)

    ended = history(nights)
    assert [entry["time"][:10] for entry in ended] == [day(night) for night in range(30)]
    assert {entry["verdict"] for entry in ended} == {"published", "refused", "nothing-to-do"}
    assert all(entry["reasons"] for entry in ended)
    for night, kind in odd.items():
        expected = ENDINGS[kind][1]
        assert ended[night]["verdict"] == expected, (night, kind, ended[night]["reasons"])
        assert champions[night] == champions[night - 1]
    assert len(perplexities(nights)) >= 3, "there is something to compare"
    check_the_promises(nights)


def test_a_frozen_split_does_not_stand_beside_another_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.frozen import freeze, frozen_split
    from components.ingest import ingest
    from pipelines.recipe import load_recipe

    nights = Nights(tmp_path / "split", monkeypatch)
    (nights.folder / "in" / "1.txt").write_bytes(written("good", 1, 4000))
    data = load_recipe("nightly.yaml").data
    ingest(data, tmp_path / "records")
    assert frozen_split(nights.home, "nightly", data) is None
    assert freeze(tmp_path / "records", nights.home, "nightly", data)
    assert not freeze(tmp_path / "records", nights.home, "nightly", data), "once and for all"
    assert frozen_split(nights.home, "nightly", data) == frozen_folder(nights.home, "nightly")
    assert frozen_split(nights.home, "another", data) is None
    changed = load_recipe("nightly.yaml", ["data.split={train: 0.6, validation: 0.2, test: 0.2}"]).data
    with pytest.raises(ConfigError, match=r"data.split is not what it was when .* of 'nightly' was frozen"):
        frozen_split(nights.home, "nightly", changed)
