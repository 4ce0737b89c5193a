"""Inception Score against torch-fidelity, and the classifier score with its interval."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.classifier_score import ClassScores, classifier_score, inception_score
from components.metrics.intervals import shard_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "inception_score.json").read_text())["cases"]


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def outputs(seed, n, classes, scale):
    return np.random.RandomState(seed).standard_normal((n, classes)) * scale


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['n']}x{case['classes']}x{case['scale']}")
def test_agrees_with_torch_fidelity(case):
    logits = outputs(case["seed"], case["n"], case["classes"], case["scale"])
    for given_, are in ((logits, True), (softmax(logits), False)):
        mean, std = inception_score(given_, logits=are, splits=case["splits"])
        assert mean == pytest.approx(case["mean"], rel=1e-12)
        assert std == pytest.approx(case["std"], rel=1e-12, abs=1e-12)


def test_known_scores():
    """Sure and even: the number of classes. Unsure, or sure of one class only: 1."""
    sure = np.eye(4)[np.arange(400) // 20 % 4]
    assert classifier_score(sure).plain == pytest.approx(4, rel=1e-14)
    assert classifier_score(np.full((400, 4), 0.25)).plain == pytest.approx(1, rel=1e-14)
    assert classifier_score(np.eye(4)[np.zeros(400, int)]).plain == pytest.approx(1, rel=1e-14)
    halves = np.eye(4)[np.arange(400) // 20 % 2]
    assert classifier_score(halves).plain == pytest.approx(2, rel=1e-14)


def test_the_interval_is_the_jackknife_of_the_log():
    from scipy.stats import t

    p = softmax(outputs(0, 999, 10, 3.0))

    def log_score(p):
        return (p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()

    without = np.array([log_score(p[shard_of(999) != k]) for k in range(20)])
    value = 20 * log_score(p) - 19 * without.mean()
    half = t.ppf(0.975, 19) * np.sqrt(19 / 20 * np.square(without - without.mean()).sum())
    found = classifier_score(p)
    assert found.plain == pytest.approx(np.exp(log_score(p)), rel=1e-12)
    np.testing.assert_allclose(
        [found.value, found.low, found.high], np.exp([value, value - half, value + half]), rtol=1e-10
    )
    np.testing.assert_allclose(found.without, np.exp(without), rtol=1e-12)
    assert found.method == "jackknife of 20 shards"


def test_the_bias_of_a_small_set_is_corrected():
    """Against the score of 100,000 rows of the same law; a set of 100 scores low."""
    logits = outputs(1, 100_000, 20, 1.5)
    exact = classifier_score(logits, logits=True).value
    small = [classifier_score(part, logits=True) for part in np.split(logits[:20_000], 200)]
    plain, corrected = (np.mean([getattr(one, name) for one in small]) for name in ("plain", "value"))
    assert plain < exact - 0.02
    assert abs(corrected - exact) < 0.3 * abs(plain - exact)
    assert np.mean([one.low <= exact <= one.high for one in small]) >= 0.9


def test_no_bound_leaves_what_a_score_can_be():
    """Sure of each of 3 classes, which chance has drawn unevenly."""
    p = np.eye(3)[np.random.default_rng(0).integers(0, 3, 60)]
    found = classifier_score(p)
    assert 1 <= found.low <= found.value <= found.high <= 3
    assert found.plain < found.value


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.integers(2, 7), st.sampled_from([1, 2, 7, 20, 61]), st.booleans())
def test_any_batches_and_parts_give_the_same_bits(seed, classes, count, logits):
    given_ = outputs(seed, 61, classes, 4.0)
    given_ = given_ if logits else softmax(given_)
    shards, whole = shard_of(61), ClassScores(classes)
    whole.add(given_, shards, logits=logits)
    pieces = np.array_split(np.random.default_rng(seed).permutation(61), count)  # in any order
    streamed, merged = ClassScores(classes), ClassScores(classes)
    for rows in pieces:
        streamed.add(given_[rows], shards[rows], logits=logits)
        merged.merge(ClassScores(classes).add(given_[rows], shards[rows], logits=logits))
    expected = repr(whole.estimate())
    assert repr(streamed.estimate()) == expected
    assert repr(merged.estimate()) == expected
    np.testing.assert_array_equal(merged.log_scores(), whole.log_scores())


def test_many_rows_are_taken_in_blocks():
    p = softmax(outputs(2, 10_001, 5, 2.0))
    expected = np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean())
    assert classifier_score(p).plain == pytest.approx(expected, rel=1e-12)


def test_a_class_that_is_dropped_lowers_the_score():
    found = []
    for kept in (10, 8, 5, 2, 1):
        labels = np.arange(2000) // 20 % kept
        found.append(classifier_score(0.9 * np.eye(10)[labels] + 0.01).value)
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("logits", [True, False])
def test_a_row_that_is_not_finite_leaves_no_score(bad, logits, recwarn):
    given_ = softmax(outputs(0, 100, 3, 1.0))
    given_[7, 1] = bad
    found = classifier_score(given_, logits=logits)
    assert np.isnan([found.value, found.plain, found.low, found.high]).all()
    assert found.why == "a value is not finite"
    assert np.isnan(inception_score(given_, logits=logits)).all()
    parts = ClassScores(3).add(given_, shard_of(100), logits=logits).log_scores()
    assert np.flatnonzero(np.isnan(parts)).tolist() == [7]
    assert not recwarn


def test_too_few_samples():
    few = classifier_score(softmax(outputs(0, 39, 3, 1.0)))
    assert not few.estimable
    assert few.why == "39 samples are fewer than two a shard"
    assert few.value == few.plain
    with pytest.raises(DataError, match="at least one sample"):
        classifier_score(np.zeros((0, 3)))
    with pytest.raises(DataError, match="10 splits needs as many samples, and there are 9"):
        inception_score(np.full((9, 2), 0.5))


def test_what_is_no_distribution_is_refused():
    p = np.full((50, 4), 0.25)
    p[31] = [0.5, 0.5, 0.5, 0]
    with pytest.raises(DataError, match=r"row 31 is no distribution over 4 classes.*logits=True"):
        classifier_score(p)
    p[31] = [1.5, -0.5, 0, 0]
    with pytest.raises(DataError, match="row 31"):
        classifier_score(p)
    with pytest.raises(DataError, match=r"outputs are \[5, 4\], and these are \[5, 3\]"):
        ClassScores(4).add(np.full((5, 3), 1 / 3), shard_of(5))
    with pytest.raises(DataError, match="3 classes in 20 groups cannot be merged with 4 in 20"):
        ClassScores(4).merge(ClassScores(3))
