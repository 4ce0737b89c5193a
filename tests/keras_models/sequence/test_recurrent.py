"""What rnn, lstm and gru share: cells against Keras' own, the state that is carried, padding, readouts, learning."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.sequence import recurrence
from keras_models.sequence.observations import OrderedPitches, Pitches
from keras_models.spec import Spec

TEXT = Spec(kind="tokens", shape=(12,), vocabulary=5)
ROLL = Spec(kind="roll", shape=(12, 6))
SMALL = {"units": 6, "embedding": 4, "chord_units": 5}
LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
CELLS = {"rnn": recurrence.RNN, "lstm": recurrence.LSTM, "gru": recurrence.GRU}


def make(family="lstm", spec=TEXT, seed=0, **settings):
    config = keras_models.describe(family).config.parse({**SMALL, **settings})
    return keras_models.build(family, spec, config, seed=seed)


def examples(spec=TEXT, n=4, seed=0):
    random = np.random.default_rng(seed)
    if spec.kind == "tokens":
        return random.integers(0, spec.vocabulary, (n, *spec.shape)).astype(np.int32)
    return (random.random((n, *spec.shape)) < 0.3).astype(np.float32)


def learn(model, x, epochs=1, **fields):
    model.compile()
    data = tf.data.Dataset.from_tensors({"x": x, **fields})
    return model.fit(data, epochs=epochs, verbose=0).history["loss"]


# -- the cells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", LAYERS)
def test_outputs_and_gradients_are_those_of_keras(family):
    random = np.random.default_rng(1)
    cell, units, steps, batch = CELLS[family], 5, 7, 3
    layer = LAYERS[family](units, return_sequences=True)
    x = tf.constant(random.normal(size=(batch, steps, 4)), tf.float32)
    layer.build(x.shape)
    values = [random.normal(size=weight.shape).astype(np.float32) for weight in layer.weights]
    layer.set_weights(values)
    weights = [tf.constant(value) for value in values]
    slope = tf.constant(random.normal(size=(batch, steps, units)), tf.float32)

    def own(x, kernel, recurrent, bias):
        bias, recurrent_bias = (bias[0], bias[1]) if cell.has_bias else (bias, bias)  # not used twice
        inputs = tf.tensordot(tf.transpose(x, (1, 0, 2)), kernel, 1) + bias
        state = (tf.zeros((batch, units)),) * cell.states
        return tf.transpose(recurrence.recur(cell, inputs, recurrent, recurrent_bias, state)[0], (1, 0, 2))

    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        found = own(x, *weights)
        total = tf.reduce_sum(slope * found)
    gradients = tape.gradient(total, [x, *weights])
    with tf.GradientTape() as tape:
        tape.watch(x)
        expected = layer(x)
        total = tf.reduce_sum(slope * expected)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for own_one, keras_one in zip(gradients, tape.gradient(total, [x, *layer.weights]), strict=True):
        np.testing.assert_allclose(own_one, keras_one, atol=2e-4)


# -- the state -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "spec"), [("lstm", TEXT), ("gru", TEXT), ("rnn", ROLL)])
def test_the_carried_state_makes_two_pieces_one_long_pass(family, spec):
    model, x = make(family, spec, layers=2), examples(spec)
    whole, behind = model.read(x)
    first, state = model.read(x[:, :5])
    second, state = model.read(x[:, 5:], state=state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    for carried, one in zip(state, behind, strict=True):
        np.testing.assert_allclose(carried, one, atol=1e-6)


def test_padding_leaves_state_and_likelihood_unchanged():
    model, x = make(layers=2), examples()
    length = np.array([5, 5, 5, 5], np.int32)
    other = x.copy()
    other[:, 5:] = (x[:, 5:] + 1) % TEXT.vocabulary
    nats, state = model.read(x, length)
    assert not np.any(nats[:, 5:])
    for padded, alone in zip(state, model.read(x[:, :5])[1], strict=True):
        np.testing.assert_allclose(padded, alone, atol=1e-6)
    np.testing.assert_array_equal(model.log_prob(x, length), model.log_prob(other, length))
    np.testing.assert_array_equal(model.encode(x, length), model.encode(other, length))
    beginning = model.read(x, np.zeros(4, np.int32))[1]
    for unread, zero in zip(beginning, model.begin(4), strict=True):
        np.testing.assert_array_equal(unread, zero)


@pytest.mark.parametrize("spec", [TEXT, ROLL])
def test_no_step_sees_its_future(spec):
    model, x = make(spec=spec), examples(spec)
    changed = x.copy()
    changed[:, 7:] = examples(spec, seed=1)[:, 7:]
    before, after = model.read(x)[0], model.read(changed)[0]
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.any(before[:, 7:] != after[:, 7:])


# -- the readouts --------------------------------------------------------------------------------------


def test_perplexity_of_a_model_that_knows_nothing_is_the_vocabulary():
    model, x = make(), examples()
    model.readout.kernel.assign(tf.zeros_like(model.readout.kernel))
    length = np.array([12, 3, 7, 1], np.int32)
    mean_nats = -np.sum(model.log_prob(x, length)) / length.sum()
    assert np.exp(mean_nats) == pytest.approx(TEXT.vocabulary, rel=1e-6)
    assert learn(model, x, length=length)[0] == pytest.approx(mean_nats, rel=1e-6)


def test_symbols_outside_of_the_vocabulary_are_impossible():
    model, x = make(), examples()
    x[0, 3], x[1, 11] = TEXT.vocabulary, -1
    found = np.asarray(model.log_prob(x, np.array([12, 11, 12, 12])))
    assert np.isneginf(found[0])
    assert np.isfinite(found[1:]).all(), "a symbol behind the end does not count"


def test_nan_in_a_roll_is_nan():
    model, x = make(spec=ROLL), examples(ROLL)
    x[2, 4, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(model.log_prob(x)), [False, False, True, False])


def test_ordered_pitches_see_lower_ones_alone():
    readout = OrderedPitches(6, 3, 8)
    random = np.random.default_rng(0)
    for weight in readout.weights:
        weight.assign(random.normal(size=weight.shape))
    hidden, x = tf.constant(random.normal(size=(1, 3)), tf.float32), tf.Variable(examples(ROLL)[0, :1])
    with tf.GradientTape(persistent=True) as tape:
        logits = readout.given(hidden, x)
        each = [logits[0, d] for d in range(6)]
    for d in range(6):
        gradient = tape.gradient(each[d], x).numpy()[0]
        assert not gradient[d:].any()
        assert (gradient[:d] != 0).all()


def test_independent_pitches_are_a_sum_over_pitches():
    readout = Pitches(2, 3)
    hidden = tf.constant([[0.5, -1.0, 2.0]])
    p = 1 / (1 + np.exp(-readout.logits(hidden).numpy()[0]))
    found = readout.nats(hidden, tf.constant([[1.0, 0.0]])).numpy()[0]
    assert found == pytest.approx(-np.log(p[0]) - np.log(1 - p[1]), rel=1e-5)


# -- learning ------------------------------------------------------------------------------------------


def test_a_piece_as_long_as_the_window_is_no_truncation():
    x = examples()
    whole, one, pieces = (make(truncate=truncate) for truncate in (0, 12, 6))
    assert learn(whole, x, 2) == learn(one, x, 2)
    learn(pieces, x, 2)
    assert int(pieces.optimizer.iterations) == 2 * int(one.optimizer.iterations)
    same = [np.array_equal(a, b) for a, b in zip(whole.get_weights(), pieces.get_weights(), strict=True)]
    assert not any(same)


def test_the_gradient_is_clipped_by_its_global_norm():
    model = make(clip=1e-3)
    learn(model, examples())
    momenta = [v for v in model.optimizer.variables if "momentum" in v.path]
    assert len(momenta) == len(model.trainable_variables)
    norm = np.sqrt(sum(np.sum(np.square(v)) for v in momenta))
    assert norm == pytest.approx((1 - 0.9) * 1e-3, rel=1e-4)


def test_dropout_hides_while_learning_and_never_while_scoring():
    x = examples()
    with_it, without = make(dropout=0.5), make()
    np.testing.assert_array_equal(with_it.log_prob(x), without.log_prob(x))
    assert learn(with_it, x) != learn(without, x)


def test_the_step_size_falls_to_a_hundredth():
    model = make(learning_rate=0.01, decay_steps=4)
    learn(model, examples(), epochs=4)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4, rel=1e-4)


@pytest.mark.parametrize("spec", [TEXT, ROLL])
def test_one_batch_is_learnt_by_heart(spec):
    x = examples(spec, n=2)
    model = make(spec=spec, units=32, embedding=8, learning_rate=0.03)
    assert learn(model, x, 150)[-1] < 0.1


# -- completion ----------------------------------------------------------------------------------------


def test_completions_go_on_from_their_prompts():
    """By definition: the likeliest symbol, again and again, each time from the whole text."""
    model, prompts = make(), [[1, 2, 3, 4, 0, 1], [], [3]]
    expected = []
    for prompt in prompts:
        text = list(prompt)
        for _ in range(3):
            hidden = model.encode(np.array([[*text, 0]], np.int32), np.array([len(text)]))
            text.append(int(np.argmax(model.readout.logits(hidden))))
        expected.append(text[len(prompt) :])
    greedy = model.complete(prompts, 3, temperature=0)
    assert [found.tolist() for found in greedy] == expected
    for options in ({"top_k": 1}, {"top_p": 0.0}):
        assert [found.tolist() for found in model.complete(prompts, 3, **options, seed=3)] == expected


def test_a_completion_depends_on_its_seed_and_place_alone():
    model = make()
    few, many = model.complete([[1, 2]], 40, seed=1), model.complete([[1, 2], [0]], 40, seed=1)
    assert few[0].tolist() == many[0].tolist()
    assert few[0].tolist() != model.complete([[1, 2]], 40, seed=2)[0].tolist()
    assert few[0].dtype == np.int32


def test_completions_follow_the_readout():
    model, prompt = make(), [1, 2]
    drawn = np.concatenate(model.complete([prompt] * 4096, 1))
    hidden = model.encode(np.array([prompt], np.int32))
    probability = tf.nn.softmax(model.readout.logits(hidden))[0].numpy()
    found = np.bincount(drawn, minlength=TEXT.vocabulary) / len(drawn)
    np.testing.assert_allclose(found, probability, atol=4 * 0.5 / np.sqrt(len(drawn)))


def test_prompts_that_cannot_be_completed_are_refused():
    with pytest.raises(ValueError, match="prompt 1: symbol 5 at place 2 is none of the 5"):
        make().complete([[1], [0, 1, 5]], 3)
    with pytest.raises(ValueError, match="at least 1 symbol"):
        make().complete([[1]], 0)
    with pytest.raises(ValueError, match="temperature"):
        make().complete([[1]], 3, temperature=-1)
    with pytest.raises(TypeError, match="this one is of rolls"):
        make(spec=ROLL).complete([[1]], 3)
    assert make().complete([], 3) == []


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "length", "said"),
    [
        (np.zeros((4, 12, 1), np.int32), None, r"x is \[B, T\]"),
        (np.zeros((4, 0), np.int32), None, r"x is \[B, T\]"),
        (np.zeros((4, 12), np.int32), np.ones(3, np.int32), r"length \[B\]"),
        (np.zeros((4, 12), np.int32), np.full(4, 13, np.int32), r"every length is in 0\.\.12"),
    ],
)
def test_other_shapes_are_refused(x, length, said):
    with pytest.raises(ValueError, match=said):
        make().log_prob(x, length)


def test_specs_without_a_vocabulary_or_pitches_are_refused():
    with pytest.raises(ValueError, match="vocabulary of at least 1 symbol"):
        make(spec=Spec(kind="tokens", shape=(4,)))
    with pytest.raises(ValueError, match=r"rolls \[length, pitches\]"):
        make(spec=Spec(kind="roll", shape=(4,)))
