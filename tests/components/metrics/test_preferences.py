"""Preferences: against closed forms, against scipy, and against strengths that were put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.errors import DataError
from components.metrics.intervals import wilson
from components.metrics.preferences import bradley_terry, preferred, sign_test, strengths, win_matrix

COUNTS = st.integers(0, 200)
MATRICES = st.integers(2, 5).flatmap(
    lambda k: arrays(np.float64, (k, k), elements=st.integers(1, 30).map(float))
)
exactly = settings(derandomize=True, max_examples=50, deadline=None)


def simulated(strength, answers, judges, seed):
    """Answers of people who prefer i to j with probability p_i / (p_i + p_j)."""
    random = np.random.default_rng(seed)
    count = len(strength)
    first = random.integers(0, count, answers)
    second = (first + random.integers(1, count, answers)) % count
    chance = 1 / (1 + np.exp(strength[second] - strength[first]))
    score = (random.random(answers) < chance).astype(float)
    return first, second, score, np.arange(answers) % judges


# -- one pair of models --------------------------------------------------------------------------------


def test_wins_are_a_share_of_the_answers_that_prefer_one_and_ties_are_told_apart():
    found = preferred(30, 10, 20)
    assert (found.value, found.low, found.high) == (0.75, wilson(30, 40).low, wilson(30, 40).high)
    assert found.extra == {"wins": 30, "losses": 10, "ties": 20, "half": 40 / 60, "p": sign_test(30, 10)}


def test_only_ties_are_no_share():
    found = preferred(0, 0, 7)
    assert math.isnan(found.value)
    assert not found.estimable
    assert "ties" in found.why
    assert found.extra["half"] == 0.5


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 3, 0)])
def test_no_answers_are_refused(counts):
    with pytest.raises(DataError, match="counts"):
        preferred(*counts)


@exactly
@given(COUNTS, COUNTS)
def test_the_sign_test_is_the_exact_binomial_one(wins, losses):
    from scipy.stats import binomtest

    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)
    assert sign_test(wins, losses) == sign_test(losses, wins)


def test_the_sign_test_stays_exact_for_very_many_answers():
    from scipy.stats import binomtest

    assert sign_test(50_500, 49_500) == pytest.approx(binomtest(50_500, 100_000).pvalue, rel=1e-8)


# -- several models ------------------------------------------------------------------------------------


@exactly
@given(st.integers(1, 1000), st.integers(1, 1000))
def test_of_two_models_the_difference_is_the_log_of_the_odds(wins, losses):
    found = bradley_terry([[0, wins], [losses, 0]])
    assert found[0] - found[1] == pytest.approx(math.log(wins / losses), abs=1e-9)
    assert found.sum() == pytest.approx(0, abs=1e-12)


@exactly
@given(MATRICES)
def test_expected_wins_are_the_wins(wins):
    """The likelihood equations: at the maximum Σ_j n_ij p_i / (p_i + p_j) = W_i."""
    np.fill_diagonal(wins, 0)
    strength = bradley_terry(wins)
    chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    assert ((wins + wins.T) * chance).sum(1) == pytest.approx(wins.sum(1), rel=1e-6)


@exactly
@given(MATRICES, st.randoms(use_true_random=False))
def test_the_order_of_the_models_does_not_matter(wins, random):
    order = list(range(len(wins)))
    random.shuffle(order)
    again = bradley_terry(wins[np.ix_(order, order)])
    assert again == pytest.approx(bradley_terry(wins)[order], abs=1e-7)


def test_consistent_odds_are_recovered_exactly():
    strength = np.array([0.9, 0.1, -0.3, -0.7])
    wins = 100 / (1 + np.exp(strength[None, :] - strength[:, None]))
    np.fill_diagonal(wins, 0)
    assert bradley_terry(wins) == pytest.approx(strength, abs=1e-8)


def test_a_stack_of_matrices_is_solved_one_by_one():
    random = np.random.default_rng(3)
    stack = random.integers(1, 9, (6, 3, 3)).astype(float)
    stack[4] = [[0, 5, 5], [0, 0, 5], [0, 5, 0]]  # the first never lost
    found = bradley_terry(stack)
    assert np.isnan(found[4]).all()
    for i in (0, 1, 2, 3, 5):
        assert found[i] == pytest.approx(bradley_terry(stack[i]), abs=1e-12)


def test_a_circle_of_wins_is_connected_and_even():
    circle = [[0, 4, 0], [0, 0, 4], [4, 0, 0]]
    assert bradley_terry(circle) == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize("wins", [[[0.0]], [[0, -1], [1, 0]], [[0, np.nan], [1, 0]], [1.0, 2.0]])
def test_what_are_no_wins_is_refused(wins):
    with pytest.raises(DataError, match="Bradley–Terry"):
        bradley_terry(wins)


def test_a_tie_is_half_a_win_to_both():
    assert win_matrix([0, 0, 1], [1, 1, 0], [1, 0.5, 0], 2).tolist() == [[0, 2.5], [0.5, 0]]
    with pytest.raises(DataError, match="two different models"):
        win_matrix([1], [1], [1], 2)
    with pytest.raises(DataError, match="between 0 and 1"):
        win_matrix([0], [1], [2], 2)


# -- intervals -----------------------------------------------------------------------------------------


def test_strengths_come_back_from_simulated_judges_within_their_intervals():
    truth = np.array([0.8, 0.2, -0.2, -0.8])
    found = strengths(*simulated(truth, 3000, 30, seed=5), 4, replicates=300)
    assert [one.value for one in found] == pytest.approx(truth, abs=0.15)
    assert all(one.low < value < one.high for one, value in zip(found, truth, strict=True))
    assert {one.method for one in found} == {"bootstrap of 30 judges"}


def test_the_intervals_cover_what_is_true():
    """Of 200 studies of 20 judges, 400 answers each: nominal 95 %."""
    truth = np.array([0.6, 0.0, -0.6])
    covered = 0
    for seed in range(200):
        found = strengths(*simulated(truth, 400, 20, seed), 3, replicates=200, seed=seed)
        covered += sum(one.low <= value <= one.high for one, value in zip(found, truth, strict=True))
    assert 0.90 <= covered / 600 <= 0.99


def test_few_judges_are_resampled_by_answers_which_is_said():
    found = strengths(*simulated(np.array([0.3, -0.3]), 200, 2, seed=1), 2, replicates=100)
    assert found[0].method == "bootstrap of 200 answers"


def test_judges_who_differ_make_the_interval_wider():
    """Ten judges answer twenty times the same: that is ten answers and not two hundred."""
    first, second = np.zeros(200, int), np.ones(200, int)
    judge = np.repeat(np.arange(10), 20)
    score = (judge < 6).astype(float)
    by_judge = strengths(first, second, score, judge, 2, replicates=400)[0]
    alone = strengths(first, second, score, np.zeros(200), 2, replicates=400)[0]
    assert by_judge.high - by_judge.low > 3 * (alone.high - alone.low)


def test_who_won_everything_has_no_strength():
    found = strengths([0, 0, 1], [1, 2, 2], [1, 1, 1], [1, 1, 1], 3)
    assert all(math.isnan(one.value) and not one.estimable and "no finite" in one.why for one in found)


def test_too_few_answers_have_a_strength_but_no_interval():
    found = strengths([0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1, 1], 2)
    assert found[0].value - found[1].value == pytest.approx(math.log(2), abs=1e-8)
    assert not found[0].estimable
    assert "more answers" in found[0].why


def test_the_same_seed_gives_the_same_interval():
    answers = simulated(np.array([0.3, -0.3, 0.0]), 120, 8, seed=2)
    assert strengths(*answers, 3, seed=4) == strengths(*answers, 3, seed=4)
    with pytest.raises(DataError, match="at least one"):
        strengths([], [], [], [], 2)
