"""transformer: what each part sees, likelihood against its definition, beams against all there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract

END = 1  # the separator
SPEC = Spec(kind="tokens", shape=(9,), vocabulary=5, separator=END)
TINY = {"layers": 1, "heads": 2, "width": 8, "dropout": 0.0, "learning_rate": 0.01, "warm_up": 2}


def build(spec: Spec = SPEC, seed: int = 0, **settings):
    config = keras_models.describe("transformer").config.parse({**TINY, **settings})
    return keras_models.build("transformer", spec, config, seed=seed)


def spread(model):
    """Weights large enough that every position matters."""
    for number, variable in enumerate(model.weights):
        if len(variable.shape) == 2:
            variable.assign(np.random.default_rng(number).normal(0, 0.5, variable.shape))
    return model


@pytest.fixture(scope="module", params=["learned", "rotary"])
def model(request):
    """Two and two layers with large weights."""
    return spread(build(layers=2, positions=request.param))


def pairs(count: int, most: int, vocabulary: int = 5, length: int = 9):
    """Sources of up to `most` symbols and, after the separator, the same backwards."""
    random = np.random.default_rng(0)
    x, lengths = np.zeros((count, length), np.int32), np.zeros(count, np.int32)
    for row in range(count):
        source = random.choice([s for s in range(vocabulary) if s != END], random.integers(1, most + 1))
        pair = [*source, END, *source[::-1]]
        x[row, : len(pair)], lengths[row] = pair, len(pair)
    return {"x": x, "length": lengths}


X = np.array([[2, 3, END, 4, 2, 0, 3, 0, 0], [4, 4, 0, 3, END, 2, 0, 0, 0]], np.int32)
LENGTH = np.array([7, 6], np.int32)
BORDER = tf.constant([2, 4])


class TestTransformer(Contract):
    family = "transformer"
    spec = Spec(kind="tokens", shape=(7,), vocabulary=4, separator=END)
    settings = {**TINY, "dropout": 0.1}
    resume_needs = ("seed_generator", "adam_w", "iteration")
    tiny = Spec(kind="tokens", shape=(4,), vocabulary=3, separator=END)

    @classmethod
    def data(cls, spec):
        return pairs(32, (spec.shape[0] - 1) // 2, spec.vocabulary, spec.shape[0])


def test_sources_see_what_is_before_and_targets_all_of_the_source(model):
    """Which symbol moves which logits, by changing one after another."""
    before = model.logits(X, BORDER).numpy()
    for row, border in enumerate(BORDER.numpy()):
        for place in range(9):
            if place == border:
                continue
            changed = X.copy()
            changed[row, place] = 2 if X[row, place] != 2 else 3
            moved = np.abs(model.logits(changed, BORDER).numpy() - before)[row].max(axis=1) > 0
            assert (moved == (np.arange(9) > place)).all(), (row, place)


def test_padding_counts_nothing(model):
    other = np.where(np.arange(9) < LENGTH[:, None], X, 3)
    np.testing.assert_array_equal(model.log_prob(X, LENGTH), model.log_prob(other, LENGTH))
    source = X[:1, :2]
    wide = np.pad(source, [[0, 0], [0, 4]], constant_values=3)
    for beams in (1, 3):
        (short,), (long,) = (model.translate(x, [2], beams=beams) for x in (source, wide))
        assert short.tolist() == long.tolist()


def test_behind_the_target_is_padding_for_certain(model):
    x = np.array([[2, END, 3, END, 0, 0, 0, 0, 0]], np.int32)
    ended = model.log_prob(x).numpy()
    np.testing.assert_array_equal(model.log_prob(x, [4]), ended)
    x[0, 7] = 3
    assert model.log_prob(x).numpy()[0] == -np.inf
    unknown = np.where(np.arange(9) == 0, 5, X)
    assert (model.log_prob(unknown, LENGTH).numpy() == -np.inf).all()


def test_samples_are_pairs(model):
    drawn = model.sample(64, seed=1)
    assert np.isfinite(model.log_prob(drawn)).all()
    for row in drawn:
        places = np.flatnonzero(row == END)
        assert len(places) <= 2
        if len(places) == 2:
            assert (row[places[1] + 1 :] == 0).all()


def greedy(model, source):
    """The likeliest symbol after another, without kept keys and values."""
    row = [*source, END]
    while len(row) < 9:
        x = np.pad(np.array([row], np.int32), [[0, 0], [0, 9 - len(row)]])
        row.append(int(model.logits(x, tf.constant([len(source)]))[0, len(row)].numpy().argmax()))
        if row[-1] == END:
            return row[len(source) + 1 : -1]
    return row[len(source) + 1 :]


def test_one_beam_is_greedy_and_the_cache_changes_nothing(model):
    for source in ([2, 3], [4], [0, 2, 3], [3, 3, 4, 0]):
        (found,) = model.translate(np.array([source]), beams=1)
        expected = greedy(model, source)
        assert found[: len(expected)].tolist() == expected


def test_a_beam_as_wide_as_all_there_is_finds_the_likeliest_of_all():
    spec = Spec(kind="tokens", shape=(4,), vocabulary=3, separator=END)
    model = spread(build(spec))
    for source in ([0], [2], [2, 0]):
        x = np.array([source], np.int32)
        found, log_p = model._translate(
            np.pad(x, [[0, 0], [0, 4 - len(source)]]),
            np.array([len(source)], np.int32),
            tf.constant(0.0),
            beams=27,
        )
        memories = model._memories(
            np.array([[model.start, *source, *[0] * (3 - len(source))]], np.int32),
            np.array([len(source)], np.int32),
        )
        best = max(every_target(model, memories), key=lambda pair: pair[1])
        assert found[0].numpy().tolist() == best[0]
        np.testing.assert_allclose(log_p[0], best[1], rtol=1e-4)


def every_target(model, memories):
    """All targets of up to four symbols, the separator from the end on, and their log p, one after another."""
    inner = [row for row in itertools.product(range(3), repeat=4) if all_behind_end(row)]
    for row in inner:
        read = tf.constant([[END, *row[:-1]]])
        hidden, _ = model.decoder.next(read, tf.constant(0), model.decoder.empty(1, 4), memories)
        log_p = tf.nn.log_softmax(model.decoder.logits(hidden))[0].numpy()
        length = row.index(END) + 1 if END in row else len(row)
        yield list(row), sum(log_p[t, symbol] for t, symbol in enumerate(row[:length]))


def all_behind_end(row):
    """Whether only separators follow the first one."""
    first = row.index(END) if END in row else len(row)
    return all(symbol == END for symbol in row[first:])


def test_it_learns_to_write_backwards():
    spec = Spec(kind="tokens", shape=(10,), vocabulary=5, separator=END)
    model = build(spec, width=32, learning_rate=0.005, warm_up=50, decay_steps=900, smoothing=0.05)
    data = pairs(512, 4, length=10)
    model.compile(steps_per_execution=50)
    stream = tf.data.Dataset.from_tensor_slices({k: v[:448] for k, v in data.items()}).repeat().batch(64)
    model.fit(stream.take(900), verbose=0)
    x, length = data["x"][448:, :8], data["length"][448:] // 2
    x = np.where(np.arange(8) < length[:, None], x, 0)
    expected = [row[:n][::-1].tolist() for row, n in zip(x, length, strict=True)]
    for beams in (1, 4):
        found = [row.tolist() for row in model.translate(x, length, beams=beams)]
        assert np.mean([f == e for f, e in zip(found, expected, strict=True)]) >= 0.95


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"x": [[2, END]]}, "source 0: symbol 1 at place 1 is the separator"),
        ({"x": [[2, 5]]}, "source 0: symbol 5 at place 1 is unknown"),
        ({"x": [[2] * 9]}, "at most 8 symbols long, and these are 9"),
        ({"x": [[2]], "beams": 0}, "beams are 1 to 1024"),
    ],
)
def test_what_cannot_be_translated_is_said(model, asked, said):
    with pytest.raises(ValueError, match=said):
        model.translate(**asked)


def test_data_without_a_separator_are_refused():
    with pytest.raises(ValueError, match=r"set data\.encode\.pairs to true"):
        build(Spec(kind="tokens", shape=(9,), vocabulary=5))
