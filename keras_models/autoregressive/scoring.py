"""Fisher's scoring for many small problems at once: each has a few angles, and one call values them all.

A direction is that of Newton's method with the information for the Hessian, corrected by the last step that was taken
(BFGS, Nocedal & Wright 2006, 6.17): the information alone converges slowly where a likelihood is far from normal. A
trial that does not fall enough (Armijo) is shortened. Problems that are done leave, and others come in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_models.autoregressive.compaction import compacted

PROMISED = 1e-8  # nats that the next step promises, at which a problem is done
SMALL = 1e-5  # nats that a step gained, two of which in a row are the end
SHORTENED = 25  # times in a row, after which a direction is given up
EVALUATIONS = 20, 10  # at most: so many, and so many for each number of a problem
LONGEST = 0.5  # of one step, in radians
DAMPING = 1e-3  # of the information's own diagonal, added to it
ROUNDING = 1e-13  # relative, of values
NEAR = 0.1  # of two searches of one problem, in radians
HOPELESS = 10.0  # times what a search promises: one that is further above another is given up
YOUNG = 5  # evaluations, before which promises say nothing


class Valued(NamedTuple):
    """Nats `[m]`, their gradient `[m, p]` and information `[m, p, p]`."""

    value: np.ndarray
    gradient: np.ndarray
    information: np.ndarray


class Scoring:
    """Searches for the least of `n` problems of `p` numbers. `trial` is where each wants to be valued."""

    def __init__(self, start: np.ndarray) -> None:
        n, p = start.shape
        self.point = start.astype(np.float64)
        self.value = np.full(n, np.inf)
        self.gradient, self.step = np.zeros((n, p)), np.zeros((n, p))
        self.slope = np.zeros(n)  # of the value along the step
        self.promised = np.full(n, np.inf)  # nats, by the parabola at the point
        self.shortened, self.small, self.evaluations = (np.zeros(n, int) for _ in range(3))
        self.done = np.zeros(n, bool)

    def trial(self, rows: np.ndarray) -> np.ndarray:
        """Where values are wanted, `[m, p]`."""
        return self.point[rows] + self.step[rows]

    def update(self, found: Valued, rows: np.ndarray) -> None:
        """Takes what was found at the trials of `rows`, and makes the next ones."""
        value, step = self.value[rows], self.step[rows]
        fine = np.isfinite(found.value) & np.isfinite(found.gradient).all(-1)
        fine &= np.isfinite(found.information).all((-1, -2))
        first = np.isinf(value)
        gain = np.where(first | ~fine, 0.0, value - np.where(fine, found.value, 0.0))
        error = ROUNDING * (1 + np.abs(np.where(fine, found.value, 0.0)))
        taken = fine & (first | (gain >= -1e-4 * self.slope[rows]) | (np.abs(gain) <= error))
        self.evaluations[rows] += 1
        self.shortened[rows] = np.where(taken, 0, self.shortened[rows] + 1)
        little = taken & ~first & (gain < SMALL + error)
        self.small[rows] = np.where(taken, np.where(little, self.small[rows] + 1, 0), self.small[rows])
        self._shorten(rows[~taken], found.value[~taken], fine[~taken])
        self._turn(rows[taken], Valued(*(part[taken] for part in found)), step[taken])
        self.done[rows] |= (self.promised[rows] < PROMISED + error) | (self.small[rows] >= 2)
        self.done[rows] |= (self.shortened[rows] > SHORTENED) | (first & ~fine)
        self.done[rows] |= self.evaluations[rows] >= EVALUATIONS[0] + EVALUATIONS[1] * self.point.shape[1]

    def _shorten(self, rows: np.ndarray, value: np.ndarray, fine: np.ndarray) -> None:
        """Steps that led up: to the lowest point of the parabola, within a tenth and a half; broken ones: a quarter."""
        slope = self.slope[rows]
        with np.errstate(all="ignore"):
            best = np.clip(-slope / (2 * (value - self.value[rows] - slope)), 0.1, 0.5)
        factor = np.where(fine & np.isfinite(best), best, 0.25)
        self.step[rows] *= factor[:, None]
        self.slope[rows] *= factor

    def _turn(self, rows: np.ndarray, found: Valued, step: np.ndarray) -> None:
        """Goes to the trials, and looks for new directions."""
        inverse = _inverted(found.information, step, found.gradient - self.gradient[rows])
        self.point[rows] += step
        self.value[rows], self.gradient[rows] = found.value, found.gradient
        direction = -np.einsum("nij,nj->ni", inverse, found.gradient)
        self.promised[rows] = -0.5 * (direction * found.gradient).sum(-1)
        longest = np.sqrt(np.square(direction).sum(-1))
        direction *= np.minimum(1.0, LONGEST / np.maximum(longest, LONGEST))[:, None]
        self.step[rows], self.slope[rows] = direction, (direction * found.gradient).sum(-1)


def _inverted(information: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The inverse Hessians: those of the information, that map the last change of the gradient to the last step."""
    p = step.shape[-1]
    size = np.einsum("nii->ni", information)
    unknown = DAMPING * size + 1e-9 * size.max(-1, keepdims=True, initial=0) + np.finfo(float).tiny
    inverse = np.linalg.inv(information + unknown[:, None] * np.eye(p))
    curvature = (step * change).sum(-1)
    lengths = np.sqrt(np.square(step).sum(-1) * np.square(change).sum(-1))
    seen = (curvature > 1e-12 * lengths)[:, None, None]
    c = np.where(seen[:, 0, 0], curvature, 1.0)[:, None, None]
    left = np.eye(p) - step[:, :, None] * change[:, None, :] / c
    mapped = left @ inverse @ left.swapaxes(1, 2) + step[:, :, None] * step[:, None, :] / c
    return np.where(seen, mapped, inverse)


Evaluate = Callable[[np.ndarray, np.ndarray], Valued]


def scored_least(
    evaluate: Evaluate, start: np.ndarray, sizes: tuple[int, ...], units: int, kinds: np.ndarray
) -> Scoring:
    """Runs `n` problems to their end.

    Problems i, i + units, i + 2 units ... are of one unit. Those whose `kinds` `[n / units]` are equal, too, are one
    problem begun elsewhere: a search stops that comes to where another one is, or that promises less than another
    one has.

    Args:
        evaluate: trials `[b, p]` and the numbers of their problems `[b]`.
        sizes: the b for which `evaluate` is made, falling: the largest that can be filled is asked for.
    """
    search = Scoring(start)

    def turn(asked: np.ndarray, active: np.ndarray) -> None:
        found = evaluate(search.trial(asked), asked)
        search.update(Valued(*(part[: len(active)] for part in found)), active)

    compacted(search, sizes, lambda active: _give_up(search, active, units, kinds), turn)
    return search


def _give_up(search: Scoring, active: np.ndarray, units: int, kinds: np.ndarray) -> None:
    for other, kind in enumerate(kinds):
        rival = other * units + active % units
        alike = (rival != active) & (kinds[active // units] == kind)
        with np.errstate(invalid="ignore"):
            ahead = search.value[active] - search.value[rival]
            near = np.abs(search.point[active] - search.point[rival]).max(-1, initial=0) < NEAR
            twin = near & ((ahead > 0) | ((ahead == 0) & search.done[rival]))
            hopeless = ahead > HOPELESS * search.promised[active] + 0.01
        hopeless &= search.evaluations[active] >= YOUNG
        search.done[active[alike & (twin | hopeless)]] = True
