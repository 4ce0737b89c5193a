"""Metrics of text: NLTK's BLEU (golden), hand counts, Shakespeare against itself, shuffled and copied."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.ngrams import Sequences
from components.metrics.text import (
    ABOUT,
    bleu,
    distinct,
    length_distance,
    repetition,
    self_bleu,
    text_metrics,
    vocabulary_coverage,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "self_bleu.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["seed"]))
def test_bleu_is_that_of_nltk(case: dict) -> None:
    """Rows as the golden file's recipe says."""
    random = np.random.RandomState(case["seed"])
    rows = [
        random.randint(0, case["vocabulary"], size=random.randint(1, case["longest"] + 1)).tolist()
        for _ in range(case["count"])
    ]
    cut = case["references"]
    found = bleu(Sequences.of(rows[cut:]), Sequences.of(rows[:cut]))
    np.testing.assert_allclose(found, case["bleu"], atol=1e-14)


def test_bleu_by_hand() -> None:
    """Of 5 tokens: 4 matches (7 is clipped to its one), then 2 of 4, 1 of 3 and none of 2."""
    found = bleu(Sequences.of([[1, 2, 3, 7, 7], [9]]), Sequences.of([[1, 2, 3, 5, 7], [1, 2]]))
    assert found[0] == pytest.approx((4 / 5 * 2 / 4 * 1 / 3 * 0.1 / 2) ** 0.25)
    assert found[1] == 0  # not one token matches
    short = bleu(Sequences.of([[1, 2, 3, 4]]), Sequences.of([[1, 2, 3, 4, 5, 6]]))
    assert short[0] == pytest.approx(math.exp(1 - 6 / 4))
    with pytest.raises(DataError, match="reference"):
        bleu(Sequences.of([[1]]), Sequences.of([]))


def test_self_bleu_is_1_where_all_are_alike_and_says_how_it_was_drawn() -> None:
    random = np.random.default_rng(0)
    same = Sequences.of(np.tile(random.integers(0, 50, 30), (500, 1)))
    varied = Sequences.of(random.integers(0, 50, (500, 30)))
    found = self_bleu(same, varied)
    assert found.value == pytest.approx(1)
    assert found.extra["real"] < 0.2
    assert (found.extra["references"], found.extra["hypotheses"]) == (200, 300)
    few = self_bleu(varied.take(np.arange(7)))
    assert (few.extra["references"], few.extra["hypotheses"]) == (3, 4)
    assert self_bleu(varied, seed=1) == self_bleu(varied, seed=1) != self_bleu(varied, seed=2)
    assert math.isnan(self_bleu(Sequences.of([[1], []])).value)


def test_distinct_and_its_jackknife_by_hand() -> None:
    rows = Sequences.of([[1, 2, 1, 2], [1, 2, 3]])
    assert distinct(rows, 1).value == 3 / 7
    assert distinct(rows, 2).value == 3 / 5  # 12 21 12 | 12 23
    assert distinct(rows, 4).value == 1
    assert math.isnan(distinct(rows, 5).value)
    assert not distinct(rows, 1).estimable
    x = np.random.default_rng(1).integers(0, 40, (100, 12))
    found = distinct(Sequences.of(x), 2)
    assert found.value == found.plain
    assert found.low < found.value < found.high
    for shard in (0, 7, 19):
        rest = distinct(Sequences.of(x[np.arange(100) % 20 != shard]), 2)
        assert found.without[shard] == pytest.approx(rest.value, abs=1e-15)


def test_repetition_counts_what_a_sample_had_before() -> None:
    rows = Sequences.of([[5, 5, 5, 5], [1, 2, 1, 2, 1], [1, 2, 3], [4]])
    found = repetition(rows, 2)  # 2 of 3, 2 of 4, 0 of 2; the last is too short
    assert found.value == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    assert found.extra["too_short"] == 1
    assert math.isnan(repetition(rows, 8).value)


def test_coverage_of_the_vocabulary_by_types_and_by_tokens() -> None:
    found = vocabulary_coverage(Sequences.of([[1, 2, 9]]), Sequences.of([[1, 1, 2, 3], [4, 1]]))
    assert found.value == 2 / 4
    assert found.extra["share_of_tokens"] == 4 / 6
    random = np.random.default_rng(2)
    real, samples = random.geometric(0.05, (200, 20)), random.geometric(0.05, (100, 20))
    found = vocabulary_coverage(Sequences.of(samples), Sequences.of(real))
    assert found.low < found.value < found.high
    rest = vocabulary_coverage(Sequences.of(samples[np.arange(100) % 20 != 3]), Sequences.of(real))
    assert found.without[3] == pytest.approx(rest.value, abs=1e-15)


def test_the_distance_of_lengths_is_that_of_scipy() -> None:
    from scipy.stats import ks_2samp

    random = np.random.default_rng(3)
    own, other = random.integers(0, 30, 90), random.integers(0, 40, 70)
    sides = [Sequences.of(np.zeros((len(n), 40), int), n) for n in (own, other)]
    found = length_distance(*sides)
    assert found.value == pytest.approx(ks_2samp(own, other).statistic)
    assert found.low < found.value < found.high
    assert length_distance(sides[0], sides[0]).low == 0


def windows(codes: np.ndarray, length: int = 250) -> Sequences:
    return Sequences.of(codes[: len(codes) // length * length].reshape(-1, length))


@pytest.fixture(scope="module")
def shakespeare(test_data: Path) -> tuple[Sequences, Sequences, Sequences]:
    """Training, and two halves of the windows of the last tenth, in a random order."""
    text = (test_data / "tinyshakespeare" / "input.txt").read_text("utf-8")
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    held = windows(codes[1_000_000:])
    rows = np.random.default_rng(0).permutation(len(held))
    half = len(held) // 2
    return windows(codes[:1_000_000]), held.take(rows[:half]), held.take(rows[half:])


@pytest.fixture(scope="module")
def measured(shakespeare: tuple[Sequences, Sequences, Sequences]) -> dict[str, dict[str, Estimate]]:
    """Real text, the same with all characters shuffled, and with 5 % of its windows from training."""
    training, own, real = shakespeare
    random = np.random.default_rng(1)
    shuffled = Sequences.of(random.permutation(own.tokens).reshape(-1, 250))
    planted = own.tokens.reshape(-1, 250).copy()
    rows = random.permutation(len(planted))[: round(0.05 * len(planted))]
    planted[rows] = training.tokens.reshape(-1, 250)[random.integers(0, len(training), len(rows))]
    sets = {"real": own, "shuffled": shuffled, "planted": Sequences.of(planted)}
    return {name: text_metrics(one, real, training) for name, one in sets.items()}


def test_every_metric_is_about_something_and_known_of_real_text(
    measured: dict[str, dict[str, Estimate]],
) -> None:
    for found in measured.values():
        assert list(found) == list(ABOUT)
        assert all(one.estimable and one.low <= one.value <= one.high for one in found.values())


def test_real_text_is_near_to_real_text_and_shuffled_text_is_not(
    measured: dict[str, dict[str, Estimate]],
) -> None:
    real, shuffled = measured["real"], measured["shuffled"]
    assert real["bigram_tv"].value < 0.1
    assert real["bigram_tv"].low < 0.02
    assert shuffled["bigram_tv"].low > 0.3
    assert real["bigram_js"].value < 0.02
    assert shuffled["bigram_js"].low > 0.25
    assert real["unigram_tv"].low == 0
    assert abs(real["self_bleu"].value - real["self_bleu"].extra["real"]) < 0.02
    assert shuffled["self_bleu"].high < real["self_bleu"].low
    assert shuffled["distinct_4"].low > real["distinct_4"].high
    assert real["copy_excess"].low <= 0 <= real["copy_excess"].high


def test_planted_windows_of_training_are_found(measured: dict[str, dict[str, Estimate]]) -> None:
    own, planted = measured["real"], measured["planted"]
    assert planted["copy_excess"].value == pytest.approx(0.05, abs=0.015)
    assert planted["copy_excess"].low > 0
    assert planted["longest_training_run"].extra["longest"] == 250
    assert own["longest_training_run"].extra["longest"] < 60
    assert planted["training_overlap_16"].value > own["training_overlap_16"].value + 0.03


def test_nothing_crashes_on_empty_samples(shakespeare: tuple[Sequences, Sequences, Sequences]) -> None:
    training, real, _ = shakespeare
    found = text_metrics(Sequences.of([[]] * 50), real, training)
    assert list(found) == list(ABOUT)
    assert found["length_ks"].value == 1
    assert found["vocabulary_coverage"].value == 0
    for name in ("distinct_1", "repetition_4", "self_bleu", "unigram_tv", "training_overlap_4"):
        assert math.isnan(found[name].value)
        assert found[name].why


def test_the_same_arrays_give_the_same_bits() -> None:
    random = np.random.default_rng(4)
    sets = [Sequences.of(random.integers(0, 9, (60, 30))) for _ in range(3)]
    assert repr(text_metrics(*sets, seed=5)) == repr(text_metrics(*sets, seed=5))
