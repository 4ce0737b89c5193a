"""Which samples of a preference study meet, in which order, and which of the two is on the left."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from components.errors import ConfigError

MOST_PAIRS = 1000
REPEATED = 10  # one pair in so many comes again


@dataclass(frozen=True)
class Pair:
    """Sample `left_item` of side `left` beside sample `right_item` of side `right`."""

    left: int
    left_item: int
    right: int
    right_item: int

    def swapped(self) -> Pair:
        """The same two the other way round."""
        return Pair(self.right, self.right_item, self.left, self.left_item)


def needed(models: int, pairs: int) -> list[int]:
    """How many samples of each model `pairs` pairs take: none is shown in two of them.

    Raises:
        ConfigError: fewer pairs than pairs of models, or too many.
    """
    met = list(itertools.combinations(range(models), 2))
    if not len(met) <= pairs <= MOST_PAIRS:
        raise ConfigError(
            f"--pairs {pairs}: {models} models make {len(met)} pairs of models; ask for {len(met)} to "
            f"{MOST_PAIRS:,}"
        )
    takes = [0] * models
    for times, ends in zip(_times(len(met), pairs), met, strict=True):
        for end in ends:
            takes[end] += times
    return takes


def _times(met: int, pairs: int) -> list[int]:
    """How often each pair of models meets: equally often, or once more."""
    return [pairs // met + (i < pairs % met) for i in range(met)]


def plan(models: int, pairs: int, random: np.random.Generator) -> tuple[list[Pair], list[int]]:
    """The pairs in the order in which they are shown, and of each -1, or for one that is shown again with
    its sides swapped the place of the first time.

    First times come in random order; those of the first half that come again do so in the second.
    """
    met = list(itertools.combinations(range(models), 2))
    used = [0] * models
    first: list[Pair] = []
    for times, (a, b) in zip(_times(len(met), pairs), met, strict=True):
        turned = np.arange(times) % 2 == random.integers(2)  # each on the left as often as on the right
        for turn in random.permutation(turned):
            pair = Pair(a, used[a], b, used[b])
            used[a], used[b] = used[a] + 1, used[b] + 1
            first.append(pair.swapped() if turn else pair)
    order = [int(i) for i in random.permutation(pairs)]
    again = max(pairs // REPEATED, int(pairs >= 4))
    half = (pairs + 1) // 2
    tail = [*order[half:], *(-1 - int(i) for i in random.choice(order[:half], again, replace=False))]
    shown = [*order[:half], *(tail[i] for i in random.permutation(len(tail)))]
    planned = [first[one] if one >= 0 else first[-1 - one].swapped() for one in shown]
    repeats = [-1 if one >= 0 else shown.index(-1 - one) for one in shown]
    return planned, repeats
