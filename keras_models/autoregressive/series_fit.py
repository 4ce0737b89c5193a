"""The exact likelihood of many series, each with its own process, and its maximum: a panel is one fit.

For given polynomials the best regression (generalised least squares) and variance are known, so the search is over
polynomials alone (Harvey 1989, 3.4). Value and gradient are one XLA program; where the regression is best it does
not change the gradient, so it is held.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.angles import free_of, slopes
from keras_models.autoregressive.kalman import Process
from keras_models.autoregressive.panel_optimizer import UNKNOWN, minimised, padded_sizes
from keras_models.autoregressive.score import Score, scored, widest
from keras_models.autoregressive.scoring import Valued, scored_least
from keras_models.autoregressive.stationarity import invertible, product, stationary
from keras_models.autoregressive.whitening import whitened

AT_ONCE = 128  # searches in one call: what a call keeps for its gradient stays in cache
STARTS = (  # of autoregression and moving average, near and seasonal
    (0.05, 0.05, 0.05, 0.05),
    (2.0, -2.0, 2.0, -2.0),
    (-2.0, 2.0, -2.0, 2.0),
    (2.0, -2.0, -2.0, 2.0),
    (-2.0, 2.0, 2.0, -2.0),
)
FLAT = 1e-20  # squares left, of the series' own, at which a series never changes


class Polynomials(NamedTuple):
    """Degrees of phi and theta, near and seasonal, and the differencing `delta`."""

    ar: int
    ma: int
    seasonal_ar: int
    seasonal_ma: int
    season: int
    delta: tuple[float, ...]

    @property
    def size(self) -> int:
        """Free numbers of one process."""
        return self.ar + self.ma + self.seasonal_ar + self.seasonal_ma

    @property
    def degrees(self) -> tuple[int, int]:
        """Of the products."""
        return self.ar + self.season * self.seasonal_ar, self.ma + self.season * self.seasonal_ma

    def process(self, free: Any) -> Process:
        """The processes that free numbers `[size, U]` stand for."""
        ar, ma, seasonal_ar, seasonal_ma = tf.split(
            free, [self.ar, self.ma, self.seasonal_ar, self.seasonal_ma]
        )
        return Process(
            product(stationary(ar), stationary(seasonal_ar), self.season, -1),
            product(invertible(ma), invertible(seasonal_ma), self.season, 1),
            self.delta,
        )

    def candidates(self, choose: bool) -> Candidates:
        """Where searches begin, of these orders or, to `choose`, of all up to them.

        A number that is 0 is a partial autocorrelation of 0, and the last of them make a lower order: so all orders
        are one program, and differ in which numbers are free.
        """
        degrees = self[:4]
        orders = np.ndindex(*(n + 1 for n in degrees)) if choose else [degrees]
        start, free, kinds = [], [], []
        for kind, order in enumerate(orders):
            own = np.concatenate([np.arange(n) < m for n, m in zip(degrees, order, strict=True)])
            cancel = (order[0] or order[2]) and (order[1] or order[3])  # else one peak
            for begin in STARTS if all(order) else STARTS[:3] if cancel else STARTS[:1]:
                start.append(np.where(own, np.repeat(begin, degrees), 0.0))
                free.append(own)
                kinds.append(kind)
        return Candidates(np.array(start), np.array(free, bool), np.array(kinds))


class Candidates(NamedTuple):
    """Searches of one process: `start` `[S, size]`, which numbers are `free` `[S, size]`, and `kinds` `[S]`, which
    ones are the same but for where they begin."""

    start: np.ndarray
    free: np.ndarray
    kinds: np.ndarray


def aicc(nats: Any, numbers: Any, count: Any) -> np.ndarray:
    """Akaike's criterion corrected for few values (Hurvich & Tsai 1989): smaller is better; UNKNOWN where it is not
    defined.

    Args:
        nats: negative log likelihood. numbers: that were estimated, the variance too. count: values.
    """
    rest = count - numbers - 1
    found = 2 * nats + 2 * numbers + 2 * numbers * (numbers + 1) / np.where(rest > 0, rest, 1)
    return np.where((rest > 0) & (found < UNKNOWN), found, UNKNOWN)


class Panel(NamedTuple):
    """Estimates of U processes: `free` `[U, size]`, `regression` `[U, k]`, and `[U]` the variance, the log
    likelihood and the number of values that it is of, 0 where nothing could be estimated."""

    free: np.ndarray
    regression: np.ndarray
    variance: np.ndarray
    log_likelihood: np.ndarray
    observations: np.ndarray


def fitted(
    polynomials: Polynomials,
    columns: np.ndarray,
    there: np.ndarray,
    start: np.ndarray | None,
    choose: bool = False,
) -> Panel:
    """Maximum likelihood of each of U series; to `choose`, of the orders whose AICc is lowest.

    Args:
        columns: `[U, T, 1 + k]`: the series, 0 where missing, and its regressors.
        there: bool `[U, T]`.
        start: where to begin, `[U, size]`; what is 0 stays 0. By default `polynomials.candidates`.
    """
    count, k = len(columns), columns.shape[2] - 1
    given = len(polynomials.delta)
    searches = polynomials.candidates(choose)
    if start is None:
        begun, free = (np.repeat(one[:, None], count, axis=1) for one in searches[:2])
    else:
        begun, free = start[None], start[None] != 0
    kinds = searches.kinds[: len(begun)]
    whole = (there[:, :-1] | ~there[:, 1:]).all(axis=1)
    observed = np.maximum(there.sum(axis=1) - given, 0)
    found = Panel(begun[0].copy(), np.zeros((count, k)), np.ones(count), np.zeros(count), np.zeros(count))
    enough = (observed > polynomials.size + k + 1) & ~_flat(columns, there, polynomials.delta)
    for search, suited in ((_searched, whole), (_searched_with_gaps, ~whole)):
        rows = np.flatnonzero(enough & suited)
        if not len(rows):
            continue
        own = search(polynomials, columns[rows], there[rows], begun[:, rows], free[:, rows], kinds)
        for array, value in zip(found, own, strict=True):
            array[rows] = value
    return found


def _flat(columns: np.ndarray, there: np.ndarray, delta: tuple[float, ...]) -> np.ndarray:
    """Which series never change, once differenced and but for a level and their regression, bool `[U]`."""
    given = len(delta)
    z, known = differenced_rows(columns, delta), there[:, given:].copy()
    for j in np.flatnonzero(delta):
        known &= there[:, given - 1 - j : there.shape[1] - 1 - j]
    z = np.concatenate([z, np.ones_like(z[..., :1])], axis=2) * known[..., None]
    design, x = z[..., 1:], z[..., :1]
    rest = x - design @ (np.linalg.pinv(design) @ x)
    size = np.square(columns[..., 0]).sum(axis=1)
    return np.square(rest).sum(axis=(1, 2)) <= FLAT * size + 1e-300


def _searched(
    polynomials: Polynomials,
    columns: np.ndarray,
    there: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    kinds: np.ndarray,
) -> Panel:
    """Of complete series: by scoring along angles."""
    searches, units, size = start.shape
    given, k = len(polynomials.delta), columns.shape[2] - 1
    count = there.sum(axis=1) - given
    columns, rough = _without_regression(differenced_rows(columns, polynomials.delta), count)
    flat = free.reshape(searches * units, size)
    fixed = np.eye(size) * ~flat[:, None]  # a number that is not free stays 0
    sizes = padded_sizes(
        searches * units, widest(max(polynomials.degrees[0], polynomials.degrees[1] + 1), size, k + 1)
    )

    def at(angles: np.ndarray, rows: np.ndarray) -> Score:
        process = slopes(polynomials[:4], polynomials.season, angles.T)
        return scored(process, columns[rows], count[rows])

    def evaluate(trial: np.ndarray, problem: np.ndarray) -> Valued:
        found, able = at(trial, problem % units), flat[problem]
        gradient = np.where(able, found.gradient.T, 0.0)
        turned = np.maximum(
            -gradient * np.tan(trial), 0.0
        )  # where a sine turns its slope is 0: its bend counts
        information = np.moveaxis(found.information, -1, 0) * able[:, None] * able[:, :, None]
        return Valued(found.value, gradient, information + turned[:, None] * np.eye(size) + fixed[problem])

    search = scored_least(evaluate, np.arctan(start).reshape(searches * units, size), sizes, units, kinds)
    best = aicc(search.value.reshape(searches, units), free.sum(-1) + k + 1, count).argmin(0)
    point = search.point[best * units + np.arange(units)]
    parts = []
    for first in range(0, units, sizes[0]):
        rows = np.arange(first, min(first + sizes[0], units))
        asked = np.resize(rows, sizes[0])
        found = at(point[asked], asked)
        parts.append([one[..., : len(rows)] for one in (found.regression, found.variance, found.value)])
    regression, variance, nats = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return Panel(free_of(point), regression.T + rough, variance, -nats, count.astype(np.float64))


def differenced_rows(columns: np.ndarray, delta: tuple[float, ...]) -> np.ndarray:
    """`columns` `[U, T, k]` without what the last values say of the next: `[U, T - len(delta), k]`."""
    given = len(delta)
    found = columns[:, given:].copy()
    for j in np.flatnonzero(delta):
        found -= delta[j] * columns[:, given - 1 - j : columns.shape[1] - 1 - j]
    return found


def _without_regression(columns: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first column less its regression on the others by least squares, and the coefficients `[U, k]`: what is
    left of it has slopes that hardly depend on the regression."""
    there = np.arange(columns.shape[1]) < count[:, None]
    columns = np.where(there[..., None], columns, 0.0)
    x, z = columns[..., :1], columns[..., 1:]
    beta = np.linalg.pinv(z) @ x
    return np.concatenate([x - z @ beta, z], axis=2), beta[..., 0]


def _searched_with_gaps(
    polynomials: Polynomials,
    columns: np.ndarray,
    there: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    kinds: np.ndarray,
) -> Panel:
    """Of series with missing values: by BFGS on the Kalman filter's likelihood."""
    searches, count, size = start.shape
    known, flat = there.astype(np.float64), free.reshape(searches * count, size)

    def evaluate(trial: np.ndarray, problem: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = problem % count
        value, gradient = value_and_gradient(polynomials, trial.T, columns[rows], known[rows])
        return np.asarray(value), np.asarray(gradient).T * flat[problem]

    sizes = padded_sizes(searches * count, AT_ONCE)
    point = start[0]
    if size:
        search = minimised(evaluate, start.reshape(-1, size), sizes, count, kinds)
        value = search.state["value"].reshape(searches, count)
        values = there.sum(1) - len(polynomials.delta)
        numbers = free.sum(-1) + columns.shape[2]
        nats = np.where(value < UNKNOWN, values * (value + 0.5 * (np.log(2 * np.pi) + 1)), UNKNOWN)
        best = aicc(nats, numbers, values).argmin(0) * count + np.arange(count)
        point = search.state["point"][best]
    parts = []
    for first in range(0, count, sizes[0]):
        rows = np.arange(first, min(first + sizes[0], count))
        asked = np.resize(rows, sizes[0])
        own = estimates(polynomials, point[asked].T, columns[asked], known[asked])
        parts.append([np.asarray(one)[: len(rows)] for one in own])
    return Panel(point, *(np.concatenate(part) for part in zip(*parts, strict=True)))


@tf.function(jit_compile=True)
def value_and_gradient(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, Any]:
    """Mean negative log likelihood `[U]` but for a constant, and its gradient `[size, U]`, at `free` `[size, U]`."""
    with tf.GradientTape() as tape:
        tape.watch(free)
        value, *_ = _concentrated(polynomials, free, columns, known)
        total = tf.reduce_sum(tf.where(tf.math.is_finite(value), value, tf.zeros_like(value)))
    return value, tape.gradient(total, free)


@tf.function(jit_compile=True)
def estimates(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, ...]:
    """Regression `[U, k]`, variance, log likelihood in nats and how many values it is of, `[U]`."""
    value, beta, variance, count = _concentrated(polynomials, free, columns, known)
    nats = -count * (value + 0.5 * (np.log(2 * np.pi) + 1))
    regression = tf.stack(beta, -1) if beta else tf.zeros((tf.shape(columns)[0], 0), columns.dtype)
    return regression, variance, nats, count


def _concentrated(polynomials: Polynomials, free: Any, columns: Any, known: Any) -> tuple[Any, ...]:
    process = polynomials.process(free)
    if not polynomials.size:  # nothing is free: the shape comes from the data
        process = _white(process, columns)
    columns = tf.transpose(columns, (1, 2, 0))  # [T, 1 + k, U]
    there = tf.transpose(known) > 0
    v, f, counted = whitened(process, columns, there, True)
    weight = tf.cast(counted, v.dtype)
    beta = [tf.stop_gradient(one) for one in _least_squares(v, weight / f)]
    error = v[:, 0] - sum((b * v[:, j + 1] for j, b in enumerate(beta)), tf.zeros_like(v[:, 0]))
    count = tf.reduce_sum(weight, 0)
    most = tf.maximum(count, 1)
    variance = tf.reduce_sum(weight * tf.square(error) / f, 0) / most
    value = 0.5 * (tf.math.log(variance) + tf.reduce_sum(weight * tf.math.log(f), 0) / most)
    return value, beta, variance, count


def _white(process: Process, columns: Any) -> Process:
    empty = tf.zeros((0, columns.shape[0]), columns.dtype)
    return Process(empty, empty, process.delta)


def _least_squares(v: Any, weight: Any) -> list[Any]:
    """Coefficients of column 0 of `v` `[T, 1 + k, U]` on the others, a list of k `[U]`: Gaussian elimination written
    out, for XLA takes seconds to compile a factorisation. The matrix is positive definite: no pivots."""
    k = v.shape[1] - 1
    rows = [
        [tf.reduce_sum(weight * v[:, i + 1] * v[:, (j + 1) % (k + 1)], 0) for j in range(k + 1)]
        for i in range(k)
    ]
    for i in range(k):
        for below in range(i + 1, k):
            factor = rows[below][i] / rows[i][i]
            rows[below] = [low - factor * high for low, high in zip(rows[below], rows[i], strict=True)]
    beta: list[Any] = []
    for i in range(k - 1, -1, -1):
        rest = rows[i][k] - sum((rows[i][i + 1 + j] * b for j, b in enumerate(beta)), 0.0)
        beta.insert(0, rest / rows[i][i])
    return beta
