"""Two sets of rows compared in one pass over their pairs: what the metrics of neighbours and kernels read.

compared = compare(real, samples, k=5)
neighbourhood_of(compared) | {"two_sample_accuracy": two_sample_of(compared), "kid": kid_of(compared)}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from components.errors import DataError
from components.metrics.closest import Closest
from components.metrics.intervals import SHARDS
from components.metrics.pairs import SPARE, Found, Job, Run, Task, across, here, within
from components.metrics.rows import Frame, Rows, blocks, distinct, rows_of

REAL, SAMPLES = "real", "samples"
T = TypeVar("T")


@dataclass(eq=False)
class Comparison:
    """What one pass found; `finite` is false, and the rest empty, where a value is NaN or infinite."""

    n: int  # real rows
    m: int  # samples
    k: int
    strict: bool  # balls without their boundaries
    finite: bool = True
    radii: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # distance of each row's k-th nearest of its set
    own: dict[str, np.ndarray] = field(default_factory=dict)  # squared distance to the nearest of its own set
    own_index: dict[str, np.ndarray] = field(default_factory=dict)  # and which that is
    cross: dict[str, np.ndarray] = field(default_factory=dict)  # the same, of the other set
    cross_index: dict[str, np.ndarray] = field(default_factory=dict)
    balls: np.ndarray = field(default_factory=lambda: np.zeros(0, int))  # [m] real balls that a sample is in
    covered: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # [n] has a sample in its ball
    reached: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # [n] is in a sample's ball
    realism: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [m] largest radius by distance
    kernel: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # [20, 20] sums by shards
    repeats: dict[str, int] = field(default_factory=dict)  # rows that repeat an earlier one exactly

    def inside(self) -> np.ndarray:
        """Whether each sample is in a real ball, bool `[m]`."""
        return self.balls > 0


def compare(
    real: np.ndarray | Rows,
    samples: np.ndarray | Rows,
    k: int = 5,
    *,
    strict: bool = False,
    balls: bool = True,
    two_sample: bool = True,
    kernel: bool = True,
    realism: bool = False,
    run: Run = here,
) -> Comparison:
    """Compares `samples` `[m, d]` with `real` `[n, d]`: arrays, or rows that are read in blocks.

    Args:
        k: a row's ball reaches to its k-th nearest other row.
        strict: whether balls are without their boundaries.
        balls, two_sample, kernel, realism: what is wanted.
        run: who runs the tasks (components.pairs_beam: Beam).

    Raises:
        DataError: rows of different widths, or no more than k on a side.
    """
    first, second = rows_of(real), rows_of(samples)
    sets = {REAL: first, SAMPLES: second}
    compared = Comparison(len(first), len(second), k, strict)
    if (balls or realism) and min(compared.n, compared.m) <= k:
        raise DataError(
            f"precision and recall with {k} neighbours need more than {k} examples on each side, and there "
            f"are {compared.n} real and {compared.m} samples: give more or lower evaluate.neighbours"
        )
    frame = Frame.of(first, second)
    if frame is None:
        compared.finite = False
        return compared
    sizes = {name: frame.sizes(rows) for name, rows in sets.items()}
    compared.repeats = {name: len(rows) - distinct(rows, sizes[name]) for name, rows in sets.items()}
    job = Job(sets, frame, sizes, kernel=kernel)
    near = k if balls or realism else int(two_sample)
    squared = _selves(compared, replace(job, keep=near + SPARE if near else 0), near, run)
    job = replace(
        job,
        keep=1 + SPARE if two_sample else 0,
        radii={name: found[:, k - 1] for name, found in squared.items()} if balls or realism else {},
        strict=strict,
        realism=realism,
    )
    _crossing(compared, job, run)
    return compared


def _selves(compared: Comparison, job: Job, near: int, run: Run) -> dict[str, np.ndarray]:
    """The pairs of each set; returns the squared distances `[n, near]` to the nearest ones of it."""
    if not near and not job.kernel:
        return {}
    tasks = [task for name in job.sets for task in within(job, name)]
    closest = {name: Closest(len(rows), job.keep, job.frame) for name, rows in job.sets.items()}
    tables = {(name, name): np.zeros((SHARDS, SHARDS)) for name in job.sets}
    for task, found in zip(tasks, run(job, tasks), strict=True):
        if near:
            _nearest(closest, job, task, found)
        if job.kernel:
            sums = found["kernel"]
            tables[task[0], task[2]] += sums if task[1] == task[3] else sums + sums.T
    if job.kernel:
        compared.kernel |= tables
    settled = {name: closest[name].settle(job, name, name, near) for name in job.sets} if near else {}
    squared = {name: found for name, (found, _) in settled.items()}
    compared.own = {name: found[:, 0] for name, found in squared.items()}
    compared.own_index = {name: index[:, 0] for name, (_, index) in settled.items()}
    if near == compared.k:
        compared.radii = {name: job.frame.distance(found[:, -1]) for name, found in squared.items()}
    return squared


def _crossing(compared: Comparison, job: Job, run: Run) -> None:
    """The pairs of a real row and a sample."""
    if not (job.kernel or job.radii or job.keep):
        return
    n, m = compared.n, compared.m
    tasks = across(job, REAL, SAMPLES)
    closest = {name: Closest(len(rows), job.keep, job.frame) for name, rows in job.sets.items()}
    table = np.zeros((SHARDS, SHARDS))
    if job.radii:
        compared.balls, compared.covered, compared.reached = (
            np.zeros(m, int),
            np.zeros(n, bool),
            np.zeros(n, bool),
        )
    ratio, whose = np.full(m, np.inf), np.zeros(m, int)
    for task, found in zip(tasks, run(job, tasks), strict=True):
        a, b = (slice(number * job.sets[name].block, None) for name, number in (task[:2], task[2:]))
        if job.kernel:
            table += found["kernel"]
        if job.radii:
            compared.balls[b][: len(found["balls"])] += found["balls"]
            compared.covered[a][: len(found["covered"])] |= found["covered"]
            compared.reached[a][: len(found["reached"])] |= found["reached"]
        if job.realism:
            place = np.arange(b.start, b.start + len(found["realism"]))
            less = found["realism"] < ratio[place]
            ratio[place[less]], whose[place[less]] = found["realism"][less], found["closest"][less]
        if job.keep:
            _nearest(closest, job, task, found)
    if job.kernel:
        compared.kernel[REAL, SAMPLES] = table
    if job.keep:
        for name, other in ((REAL, SAMPLES), (SAMPLES, REAL)):
            squared, index = closest[name].settle(job, name, other, 1)
            compared.cross[name], compared.cross_index[name] = squared[:, 0], index[:, 0]
    if job.realism:
        compared.realism = _realism(job, whose)


def _realism(job: Job, whose: np.ndarray) -> np.ndarray:
    """Radius by distance `[m]` of each sample and the real row at `whose`, again by subtraction."""
    rows, apart = job.sets[SAMPLES], np.empty(len(whose))
    for number in range(blocks(rows)):
        part = rows.read(number)
        place = slice(number * rows.block, number * rows.block + len(part))
        apart[place] = job.frame.apart(part, job.sets[REAL].take(whose[place]))
    radii = job.radii[REAL][whose]
    small = radii <= np.median(job.radii[REAL])  # false only where no ball of those has an extent
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(small & (radii > 0), np.sqrt(radii / apart), 0.0)


def _nearest(closest: dict[str, Closest], job: Job, task: Task, found: Found) -> None:
    closest[task[0]].add(task[1] * job.sets[task[0]].block, found["values"], found["index"])
    if "values_b" in found:
        closest[task[2]].add(task[3] * job.sets[task[2]].block, found["values_b"], found["index_b"])


def by_slice(
    measure: Callable[[np.ndarray, np.ndarray], T],
    real: np.ndarray,
    samples: np.ndarray,
    real_slices: dict[str, np.ndarray],
    sample_slices: dict[str, np.ndarray],
) -> dict[str, T | str]:
    """`measure(real rows, sample rows)` of each slice (a class, a group), whose rows are lists of indices;
    where a slice has too few, the sentence that says so."""
    found: dict[str, T | str] = {}
    for name, rows in real_slices.items():
        own = sample_slices.get(name, np.zeros(0, int))
        try:
            found[name] = measure(real[rows], samples[own])
        except DataError as error:
            found[name] = str(error)
    return found
