"""The yardstick of text: held-out text is good, copies and repetition are found, bytes add up in every unit."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.examples import Examples
from components.judge import Judge
from components.metrics.text import ABOUT
from components.settings import EvaluateSettings
from components.text_units import unit_of
from components.yardsticks.text import Yardstick, lengths, shares
from tests.components.tiny_examples import examples_of, rows_of, splits_of

LENGTH = 48
WORDS = [
    "the", "a", "old", "young", "grey", "fox", "owl", "bear", "früh", "spät", "naïve", "sees", "hears", "meets",
    "follows", "finds", "river", "wood", "café", "mill", "slowly", "gladly", "never", "often", "today",
]  # fmt: skip
ENCODINGS: dict[str, dict[str, Any]] = {
    "characters": {"unit": "characters", "length": LENGTH},
    "bytes": {"unit": "bytes", "length": LENGTH},
    "bpe": {"unit": "bpe", "length": LENGTH, "vocabulary_size": 300},
    "words": {"unit": "words", "length": LENGTH},
    "few words": {"unit": "words", "length": LENGTH, "vocabulary_size": 20},
}


def sentences(lines: int, seed: int = 0) -> str:
    """Lines of 6 to 14 words, each of which is followed by one of five others."""
    random = np.random.default_rng(seed)
    follows = np.random.default_rng(99).integers(0, len(WORDS), (len(WORDS), 5))
    said = []
    for _ in range(lines):
        word = int(random.integers(len(WORDS)))
        line = [word]
        for _ in range(random.integers(5, 14)):
            word = int(follows[word, random.integers(5)])
            line.append(word)
        said.append(" ".join(WORDS[one] for one in line).capitalize() + ".\n")
    return "".join(said)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with records of 40 kB of such text."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "book.txt").write_text(sentences(700), "utf-8")
    return folder


@pytest.fixture(scope="module")
def made(root: Path) -> dict[str, Examples]:
    """The same records as examples in every unit."""
    source, read = f"text:{root / 'book.txt'}", {"block": 600}
    return {unit: examples_of(source, root, unit, read=read, encode=ENCODINGS[unit]) for unit in ENCODINGS}


@pytest.fixture(scope="module")
def yardsticks(made: dict[str, Examples]) -> dict[str, Yardstick]:
    return {unit: Yardstick(one, splits_of(one), EvaluateSettings()) for unit, one in made.items()}


@pytest.fixture(scope="module")
def yardstick(yardsticks: dict[str, Yardstick]) -> Yardstick:
    return yardsticks["characters"]


def unseen(yardstick: Yardstick) -> np.ndarray:
    """Real text: the test split, where samples are judged on the validation split."""
    return yardstick.data["test"]["x"]


def whole(yardstick: Yardstick, split: str) -> np.ndarray:
    """The windows that are full."""
    data = yardstick.data[split]
    return data["x"][data["length"] == LENGTH]


def numbers(yardstick: Yardstick, samples: np.ndarray) -> dict[str, float]:
    return {name: one.value for name, one in yardstick.judge(samples, "validation").metrics.items()}


# -- what samples are worth ----------------------------------------------------------------------------


def test_all_metrics_of_text_are_measured(yardsticks: dict[str, Yardstick]) -> None:
    for unit, yardstick in yardsticks.items():
        found = yardstick.judge(unseen(yardstick), "validation")
        assert set(found.metrics) == {*ABOUT, "classifier_accuracy"}
        assert yardstick.main in found.metrics
        for name, one in found.metrics.items():
            assert math.isfinite(one.value), (unit, name, one.why)
            assert one.extra["unit"] == unit.removeprefix("few ")
            assert one.extra["real"] == len(yardstick.data["validation"]["x"])
            assert one.extra["training"] == len(yardstick.data["train"]["x"])
        assert 0 < found.metrics["self_bleu"].extra["real_value"] < 1


def test_held_out_text_is_good(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick), "validation").metrics
    assert found["copy_rate"].value < 0.05
    assert found["copy_excess"].low < 0.02
    assert found["classifier_accuracy"].value < 0.6
    assert found["classifier_accuracy"].extra["p"] > 0.05
    assert found["bigram_js"].low < 0.05
    assert found["vocabulary_coverage"].value > 0.9


def test_windows_of_the_training_text_are_copies(yardstick: Yardstick) -> None:
    found = numbers(yardstick, whole(yardstick, "train")[:100])
    assert found["copy_rate"] == 1
    assert found["training_overlap_16"] == 1
    assert found["longest_training_run"] == LENGTH


def test_some_copies_among_good_samples_are_counted(yardstick: Yardstick) -> None:
    good, known = unseen(yardstick)[:80], whole(yardstick, "train")[:20]
    alone = numbers(yardstick, good)["copy_rate"]
    found = numbers(yardstick, np.concatenate([good, known]))["copy_rate"]
    assert found == pytest.approx(0.2 + 0.8 * alone)


def test_a_model_that_says_one_thing_is_found(yardsticks: dict[str, Yardstick]) -> None:
    yardstick = yardsticks["words"]
    good, same = unseen(yardstick), np.repeat(unseen(yardstick)[:1], 100, axis=0)
    found, real = numbers(yardstick, same), numbers(yardstick, good)
    assert found["self_bleu"] == pytest.approx(1)
    assert real["self_bleu"] < 0.7
    assert found["bigram_js"] > 5 * real["bigram_js"]
    assert found["classifier_accuracy"] > 0.95
    assert found["vocabulary_coverage"] < real["vocabulary_coverage"]


def test_letters_in_any_order_are_told_by_their_pairs(yardstick: Yardstick) -> None:
    """Single letters are as common as they were."""
    good = whole(yardstick, "test")
    order = np.random.default_rng(0).permuted(np.tile(np.arange(LENGTH), (len(good), 1)), axis=1)
    found, real = numbers(yardstick, np.take_along_axis(good, order, axis=1)), numbers(yardstick, good)
    assert found["unigram_js"] == pytest.approx(real["unigram_js"], abs=1e-3)
    assert found["bigram_js"] > 5 * real["bigram_js"]
    assert found["classifier_accuracy"] > 0.9


def test_one_sentence_again_and_again_inside_samples_is_repetition(yardstick: Yardstick) -> None:
    rows = unseen(yardstick)[:60, :12]
    found = numbers(yardstick, np.tile(rows, (1, 4)))
    assert found["repetition_8"] > 0.6
    assert numbers(yardstick, unseen(yardstick))["repetition_8"] < 0.2


def test_few_samples_are_a_reason_and_no_number(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick)[:6], "validation").metrics
    assert math.isnan(found["classifier_accuracy"].value)
    assert found["classifier_accuracy"].why
    assert not found["bigram_js"].estimable


def test_training_text_in_place_of_samples_is_no_copy(yardstick: Yardstick) -> None:
    found = yardstick.reference("validation", 200).metrics
    assert "copy_rate" not in found
    assert "training_overlap_8" not in found
    assert found["bigram_js"].low < 0.05


# -- padding -------------------------------------------------------------------------------------------


def test_padding_behind_a_sample_changes_nothing(yardsticks: dict[str, Yardstick]) -> None:
    for unit in ("characters", "words"):  # padding is 0, and 1
        yardstick = yardsticks[unit]
        padding = unit_of(yardstick.encoding).padding
        samples = unseen(yardstick)
        longer = np.pad(samples, ((0, 0), (0, 30)), constant_values=padding)
        assert numbers(yardstick, longer) == numbers(yardstick, samples), unit


def test_samples_are_as_long_as_their_examples(yardsticks: dict[str, Yardstick]) -> None:
    """Padding is told from tokens: 0 in most units, 1 where 0 is the unknown word."""
    for unit, yardstick in yardsticks.items():
        held = yardstick.data["test"]
        found = lengths(held["x"], unit_of(yardstick.encoding).padding)
        assert found.tolist() == held["length"].tolist(), unit
    assert lengths(np.zeros((2, 5), np.int32), 0).tolist() == [0, 0]


# -- bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["characters", "bytes", "bpe", "words"])
def test_bytes_of_windows_add_up_to_the_text(yardsticks: dict[str, Yardstick], root: Path, unit: str) -> None:
    """Windows and tokens cut umlauts in two; no byte is lost or counted twice."""
    for split in ("validation", "test"):
        text = "".join(row["text"] for row in rows_of(root, split))
        assert len(text.encode()) > len(text)
        sizes = yardsticks[unit].sizes(split)
        assert sizes is not None
        assert sizes.shape == (len(yardsticks[unit].data[split]["x"]),)
        assert sizes.sum() == len(text.encode())


def test_a_vocabulary_that_does_not_spell_the_text_says_so(yardsticks: dict[str, Yardstick]) -> None:
    few = yardsticks["few words"]
    assert few.sizes("test") is None
    note = few.judge(unseen(few), "validation").notes["bits_per_byte"]
    assert "of the held-out tokens are unknown to the vocabulary" in note
    assert yardsticks["words"].judge(unseen(yardsticks["words"]), "validation").notes == {}


class Guessing:
    """Every symbol is as likely as any other: log2(size) bits a token."""

    likelihood, measure = "exact", "tokens"

    def __init__(self, judge: Judge) -> None:
        self.x, self.size = judge.data["test"]["x"], judge.spec.vocabulary

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        return self.x[np.random.default_rng(seed).integers(0, len(self.x), n)]

    def log_prob(self, x: np.ndarray, length: np.ndarray) -> np.ndarray:
        return -length * math.log(self.size)


def test_the_judge_divides_by_bytes_where_the_text_is_spelt(made: dict[str, Examples], root: Path) -> None:
    text = "".join(row["text"] for row in rows_of(root, "test"))
    for unit in ("bytes", "few words"):
        judge = Judge(made[unit], EvaluateSettings())
        model: Any = Guessing(judge)
        measures = judge.measure(model, judge.samples(model, 120))
        found = measures.splits["test"]
        assert found["perplexity"].value == pytest.approx(judge.spec.vocabulary)
        assert ("bits_per_byte" in found) == (unit == "bytes")
        assert ("bits_per_byte" in measures.notes) == (unit == "few words")
        if unit == "bytes":  # a byte is a token
            assert found["bits_per_byte"].value == pytest.approx(math.log2(257))
            assert found["bits_per_byte"].extra["n"] == len(text.encode())


# -- what a classifier sees ----------------------------------------------------------------------------


def test_shares_are_of_symbols_and_of_pairs_inside_a_sequence(yardstick: Yardstick) -> None:
    known = yardstick._sequences("validation").take(np.arange(3))
    symbols = np.argsort(-np.bincount(known.tokens), kind="stable")[:10]
    found = shares(known, symbols)
    start = 0
    for row, length in zip(found, known.lengths.tolist(), strict=True):
        tokens = known.tokens[start : start + length].tolist()
        pairs = Counter(itertools.pairwise(tokens))
        first = [tokens.count(symbol) / length for symbol in symbols]
        then = [pairs[(a, b)] / length for a in symbols[:8] for b in symbols[:8]]
        np.testing.assert_allclose(row, first + then)
        start += length
