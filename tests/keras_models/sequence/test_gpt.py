"""GPT: the contract, no view of the future, kept keys and values, prompts, fine-tuning."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import keras_models
from keras_models.sequence.attention_model import after
from keras_models.spec import Spec
from tests.contract import Contract

SPEC = Spec(kind="tokens", shape=(8,), vocabulary=5)
TINY = {"layers": 1, "heads": 2, "width": 8, "learning_rate": 0.01, "warm_up": 2}
RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 5, (4, 8)).astype(np.int32)


def build(seed: int = 0, **settings):
    config = keras_models.describe("gpt").config.parse({**TINY, **settings})
    return keras_models.build("gpt", SPEC, config, seed=seed)


def spread(model):
    """Weights large enough that every position matters."""
    for number, variable in enumerate(model.weights):
        if len(variable.shape) == 2:
            variable.assign(np.random.default_rng(number).normal(0, 0.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def gpt():
    """Two layers with large weights."""
    return spread(build(layers=2))


class TestGPT(Contract):
    family = "gpt"
    spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
    settings = {**TINY, "dropout": 0.1, "decay_steps": 100}
    resume_needs = ("seed_generator", "adam_w", "iteration")
    tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)


# -- the network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_no_position_sees_its_future(positions):
    model = spread(build(layers=2, positions=positions))
    x = model.stack.embed(after(model.start, tf.constant(X)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        some = model.stack.whole(x) * np.arange(8, dtype=np.float32)  # a norm's entries sum to nothing
        found = tf.reduce_sum(some, axis=2)
    past = tape.batch_jacobian(found, x, experimental_use_pfor=False)
    size = np.abs(past.numpy()).max(axis=(0, 3))  # [state, symbol read]
    assert (size[np.triu_indices(8, 1)] == 0).all()
    assert (size[np.tril_indices(8)] > 0).all()


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_kept_keys_and_values_give_the_same_logits_wherever_they_begin(positions):
    model = spread(build(layers=2, positions=positions))
    expected, read = model.logits(X).numpy(), after(model.start, tf.constant(X))
    for together in (1, 2, 3, 8):
        kept = model.stack.empty(4, 8)
        kept = [(keys + 9, values + 9) for keys, values in kept]  # what is ahead is not read
        for t in range(0, 9 - together, together):
            hidden, kept = model.stack.next(read[:, t : t + together], tf.constant(t), kept)
            found = model.stack.logits(hidden)
            np.testing.assert_allclose(found, expected[:, t : t + together], atol=1e-5)


def test_rotary_positions_are_relative():
    model = spread(build(positions="rotary"))
    attention = model.stack.blocks[0].attention
    x = tf.constant(RANDOM.normal(size=(1, 8, 8)), tf.float32)
    here, _, _ = attention.queries_keys_values(x, tf.range(8))
    _, there, _ = attention.queries_keys_values(x, tf.range(8))
    far, _, _ = attention.queries_keys_values(x, tf.range(8) + 5)
    _, far_there, _ = attention.queries_keys_values(x, tf.range(8) + 5)
    scores = lambda q, k: tf.einsum("bqhd,bkhd->bhqk", q, k)  # noqa: E731
    np.testing.assert_allclose(scores(here, there), scores(far, far_there), atol=1e-4)


def test_the_first_loss_is_that_of_guessing():
    loss = -np.asarray(build().log_prob(X)).mean() / 8
    assert loss == pytest.approx(np.log(5), rel=0.01)


def test_one_batch_is_learnt_by_heart():
    model = build(width=32, warm_up=10, weight_decay=0.0)
    model.compile()
    batch = tf.data.Dataset.from_tensors({"x": X}).repeat(150)
    model.fit(batch, verbose=0)
    nats = model.surprise(X).numpy()
    assert nats[:, 1:].mean() < 0.1 + np.log(4) / 7  # one in four is to be guessed, at the first or later
    assert nats[:, 4:].mean() < 0.1


def test_padding_counts_nothing(gpt):
    other = np.where(np.arange(8) < 5, X, 1)
    length = np.full(4, 5)
    found = np.asarray(gpt.log_prob(X, length))
    np.testing.assert_array_equal(found, gpt.log_prob(other, length))
    np.testing.assert_allclose(found, -gpt.surprise(X).numpy()[:, :5].sum(1), rtol=1e-5)


def test_what_is_no_sequence_of_its_symbols(gpt):
    unknown = X.copy()
    unknown[1, 3] = 5
    found = np.asarray(gpt.log_prob(unknown))
    assert found[1] == -np.inf
    assert np.isfinite(found[[0, 2, 3]]).all()
    with pytest.raises(ValueError, match="at most 8 symbols long, and these are 9"):
        gpt.log_prob(np.zeros((2, 9), np.int32))
    with pytest.raises(ValueError, match=r"every length is in 0\.\.8"):
        gpt.log_prob(X, np.array([1, 2, 3, 9]))
    with pytest.raises(ValueError, match="multiple of 6"):
        build(heads=3)


# -- completion ----------------------------------------------------------------------------------------


def greedy(model, prompt, n):
    """The likeliest symbol, n times, without kept keys and values."""
    text = list(prompt)
    for _ in range(n):
        x = np.array([(text + [0] * 8)[:8]], np.int32)
        text.append(int(model.logits(x)[0, len(text)].numpy().argmax()))
    return text[len(prompt) :]


def test_greedy_completion_is_the_argmax_without_a_cache(gpt):
    prompts = [[], [1], [4, 4, 2], [0, 1, 2, 3]]
    found = gpt.complete(prompts, 4, temperature=0.0)
    for prompt, made in zip(prompts, found, strict=True):
        assert made.tolist() == greedy(gpt, prompt, 4), prompt


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_long_prompts_are_read_in_groups_to_the_same_end(positions):
    spec = Spec(kind="tokens", shape=(100,), vocabulary=5)
    config = keras_models.describe("gpt").config.parse({**TINY, "positions": positions})
    model = spread(keras_models.build("gpt", spec, config))
    for lengths in ([8, 17, 20], [70]):  # room for 64 symbols is enough, or not
        prompts = [RANDOM.integers(0, 5, length).tolist() for length in lengths]
        for prompt, made in zip(prompts, model.complete(prompts, 4, temperature=0.0), strict=True):
            text = np.append(prompt, made).astype(np.int32)
            best = model.logits(text[None]).numpy()[0].argmax(axis=-1)
            assert made.tolist() == best[len(prompt) :].tolist()


def test_beyond_the_context_the_last_half_is_read_again(gpt):
    (made,) = gpt.complete([[1, 2]], 20, temperature=0.0)
    text = [1, 2, *greedy(gpt, [1, 2], 6)]
    while len(text) < 22:
        text += greedy(gpt, text[-4:], 4)
    assert made.tolist() == text[2:22]
    long = [0, 1, 2, 3, 4, 3, 2, 1, 0, 4]
    (made,) = gpt.complete([long], 4, temperature=0.0)
    assert made.tolist() == greedy(gpt, long[-4:], 4)


def test_a_completion_depends_on_its_place_and_the_seed_alone(gpt):
    prompts = [[1], [2, 3, 4], [], [0]]
    found = gpt.complete(prompts, 5, seed=3)
    again = gpt.complete([prompts[0], [4, 4], [1]], 5, seed=3)
    assert found[0].tolist() == again[0].tolist()
    other = gpt.complete(prompts, 5, seed=4)
    assert [f.tolist() for f in found] != [o.tolist() for o in other]
    same = gpt.complete([[1]] * 4, 5, seed=3)
    assert len({tuple(each.tolist()) for each in same}) > 1


def test_a_completion_ends_before_its_stop(gpt):
    (whole,) = gpt.complete([[1]], 12, temperature=0.0)
    for stop in (whole[3:5].tolist(), whole[:1].tolist(), whole[6:9].tolist()):
        starts = [i for i in range(12) if whole[i : i + len(stop)].tolist() == stop]
        (made,) = gpt.complete([[1]], 12, temperature=0.0, stop=[stop])
        assert made.tolist() == whole[: starts[0]].tolist()
    (made,) = gpt.complete([whole[3:5].tolist()], 2, temperature=0.0, stop=[whole[3:5].tolist()])
    assert len(made) == 2 or made.tolist() != whole[3:5].tolist(), "the prompt's own symbols are no stop"


def test_samples_follow_the_probabilities(gpt):
    gpt_first = np.exp(-gpt.surprise(np.arange(5)[:, None].repeat(8, 1)).numpy()[:, 0])
    drawn = gpt.sample(4096, seed=1)[:, 0]
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 4096, gpt_first, atol=0.03)


def test_a_symbol_once_written_is_penalised(gpt):
    made = gpt.complete([[1, 2]] * 4, 3, temperature=0.0, repetition_penalty=1000.0)
    assert all(len({1, 2, *row.tolist()}) == 5 for row in made), "five symbols, none of them twice"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prompts": [[1], [0, 7]], "n": 2}, "prompt 1: symbol 7 at place 1 is none of the 5"),
        ({"prompts": [[1]], "n": 0}, "at least 1 symbol"),
        ({"prompts": [[1]], "n": 2, "stop": [[]]}, "one is empty"),
        ({"prompts": [[1]], "n": 2, "top_p": 1.5}, "top_p is between 0 and 1"),
        ({"prompts": [[1]], "n": 2, "temperature": -1.0}, "temperature is between"),
    ],
)
def test_what_cannot_be_completed_is_said(gpt, asked, said):
    with pytest.raises(ValueError, match=said):
        gpt.complete(**asked)


# -- fine-tuning ---------------------------------------------------------------------------------------


def test_fine_tuning_starts_from_a_checkpoint_and_leaves_frozen_blocks(gpt):
    model = build(seed=1, layers=2, frozen=1)
    model.start_from(gpt)
    np.testing.assert_array_equal(model.log_prob(X), gpt.log_prob(X))
    model.compile()
    model.fit(tf.data.Dataset.from_tensors({"x": X}).repeat(2), verbose=0)
    learnt = {id(weight) for weight in [*model.stack.blocks[1].weights, *model.stack.norm.weights]}
    for mine, theirs in zip(model.weights, gpt.weights, strict=True):
        moved = np.asarray(mine).tobytes() != np.asarray(theirs).tobytes()
        assert moved == (id(mine) in learnt), mine.path


def test_a_checkpoint_that_does_not_fit_is_refused(gpt):
    with pytest.raises(ValueError, match=r"config has other shapes \(the number of layers\)"):
        build().start_from(gpt)
    with pytest.raises(ValueError, match="other shapes"):
        build(layers=2, width=16).start_from(gpt)
    other = keras_models.build("gpt", Spec(kind="tokens", shape=(8,), vocabulary=6), build().config)
    with pytest.raises(ValueError, match="over 6 symbols, 8 long, cannot start from 'gpt' over 5"):
        other.start_from(build())
