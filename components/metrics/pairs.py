"""All pairs of feature rows, block by block and exactly: what every neighbour metric is made of.

The work is a list of tasks. Each is a pure function of two blocks of rows, and what tasks find is merged
in their order, so that the result is the same to the bit whoever runs them. One product of two blocks
gives -|x - y|²/2 of all their pairs. From WIDE features on it is in float32, with a bound of its error:
every pair that the bound leaves open (a distance near a radius, a neighbour near the k-th) is decided in
float64. Two squared distances that differ by less than ROUNDING of the rows' sizes are equal.
Memory is O(n · k) beside two blocks and their product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from components.metrics.intervals import SHARDS
from components.metrics.rows import FLOOR, ROUNDING, Frame, Rows, blocks

SPARE = 4  # neighbours kept beyond those asked for, so that rounding seldom leaves the k-th open
GROUP = 8  # entries of a line of which only the largest is looked at first
OPEN = 64  # a block of which more than one pair in so many is left open is multiplied again in float64
AT_ONCE = 2**18  # numbers in one subtraction of pairs: 2 MB
Task = tuple[str, int, str, int]  # block number of a set, block number of another or the same set
Found = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Job:
    """What every task does with its two blocks, called with the task.

    Found are, for blocks a and b of r and c rows, as far as they are asked for:
        kernel [20, 20]        sums of (x·y/d + 1)³ by the shards of both rows, without a row's own
        balls [c], covered [r], reached [r]: see `_balls`; realism, closest [c]: see `_realism`
        values, index [r, keep]    the largest -|x - y|²/2 of each row of a, and whose they are
        values_b, index_b [c, keep]    the same for each row of b, where `mutual`
    """

    sets: dict[str, Rows]
    frame: Frame
    sizes: dict[str, np.ndarray]  # |x|² of all rows in the frame
    keep: int = 0
    mutual: bool = True
    kernel: bool = False
    radii: dict[str, np.ndarray] = field(default_factory=dict)  # squared, in the frame
    strict: bool = False  # whether a ball is without its boundary
    realism: bool = False
    _left: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, task: Task) -> Found:
        """What is found in one task."""
        a, b = self._side(*task[:2]), self._side(*task[2:])
        if task[:2] not in self._left:  # the next task mostly has the same first block
            self._left.clear()
            self._left[task[:2]] = _left(self.frame, a)
        half = _halves(self.frame, self._left[task[:2]], b)
        itself = task[:2] == task[2:]
        found: Found = {}
        if self.kernel:
            found["kernel"] = _kernel(half / self.frame.scale**2, a, b, itself)
        if self.radii:
            radii = [self.radii[name][side.places] for name, side in ((task[0], a), (task[2], b))]
            found |= self._balls(half, a, b, *radii)
            if self.realism:
                found |= _realism(half, a, radii[0], float(np.median(self.radii[task[0]])))
        if self.keep:
            if itself:
                np.fill_diagonal(half, -np.inf)  # no row is its own neighbour
            found["values"], found["index"] = _largest(half, self.keep, 1, b.start)
            if self.mutual and not itself:
                found["values_b"], found["index_b"] = _largest(half, self.keep, 0, a.start)
        return found

    def _side(self, name: str, number: int) -> _Side:
        rows = self.sets[name]
        start = number * rows.block
        part = rows.read(number)
        return _Side(part, self.sizes[name][start : start + len(part)], start)

    def _balls(self, half: np.ndarray, a: _Side, b: _Side, of_a: np.ndarray, of_b: np.ndarray) -> Found:
        """balls: how many balls around rows of a each row of b is in; covered: whether the ball around
        each row of a holds a row of b; reached: whether it is itself in the ball around one."""
        first, second = self._inside(half, a, b, of_a[:, None])
        row, _ = self._inside(half, a, b, of_b)
        size = len(a.rows)
        return {
            "balls": np.bincount(second, minlength=len(b.rows)),
            "covered": np.bincount(first, minlength=size) > 0,
            "reached": np.bincount(row, minlength=size) > 0,
        }

    def _inside(
        self, half: np.ndarray, a: _Side, b: _Side, radii: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of rows, as two lists, that are no further apart than `radii` (`[r, 1]` or `[c]`)."""
        centres = a.sizes[:, None] if radii.ndim == 2 else b.sizes
        # Who is in a ball is no longer than its centre and its radius together.
        most = FLOOR + centres + np.square(np.sqrt(centres) + np.sqrt(radii))
        least = -radii / 2 - (self.frame.error + ROUNDING) * most
        # Towards the smaller number, or rounding the bound would cut off what lies on it.
        least = np.nextafter(least.astype(half.dtype), half.dtype.type(-np.inf))
        first, second = np.divmod(np.flatnonzero(half >= least), half.shape[1])
        size = a.sizes[first] + b.sizes[second]
        radius = np.broadcast_to(radii, half.shape)[first, second]
        squared = -2.0 * half[first, second].astype(np.float64)
        if self.frame.single:
            error = (2 * self.frame.error + ROUNDING) * (size + FLOOR)
            unsure = np.flatnonzero(np.abs(squared - radius) <= error)
            squared[unsure] = self._sure(a, b, first[unsure], second[unsure])
        slack = ROUNDING * size
        within = squared < radius - slack if self.strict else squared <= radius + slack
        return first[within], second[within]

    def _sure(self, a: _Side, b: _Side, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """|x - y|² of pairs in float64: one by one, or all of the block where that is cheaper."""
        if len(first) * OPEN > len(a.rows) * len(b.rows):
            exact = self.frame.double()
            return -2 * _halves(exact, _left(exact, a), b)[first, second]
        return _apart(self.frame, a.rows, first, b.rows, second)


@dataclass(frozen=True, eq=False)
class _Side:
    """A block of rows `[r, d]` as they are, their sizes in the frame, and the first one's place."""

    rows: np.ndarray
    sizes: np.ndarray
    start: int

    @property
    def places(self) -> slice:
        return slice(self.start, self.start + len(self.rows))


def _left(frame: Frame, a: _Side) -> np.ndarray:
    """The first factor `[r, d + 2]` of `_halves`: [x, -|x|²/2, 1]."""
    left = frame.of_rows(a.rows, 2)
    left[:, -2] = -a.sizes / 2
    return left


def _halves(frame: Frame, left: np.ndarray, b: _Side) -> np.ndarray:
    """-|x - y|²/2 `[r, c]` in one product: [x, -|x|²/2, 1] · [y, 1, -|y|²/2]."""
    right = frame.of_rows(b.rows, 2)
    right[:, -1] = -b.sizes / 2
    return left @ right.T


def _kernel(half: np.ndarray, a: _Side, b: _Side, itself: bool) -> np.ndarray:
    """Sums `[20, 20]` of (x·y/d + 1)³ by shard, with x·y = (|x|² + |y|² - |x - y|²)/2."""
    own, other = (
        np.einsum("ij,ij->i", side.rows, side.rows, dtype=np.float64)[:, None] / 2 for side in (a, b)
    )
    width = a.rows.shape[1]
    shards = np.eye(SHARDS)
    by_row = np.zeros((SHARDS, len(b.rows)))
    for start in range(0, len(half), 128):  # what fits the processor's cache
        part = half[start : start + 128].astype(np.float64)
        part += own[start : start + 128]
        part += other.T
        part /= width
        part += 1
        part *= part * part
        if itself:
            np.fill_diagonal(part[:, start:], 0.0)
        by_row += shards[:, (a.start + start + np.arange(len(part))) % SHARDS] @ part
    return by_row @ shards[(b.start + np.arange(len(b.rows))) % SHARDS]


def _realism(half: np.ndarray, a: _Side, radii: np.ndarray, median: float) -> Found:
    """For each row of b the smallest |x - y|² / r² over rows of a whose ball is no larger than the median
    one, and whose it is."""
    with np.errstate(divide="ignore"):
        weights = np.where((radii <= median) & (radii > 0), -2 / radii, -np.inf)
    shares = np.minimum(half, -np.finfo(half.dtype).tiny) * weights[:, None].astype(half.dtype)
    closest = shares.argmin(axis=0)
    return {"realism": shares[closest, np.arange(len(closest))], "closest": closest + a.start}


def _largest(half: np.ndarray, keep: int, axis: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The `keep` largest of each row (axis 1) or column (axis 0), and their places from `start` on; -inf
    and -1 where there are fewer.

    Only what reaches the `keep`-th largest of the maxima of groups can be among them: a few of each line.
    """
    least = _least(half, keep, axis)
    first, second = np.divmod(np.flatnonzero(half >= (least[:, None] if axis else least)), half.shape[1])
    reached = half[first, second]
    lines, others = first, second
    if not axis:
        order = np.argsort(second, kind="stable")
        lines, others, reached = second[order], first[order], reached[order]
    counts = np.bincount(lines, minlength=len(least))
    width = max(keep, int(counts.max()))
    place = np.arange(len(lines)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.full((len(least), width), -np.inf, half.dtype)
    index = np.full(values.shape, -1)
    values[lines, place], index[lines, place] = reached, others + start
    if width > keep:
        best = np.argpartition(values, width - keep, axis=1)[:, width - keep :]
        values, index = (np.take_along_axis(part, best, axis=1) for part in (values, index))
    index[values == -np.inf] = -1
    return values, index


def _least(half: np.ndarray, keep: int, axis: int) -> np.ndarray:
    """A value that `keep` entries of each row or column reach; -inf for short ones."""
    groups = half.shape[axis] // GROUP
    if groups < keep:
        return np.full(half.shape[1 - axis], -np.inf, half.dtype)
    if axis:
        most = half[:, : groups * GROUP].reshape(-1, GROUP, groups).max(axis=1)
    else:
        most = half[: groups * GROUP].reshape(GROUP, groups, -1).max(axis=0).T
    found: np.ndarray = np.partition(most, groups - keep, axis=1)[:, groups - keep]
    return found


def _apart(frame: Frame, a: np.ndarray, first: np.ndarray, b: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|a[first] - b[second]|² `[p]` in the frame, by subtraction in float64, a few pairs at a time."""
    found, step = np.empty(len(first)), max(1, AT_ONCE // a.shape[1])
    for start in range(0, len(first), step):
        some = slice(start, start + step)
        found[some] = frame.apart(a[first[some]], b[second[some]])
    return found


Run = Callable[[Job, list[Task]], Iterable[Found]]


def here(job: Job, tasks: list[Task]) -> Iterator[Found]:
    """Runs the tasks in this process; yields what each finds, in order, as any other `Run` does."""
    return map(job, tasks)


def within(job: Job, name: str) -> list[Task]:
    """The tasks of all pairs of one set."""
    count = blocks(job.sets[name])
    return [(name, i, name, j) for i in range(count) for j in range(i, count)]


def across(job: Job, first: str, second: str) -> list[Task]:
    """The tasks of all pairs of two sets."""
    counts = blocks(job.sets[first]), blocks(job.sets[second])
    return [(first, i, second, j) for i in range(counts[0]) for j in range(counts[1])]
