"""BFGS for many small problems at once: each has a few parameters, and one call values them all.

Every problem has a point, a direction and a step. All ask for one value and gradient at a time; a trial that
falls enough (Armijo) is taken and the inverse Hessian updated (Nocedal & Wright 2006, 6.17), one that does not is
shortened. Problems that are done leave, and others come in their place, so that the slowest do not hold up the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_models.autoregressive.compaction import compacted

GRADIENT = 1e-7  # largest entry at which a problem is done
DECREASE = 1e-13  # relative, below which a step gained nothing
STALLED = 2  # such steps in a row
SHORTENED = 25  # times in a row, after which a direction is given up
ITERATIONS = 300
NEAR = 0.02  # of two searches of one problem, in the parameters' own units
LONGEST = 2.0  # of one step, in the parameters' own units
UNKNOWN = 1e300  # a value that is not known: finite, for a state with infinities would look like a fault

State = dict[str, np.ndarray]


class QuasiNewton:
    """The state of `n` problems of `p` parameters, as arrays that can be kept and put back.

    `trial` is where each wants its value and gradient; `update` takes them.
    """

    def __init__(self, start: np.ndarray) -> None:
        n, p = start.shape
        self.state: State = {
            "point": start.astype(np.float64).copy(),
            "value": np.full(n, UNKNOWN),
            "gradient": np.zeros((n, p)),
            "inverse": np.tile(np.eye(p), (n, 1, 1)),
            "step": np.zeros((n, p)),  # from the point to the trial
            "slope": np.zeros(n),  # of the value along the step
            "fresh": np.ones(n),  # 1 while the inverse Hessian says nothing yet
            "shortened": np.zeros(n),
            "stalled": np.zeros(n),
            "evaluations": np.zeros(n),
        }

    @classmethod
    def shapes(cls, n: int, p: int) -> dict[str, tuple[int, ...]]:
        """Name → shape of each array of the state."""
        return {name: array.shape for name, array in cls(np.zeros((n, p))).state.items()}

    @property
    def trial(self) -> np.ndarray:
        """Where values are wanted, `[n, p]`."""
        return self.state["point"] + self.state["step"]

    @property
    def done(self) -> np.ndarray:
        """Which problems ask for nothing more, bool `[n]`."""
        s = self.state
        settled = (s["value"] < UNKNOWN) & (np.abs(s["gradient"]).max(-1, initial=0) < GRADIENT)
        stuck = (s["stalled"] >= STALLED) | (s["evaluations"] >= ITERATIONS)
        return settled | stuck

    def update(self, value: np.ndarray, gradient: np.ndarray, rows: np.ndarray | slice = slice(None)) -> None:
        """Takes values `[m]` and gradients `[m, p]` at the trials of `rows`, and makes the next trials."""
        s = {name: array[rows] for name, array in self.state.items()}
        s["evaluations"] = s["evaluations"] + 1
        fine = np.isfinite(value) & np.isfinite(gradient).all(-1)
        first = s["value"] >= UNKNOWN
        gain = s["value"] - value
        enough = fine & (first | (gain >= -1e-4 * s["slope"]) | (np.abs(gain) <= DECREASE * np.abs(value)))
        moved = enough & ~first
        small = moved & (np.abs(np.where(first, 0, gain)) <= DECREASE * (1 + np.abs(value)))
        s["stalled"] = np.where(moved, np.where(small, s["stalled"] + 1, 0), s["stalled"])
        _learn(s, gradient, moved)
        s["point"] = np.where(moved[:, None], s["point"] + s["step"], s["point"])
        s["value"] = np.where(enough, value, s["value"])
        s["gradient"] = np.where(enough[:, None], gradient, s["gradient"])
        s["shortened"] = np.where(enough, 0, s["shortened"] + 1)
        _shorten(s, value, fine & ~enough, ~fine & ~first)
        lost = (s["shortened"] > SHORTENED) | (first & ~fine)
        s["stalled"] = np.where(lost, STALLED, s["stalled"])
        _turn(s, enough)
        for name, array in s.items():
            self.state[name][rows] = array


def _learn(s: State, gradient: np.ndarray, moved: np.ndarray) -> None:
    """The BFGS update of the inverse Hessians, where the step saw positive curvature."""
    change, step = gradient - s["gradient"], s["step"]
    curvature = (step * change).sum(-1)
    good = moved & (curvature > 1e-12 * np.linalg.norm(step, axis=-1) * np.linalg.norm(change, axis=-1))
    if not good.any():
        return
    y, d, c = change[good], step[good], curvature[good][:, None, None]
    inverse = s["inverse"][good]
    fresh = s["fresh"][good] > 0
    scale = c[:, 0, 0] / np.maximum((y * y).sum(-1), 1e-300)
    inverse = np.where(fresh[:, None, None], scale[:, None, None] * np.eye(y.shape[-1]), inverse)
    left = np.eye(y.shape[-1]) - d[:, :, None] * y[:, None, :] / c
    s["inverse"][good] = left @ inverse @ left.swapaxes(1, 2) + d[:, :, None] * d[:, None, :] / c
    s["fresh"][good] = 0


def _shorten(s: State, value: np.ndarray, higher: np.ndarray, broken: np.ndarray) -> None:
    """Steps that led up: to the lowest point of the parabola, within a tenth and a half; broken ones: a quarter."""
    excess = value - s["value"] - s["slope"]
    with np.errstate(all="ignore"):
        best = np.clip(-s["slope"] / (2 * excess), 0.1, 0.5)
    factor = np.where(higher, np.where(np.isfinite(best), best, 0.5), np.where(broken, 0.25, 1.0))
    s["step"] = s["step"] * factor[:, None]
    s["slope"] = s["slope"] * factor


def _turn(s: State, enough: np.ndarray) -> None:
    """New directions, where a trial was taken."""
    direction = -np.einsum("nij,nj->ni", s["inverse"], s["gradient"])
    slope = (direction * s["gradient"]).sum(-1)
    uphill = slope >= 0
    s["inverse"][uphill & enough] = np.eye(direction.shape[-1])
    s["fresh"][uphill & enough] = 1
    plain = (s["fresh"] > 0) | uphill
    size = np.linalg.norm(s["gradient"], axis=-1)
    first = -s["gradient"] * np.minimum(1.0, 0.5 / np.maximum(size, 1e-300))[:, None]
    direction = np.where(plain[:, None], first, direction)
    longest = np.linalg.norm(direction, axis=-1)
    direction = direction * np.minimum(1.0, LONGEST / np.maximum(longest, 1e-300))[:, None]
    s["step"] = np.where(enough[:, None], direction, s["step"])
    s["slope"] = np.where(enough, (direction * s["gradient"]).sum(-1), s["slope"])


Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def minimised(
    evaluate: Evaluate, start: np.ndarray, sizes: tuple[int, ...], units: int, kinds: np.ndarray
) -> QuasiNewton:
    """Runs `n` problems to their end.

    Problems i, i + units, i + 2 units ... are of one unit. Those whose `kinds` `[n / units]` are equal, too, are one
    problem begun elsewhere: a later one that comes to where an earlier one ended stops there.

    Args:
        evaluate: trials `[b, p]` and the numbers of their problems `[b]` → values `[b]`, gradients `[b, p]`.
        sizes: the b for which `evaluate` is made, falling: the largest that can be filled is asked for.
    """
    search = QuasiNewton(start)

    def turn(asked: np.ndarray, active: np.ndarray) -> None:
        value, gradient = evaluate(search.trial[asked], asked)
        count = len(active)
        search.update(value[:count], gradient[:count], active)

    compacted(search, sizes, lambda active: _stop_twins(search, active, units, kinds), turn)
    return search


def _stop_twins(search: QuasiNewton, active: np.ndarray, units: int, kinds: np.ndarray) -> None:
    s, done = search.state, search.done
    for other, kind in enumerate(kinds):
        ended = other * units + active % units
        near = np.abs(s["point"][active] - s["point"][ended]).max(-1, initial=0) < NEAR
        no_better = s["value"][active] >= s["value"][ended]
        alike = done[ended] & (ended != active) & (kinds[active // units] == kind)
        s["stalled"][active[alike & near & no_better]] = STALLED
