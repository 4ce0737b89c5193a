"""n-grams and runs common with training: brute force, ends, pieces, planted copies, short sequences."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics import ngrams
from components.metrics.ngrams import Sequences, against_training, gram_distances, grams, longest_matches
from components.metrics.overlap import jensen_shannon, total_variation

Lists = list[list[int]]


def brute_force(queries: Lists, training: Lists) -> list[int]:
    """The longest match at each place, by a set of all runs of training."""
    known = {tuple(row[i:j]) for row in training for i in range(len(row)) for j in range(i + 1, len(row) + 1)}
    found = []
    for row in queries:
        for i in range(len(row)):
            stops = [j for j in range(i + 1, len(row) + 1) if tuple(row[i:j]) in known]
            found.append(max(stops, default=i) - i)
    return found


def lists(tokens: st.SearchStrategy[int]) -> st.SearchStrategy[Lists]:
    return st.lists(st.lists(tokens, max_size=24), min_size=1, max_size=5)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(lists(st.integers(0, 2)), lists(st.integers(0, 2)), st.sampled_from([3, 10, 2**20]))
def test_runs_of_few_symbols_are_those_of_brute_force(a: Lists, b: Lists, piece: int) -> None:
    """And the same in however many pieces they are sorted."""
    queries = [*a, b[0], b[0][1:] + b[-1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "PIECE", piece)
        assert longest_matches(Sequences.of(queries), Sequences.of(b)).tolist() == brute_force(queries, b)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(lists(st.integers(-(2**40), 2**40)), lists(st.integers(-(2**40), 2**40)), st.integers(1, 20))
def test_runs_of_many_symbols_are_those_of_brute_force(a: Lists, b: Lists, cut: int) -> None:
    queries = [*a, *b, *(row[cut:] for row in b)]
    assert longest_matches(Sequences.of(queries), Sequences.of(b)).tolist() == brute_force(queries, b)


def test_runs_cross_no_end_of_a_sequence() -> None:
    training = Sequences.of([[1, 2], [3, 4]])
    assert longest_matches(Sequences.of([[1, 2, 3, 4]]), training).tolist() == [2, 1, 2, 1]
    assert longest_matches(Sequences.of([[2, 3], [], [1], [2]]), training).tolist() == [1, 1, 1, 1]


def test_long_equal_runs_and_one_repeated_symbol() -> None:
    long = np.random.default_rng(0).integers(0, 3, (1, 5000))
    found = longest_matches(Sequences.of(long), Sequences.of(np.tile(long, (3, 1))))
    assert found.tolist() == list(range(5000, 0, -1))
    zeros = np.zeros((1, 700), int)
    found = longest_matches(Sequences.of(zeros), Sequences.of(zeros[:, :300]))
    assert found.tolist() == [min(300, 700 - i) for i in range(700)]


def test_sequences_of_an_array_leave_the_padding_out() -> None:
    x = np.array([[5, 6, 0], [7, 0, 0], [1, 2, 3], [9, 9, 9]], np.int32)
    found = Sequences.of(x, np.array([2, 1, 3, 0]))
    assert found.tokens.tolist() == [5, 6, 7, 1, 2, 3]
    assert found.owner.tolist() == [0, 0, 1, 2, 2, 2]
    same = Sequences.of([[5, 6], [7], [1, 2, 3], []])
    assert (found.tokens.tolist(), found.lengths.tolist()) == (same.tokens.tolist(), same.lengths.tolist())
    assert found.take(np.array([2, 0, 2])).tokens.tolist() == [1, 2, 3, 5, 6, 1, 2, 3]


@pytest.mark.parametrize(
    ("x", "length", "what"),
    [
        (np.zeros((2, 3)), None, "float64"),
        ([[1.5]], None, "float64"),
        (np.zeros(3, int), None, "lists or an array"),
        (np.zeros((2, 3), int), np.array([4, 0]), "length from 0 to 3"),
        (np.zeros((2, 3), int), np.array([1]), "each of 2 sequences"),
    ],
)
def test_what_is_no_sequence_is_refused(x: np.ndarray, length: np.ndarray | None, what: str) -> None:
    with pytest.raises(DataError, match=what):
        Sequences.of(x, length)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(lists(st.integers(0, 3)), st.integers(1, 6))
def test_grams_are_equal_where_their_tokens_are(rows: Lists, n: int) -> None:
    keys, owner = grams(Sequences.of(rows), n)
    expected = [
        (number, tuple(row[i : i + n])) for number, row in enumerate(rows) for i in range(len(row) - n + 1)
    ]
    assert owner.tolist() == [number for number, _ in expected]
    names = [name for _, name in expected]
    assert len(set(keys.tolist())) == len(set(names)) == len(set(zip(keys.tolist(), names, strict=True)))


def test_the_distance_of_bigrams_is_that_of_their_counts() -> None:
    random = np.random.default_rng(1)
    sets = random.integers(0, 4, (60, 30)), random.integers(0, 5, (50, 20))
    variation, divergence = gram_distances(*map(Sequences.of, sets), 2)
    counts = np.zeros((2, 25))
    for count, rows in zip(counts, sets, strict=True):
        for row in rows.tolist():
            for a, b in pairwise(row):
                count[5 * a + b] += 1
    assert variation.plain == pytest.approx(total_variation(*counts), abs=1e-14)
    assert divergence.plain == pytest.approx(jensen_shannon(*counts), abs=1e-14)
    assert variation.low < variation.value < variation.high


def test_a_set_against_itself_has_distance_0() -> None:
    x = Sequences.of(np.random.default_rng(2).integers(0, 9, (80, 30)))
    for found in gram_distances(x, x, 2):
        assert found.value == pytest.approx(0, abs=1e-12)
        assert found.low <= 0 <= found.high


def test_nothing_to_count_is_not_a_number() -> None:
    short, long = Sequences.of([[1]] * 50), Sequences.of([[1, 2, 3]] * 50)
    for found in gram_distances(short, long, 2):
        assert math.isnan(found.value)
        assert found.why
    few = gram_distances(Sequences.of([[1, 2]] * 10), long, 2)[0]
    assert few.value == pytest.approx(0.5)
    assert not few.estimable
    assert "two a shard" in few.why


def chains(random: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Sequences of a Markov chain of 30 symbols, 3 of which may follow each."""
    following = np.random.default_rng(99).integers(0, 30, (30, 3))
    x = np.empty((count, length), np.int64)
    x[:, 0] = random.integers(0, 30, count)
    for place in range(1, length):
        x[:, place] = following[x[:, place - 1], random.integers(0, 3, count)]
    return x


def test_planted_copies_are_found_as_many_as_they_are() -> None:
    random = np.random.default_rng(3)
    training, real, samples = (chains(random, count, 100) for count in (2000, 1000, 1000))
    rows = random.permutation(1000)[:50]
    samples[rows] = training[random.integers(0, 2000, 50)]
    found = against_training(Sequences.of(samples), Sequences.of(real), Sequences.of(training))
    assert found["copy_excess"].value == pytest.approx(0.05, abs=0.015)
    assert 0.02 < found["copy_excess"].low < 0.05 < found["copy_excess"].high < 0.09
    honest = against_training(
        Sequences.of(chains(random, 1000, 100)), Sequences.of(real), Sequences.of(training)
    )
    assert honest["copy_excess"].low < 0 < honest["copy_excess"].high < 0.02
    assert found["longest_training_run"].extra["longest"] == 100
    assert honest["longest_training_run"].value < 25


def test_copies_of_a_half_are_found_too() -> None:
    random = np.random.default_rng(4)
    training, real, samples = (chains(random, count, 100) for count in (1000, 500, 500))
    samples[::10, 30:80] = training[:50, 10:60]
    found = against_training(Sequences.of(samples), Sequences.of(real), Sequences.of(training))
    assert found["copy_excess"].value == pytest.approx(0.1, abs=0.015)


def test_short_ends_of_pieces_neither_are_copies_nor_hide_them() -> None:
    """A fifth of the held-out windows are ends of three tokens, all of which occurs in training."""
    random = np.random.default_rng(5)
    training, real, samples = (chains(random, count, 100) for count in (1000, 500, 500))
    lengths = np.where(np.arange(500) % 5 == 0, 3, 100)
    samples[:25] = training[:25]
    found = against_training(Sequences.of(samples), Sequences.of(real, lengths), Sequences.of(training))
    assert found["copy_excess"].value == pytest.approx(0.05, abs=0.015)
    short = against_training(
        Sequences.of(samples[25:], lengths[25:]), Sequences.of(real, lengths), Sequences.of(training)
    )
    assert short["copy_rate"].value < 0.02


def test_overlap_is_the_share_of_runs_that_occur() -> None:
    training = Sequences.of([[1, 2, 3, 4, 5, 6]])
    samples = Sequences.of([[1, 2, 3, 4, 9], [3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [1]])
    found = against_training(samples, samples, training, sizes=(4, 2, 6))
    assert found["training_overlap_4"].value == 2 / (2 + 1 + 3)
    assert found["training_overlap_2"].value == 6 / (4 + 3 + 5)
    assert found["training_overlap_6"].value == 0
    assert found["training_overlap_6"].high > 0
    assert found["longest_training_run"].value == (4 + 4 + 1 + 1) / 4


def test_all_of_training_is_a_copy_and_the_empty_sequence_is_none() -> None:
    random = np.random.default_rng(6)
    training, real = Sequences.of(chains(random, 200, 50)), Sequences.of(chains(random, 100, 50))
    assert against_training(training, real, training)["copy_rate"].value == 1
    empty = against_training(Sequences.of([[]] * 50), real, training)
    assert empty["copy_rate"].value == 0
    assert math.isnan(empty["training_overlap_4"].value)
    with pytest.raises(DataError, match="0 samples, 100 held-out and 200 training"):
        against_training(Sequences.of([]), real, training)


@pytest.mark.slow
def test_a_million_tokens_on_each_side_need_bounded_memory() -> None:
    import tracemalloc

    random = np.random.default_rng(7)
    training, samples = Sequences.of(chains(random, 1000, 1000)), Sequences.of(chains(random, 1000, 1000))
    tracemalloc.start()
    longest_matches(samples, training)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6
