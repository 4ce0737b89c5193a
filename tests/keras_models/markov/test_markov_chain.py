"""Markov chain: the battery, Witten–Bell by hand, sums to one, samples that follow it, real text."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract

ABC = Spec(kind="tokens", shape=(4,), vocabulary=3)


class TestMarkovChain(Contract):
    family = "markov_chain"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {"order": 2}
    resume_needs = ("keys_1", "keys_3", "counts_2", "passes")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


def fit(x, spec=ABC, epochs=1, length=None, batch_size=8, **settings):
    model = keras_models.build("markov_chain", spec, keras_models.describe("markov_chain").config(**settings))
    model.compile()
    arrays = {"x": np.asarray(x, np.int32)} | ({} if length is None else {"length": np.int32(length)})
    model.fit(tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size), epochs=epochs, verbose=0)
    return model


def by_hand(rows, order, vocabulary):
    """p(symbol | context) with dictionaries, as the equation reads."""
    counts = {}
    for row in rows:
        for end in range(1, len(row) + 1):
            for k in range(1, min(order + 1, end) + 1):
                run = tuple(row[end - k : end])
                counts[run] = counts.get(run, 0) + 1

    def p(w, h):
        below = p(w, h[1:]) if h else 1 / vocabulary
        after = [counts.get((*h, v), 0) for v in range(vocabulary)]
        total, kinds = sum(after), sum(c > 0 for c in after)
        return (after[w] + kinds * below) / (total + kinds) if total else below

    return p


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_it_is_witten_bell_by_hand(order):
    rows = np.random.default_rng(0).integers(0, 3, (40, 4)) * (np.arange(40) % 2)[:, None]
    model, p = fit(rows, order=order), by_hand(rows.tolist(), order, 3)
    every = list(itertools.product(range(3), repeat=4))
    expected = [sum(math.log(p(x[t], x[max(0, t - order) : t])) for t in range(4)) for x in every]
    found = np.asarray(model.log_prob(np.array(every)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-12)


def test_a_second_pass_counts_nothing_twice_and_batches_do_not_matter():
    rows = np.random.default_rng(1).integers(0, 3, (40, 4))
    once, twice = fit(rows, order=2), fit(rows, order=2, epochs=2, batch_size=40)
    for a, b in zip(once.tables, twice.tables, strict=True):
        np.testing.assert_array_equal(a.keys, b.keys)
        np.testing.assert_array_equal(a.counts, b.counts)


def test_what_lies_beyond_the_length_does_not_count():
    rows = np.random.default_rng(2).integers(0, 3, (20, 4))
    length = np.full(20, 3)
    padded = rows.copy()
    padded[:, 3] = 0
    model = fit(padded, order=2, length=length)
    cut = fit(rows[:, :3], Spec(kind="tokens", shape=(3,), vocabulary=3), order=2)
    np.testing.assert_allclose(model.log_prob(padded, length), cut.log_prob(rows[:, :3]), rtol=1e-12)


def test_samples_follow_the_chain():
    rows = np.random.default_rng(3).integers(0, 3, (30, 4)) // 2
    model = fit(rows, order=2)
    drawn = model.sample(20_000, seed=0)
    every = np.array(list(itertools.product(range(3), repeat=4)))
    expected = np.exp(np.asarray(model.log_prob(every)))
    share = np.bincount(drawn @ [27, 9, 3, 1], minlength=81) / len(drawn)
    assert np.abs(share - expected).max() < 5 * math.sqrt(0.25 / len(drawn))


def test_what_follows_a_context_is_witten_bell_by_hand():
    rows = np.random.default_rng(0).integers(0, 3, (30, 4)) * (np.arange(30) % 2)[:, None]
    model, p = fit(rows, order=2), by_hand(rows.tolist(), 2, 3)
    for context in ((), (1,), (0, 0), (2, 1), (0, 2, 1)):
        found = model.following(context)
        np.testing.assert_allclose(found, [p(w, context[-2:]) for w in range(3)], rtol=1e-12)
        assert found.sum() == pytest.approx(1, abs=1e-12)


def test_completions_follow_the_chain_and_their_settings():
    rows = np.tile([0, 1, 2, 1], (30, 1))
    model = fit(rows, order=2)
    long, short, empty = model.complete([[0, 1, 2, 1, 0, 1], [1], []], 3, top_k=1)
    assert long[0] == 2
    assert short.tolist()[:2] == [2, 1]
    assert empty[0] == 1  # the commonest
    again = model.complete([[0, 1], [2]], 8, seed=3)
    np.testing.assert_array_equal(model.complete([[0, 1]], 8, seed=3)[0], again[0])
    assert len(again[1]) == 8
    drawn = np.concatenate(model.complete([[0, 1]] * 400, 1, seed=1))
    share = np.bincount(drawn, minlength=3) / 400
    assert np.abs(share - model.following([0, 1])).max() < 5 * np.sqrt(0.25 / 400)


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("prompt 0: symbol 3 at place 1 is none of the 3", lambda model: model.complete([[0, 3]], 2)),
        ("at least 1 symbol", lambda model: model.complete([[0]], 0)),
        ("top_p is between 0 and 1", lambda model: model.complete([[0]], 1, top_p=2.0)),
        ("row 1: symbol -1 at place 2", lambda model: model.log_prob([[0, 1, 2, 0], [0, 1, -1, 0]])),
        ("rows of unequal length are padded", lambda model: model.log_prob([[0, 1], [0, 1, 2]])),
        ("x is whole numbers", lambda model: model.log_prob(np.full((2, 4), np.nan))),
        (r"every length is in 1\.\.4", lambda model: model.log_prob(np.zeros((1, 4), int), [5])),
    ],
)
def test_wrong_input_is_refused_by_name(said, call):
    with pytest.raises(ValueError, match=said):
        call(fit(np.zeros((2, 4), int), order=1))


def test_two_dice():
    """The sums of two dice by themselves, in the proportions of chance: 3.2744 bits, and draws as likely."""
    sums = np.add.outer(np.arange(6), np.arange(6)).ravel()
    spec = Spec(kind="tokens", shape=(1,), vocabulary=11)
    model = fit(np.tile(sums, 2000)[:, None], spec, order=0, batch_size=36_000)
    p = np.bincount(sums) / 36
    found = np.exp(model.log_prob(np.arange(11)[:, None]))
    np.testing.assert_allclose(found, (2000 * 36 * p + 11 / 11) / (2000 * 36 + 11), rtol=1e-12)
    assert -np.sum(p * np.log2(p)) == pytest.approx(3.274402, abs=1e-6)
    nats = -np.asarray(model.log_prob(sums[:, None])).mean()
    assert nats == pytest.approx(2.269642, abs=1e-4)
    drawn = np.bincount(model.sample(36_000, seed=0)[:, 0], minlength=11)
    assert np.sum((drawn - 36_000 * p) ** 2 / (36_000 * p)) < 29.6  # chi-squared of 10 degrees, 0.1 %


def test_an_order_that_does_not_fit_is_refused_with_the_largest():
    spec = Spec(kind="tokens", shape=(9,), vocabulary=5000)
    config = keras_models.describe("markov_chain").config(order=5)
    with pytest.raises(ValueError, match="to 4 or less"):
        keras_models.build("markov_chain", spec, config)


def test_more_runs_than_places_are_told():
    rows = np.random.default_rng(4).integers(0, 50, (40, 4))
    with pytest.raises(ValueError, match=r"raise model\.config\.capacity"):
        fit(rows, Spec(kind="tokens", shape=(4,), vocabulary=50), order=2, capacity=16)


@pytest.mark.slow
def test_shakespeare_character_by_character(test_data):
    """The figures of interpolated Witten–Bell on the last tenth of tiny Shakespeare, to four decimals."""
    text = (test_data / "tinyshakespeare" / "input.txt").read_text("utf-8")
    symbols = sorted(set(text))
    x = np.array([symbols.index(c) for c in text], np.int32)
    cut = int(0.9 * len(x))
    spec = Spec(kind="tokens", shape=(cut,), vocabulary=len(symbols))
    model = fit(x[None, :cut], spec, order=4)
    nats = -float(model.log_prob(x[None, cut:])[0]) / (len(x) - cut)
    assert nats == pytest.approx(1.6688, abs=1e-4)  # what another program found; 1.66883 here
    shuffled = np.random.default_rng(0).permutation(x[:cut])
    control = fit(shuffled[None], spec, order=4)
    assert -float(control.log_prob(x[None, cut:])[0]) / (len(x) - cut) > 3.3
