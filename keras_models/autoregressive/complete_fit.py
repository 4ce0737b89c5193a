"""The maximum of the exact likelihood of complete series, each with its own process: by scoring along angles.

For given polynomials the best regression (generalised least squares) and variance are known, so the search is over
polynomials alone (Harvey 1989, 3.4). Series may end at different steps.
"""

from __future__ import annotations

import numpy as np

from keras_models.autoregressive.angles import free_of, slopes
from keras_models.autoregressive.compaction import padded_sizes
from keras_models.autoregressive.polynomials import Panel, Polynomials, aicc
from keras_models.autoregressive.score import Score, scored, widest
from keras_models.autoregressive.scoring import Valued, scored_least


def searched(
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
        with np.errstate(all="ignore"):  # a search may try a unit root, whose value is not a number
            process = slopes(polynomials[:4], polynomials.season, angles.T)
        return scored(process, columns[rows], count[rows])

    def evaluate(trial: np.ndarray, problem: np.ndarray) -> Valued:
        found, able = at(trial, problem % units), flat[problem]
        gradient = np.where(able, found.gradient.T, 0.0)
        turned = np.maximum(-gradient * np.tan(trial), 0.0)  # the sine's own bend, for where its slope is 0
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
    good = np.isfinite(nats)
    return Panel(
        free_of(point), regression.T + rough, variance, np.where(good, -nats, 0.0), np.where(good, count, 0.0)
    )


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
