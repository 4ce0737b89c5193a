"""How symbols are chosen: against the definitions, and beam search against trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import chisquare

from keras_models.sequence.decoding import (
    NOTHING,
    Choice,
    beam_search,
    before_stop,
    candidates,
    choose,
    penalised,
    stop_table,
    stopped,
)

P = np.array([0.3, 0.05, 0.5, 0.15])


def distribution(p, **settings):
    """The probability of each symbol, chosen from log p."""
    choice = Choice(**settings)
    logits = tf.constant(np.log(p)[None], tf.float32)
    symbols, probability = candidates(logits, choice.program, choice.numbers)
    found = np.zeros(len(p))
    found[symbols[0].numpy()] = probability[0].numpy()
    return found


@pytest.mark.parametrize(
    ("p", "kept"),
    [(0.0, [2]), (0.49, [2]), (0.51, [2, 0]), (0.79, [2, 0]), (0.81, [2, 0, 3]), (0.96, [0, 1, 2, 3])],
)
def test_nucleus_keeps_what_less_than_p_lies_before(p, kept):
    expected = np.where(np.isin(np.arange(4), kept), P, 0)
    np.testing.assert_allclose(distribution(P, top_p=p), expected / expected.sum(), rtol=1e-5)


def test_nucleus_of_all_is_the_distribution_itself():
    np.testing.assert_allclose(distribution(P, top_p=1.0), P, rtol=1e-5)
    long = np.random.default_rng(0).dirichlet(np.full(5000, 0.01)) + 1e-12
    assert (distribution(long / long.sum(), top_p=1.0) > 0).all(), "rounding loses none of the tail"


def test_top_k():
    np.testing.assert_allclose(distribution(P, top_k=2), [0.375, 0, 0.625, 0], rtol=1e-5)
    np.testing.assert_allclose(distribution(P, top_k=1), [0, 0, 1, 0])
    np.testing.assert_allclose(distribution(P, top_k=9), P, rtol=1e-5)
    assert (distribution(np.full(4, 0.25), top_k=2) > 0).sum() == 2, "ties at the border stay k"


def test_temperature():
    np.testing.assert_allclose(distribution(P, temperature=0.5), P**2 / (P**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(distribution(P, temperature=0.0), [0, 0, 1, 0])
    np.testing.assert_allclose(distribution(P, temperature=1e-4), [0, 0, 1, 0], atol=1e-6)


def test_the_order_is_temperature_then_top_k_then_nucleus():
    hot = np.sqrt(P) / np.sqrt(P).sum()
    first = np.where(np.isin(np.arange(4), [0, 2, 3]), hot, 0)
    first /= first.sum()  # 0.35 0.45 0.25: a nucleus of 0.5 is two of them
    expected = np.where(first >= np.sort(first)[-2], first, 0)
    found = distribution(P, temperature=2.0, top_k=3, top_p=0.5)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-4)


def test_draws_have_the_probabilities():
    choice = Choice(top_p=0.9)
    n = 100_000
    noise = tf.random.stateless_uniform((n,), (1, 2))
    logits = tf.repeat(tf.constant(np.log(P)[None], tf.float32), n, axis=0)
    counts = np.bincount(choose(logits, noise, choice.program, choice.numbers), minlength=4)
    kept = [0, 2, 3]
    assert counts[1] == 0
    assert chisquare(counts[kept], n * P[kept] / P[kept].sum()).pvalue > 1e-3


def test_a_symbol_without_probability_is_never_drawn():
    logits = tf.constant([[-np.inf, 0.0, -np.inf, 0.0, -np.inf]])
    for noise in (0.0, 0.25, 0.75, 1 - 2**-24):
        drawn = choose(logits, tf.constant([noise]), Choice().program, Choice().numbers)
        assert int(drawn[0]) == (1 if noise < 0.5 else 3)


def test_repetition_penalty_lowers_what_occurred_whatever_its_sign():
    found = penalised(tf.constant([[2.0, -2.0, 2.0]]), tf.constant([[True, True, False]]), 4.0)
    np.testing.assert_allclose(found, [[0.5, -8.0, 2.0]])


def test_stops_of_several_lengths():
    table = stop_table([[1, 2], [3]])
    recent = tf.constant([[1, 2], [2, 1], [NOTHING, 3], [1, 2]])
    assert stopped(recent, tf.constant([2, 2, 1, 1]), table).numpy().tolist() == [True, False, True, False]
    assert stop_table([]).shape == (0, 0)


def test_what_is_before_the_first_stop():
    text = np.array([5, 1, 2, 3, 1, 2])
    assert before_stop(text, [[1, 2], [3]])[0].tolist() == [5]
    assert before_stop(text, [[3, 1]])[0].tolist() == [5, 1, 2]
    whole, over = before_stop(text, [[7]])
    assert whole.tolist() == text.tolist()
    assert not over


END, STEPS, VOCABULARY = 0, 4, 3


def search(tables, beams, length_power=0.0):
    """Beam search in a chain: log p of a symbol given the one before and the time, `[B, T, V, V]`."""

    def step(symbols, t, row):
        return tf.gather(tf.gather(tables, row)[:, t], symbols, batch_dims=1), row

    size = tables.shape[0]
    return beam_search(
        step, lambda row, order: tf.gather(row, order), tf.ones(size, tf.int32), tf.repeat(tf.range(size), beams),
        beams=beams, steps=STEPS, end=END, length_power=length_power,
    )  # fmt: skip


def everything(table):
    """log p and symbols of every continuation, closed by its first `END` where it has one."""
    found = {}
    for symbols in itertools.product(range(VOCABULARY), repeat=STEPS):
        length = symbols.index(END) + 1 if END in symbols else STEPS
        read = (1, *symbols)
        log_p = sum(table[t, read[t], read[t + 1]] for t in range(length))
        found[(*symbols[:length], *[END] * (STEPS - length))] = (log_p, length)
    return found


def test_a_wide_beam_finds_the_likeliest_of_all_and_a_narrow_one_is_greedy():
    random = np.random.default_rng(3)
    tables = np.log(random.dirichlet(np.ones(VOCABULARY), (6, STEPS, VOCABULARY))).astype(np.float32)
    found, score = search(tf.constant(tables), beams=VOCABULARY**STEPS)
    powered, _ = search(tf.constant(tables), beams=VOCABULARY**STEPS, length_power=1.0)
    narrow, _ = search(tf.constant(tables), beams=1)
    for row, table in enumerate(tables):
        every = everything(table)
        best = max(every, key=lambda symbols: every[symbols][0])
        assert tuple(found[row].numpy()) == best
        assert float(score[row]) == pytest.approx(every[best][0], rel=1e-5)
        longest = max(every, key=lambda symbols: every[symbols][0] / ((5 + every[symbols][1]) / 6))
        assert tuple(powered[row].numpy()) == longest
        text = [1]
        while len(text) <= STEPS and (len(text) == 1 or text[-1] != END):
            text.append(int(table[len(text) - 1, text[-1]].argmax()))
        assert narrow[row].numpy().tolist() == text[1:] + [END] * (STEPS + 1 - len(text))
