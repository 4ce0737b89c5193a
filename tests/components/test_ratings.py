"""Ratings: CSV and MovieLens layouts; every row is a record or told; splits by key, user, time and fold."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components import csv_tables, rating_records
from components.errors import DataError
from components.ingest import SPLITS, ingest, shards_of
from components.modalities import ratings
from components.settings import DataSettings
from components.statistics import statistics, summaries_of
from components.transform import transform

USERS, ITEMS = 40, 25


def all_ratings() -> list[tuple[str, str, float, int]]:
    """Forty users, each with every second item; time grows with the user."""
    rng = np.random.default_rng(0)
    return [
        (f"u{user}", f"i{item}", float(rng.integers(1, 11) / 2), 1_000_000_000 + 1000 * user + item)
        for user in range(USERS)
        for item in range(user % 2, ITEMS, 2)
    ]


def write_csv(file: Path, header: str = "userId,movieId,rating,timestamp") -> Path:
    lines = [f"{user},{item},{rating},{time}" for user, item, rating, time in all_ratings()]
    file.write_text("\n".join([header, *lines]) + "\n", "utf-8")
    return file


def records_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        split: [row for shard in shards_of(out, split) for row in pq.read_table(shard).to_pylist()]
        for split in SPLITS
    }


def ingested(source: Path, out: Path, **read: Any) -> dict[str, list[dict[str, Any]]]:
    ingest(DataSettings(source=f"ratings:{source}", read=read, max_rejected=1.0), out)
    return records_of(out)


def test_every_rating_of_a_csv_is_there_once(tmp_path: Path) -> None:
    found = ingested(write_csv(tmp_path / "r.csv"), tmp_path / "records")
    rows = [(r["user"], r["item"], r["rating"], int(r["time"])) for split in found.values() for r in split]
    assert sorted(rows) == sorted(all_ratings())
    assert {r["key"] for split in found.values() for r in split} == {
        f"{user}/{item}/{time}" for user, item, _, time in all_ratings()
    }


@pytest.mark.parametrize("layout", ["ml-1m", "ml-100k", "ml-latest"])
def test_the_layouts_of_movielens_give_the_same_records(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / layout
    folder.mkdir()
    name, separator = {"ml-1m": ("ratings.dat", "::"), "ml-100k": ("u.data", "\t"), "ml-latest": ("", "")}[
        layout
    ]
    if name:
        lines = [separator.join(map(str, row)) for row in all_ratings()]
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    else:
        write_csv(folder / "ratings.csv")
    found = ingested(folder, tmp_path / "records")
    assert found == ingested(write_csv(tmp_path / "r.csv"), tmp_path / "expected")


def test_the_folds_of_movielens_keep_their_sides(tmp_path: Path) -> None:
    rows = ["\t".join(map(str, row)) for row in all_ratings()]
    (tmp_path / "u2.base").write_text("\n".join(rows[50:]), "utf-8")
    (tmp_path / "u2.test").write_text("\n".join(rows[:50]), "utf-8")
    found = ingested(tmp_path, tmp_path / "records", split="fold", fold=2)
    assert {
        "\t".join([r["user"], r["item"], str(r["rating"]), f"{r['time']:.0f}"]) for r in found["test"]
    } == set(rows[:50])
    assert len(found["train"]) + len(found["validation"]) == len(rows) - 50


def test_split_by_user_keeps_a_user_on_one_side(tmp_path: Path) -> None:
    found = ingested(write_csv(tmp_path / "r.csv"), tmp_path / "records", split="user")
    users = [{row["user"] for row in found[split]} for split in SPLITS]
    assert sum(map(len, users)) == USERS == len(set.union(*users))


def test_split_by_time_puts_the_latest_in_test(tmp_path: Path) -> None:
    found = ingested(write_csv(tmp_path / "r.csv"), tmp_path / "records", split="time", test=0.2)
    latest = [max(row["time"] for row in found[split]) for split in SPLITS]
    first = [min(row["time"] for row in found[split]) for split in SPLITS]
    assert latest[0] < first[1] <= latest[1] < first[2]
    count = len(all_ratings())
    assert abs(len(found["test"]) - 0.2 * count) <= 2
    assert abs(len(found["validation"]) - 0.1 * count) <= 2


def test_the_cuts_by_time_hold_though_one_clock_is_far_off(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "r.csv")
    file.write_text(file.read_text("utf-8") + "u0,late,3,200000000000\nu0,early,3,-60000000000\n", "utf-8")
    found = ingested(file, tmp_path / "records", split="time")
    count = len(all_ratings()) + 2
    assert abs(len(found["test"]) - 0.1 * count) <= 2
    assert abs(len(found["validation"]) - 0.1 * count) <= 2


def test_ratings_of_one_moment_stay_together(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    rows = [f"u{user},i1,{user % 5},{user // 50}" for user in range(500)]
    file.write_text("\n".join(["user,item,rating,time", *rows]), "utf-8")
    found = ingested(file, tmp_path / "records", split="time")
    assert {split: {row["time"] for row in found[split]} for split in SPLITS} == {
        "train": set(range(8)),
        "validation": {8},
        "test": {9},
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1717156800", 1717156800),
        ("1717156800000", 1717156800),
        ("1717156800.5", 1717156800.5),
        ("2024-05-31T12:00:00", 1717156800),
        ("2024-05-31 14:00+02:00", 1717156800),
        ("7", 7),
    ],
)
@pytest.mark.parametrize("other", ["1", "soon", "1 "])
def test_a_time_is_read_the_same_whatever_stands_in_other_rows(text: str, seconds: float, other: str) -> None:
    assert rating_records.times_of((text, other))[0] == seconds


def test_names_with_slashes_and_blanks_keep_their_keys_apart(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    names = ["a/b,c", "a,b/c", "a%2Fb,c", " caf\u00e9 ,c", '"x,y",c']
    file.write_text("user,item,rating\n" + "".join(f"{name},3\n" for name in names), "utf-8")
    found = ingested(file, tmp_path / "records")
    assert {row["key"] for split in SPLITS for row in found[split]} == {
        "a%2Fb/c",
        "a/b%2Fc",
        "a%252Fb/c",
        "caf\u00e9/c",
        "x,y/c",
    }


def test_the_fold_of_a_csv_is_its_test_split(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    rows = [f"u{n},i{n % 7},3,{n % 5}" for n in range(500)]
    file.write_text("\n".join(["user,item,rating,fold", *rows]), "utf-8")
    found = ingested(file, tmp_path / "records", split="fold", fold=2)
    assert {row["user"] for row in found["test"]} == {f"u{n}" for n in range(2, 500, 5)}
    assert len(found["train"]) > len(found["validation"]) > 0


def test_a_record_stays_on_its_side_when_data_grow(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "r.csv")
    before = ingested(file, tmp_path / "before")
    file.write_text(file.read_text("utf-8") + "".join(f"new{n},i1,3,{n}\n" for n in range(300)), "utf-8")
    after = ingested(file, tmp_path / "after")
    for split in SPLITS:
        assert {row["key"] for row in before[split]} <= {row["key"] for row in after[split]}


def test_many_chunks_give_the_records_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_csv(tmp_path / "r.csv")
    once = ingested(file, tmp_path / "once")
    small = functools.partial(csv_tables.csv_chunks, bytes_=700)
    monkeypatch.setattr("components.tables.csv_chunks", small)
    assert len(ratings.plan(f"ratings:{file}", ratings.Read())) > 10
    assert ingested(file, tmp_path / "many") == once


@pytest.mark.parametrize("pattern", ["*.csv", "part-?.csv"])
def test_a_pattern_names_many_files(tmp_path: Path, pattern: str) -> None:
    for n in range(3):
        (tmp_path / f"part-{n}.csv").write_text(f"user,item,rating\nu{n},i,4\n", "utf-8")
    found = ingested(tmp_path / pattern, tmp_path / "records")
    assert sorted(row["key"] for split in SPLITS for row in found[split]) == ["u0/i", "u1/i", "u2/i"]


def test_the_rows_of_movielens_are_checked_too(tmp_path: Path) -> None:
    lines = [
        b"1::2::3::4",
        b"",
        b"1::2::3",
        b"caf\xe9::2::3::4",
        b"1::\0::3::4",
        b"2::2::4.5::5\r",
        b"3::2::5::6",
    ]
    (tmp_path / "ratings.dat").write_bytes(b"\n".join(lines))
    found = ingested(tmp_path, tmp_path / "records")
    assert sorted(row["key"] for split in SPLITS for row in found[split]) == ["1/2/4", "2/2/5", "3/2/6"]
    told = [json.loads(row) for row in (tmp_path / "records/rejected/rejected.jsonl").open()]
    assert [(row["key"], row["rule"]) for row in told] == [
        ("ratings.dat#3", "ragged-row"),
        ("ratings.dat#4", "not-utf8"),
        ("ratings.dat#5", "nul"),
    ]


def test_the_fingerprint_covers_every_file_that_an_option_reads(tmp_path: Path) -> None:
    for name in ("u1.base", "u1.test", "u2.base", "u.data", "u.item", "README"):
        (tmp_path / name).write_text("1\t2\t3\t4\n", "utf-8")
    assert [Path(entry.path).name for entry in ratings.files(f"ratings:{tmp_path}")] == [
        "u.data",
        "u1.base",
        "u1.test",
        "u2.base",
    ]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (",i1,3,1", "missing-id"),
        ("u1, ,3,1", "missing-id"),
        ("u1,i1,five,1", "no-rating"),
        ("u1,i1,,1", "no-rating"),
        ("u1,i1,NaN,1", "no-rating"),
        ("u1,i1,1e999,1", "no-rating"),
        ("u1,i1,7,1", "out-of-scale"),
        ("u1,i1,0,1", "out-of-scale"),
        ("u1,i1,3,soon", "no-time"),
        ("u1,i1,3,", "no-time"),
        ("u1,i1,3,1e300", "no-time"),
        ("u1,i1,1_0,1", "no-rating"),
        ('u1,i1,3,"1', "open-quote"),
        ("u1,i1,3", "ragged-row"),
        ("u1,i1,3,1,1", "ragged-row"),
        ("u1,i1,\0,1", "nul"),
    ],
)
def test_a_row_that_is_no_rating_is_set_aside_with_its_line(tmp_path: Path, line: str, rule: str) -> None:
    file = write_csv(tmp_path / "r.csv")
    file.write_text(file.read_text("utf-8") + line + "\n", "utf-8")
    found = ingested(file, tmp_path / "records", lowest=0.5, highest=5)
    assert sum(map(len, found.values())) == len(all_ratings())
    (told,) = (json.loads(row) for row in (tmp_path / "records/rejected/rejected.jsonl").open())
    assert told["rule"] == rule
    assert told["key"] == f"r.csv#{len(all_ratings()) + 2}"
    assert told["reason"]
    assert told["remedy"]


@pytest.mark.parametrize(
    ("content", "read", "sentence"),
    [
        ("a,b,c\n1,2,3\n", {}, "has no column for the user: it has a, b, c; name it in data.read.user"),
        ("user,item,rating\n1,2,3\n", {"time": "when"}, "has no column 'when'"),
        ("user,item,rating\n1,2,3\n", {"split": "time"}, "split by time needs a time"),
        ("user,item,rating\n1,2,3\n", {"split": "fold"}, "split by fold needs a column fold"),
        ("user,item,item\n1,2,3\n", {}, "two columns are called 'item'"),
        ("", {}, "is empty"),
        ("user,item,rating\n1,2,3\n1,2,4\n", {}, "1 keys stand for more than one record"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence(
    tmp_path: Path, content: str, read: dict[str, Any], sentence: str
) -> None:
    file = tmp_path / "r.csv"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=sentence.replace("(", r"\(")):
        ingested(file, tmp_path / "records", **read)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        ingested(tmp_path / "nowhere.csv", tmp_path / "records")
    with pytest.raises(DataError, match=r"holds none of ratings\.csv"):
        ingested(tmp_path, tmp_path / "records")
    with pytest.raises(DataError, match="no file matches"):
        ingested(tmp_path / "*.csv", tmp_path / "records")
    with pytest.raises(DataError, match="name a file or a folder"):
        ratings.preflight("ratings:", ratings.Read())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "u1.base").write_text("1\t2\t3\t4\n", "utf-8")
        with pytest.raises(
            DataError, match="holds only folds" if name == "a" else "two files called u1.base"
        ):
            ingested(tmp_path, tmp_path / "records")


def test_users_and_items_are_those_of_training(tmp_path: Path) -> None:
    data = DataSettings(source=f"ratings:{write_csv(tmp_path / 'r.csv')}", read={"split": "user"})
    ingest(data, tmp_path / "records")
    told = statistics(tmp_path / "records", tmp_path / "statistics")
    transform(tmp_path / "records", tmp_path / "statistics", tmp_path / "examples", data)
    encoding = json.loads((tmp_path / "examples/encoding.json").read_text("utf-8"))
    found = records_of(tmp_path / "records")
    assert encoding["users"] == sorted({row["user"] for row in found["train"]})
    assert encoding["items"] == sorted({row["item"] for row in found["train"]})
    for split in SPLITS:
        x = np.load(tmp_path / f"examples/{split}-00000.x.npy")
        rating = np.load(tmp_path / f"examples/{split}-00000.rating.npy")
        names = [["", *encoding[side]] for side in ("users", "items")]
        assert rating[:, 0].tolist() == [row["rating"] for row in found[split]]
        assert [names[1][item] for item in x[:, 1]] == [row["item"] for row in found[split]]
        if split == "train":
            assert [names[0][user] for user in x[:, 0]] == [row["user"] for row in found[split]]
        else:
            assert (x[:, 0] == 0).all(), "a user that training does not have is number 0"
    odd = ratings.anomalies(summaries_of(told))
    assert [anomaly.rule for anomaly in odd] == ["cold-start", "cold-start"]
    shown = ratings.write_samples(np.array([[1, 2, 3.5], [0, 1, 4]]), encoding, tmp_path / "samples")
    users, items = encoding["users"], encoding["items"]
    assert shown.read_text("utf-8").splitlines() == [
        "user,item,rating",
        f"{users[0]},{items[1]},3.5",
        f",{items[0]},4",
    ]


def test_one_single_rating_is_nothing_to_learn_from(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("user,item,rating\n" + "".join(f"u{i},i{i % 9},5\n" for i in range(200)), "utf-8")
    ingest(DataSettings(source=f"ratings:{file}"), tmp_path / "records")
    told = statistics(tmp_path / "records", tmp_path / "statistics")
    (odd, *_) = ratings.anomalies(summaries_of(told))
    assert (odd.severity, odd.message) == ("error", "every training rating is 5: there is nothing to learn")
