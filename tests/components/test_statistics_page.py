"""The page of the data: complete in itself, small, and honest about what is odd."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.accumulators import Categorical, Numeric
from components.ingest import ingest
from components.modalities import Summary
from components.settings import DataSettings
from components.statistics import statistics
from components.statistics_page import write_page

HOSTILE = "</td><script>alert(1)</script>"
VOID = {"meta", "link", "img", "br"}
FOUND = {
    "modality": "images",
    "data_fingerprint": "f00d",
    "counts": {"read": 12, "rejected": 2, "train": 6, "validation": 2, "test": 2},
    "rejected": {"truncated": 2},
    "duplicates": {
        "exact": {
            "groups": 1,
            "records": 1,
            "leaked": {"validation": 0, "test": 1},
            "first": [[["train", "a.png"], ["test", HOSTILE]]],
        },
        "near": None,
    },
}


class _Tags(HTMLParser):
    """Tags that are open, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID and tag != "path":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)


def page_of(tmp_path, features, shard=None, found=FOUND):
    """The page's text, and its words, of three splits with these features."""
    summaries = {split: Summary(6, dict(features)) for split in ("train", "validation", "test")}
    write_page(tmp_path / "statistics.html", found, summaries, shard)
    page = (tmp_path / "statistics.html").read_text("utf-8")
    tags = _Tags(page)
    assert "script" not in tags.seen
    assert not re.search(r"https?://|url\(", page)
    return page, " ".join(" ".join(tags.texts).split())


def test_every_number_and_name_is_there(tmp_path):
    features = {
        "length": Numeric.of([1, 2, 3, 4.5, None]),
        "class": Categorical({"cat": 4, HOSTILE: 2, "\n": 1}, missing=3),
    }
    page, words = page_of(tmp_path, features)
    for said in ("length", "4.5", "cat", "↵", "truncated 2", "1 test records are in the training split too"):
        assert said in words, said
    assert "train 4 1 0 1 1 2 3 4.5 2.625 1.293" in words
    assert "train 7 3 3" in words
    assert page.count("<svg") == 1
    assert HOSTILE in words


@pytest.mark.parametrize(
    "feature",
    [
        Numeric(),
        Numeric.of([np.nan, np.inf]),
        Numeric.of([5] * 9),
        Numeric.of([1e300, -1e300]),
        Numeric.of(np.random.default_rng(0).lognormal(0, 20, 5000)),
        Categorical(),
        Categorical(missing=4),
        Categorical({f"name {i}": 1 for i in range(50)}, others=7),
        Categorical({"x" * 500: 1}),
    ],
)
def test_odd_features_have_a_place(tmp_path, feature):
    page, words = page_of(tmp_path, {"odd_one": feature})
    assert "odd one" in words
    assert not re.search(r"\b(nan|None|inf)\b", page.split("</style>")[1])
    assert len(page) < 20_000


def test_a_wide_table_stays_below_a_megabyte(tmp_path):
    rng = np.random.default_rng(0)
    page, words = page_of(tmp_path, {f"f{i:03d}": Numeric.of(rng.normal(size=3000)) for i in range(150)})
    assert "and 50 features more" in words
    assert len(page) < 1_000_000


def test_an_empty_split_and_no_features(tmp_path):
    _, words = page_of(tmp_path, {}, found={**FOUND, "rejected": {}})
    assert "There are none." in words
    assert words.endswith(
        "None. Written by Mozart. This page is complete in itself: keep it, send it, print it."
    )


def test_records_are_shown_as_pictures_as_text_or_as_a_table(tmp_path):
    pixels = {"pixels": [bytes(range(12))], "height": [2], "width": [2], "channels": [3]}
    tables = {
        "image": pa.table(pixels),
        "text": pa.table({"key": ["a"], "text": ["<b>words</b> " * 100]}),
        "else": pa.table({"key": ["a"], "digest": [b"x"], "pitches": [list(range(60, 80))], "user": [None]}),
        "empty": pa.table({"key": pa.array([], pa.string())}),
    }
    pages = {}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
        pages[name] = page_of(tmp_path, {}, tmp_path / f"{name}.parquet")
    assert 'src="data:image/png;base64,' in pages["image"][0]
    assert "<pre>\n&lt;b&gt;words" in pages["text"][0]
    assert "key a pitches [60, 61, 62, 63, 64, 65, 66, 67, …] (20) user —" in pages["else"][1]
    assert "digest" not in pages["else"][1]
    assert "A few training records" not in pages["empty"][1]


def test_the_statistics_step_writes_it(tmp_path):
    ingest(DataSettings(source="digits"), tmp_path / "records")
    statistics(tmp_path / "records", tmp_path / "statistics")
    page = (tmp_path / "statistics" / "statistics.html").read_text("utf-8")
    assert "brightness" in page
    assert len(page) < 100_000
