"""The page of a comparison: ranks, intervals, differences, slices; whole in itself, names taken literally."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.compare_page import write_page
from components.modalities.images import write_samples

HOSTILE = "<script>alert(1)</script>"


def entry(value: float | None, half: float = 0.05, **more: Any) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "no_interval": "a value is not finite"}
    return {"value": value, "low": value - half, "high": value + half, "interval": "Wilson", "n": 64, **more}


def entrant(name: str, fid: float | None, recall: float, **more: Any) -> dict[str, Any]:
    numbers = {"classifier_fid": entry(fid, 0.5), "precision": entry(0.7), "recall": entry(recall)}
    return {
        "name": name,
        "family": "dcgan",
        "likelihood": "none",
        "encoding": "cafe",
        "samples": 1000,
        "test": numbers,
        "validation": numbers,
        "slices": {"test": {"class cat": {"recall": entry(recall)}, "class dog": {"recall": entry(0.9)}}},
        "facts": {"test": {"class_shares": {"cat": {"samples": entry(0.4), "real": entry(0.5)}}}},
        "notes": {},
        "collapsed": "",
        **more,
    }


def result(*entrants: dict[str, Any]) -> dict[str, Any]:
    return {
        "metric": "classifier_fid",
        "better": "lower",
        "data": {"source": "digits"},
        "entrants": list(entrants),
        "differences": [
            {"of": entrants[1]["name"], "from": entrants[0]["name"], **entry(0.4, 1.0)},
        ],
    }


def page_of(tmp_path: Path, found: dict[str, Any]) -> str:
    images = np.random.default_rng(0).random((9, 4, 4, 1), np.float32)
    samples = {
        one["name"]: write_samples(images, {}, tmp_path / str(i)) for i, one in enumerate(found["entrants"])
    }
    write_page(tmp_path / "index.html", found, samples)
    return (tmp_path / "index.html").read_text("utf-8")


def words_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_leaderboard_says_places_values_intervals_and_differences(tmp_path: Path) -> None:
    words = words_of(page_of(tmp_path, result(entrant("ours", 4.0, 0.8), entrant("theirs", 4.4, 0.6))))
    for said in (
        "1 ours dcgan · 1,000 samples 4 3.5 to 4.5",
        "2 theirs",
        "theirs less ours",
        "No difference is shown between theirs and ours",
        "recall ↑, test split: 2 of 2",
        "class cat 0.8 0.75 to 0.85 0.6 0.55 to 0.65",
        "precision against recall",
        "class shares, theirs",
    ):
        assert said in words, said
    assert words.index("class cat 0.8") < words.index("class dog 0.9")  # the worst of anybody first
    assert "different forms" not in words


def test_it_is_whole_in_itself(tmp_path: Path) -> None:
    page = page_of(tmp_path, result(entrant("ours", 4.0, 0.8), entrant("theirs", 4.4, 0.6)))
    assert page.count('src="data:image/png;base64,') == 2
    assert page.count("<svg") == 3
    for first, second in re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", page):
        assert (first or second).startswith(("data:", "#"))


def test_names_and_notes_stay_text(tmp_path: Path) -> None:
    other = entrant(HOSTILE, 4.4, 0.6, notes={"path_length": HOSTILE}, collapsed=HOSTILE)
    page = page_of(tmp_path, result(entrant("ours", 4.0, 0.8), other))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    bare = entrant("bare", None, 0.5, slices={}, facts={}, test={}, validation={})
    words = words_of(page_of(tmp_path, result(entrant("ours", 4.0, 0.8), bare)))
    assert "2 bare dcgan · 1,000 samples —" in words
    assert not re.search(r"\b(nan|None|inf)\b", words)


@pytest.mark.parametrize(("encoding", "said"), [("cafe", False), ("beef", True)])
def test_different_encodings_are_told(tmp_path: Path, encoding: str, said: bool) -> None:
    other = entrant("theirs", 4.4, 0.6, encoding=encoding)
    assert said == (
        "in different forms" in words_of(page_of(tmp_path, result(entrant("ours", 4.0, 0.8), other)))
    )


def test_texts_are_shown_as_text(tmp_path: Path) -> None:
    found = result(entrant("ours", 4.0, 0.8), entrant("theirs", 4.4, 0.6))
    file = tmp_path / "samples.txt"
    file.write_text("to be <or> not")
    write_page(tmp_path / "index.html", found, {"ours": file, "theirs": file})
    assert (tmp_path / "index.html").read_text("utf-8").count("to be &lt;or&gt; not") == 2
