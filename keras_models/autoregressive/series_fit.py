"""Processes of many series by exact maximum likelihood: a panel is one fit, and each series has its own process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_models.autoregressive.complete_fit import differenced_rows, searched
from keras_models.autoregressive.gaps_fit import searched_with_gaps
from keras_models.autoregressive.polynomials import Panel, Polynomials
from keras_models.cores import cores

Search = Callable[..., Panel]

WORTH, MOST = (
    512,
    4096,
)  # searches of a share: those of a call at least, and what an interruption may wait for
FLAT = 1e-20  # squares left, of the series' own, at which a series never changes


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
    for search, suited in ((searched, whole), (searched_with_gaps, ~whole)):
        rows = np.flatnonzero(enough & suited)
        if not len(rows):
            continue

        def of(part: np.ndarray, search: Search = search) -> Panel:
            return search(polynomials, columns[part], there[part], begun[:, part], free[:, part], kinds)

        parts = np.array_split(rows, shares(len(begun) * len(rows)))
        with ThreadPoolExecutor(cores()) as pool:  # a call of XLA takes one core, and leaves Python free
            for part, own in zip(parts, pool.map(of, parts), strict=True):
                for array, value in zip(found, own, strict=True):
                    array[part] = value
    return found


def shares(searches: int) -> int:
    """In how many parts these are searched: a core has one, or several small ones."""
    return max(1, min(max(cores(), -(-searches // MOST)), searches // WORTH))


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
