"""Vector autoregression: the contract, statsmodels' numbers, and what it says of bad series."""

import numpy as np
import pytest

from keras_models.autoregressive.vector_filter import stationary_covariance
from keras_models.spec import Spec
from tests.contract import Contract
from tests.keras_models.autoregressive.conftest import batch_of, learn, make, score


class TestVAR(Contract):
    family = "var"
    spec = Spec(kind="series", shape=(6, 2))
    settings = {"order": 1}
    resume_needs = ("sums",)
    tiny = Spec(kind="series", shape=(2, 1))


@pytest.fixture(scope="module")
def macro(golden):
    return np.array(golden["macro"])


@pytest.fixture(scope="module")
def fitted(macro):
    model = make("var", len(macro), channels=3, order=2)
    learn(model, batch_of(macro[None]))
    return model


def with_process(steps, matrices, noise, mean=0.0):
    """A model of given lag matrices, in place of one that learns."""
    matrices, noise = np.array(matrices, float), np.array(noise, float)
    model = make("var", steps, channels=len(noise), order=len(matrices))
    model.matrices.assign(matrices)
    model.noise.assign(noise)
    model.mean.assign(np.broadcast_to(mean, len(noise)))
    model.spread.assign(stationary_covariance(matrices, noise))
    return model


def test_least_squares_is_statsmodels(fitted, golden):
    params = np.array(golden["var"]["params"])  # rows: constant, lag 1 of each channel, lag 2
    np.testing.assert_allclose(
        fitted.matrices, params[1:].reshape(2, 3, 3).swapaxes(1, 2), rtol=0, atol=1e-12
    )
    intercept = (np.eye(3) - fitted.matrices.numpy().sum(0)) @ fitted.mean.numpy()
    np.testing.assert_allclose(intercept, params[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(fitted.noise, golden["var"]["sigma_u_mle"], rtol=1e-10)


def test_impulse_responses_are_statsmodels(fitted, golden):
    root = np.linalg.cholesky(np.array(golden["var"]["sigma_u"]))  # its shocks are of the unbiased covariance
    unit = fitted.impulse_responses(5) @ np.linalg.inv(np.linalg.cholesky(fitted.noise.numpy()))
    np.testing.assert_allclose(unit @ root, golden["var"]["irf"], rtol=0, atol=1e-12)


def test_forecast_is_statsmodels(fitted, macro, golden):
    mean, deviation = fitted.forecast_normal(macro[None], 6)
    np.testing.assert_allclose(mean[0], golden["var"]["forecast"], rtol=0, atol=1e-12)
    df = np.array(golden["var"]["sigma_u"])[0, 0] / np.array(golden["var"]["sigma_u_mle"])[0, 0]
    squares = np.array(golden["var"]["mse"])[:, range(3), range(3)]
    np.testing.assert_allclose(deviation[0] ** 2 * df, squares, rtol=1e-9)


def test_drawn_paths_have_the_forecasts_mean_and_deviation(fitted, macro):
    drawn = fitted.forecast(macro[None], 4, samples=4000, seed=1)
    mean, deviation = fitted.forecast_normal(macro[None], 4)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * deviation.max() / np.sqrt(4000))
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.06)


@pytest.mark.parametrize("missing", [False, True])
def test_density_is_that_of_statsmodels_filter(golden, macro, missing):
    found = golden["varmax"]
    matrices = np.array(found["params"][:9]).reshape(1, 3, 3)
    root = np.zeros((3, 3))
    root[np.tril_indices(3)] = found["params"][9:]
    model = with_process(len(macro), matrices, root @ root.T, macro.mean(0))
    x, expected = macro, found["llf"]
    if missing:
        x = np.where(np.array(golden["varmax_missing"]["mask"]) > 0, macro, np.nan)
        model.mean.assign(macro.mean(0))
        expected = golden["varmax_missing"]["llf"]
    np.testing.assert_allclose(score(model, x[None])[0], expected, rtol=0, atol=1e-6)


def test_density_is_the_dense_normals():
    model = with_process(3, [[[0.5, 0.1], [0.2, 0.3]]], [[1, 0.4], [0.4, 2]], [0.5, -1])
    spread, step = model.spread.numpy(), model.matrices.numpy()[0]
    blocks = [
        [np.linalg.matrix_power(step, i - j) @ spread if i >= j else None for j in range(3)] for i in range(3)
    ]
    dense = np.block([[blocks[i][j] if i >= j else blocks[j][i].T for j in range(3)] for i in range(3)])
    x = np.arange(6.0).reshape(1, 3, 2)
    error = (x - [0.5, -1]).ravel()
    expected = -0.5 * (error @ np.linalg.solve(dense, error) + np.linalg.slogdet(2 * np.pi * dense)[1])
    np.testing.assert_allclose(score(model, x), [expected], rtol=1e-12)


def test_residuals_of_its_own_samples_are_white():
    model = with_process(300, [[[0.5, 0.1], [0.2, 0.3]]], [[1, 0.4], [0.4, 2]])
    x = model.sample(20, seed=0)
    found = np.asarray(model.residuals(x, length=np.full(20, 200)))
    assert np.isnan(found[:, 200:]).all()
    seen = found[:, :200].reshape(-1, 2)
    np.testing.assert_allclose(np.cov(seen.T), np.eye(2), atol=0.08)
    assert abs(np.corrcoef(seen[1:, 0], seen[:-1, 0])[0, 1]) < 0.05


def test_in_pieces_it_learns_the_same(macro):
    rows = macro[:200].reshape(4, 50, 3)
    whole, pieces = (make("var", 50, channels=3, order=2) for _ in range(2))
    learn(whole, batch_of(rows))
    learn(pieces, batch_of(rows), size=1)
    np.testing.assert_allclose(whole.matrices, pieces.matrices, rtol=1e-9)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.ones((1, 40, 2)), "constant, or a sum of the others"),
        (np.full((1, 40, 2), np.nan), "have 0 steps"),
        (np.random.default_rng(0).normal(size=(1, 4, 2)), "needs 6"),
        (np.cumsum(np.ones((1, 40, 2)), 1) * [1, 2], "constant, or a sum of the others"),
    ],
)
def test_series_that_say_nothing_are_refused(x, said):
    with pytest.raises(ValueError, match=said):
        learn(make("var", x.shape[1], channels=2), batch_of(x))


def test_series_that_wander_off_are_told():
    walk = np.cumsum(np.random.default_rng(0).normal(size=(1, 30, 1)) + 2, 1) ** 2
    with pytest.warns(UserWarning, match="not stationary"):
        learn(make("var", 30, order=1, constant=False), batch_of(walk))


def test_wrong_use_is_told(fitted):
    with pytest.raises(ValueError, match=r"a history is \[n, t, 3\]"):
        fitted.forecast(np.zeros((1, 5, 2)), 3)
    with pytest.raises(ValueError, match="1 step at least"):
        fitted.forecast(np.zeros((1, 5, 3)), 0)
    with pytest.raises(ValueError, match="too short for order 5"):
        make("var", 5, order=5)
    with pytest.raises(ValueError, match="takes no covariates"):
        make("var", 5, covariates=1)
