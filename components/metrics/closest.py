"""The k nearest rows of every row: what the tasks of components.metrics.pairs found, merged and made sure."""

from __future__ import annotations

import numpy as np

from components.metrics.pairs import SPARE, Job, Run, across, here
from components.metrics.rows import FLOOR, ROUNDING, Frame, InMemory, Rows

DOUBLE = 256  # rows in a block of those that are looked at again
AT_ONCE = 2**18  # numbers in one subtraction of pairs: 2 MB


class Closest:
    """The largest -|x - y|²/2 so far of each of n rows, `[n, keep]`; a set order breaks ties."""

    def __init__(self, n: int, keep: int, frame: Frame) -> None:
        self.values = np.full((n, keep), -np.inf, np.float32 if frame.single else np.float64)
        self.index = np.full((n, keep), -1)

    def add(self, start: int, values: np.ndarray, index: np.ndarray) -> None:
        """Takes in what one task found `[r, keep]` for the rows from `start` on."""
        place = slice(start, start + len(values))
        values = np.concatenate([self.values[place], values], axis=1)
        index = np.concatenate([self.index[place], index], axis=1)
        order = np.lexsort((index, -values), axis=1)[:, : self.values.shape[1]]
        self.values[place] = np.take_along_axis(values, order, axis=1)
        self.index[place] = np.take_along_axis(index, order, axis=1)

    def settle(self, job: Job, queries: str, points: str, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances in the frame, float64 `[n, k]` and ascending, and whose they are.

        They are taken again by subtraction, and where more than rounding could have hidden a nearer row
        among those not kept, all rows are looked at again in float64. Fewer than k neighbours: inf and -1.
        """
        squared, index = self._again(job, queries, points)
        squared, index = squared[:, :k], index[:, :k]
        if job.frame.single:
            unsure = self._unsure(job, queries, points, squared[:, -1])
            if len(unsure):
                own = unsure if queries == points else None
                rows = InMemory(job.sets[queries].take(unsure), DOUBLE)
                squared[unsure], index[unsure] = nearest_rows(
                    rows, job.sets[points], k, job.frame.double(), own=own, sizes=job.sizes[points]
                )
        return squared, index

    def _again(self, job: Job, queries: str, points: str) -> tuple[np.ndarray, np.ndarray]:
        squared = np.full(self.index.shape, np.inf)
        keep = self.index.shape[1]
        first, second = job.sets[queries], job.sets[points]
        step = max(1, AT_ONCE // (first.width * keep))
        for start in range(0, len(first), step):
            place = np.arange(start, min(start + step, len(first)))
            other = self.index[place].ravel()
            there = other >= 0
            own = np.repeat(place, keep)[there]
            other = other[there]
            exact = job.frame.apart(np.repeat(first.take(place), keep, axis=0)[there], second.take(other))
            exact[exact <= ROUNDING * (job.sizes[queries][own] + job.sizes[points][other])] = 0.0
            squared[start : start + len(place)][there.reshape(-1, keep)] = exact
        order = np.lexsort((self.index, squared), axis=1)
        return np.take_along_axis(squared, order, axis=1), np.take_along_axis(self.index, order, axis=1)

    def _unsure(self, job: Job, queries: str, points: str, kth: np.ndarray) -> np.ndarray:
        """Rows of which one that was not kept may be nearer than the k-th that was."""
        own = job.sizes[queries]
        # Whoever is nearer than the k-th is no longer than this, which bounds the product's error.
        most = np.minimum(job.sizes[points].max(), np.square(np.sqrt(own) + np.sqrt(kth)))
        least = -2.0 * self.values[:, -1].astype(np.float64) - 2 * job.frame.error * (own + most + FLOOR)
        return np.flatnonzero(least < kth)


def nearest_rows(
    queries: Rows,
    points: Rows,
    k: int,
    frame: Frame,
    *,
    own: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
    run: Run = here,
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances in the frame and places `[q, k]` of the k rows of `points` nearest to each query.

    Where the queries are themselves points, `own` `[q]` are their places, which do not count.
    """
    wanted = k if own is None else k + 1
    known = frame.sizes(points) if sizes is None else sizes
    sets = {"queries": queries, "points": points}
    job = Job(sets, frame, {"queries": frame.sizes(queries), "points": known}, wanted + SPARE, mutual=False)
    tasks = across(job, "queries", "points")
    closest = Closest(len(queries), job.keep, frame)
    for task, found in zip(tasks, run(job, tasks), strict=True):
        closest.add(task[1] * queries.block, found["values"], found["index"])
    squared, index = closest.settle(job, "queries", "points", wanted)
    if own is None:
        return squared, index
    others = index != own[:, None]
    others[others.all(axis=1), -1] = False  # among so many at distance 0 that it is not kept itself
    return squared[others].reshape(-1, k), index[others].reshape(-1, k)
