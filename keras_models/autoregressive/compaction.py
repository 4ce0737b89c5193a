"""Many searches in calls of a few sizes: those that are done leave, and others come in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np


class Searches(Protocol):
    """A number of searches."""

    @property
    def done(self) -> np.ndarray:
        """Which of them are at their end, bool `[n]`."""


def compacted(
    search: Searches,
    sizes: tuple[int, ...],
    stop: Callable[[np.ndarray], None],
    turn: Callable[[np.ndarray, np.ndarray], None],
) -> None:
    """Runs all searches to their end.

    Args:
        sizes: of a call, falling: the largest that can be filled is asked for, and what is left of it repeats.
        stop: ends those of the numbers `[a]` that need not go on.
        turn: values the trials of the numbers `[size]` in one call, and takes what is found for the first `[a]`.
    """
    waiting = np.arange(len(search.done))
    active = waiting[:0]
    while True:
        stop(active)
        active = active[~search.done[active]]
        free = sizes[0] - len(active)
        active, waiting = np.concatenate([active, waiting[:free]]), waiting[free:]
        if not len(active):
            return
        size = min((b for b in sizes if b >= len(active)), default=sizes[0])
        turn(np.resize(active, size), active)


def padded_sizes(count: int, largest: int) -> tuple[int, ...]:
    """Sizes of calls for `count` searches: the whole, and a quarter and a sixteenth of it for the last ones."""
    whole = min(count, largest)
    return tuple(sorted({whole, max(1, -(-whole // 4)), max(1, -(-whole // 16))}, reverse=True))
