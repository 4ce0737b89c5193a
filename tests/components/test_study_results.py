"""The answers to a study: read strictly, counted once, told with what was set aside."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.artifacts import read_json, write_json
from components.errors import ConfigError, DataError
from components.metrics.intervals import wilson
from components.metrics.preferences import sign_test
from components.study import study
from components.study_answers import Answers, Unfit, answer_files, gather, parsed, read_key
from components.study_results import study_results, summed
from tests.components.study_samples import NAMES, answers, pictures, write_answers

STUDY, JUDGE = "0123456789abcdef", "00000000000000aa"
IDENTITIES = st.text("0123456789abcdef", min_size=8, max_size=16)
ANSWER = st.fixed_dictionaries(
    {
        "question": IDENTITIES,
        "choice": st.sampled_from(["left", "same", "right"]),
        "seconds": st.floats(0, 1e4),
    }
)
FILE = st.fixed_dictionaries(
    {
        "format": st.just("mozart-study-answers"),
        "version": st.just(1),
        "study": IDENTITIES,
        "judge": IDENTITIES,
        "answers": st.lists(ANSWER, max_size=5, unique_by=lambda one: one["question"]),
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
exactly = settings(derandomize=True, max_examples=50, deadline=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three folders, twenty pairs."""
    root = tmp_path_factory.mktemp("made")
    names = [str(pictures(root / name, 20, i)) for i, name in enumerate(NAMES)]
    study(names, root / "study", pairs=20)
    return root / "study"


@pytest.fixture(scope="module")
def key(made: Path) -> dict[str, Any]:
    return dict(read_json(made / "key.json"))


def always_lower(left: int, right: int) -> str:
    """The model that was named first is preferred."""
    return "left" if left < right else "right"


# -- the parser ----------------------------------------------------------------------------------------


@exactly
@given(FILE)
def test_what_a_page_writes_is_read_back(content):
    found = parsed(json.dumps(content).encode())
    assert json.loads(found.model_dump_json()) == content
    assert parsed(b"\xef\xbb\xbf\n" + json.dumps(content, indent=2).encode() + b"\n") == found


@exactly
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_else_gets_through(data):
    with pytest.raises(Unfit):
        parsed(data)


@exactly
@given(FILE, st.sampled_from(["format", "version", "study", "judge", "answers", "more"]), JSON)
def test_one_thing_changed_is_refused_or_still_well_formed(content, name, value):
    try:
        found = parsed(json.dumps(content | {name: value}).encode())
    except Unfit:
        return
    assert isinstance(found, Answers)
    assert name != "more"
    assert found.format == "mozart-study-answers"


@exactly
@given(FILE, st.data())
def test_a_file_that_breaks_off_is_refused(content, data):
    whole = json.dumps(content).encode()
    with pytest.raises(Unfit, match="it holds no answers"):
        parsed(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": math.nan}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": "2"}, "seconds"),
        ({"choice": "both"}, "choice"),
        ({"question": "../etc"}, "question"),
        ({"model": "a"}, "model"),
    ],
)
def test_an_answer_that_cannot_be(change, said):
    one = {"question": "deadbeef", "choice": "left", "seconds": 1.0}
    content = {"format": "mozart-study-answers", "version": 1, "study": STUDY, "judge": JUDGE}
    assert len(parsed(json.dumps(content | {"answers": [one]}).encode()).answers) == 1
    with pytest.raises(Unfit, match=said):
        parsed(json.dumps(content | {"answers": [one | change]}).encode())
    with pytest.raises(Unfit, match="a question twice"):
        parsed(json.dumps(content | {"answers": [one, one]}).encode())


def test_deep_and_long_files_are_refused():
    with pytest.raises(Unfit):
        parsed(b"[" * 100_000)
    with pytest.raises(Unfit, match="10,000,000 bytes"):
        parsed(b" " * 10_000_001)


# -- gathering -----------------------------------------------------------------------------------------


def test_strangers_doubles_and_damage_are_set_aside_and_told(made, key, tmp_path):
    good = write_answers(tmp_path, answers(key, "a" * 16, always_lower))
    early = answers(key, "a" * 16, always_lower, only=3)
    (tmp_path / "answers-early.json").write_text(json.dumps(early))
    stranger = write_answers(tmp_path, answers(key, "b" * 16, always_lower) | {"study": STUDY})
    (tmp_path / "answers-broken.json").write_text("{")
    odd = answers(key, "c" * 16, always_lower, only=2)
    odd["answers"] += [{"question": "ffffffff0", "choice": "left", "seconds": 1.0}]
    write_answers(tmp_path, odd)
    found = gather(read_key(made), answer_files(made, [str(tmp_path), str(tmp_path / "missing.json")]))
    assert set(found.judges) == {"a" * 16, "c" * 16}
    assert len(found.judges["a" * 16]) == len(key["questions"])
    assert found.unknown == 1
    reasons = {Path(file).name: why for file, why in found.set_aside}
    assert set(reasons) == {stranger.name, "answers-early.json", "answers-broken.json", "missing.json"}
    assert f"belongs to study {STUDY}" in reasons[stranger.name]
    assert f"the same judge as {good}" in reasons["answers-early.json"]
    assert "no answers" in reasons["answers-broken.json"]
    assert "No such file" in reasons["missing.json"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_files_of_a_judge_the_longer_counts_in_any_order(made, key, tmp_path, order):
    files = []
    for only in (4, 9):
        file = tmp_path / f"answers-{only}.json"
        file.write_text(json.dumps(answers(key, JUDGE, always_lower, only=only)))
        files.append(file)
    found = gather(read_key(made), files[::order])
    assert len(found.judges[JUDGE]) == 9
    assert [Path(file).name for file, _ in found.set_aside] == ["answers-4.json"]


def test_nothing_left_is_one_sentence(made, tmp_path):
    (tmp_path / "answers-1.json").write_text("{}")
    with pytest.raises(DataError, match=r"no answers to study .* in 1 files .*answers-1\.json: it holds no"):
        study_results(made, [str(tmp_path)], tmp_path / "results.html")
    with pytest.raises(DataError, match="no file answers"):
        study_results(made, [], tmp_path / "results.html")
    assert not (tmp_path / "results.html").exists()


@pytest.mark.parametrize("damage", ["{", "{}", "models", "questions"])
def test_a_key_that_is_none(made, key, tmp_path, damage):
    if damage in key:
        one = next(iter(key["questions"].values()))
        damage = json.dumps(
            key | {"models": ["a", "b"], "questions": {"deadbeef": one | {"left": one["right"]}}}
        )
    (tmp_path / "key.json").write_text(damage)
    with pytest.raises(DataError, match="is not the key of a study"):
        read_key(tmp_path)
    with pytest.raises(DataError, match=r"key\.json is missing"):
        read_key(tmp_path / "elsewhere" / "key.json")


# -- counting ------------------------------------------------------------------------------------------


def test_judges_of_one_mind_are_counted_once_a_pair(made, key, tmp_path):
    files = [str(write_answers(tmp_path, answers(key, f"{i:016x}", always_lower))) for i in range(6)]
    results, page = study_results(made, files, tmp_path / "seen.html")
    assert results["answers"] == 6 * 20  # the two that came again are not counted twice
    for pair in results["pairs"]:
        assert (pair["wins"], pair["losses"], pair["ties"]) == (pair["answers"], 0, 0)
        assert pair["low"] == wilson(pair["wins"], pair["wins"]).low
        assert pair["p"] == sign_test(pair["wins"], 0)
        assert pair["holds"]
    assert results["consistency"]["agree"] == results["consistency"]["n"] == 12
    assert [one["value"] for one in results["strengths"]] == [None] * 3  # who always wins has no strength
    assert "no finite strengths" in results["strengths"][0]["no_interval"]
    assert read_json(tmp_path / "seen.json") == results
    assert sorted(file.suffix for file in tmp_path.iterdir() if file.name.startswith("seen")) == [
        ".html",
        ".json",
    ]
    shown = page.read_text("utf-8")
    for name in key["models"]:
        assert name in shown
    assert "://" not in shown


def test_who_always_presses_the_same_key_prefers_nobody_and_is_found_out(made, key):
    found = gather_of(made, [answers(key, JUDGE, lambda left, right: "left")])
    results = summed(read_key(made), found)
    assert results["left"]["value"] == 1
    assert results["consistency"]["value"] == 0
    assert all(abs(pair["wins"] - pair["losses"]) <= 1 for pair in results["pairs"])
    assert not any(pair["holds"] for pair in results["pairs"])


def test_only_ties(made, key):
    results = summed(read_key(made), gather_of(made, [answers(key, JUDGE, lambda left, right: "same")]))
    assert [(pair["value"], pair["half"], pair["p"]) for pair in results["pairs"]] == [(None, 0.5, 1.0)] * 3
    assert results["left"] is None
    assert results["consistency"]["value"] == 1
    assert [one["value"] for one in results["strengths"]] == pytest.approx([0, 0, 0], abs=1e-9)
    json.dumps(results, allow_nan=False)


def test_a_pair_seen_only_the_second_time_counts_too(made, key):
    again = [name for name, one in key["questions"].items() if one["repeats"]]
    content = answers(key, JUDGE, always_lower)
    content["answers"] = [one for one in content["answers"] if one["question"] in again]
    results = summed(read_key(made), gather_of(made, [content]))
    assert results["answers"] == len(again) == 2
    assert sum(pair["wins"] for pair in results["pairs"]) == 2
    assert results["consistency"] is None


def test_strengths_that_judges_were_given_come_back(made, key):
    truth, random = np.array([0.7, 0.0, -0.7]), np.random.default_rng(8)

    def choose(left: int, right: int) -> str:
        return "left" if random.random() < 1 / (1 + np.exp(truth[right] - truth[left])) else "right"

    results = summed(read_key(made), gather_of(made, [answers(key, f"{i:016x}", choose) for i in range(60)]))
    found = {one["model"]: one for one in results["strengths"]}
    for name, value in zip(key["models"], truth, strict=True):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
        assert found[name]["value"] == pytest.approx(value, abs=0.2)
        assert found[name]["chance"] == pytest.approx(1 / (1 + math.exp(-value)), abs=0.05)
    assert [one["model"] for one in results["strengths"]] == key["models"]
    assert found[key["models"][0]]["interval"] == "bootstrap of 60 judges"


def gather_of(made: Path, contents: list[dict[str, Any]]) -> Any:
    """The answers of several judges, by way of files."""
    folder = made.parent / "sent"
    folder.mkdir(exist_ok=True)
    files = [write_answers(folder, content) for content in contents]
    return gather(read_key(made), files)


def test_the_results_are_a_page(made, tmp_path):
    with pytest.raises(ConfigError, match=r"name it results\.html"):
        study_results(made, [], tmp_path / "results.json")


def test_names_are_text_in_the_page(made, key, tmp_path):
    hostile = "<script>alert(1)</script>"
    (tmp_path / "study").mkdir()
    write_json(tmp_path / "study" / "key.json", key | {"models": [hostile, "b", "c"]})
    write_answers(tmp_path / "study", answers(key, JUDGE, always_lower))
    _, page = study_results(tmp_path / "study", [])
    assert page == tmp_path / "study" / "results.html"
    assert hostile not in page.read_text("utf-8")
