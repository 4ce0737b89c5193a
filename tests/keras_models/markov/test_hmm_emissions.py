"""Emissions of hidden Markov models: the battery for each, and odd input."""

import numpy as np
import pytest
import tensorflow as tf

from keras_models import build, describe
from keras_models.spec import Spec
from tests.contract import Contract
from tests.contract_checks import follows_density, follows_mass
from tests.keras_models.markov.hmm_cases import EACH, STEPS, data_of, model_of
from tests.tiny_data import tiny_data


class TestChords(Contract):
    family = "hmm"
    spec = Spec(kind="roll", shape=(STEPS, 4))
    settings = {"states": 2, "emission_pseudo_count": 0.1}
    resume_needs = ("transition_count", "sounding_1_count", "hmm/sounding", "begun")
    tiny = Spec(kind="roll", shape=(3, 2))


class Series(Contract):
    """Numbers: nothing is missing, and the density is integrated over two steps of one channel."""

    family = "hmm"
    spec = Spec(kind="series", shape=(STEPS, 2))
    settings = {"states": 2}
    resume_needs = ("transition_count", "mean_1_count", "hmm/mean", "begun")
    tiny = Spec(kind="series", shape=(2, 1))
    tfp_tolerance = 1e-6  # it reads float32

    @classmethod
    def data(cls, spec):
        arrays = tiny_data(spec)
        x = np.where(arrays["mask"] > 0, arrays["x"], 0.4).astype(np.float32)
        return {"x": x, "length": arrays["length"]}

    def test_exact_probabilities_add_up_and_samples_follow_them(self):
        model = self.build(self.tiny)
        model.compile()
        model.fit(self.stream(self.tiny), epochs=2, verbose=0)
        follows_density(model, self.tiny, self.score)


@pytest.mark.slow
class TestGaussian(Series):
    pass


@pytest.mark.slow
class TestFullGaussian(Series):
    settings = {"states": 2, "emission": "full_gaussian"}


@pytest.mark.slow
class TestGaussianMixture(Series):
    settings = {"states": 2, "emission": "gaussian_mixture", "components": 2}


@pytest.mark.slow
class TestCounts(Series):
    settings = {"states": 2, "emission": "poisson"}
    resume_needs = ("transition_count", "rate_1_count", "hmm/rate", "begun")

    @classmethod
    def data(cls, spec):
        arrays = super().data(spec)
        return arrays | {"x": np.round(4 * np.abs(arrays["x"]))}

    def test_exact_probabilities_add_up_and_samples_follow_them(self, monkeypatch):
        model = self.build(self.tiny)
        model.compile()
        model.fit(self.stream(self.tiny), epochs=2, verbose=0)
        pairs = np.stack(np.meshgrid(*[np.arange(40)] * 2, indexing="ij"), -1).reshape(-1, 2, 1)
        every = {"x": pairs.astype(np.float32)}
        monkeypatch.setattr("tests.contract_checks.every_value", lambda spec: every)
        follows_mass(model, self.tiny, self.score)


# -- odd input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("emission", [EACH[2], EACH[4], EACH[5]])
def test_what_is_missing_is_summed_over(emission):
    model = model_of(emission)
    x, _, length = data_of(model)
    mask = np.ones_like(x)
    np.testing.assert_allclose(model.log_prob(x, length, mask), model.log_prob(x, length), rtol=1e-12)
    np.testing.assert_allclose(model.log_prob(np.nan * x, length, 0 * mask), 0, atol=1e-12)
    mask[:, :, 1] = 0
    alone = build("hmm", Spec(kind="series", shape=(STEPS, 1)), model.config)
    cut = [
        rows[..., :1] if rows.shape[-1] == 2 and i > 1 else rows
        for i, rows in enumerate(model.candidates[0].arrays())
    ]
    if emission == "gaussian_mixture":
        cut[4] = model.candidates[0].arrays()[4]
    alone.candidates[0].assign(cut)
    np.testing.assert_allclose(
        model.log_prob(x, length, mask), alone.log_prob(x[..., :1], length), rtol=1e-12
    )


@pytest.mark.parametrize("emission", EACH[1:])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_marked(emission, bad):
    model = model_of(emission)
    x, _, length = data_of(model)
    x[0, 2, 0] = bad
    found = np.asarray(model.log_prob(x, length))
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()


def test_chords_that_cannot_be_are_impossible():
    model = model_of("bernoulli", states=2)
    model.candidates[0].parameters[2].assign([[0.0, 0.5, 1.0], [0.0, 0.5, 0.5]])
    x = np.array([[[0, 1, 0]] * STEPS, [[1, 0, 1]] * STEPS, [[0, 0, 1]] * STEPS], np.float32)
    found = np.asarray(model.log_prob(x))
    assert np.isneginf(found[1])
    assert np.isfinite(found[[0, 2]]).all()
    gamma = model.smooth_states(x).numpy()
    assert np.all(gamma[0, :, 0] == 0)  # the first state always sounds the third pitch
    assert np.all(gamma[1] == 0)


def test_counts_below_zero_or_between_whole_numbers_are_impossible():
    model = model_of("poisson", states=2)
    x = np.ones((3, STEPS, 2), np.float32)
    x[0, 3, 1], x[1, 0, 0] = -1, 0.5
    np.testing.assert_array_equal(np.isneginf(model.log_prob(x)), [True, True, False])
    model.candidates[0].parameters[2].assign(np.zeros((2, 2)))
    np.testing.assert_array_equal(np.isneginf(model.log_prob(x)), [True] * 3)
    np.testing.assert_allclose(model.log_prob(0 * x), 0, atol=1e-12)


def test_a_state_that_cannot_be_reached_hides_no_other():
    """The second state explains all that is seen 800 nats better, and no path leads there."""
    model = model_of("gaussian", states=2, structure="left_right", steps=3)
    values = [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [40.0, 0.0]], np.ones((2, 2))
    model.candidates[0].assign([np.array(value) for value in values])
    x = np.zeros((1, 3, 2), np.float32)
    x[..., 0] = 40
    expected = 3 * (-0.5 * 1600 - np.log(2 * np.pi))
    np.testing.assert_allclose(model.log_prob(x), [expected], rtol=1e-12)
    np.testing.assert_allclose(model.smooth_states(x)[0], [[1, 0]] * 3)


@pytest.mark.parametrize("emission", EACH[2:5])
def test_identical_points_keep_a_variance(emission):
    spec = Spec(kind="series", shape=(3, 2))
    model = build("hmm", spec, describe("hmm").config(states=2, emission=emission))
    x = np.full((4, 3, 2), 2.5, np.float32)
    model.compile()
    history = model.fit(tf.data.Dataset.from_tensor_slices({"x": x}).batch(4), epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(model.log_prob(x)).all()
    np.testing.assert_allclose(model.sample(5), 2.5, atol=1e-3)


def test_a_step_of_which_some_is_missing_is_refused_by_full_covariance():
    model = model_of("full_gaussian")
    x, mask, length = data_of(model)
    mask[0, 0] = [0, 1]
    with pytest.raises(ValueError, match="take emission 'gaussian'"):
        model.log_prob(x, length, mask)
    model.compile()
    data = tf.data.Dataset.from_tensor_slices({"x": x, "length": length, "mask": mask}).batch(5)
    with pytest.raises(ValueError, match="take emission 'gaussian'"):
        model.fit(data, verbose=0)


def test_wrong_shapes_are_refused_by_name():
    model = model_of("gaussian")
    with pytest.raises(ValueError, match=r"x is \[B, T, 2\]"):
        model.log_prob(np.zeros((2, STEPS, 3), np.float32))
    with pytest.raises(ValueError, match="mask has the shape of x"):
        model.log_prob(np.zeros((2, STEPS, 2), np.float32), mask=np.ones((2, STEPS)))
    with pytest.raises(ValueError, match=r"history is \[n, t, 2\]"):
        model.forecast(np.zeros((2, STEPS, 3)), 2)
    with pytest.raises(ValueError, match="at least 1"):
        model.forecast(np.zeros((2, STEPS, 2)), 0)
    with pytest.raises(TypeError, match="only series are forecast"):
        model_of("bernoulli").forecast(np.zeros((2, STEPS, 3)), 1)
