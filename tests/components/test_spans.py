"""Sources that arrive in pieces: which of them a run reads, and what stays the same from window to window."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from components.artifacts import read_json
from components.errors import DataError, NothingToDo
from components.ingest import ingest, shards_of, source_fingerprint
from components.settings import DataSettings
from components.span import Span, span_range
from components.spans import pinned, problems, sources
from components.splits import SPLITS
from tests.components.test_storage import BUCKET, picture, s3, server  # noqa: F401

DAYS = ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-03"]


def arrive(folder: Path, span: str, count: int = 3) -> None:
    """A day's pictures; the same names every day, other pixels."""
    (folder / f"day-{span}").mkdir(parents=True)
    for i in range(count):
        pixels = np.random.default_rng([i, *map(ord, span)]).integers(0, 256, (4, 4), np.uint8)
        Image.fromarray(pixels).save(folder / f"day-{span}" / f"{i}.png")


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Four days, one of which has not come; and other things beside them."""
    for day in DAYS:
        arrive(tmp_path, day)
    (tmp_path / "day-2026-11-04").mkdir()  # empty
    (tmp_path / "day-2026-11-05").mkdir()
    (tmp_path / "day-2026-11-05" / "_SUCCESS").touch()
    for other in ("day-2026-02-30", "day-latest", "day-2026-11-03-old", "night-2026-11-06"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "0.png").write_bytes(b"x")
    return tmp_path


def data_of(where: object, **spans: Any) -> DataSettings:
    return DataSettings.parse({"source": f"images:{where}", **({"spans": spans} if spans else {})})


def names(data: DataSettings) -> list[str]:
    return [span for span, _ in sources(data)]


# -- which spans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, DAYS),
        ({"window": 1}, ["2026-11-03"]),
        ({"window": 4}, ["2026-10-31", "2026-11-01", "2026-11-03"]),  # four days, three of which came
        ({"window": 3, "exclude": ["2026-11-03"]}, ["2026-10-30", "2026-10-31", "2026-11-01"]),
        ({"window": 3, "exclude": ["20261101", "2026-11-03"]}, ["2026-10-30", "2026-10-31"]),
        ({"only": "2026-10-31..2026-11-01"}, ["2026-10-31", "2026-11-01"]),
        ({"only": "2026-10-31"}, ["2026-10-31"]),
        ({"only": "2020-01-01..2026-10-30", "window": 2, "fewest": 1}, ["2026-10-30"]),
    ],
)
def test_the_window_ends_with_the_newest_span_that_holds_a_file(
    days: Path, asked: dict[str, Any], expected: list[str]
) -> None:
    assert names(data_of(f"{days}/day-{{SPAN}}", **asked)) == expected


def test_each_span_is_a_source_of_its_own(days: Path) -> None:
    data = data_of(f"{days}/day-{{SPAN}}", window=1)
    assert sources(data) == [("2026-11-03", f"images:{days}/day-2026-11-03")]
    assert sources(DataSettings(source="digits")) == [("", "digits")]


@pytest.mark.parametrize(
    ("files", "source", "expected"),
    [
        (["8.txt", "9.txt", "10.txt"], "text:{at}/{SPAN}.txt", ["8", "9", "10"]),
        (["008.txt", "009.txt", "010.txt"], "text:{at}/{SPAN}.txt", ["008", "009", "010"]),
        (["20261031-a.txt", "20261101-a.txt"], "text:{at}/{SPAN}-*.txt", ["20261031", "20261101"]),
        (["2026-11-01-a.txt", "2026-11-01-b.txt"], "text:{at}/{SPAN}-*.txt", ["2026-11-01"]),
        (["5/in/a.txt", "6/out/a.txt", "7/in/b.md"], "text:{at}/{SPAN}/in", ["5", "7"]),
        (["5/in/a.txt", "6/out/a.txt", "7/in/b.md"], "text:{at}/{SPAN}/in/*.txt", ["5"]),
    ],
)
def test_days_and_numbers_files_and_folders(
    tmp_path: Path, files: list[str], source: str, expected: list[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    data = DataSettings(source=source.replace("{at}", str(tmp_path)))
    assert names(data) == expected


def test_what_is_not_there_or_too_little_is_one_sentence(days: Path) -> None:
    where = f"images:{days}/day-{{SPAN}}"
    with pytest.raises(NothingToDo) as told:
        sources(data_of(f"{days}/day-{{SPAN}}", window=3, fewest=3))
    assert str(told.value) == (
        f"nothing was trained: of the spans 2026-11-01..2026-11-03 of '{where}' 2 arrived (2026-11-01, 2026-11-03), "
        "and data.spans.fewest is 3"
    )
    with pytest.raises(NothingToDo, match=r"of the spans 2027-01-01\.\.2027-01-02 of .* 0 arrived, and"):
        sources(data_of(f"{days}/day-{{SPAN}}", only="2027-01-01..2027-01-02"))
    with pytest.raises(DataError, match=r"nothing lies there in the place of \{SPAN\}; a span is a day"):
        sources(data_of(f"{days}/week-{{SPAN}}"))
    with pytest.raises(DataError, match=r"nothing lies there in the place of .* but what data.spans.exclude"):
        sources(data_of(f"{days}/day-{{SPAN}}", exclude=DAYS))
    with pytest.raises(DataError, match=r"data.spans.only is '7', and .* holds spans such as '2026-10-30'"):
        sources(data_of(f"{days}/day-{{SPAN}}", only="7"))
    arrive(days, "7")
    with pytest.raises(DataError, match="'2026-10-30' is a day and '7' a number: name the spans alike"):
        sources(data_of(f"{days}/day-{{SPAN}}"))
    (days / "day-7").rename(days / "day-20261101")
    with pytest.raises(DataError, match="'2026-11-01' and '20261101' are one span: keep one"):
        sources(data_of(f"{days}/day-{{SPAN}}"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("images:a/{SPAN}/{SPAN}", "stands in 'images:a/{SPAN}/{SPAN}' more than once"),
        ("{SPAN}:a", "stands before the ':'"),
        ("images:*/day-{SPAN}", "a wildcard stands before {SPAN}"),
    ],
)
def test_a_source_that_cannot_be_meant(source: str, said: str) -> None:
    (problem,) = problems(DataSettings(source=source))
    assert said in problem


def test_settings_without_a_place_for_the_span() -> None:
    data = DataSettings.parse({"source": "images:a", "spans": {}})
    assert problems(data) == [
        "data.spans: data.source 'images:a' has no {SPAN}: write e.g. images:FOLDER/day-{SPAN}"
    ]
    assert problems(DataSettings(source="images:day-{SPAN}")) == []


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ({"window": 2, "fewest": 3}, r"fewest \(3\) is at most window \(2\)"),
        ({"exclude": ["yesterday"]}, "'yesterday' is no span: it is a day"),
        ({"exclude": ["2026-02-30"]}, "'2026-02-30' is no day: "),
        ({"only": "2026-11-07..2026-11-01"}, r"ends before it begins: write 2026-11-01\.\.2026-11-07"),
        ({"only": "2026-11-01..7"}, "one end is a day and the other a number"),
        ({"only": "1..2..3"}, r"is no range of spans: write FIRST\.\.LAST"),
        ({"only": "1.."}, "'' is no span"),
    ],
)
def test_settings_that_cannot_be_meant(spans: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DataSettings.parse({"source": "images:day-{SPAN}", "spans": spans})


@given(st.dates(date(1970, 1, 1), date(9000, 1, 1)), st.integers(0, 400))
@settings(derandomize=True, max_examples=50)
def test_days_are_counted_as_the_calendar_does(day: date, steps: int) -> None:
    for written in (day.isoformat(), day.strftime("%Y%m%d")):
        assert Span.parse(written).earlier(steps).text == (day - timedelta(days=steps)).isoformat()
    low, high = span_range(f"{day - timedelta(days=steps)}..{day}")
    assert high.place - low.place == steps


# -- what is read --------------------------------------------------------------------------------------


def sides(data: DataSettings, out: Path) -> dict[str, str]:
    """Key → split of the records."""
    ingest(data, out)
    return {
        key: split
        for split in SPLITS
        for shard in shards_of(out, split)
        for key in pq.read_table(shard).column("key").to_pylist()
    }


def test_a_record_never_changes_sides_while_the_window_moves(tmp_path: Path) -> None:
    for day in range(1, 9):
        arrive(tmp_path, f"2026-11-{day:02d}", count=12)
    seen: dict[str, str] = {}
    for last in range(3, 9):
        data = data_of(f"{tmp_path}/day-{{SPAN}}", only=f"2026-11-{last - 2:02d}..2026-11-{last:02d}")
        found = sides(data, tmp_path / "records")
        assert len(found) == 36
        assert all(seen.setdefault(key, split) == split for key, split in found.items())
    assert len(seen) == 96
    assert set(seen.values()) == set(SPLITS)
    assert "2026-11-03/0.png" in seen


def test_what_cannot_be_read_is_set_aside_with_its_span(days: Path) -> None:
    (days / "day-2026-11-03" / "broken.png").write_bytes(b"no picture")
    manifest = ingest(data_of(f"{days}/day-{{SPAN}}"), days / "records")
    assert (manifest["counts"]["read"], manifest["counts"]["rejected"]) == (13, 1)
    line = read_json(days / "records/rejected/rejected.jsonl")
    assert line["key"] == "2026-11-03/broken.png"


def test_groups_stay_together_within_a_span_and_apart_between_spans(tmp_path: Path) -> None:
    for span in (1, 2):
        (tmp_path / str(span)).mkdir()
        for name in "ab":
            (tmp_path / str(span) / f"{name}.txt").write_text("a line of text\n" * 40)
    data = DataSettings.parse({"source": f"text:{tmp_path}/{{SPAN}}", "read": {"block": 100}})
    sides(data, tmp_path / "records")
    groups = {
        group
        for split in SPLITS
        for shard in shards_of(tmp_path / "records", split)
        for group in pq.read_table(shard).column("group").to_pylist()
    }
    assert groups == {"1/a.txt", "1/b.txt", "2/a.txt", "2/b.txt"}


def test_only_a_span_in_the_window_changes_the_fingerprint(days: Path) -> None:
    data = data_of(f"{days}/day-{{SPAN}}", window=3)
    before = source_fingerprint(data)
    assert source_fingerprint(data) == before
    arrive(days, "2026-10-01")
    assert source_fingerprint(data) == before
    arrive(days, "2026-11-02")
    assert source_fingerprint(data) != before


def test_a_pinned_window_stays_when_more_arrives(days: Path) -> None:
    data = pinned(data_of(f"{days}/day-{{SPAN}}", window=4))
    assert data.spans is not None
    assert data.spans.only == "2026-10-31..2026-11-03"
    before = names(data)
    arrive(days, "2026-11-06")
    assert names(data) == before
    assert pinned(data) == data


# -- in a store ----------------------------------------------------------------------------------------


def test_spans_of_a_bucket(s3: Any, tmp_path: Path) -> None:  # noqa: F811
    for day in (1, 2, 4):
        for i in range(12):
            s3.put_object(Bucket=BUCKET, Key=f"in/day-2026-11-{day:02d}/{i}.png", Body=picture(100 * day + i))
            file = tmp_path / f"day-2026-11-{day:02d}" / f"{i}.png"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(picture(100 * day + i))
    s3.put_object(Bucket=BUCKET, Key="in/day-2026-11-05/_SUCCESS", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="in/other/x.png", Body=picture(0))
    there, here = (data_of(f"{root}/day-{{SPAN}}", window=3) for root in (f"s3://{BUCKET}/in", str(tmp_path)))
    assert names(there) == ["2026-11-02", "2026-11-04"]
    assert sides(there, tmp_path / "a") == sides(here, tmp_path / "b")
