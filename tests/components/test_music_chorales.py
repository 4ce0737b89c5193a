"""Music: the chorales and their published numbers, pieces that are none, and the line to examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.errors import DataError
from components.ingest import ingest
from components.modalities import Record, Rejected, Summary, music
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform
from tests.components.music_scores import read_all

QUARTER, SIXTEENTH, VOICES = "jsb-chorales-quarter.json", "jsb-chorales-16th.json", "Jsb16thSeparated.json"
STEPS = {  # of train, validation and test, as they are published
    QUARTER: [13_807, 4_602, 4_725],
    SIXTEENTH: [55_228, 18_408, 18_900],
    VOICES: [55_228, 18_408, 18_900],
}


@pytest.fixture(scope="module")
def chorales(test_data: Path) -> Callable[[str], dict[str, pa.Table]]:
    """The tables of a file's parts."""

    def tables(name: str, **options: Any) -> dict[str, pa.Table]:
        parts: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
        for record in read_all(f"chorales:{test_data / 'jsb_chorales' / name}", **options):
            assert isinstance(record, Record), record
            parts[str(record.part)].append(record.fields)
        return {part: pa.Table.from_pylist(rows, pa.schema(music.RECORD)) for part, rows in parts.items()}

    return tables


@pytest.mark.parametrize("name", STEPS)
def test_the_chorales_have_their_published_parts(chorales: Any, name: str) -> None:
    tables = chorales(name)
    assert [table.num_rows for table in tables.values()] == [229, 76, 77]
    steps = [sum(table.column("length").to_pylist()) for table in tables.values()]
    assert steps == STEPS[name]
    quarter = 1 if name == QUARTER else 4
    assert set(tables["train"].column("ticks_per_quarter").to_pylist()) == {quarter}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("repeats", ["held", "struck"])
def test_a_roll_is_the_published_data(chorales: Any, test_data: Path, name: str, repeats: str) -> None:
    tables = chorales(name, repeats=repeats)
    options = music.Encode.parse({"form": "roll", "grid": 1 if name == QUARTER else 4, "length": 640})
    encoding = music.fit(summaries_of(tables), options, lambda: [tables["train"]])
    assert music.spec(encoding).shape == (640, 88)
    arrays = music.encode(tables["test"], encoding)
    published = json.loads((test_data / "jsb_chorales" / name).read_text())["test"]
    for x, length, piece in zip(arrays["x"], arrays["length"], published, strict=True):
        sounding = [sorted({int(p) - 21 for p in step if p >= 0}) for step in piece]
        assert [np.flatnonzero(step).tolist() for step in x[:length]] == sounding
        assert not x[length:].any()


def test_the_unigram_floor_is_the_published_one(chorales: Any) -> None:
    """A Bernoulli for each of 88 keys: 11.060 nats a step on the test part (Boulanger-Lewandowski 2012 has
    11.06)."""
    tables = chorales(QUARTER)
    options = music.Encode.parse({"form": "roll", "grid": 1, "length": 160})
    encoding = music.fit(summaries_of(tables), options, lambda: [tables["train"]])
    train, test = (music.encode(tables[part], encoding) for part in ("train", "test"))
    on = (train["x"].sum((0, 1)) + 0.5) / (train["length"].sum() + 1)
    steps, sounding = test["length"].sum(), test["x"].sum((0, 1)).astype(np.float64)
    nats = -(sounding * np.log(on) + (steps - sounding) * np.log1p(-on)).sum() / steps
    assert nats == pytest.approx(11.060, abs=5e-4)


def summaries_of(tables: dict[str, pa.Table]) -> dict[str, Summary]:
    return {part: Summary(table.num_rows, music.summarise(table)) for part, table in tables.items()}


def write_chorales(path: Path, found: Any) -> str:
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return f"chorales:{path}"


@pytest.mark.parametrize(
    ("piece", "rule"),
    [
        ("no list", "not-steps"),
        ([[60], 61], "not-steps"),
        ([[60], [60.5]], "not-a-pitch"),
        ([[60], [128]], "not-a-pitch"),
        ([[60], [-1]], "not-a-pitch"),
        ([[60], [True]], "not-a-pitch"),
        ([[60], ["60"]], "not-a-pitch"),
        ([[60], [None]], "not-a-pitch"),
        ([[60]] * 20_001, "too-long"),
        ([], "no-notes"),
        ([[], []], "no-notes"),
    ],
)
def test_a_piece_that_is_none_is_set_aside(tmp_path: Path, piece: Any, rule: str) -> None:
    source = write_chorales(tmp_path / "quarter.json", {"train": [[[60], [62, 64.0]], piece], "valid": []})
    good, bad = read_all(source)
    assert isinstance(good, Record)
    assert isinstance(bad, Rejected)
    assert (bad.key, bad.rule) == ("quarter.json#train/1", rule)
    assert good.fields["pitch"] == [60, 62, 64]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"train": {}}', '{"training": []}', "[" * 100_000])
def test_a_file_that_holds_no_chorales_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"quarter\.json"):
        read_all(write_chorales(tmp_path / "quarter.json", text))


def test_the_length_of_a_step_is_in_the_name_or_an_option(tmp_path: Path) -> None:
    source = write_chorales(tmp_path / "chorales.json", {"train": [[[60], [62]]]})
    with pytest.raises(DataError, match=r"data\.read\.steps_per_quarter"):
        read_all(source)
    (record,) = read_all(source, steps_per_quarter=2)
    assert isinstance(record, Record)
    assert (record.fields["ticks_per_quarter"], record.fields["quarters"]) == (2, 1.0)


def test_equal_pitches_in_successive_steps_are_held_or_struck(tmp_path: Path) -> None:
    for name, steps in (
        ("16th.json", [[60], [60], [62]]),
        ("v16th.json", [[60, -1, -1, 40]] * 2 + [[62, -1, -1, 41]]),
    ):
        source = write_chorales(tmp_path / name, {"train": [steps]})
        (held,), (struck,) = read_all(source), read_all(source, repeats="struck")
        assert isinstance(held, Record)
        assert isinstance(struck, Record)
        assert len(struck.fields["onset"]) == 1.5 * len(held.fields["onset"])
        assert set(held.fields["duration"]) == {2, 1}


def test_the_line_from_chorales_to_examples(test_data: Path, tmp_path: Path) -> None:
    data = DataSettings.parse(
        {
            "source": f"chorales:{test_data / 'jsb_chorales' / QUARTER}",
            "encode": {"form": "steps", "grid": 1, "length": 160},
        }
    )
    manifest = ingest(data, tmp_path / "records")
    assert manifest["counts"] == {"train": 229, "validation": 76, "test": 77, "rejected": 0, "read": 382}
    again = ingest(data, tmp_path / "again")
    assert again["fingerprint"] == manifest["fingerprint"]
    found = statistics(tmp_path / "records", tmp_path / "statistics")
    assert found["splits"]["test"]["features"]["quarters"]["mean"] * 77 == pytest.approx(4725)
    made = transform(tmp_path / "records", tmp_path / "statistics", tmp_path / "examples", data)
    assert made["counts"] == {"train": 229, "validation": 76, "test": 77}
