"""Times of a series put on a grid: which frequency, which step each time is, where the gaps are.

The frequency is the commonest difference; one of 28 days or more is held against the calendar first, so that
months, quarters and years are steps of equal rank. Times are int64 microseconds since 1970, UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import numpy as np

UNITS = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
    "week": 604_800_000_000,
}
MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAY = UNITS["day"]
ON_GRID = 0.9  # the share of times below which a series has no frequency
MOST_SPARSE = 20  # steps of the grid for each row
RESAMPLE = "resample the series, or set data.read.frequency: rows, which takes every row as the next step"


class Unplaceable(ValueError):
    """The times of a series make no grid: by which rule, why and what would help."""

    def __init__(self, rule: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.remedy = rule, reason, remedy


@dataclass(frozen=True)
class Frequency:
    """The step from one time to the next: so many months, or else so many microseconds."""

    months: int = 0
    microseconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`hour`, `15 minutes`, `1 month`, `quarter`.

        Raises:
            ValueError: another unit, or no step at all.
        """
        found = re.fullmatch(r"(\d{1,9})? ?([a-z]+?)s?", text.strip().lower())
        number, unit = (int(found[1] or 1), found[2]) if found else (0, "")
        if number and unit in MONTHS:
            return cls(months=number * MONTHS[unit])
        if number and unit in UNITS:
            return cls(microseconds=number * UNITS[unit])
        raise ValueError(f"'{text}' is no frequency: write it as '15 minutes', one of {', '.join(ALL)}")

    def __str__(self) -> str:
        units, size = (MONTHS, self.months) if self.months else (UNITS, self.microseconds)
        unit = max((name for name in units if size % units[name] == 0), key=units.__getitem__)
        number = size // units[unit]
        return f"{number} {unit}{'s' if number > 1 else ''}"


ALL = (*UNITS, *MONTHS)


def iso(time: int) -> str:
    """ISO text of a time: the date alone at midnight."""
    unit = "D" if time % DAY == 0 else "s" if time % UNITS["second"] == 0 else "us"
    return str(np.datetime64(int(time), "us").astype(f"datetime64[{unit}]"))


@dataclass(frozen=True)
class Grid:
    """Times `phase + step * frequency`. Of months, `phase` is a month since 1970, `day` the day in it (the
    last one where a month is shorter) and `clock` the microseconds since midnight."""

    frequency: Frequency
    phase: int
    day: int = 1
    clock: int = 0

    @classmethod
    def of(cls, times: np.ndarray, frequency: Frequency) -> Self:
        """The grid of this frequency on which most of `times` lie."""
        if not frequency.months:
            return cls(frequency, _commonest(times % frequency.microseconds))
        month, day, clock, _ = _calendar(times)
        days = (_commonest(day), int(day.max()))  # the greatest, where they are the last of their months
        grids = [cls(frequency, _commonest(month % frequency.months), one, _commonest(clock)) for one in days]
        return max(grids, key=lambda grid: int(grid.steps(times)[1].sum()))

    def steps(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step of each time, int64 `[n]`, and whether the time is exactly that of the step."""
        if not self.frequency.months:
            step, rest = np.divmod(times - self.phase, self.frequency.microseconds)
            return step, rest == 0
        month, day, clock, last = _calendar(times)
        step, rest = np.divmod(month - self.phase, self.frequency.months)
        return step, (rest == 0) & (day == np.minimum(self.day, last)) & (clock == self.clock)

    def time(self, step: int) -> int:
        """The time of a step."""
        step = int(step)
        if not self.frequency.months:
            return self.phase + step * self.frequency.microseconds
        month = np.datetime64(self.phase + step * self.frequency.months, "M")
        first, following = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
        days = min(self.day, int((following - first).astype(int))) - 1
        return int(first.astype(int) + days) * DAY + self.clock


def frequency_of(times: np.ndarray) -> Frequency | None:
    """The commonest difference of `times`, rising, or that in months; None of fewer than two."""
    if len(times) < 2:
        return None
    step = _commonest(np.diff(times))
    if step >= 28 * DAY:
        month = Frequency(months=1)
        if Grid.of(times, month).steps(times)[1].mean() >= ON_GRID:
            return Frequency(months=max(1, _commonest(np.diff(_calendar(times)[0]))))
    return Frequency(microseconds=step)


@dataclass(frozen=True)
class Placed:
    """Rows on their grid.

    Attributes:
        rows: int64 `[n]`, the rows that are on it, in the order of time.
        steps: int64 `[n]`, rising, the first is 0.
        repeated, off_grid: rows with the time of an earlier row, or with a time between two steps.
        unsorted: bool `[all rows]`, those that stand behind a later time.
        grid: None where there is one time only.
    """

    rows: np.ndarray
    steps: np.ndarray
    repeated: np.ndarray
    off_grid: np.ndarray
    unsorted: np.ndarray
    grid: Grid | None
    first: int

    def start(self, step: int) -> str:
        """ISO text of the time of a step."""
        return iso(self.first if self.grid is None else self.grid.time(self._origin + step))

    @property
    def _origin(self) -> int:
        return 0 if self.grid is None else int(self.grid.steps(np.array([self.first]))[0][0])


def place(times: np.ndarray, frequency: Frequency | None, longest_gap: int) -> Placed:
    """Puts times `[n >= 1]`, as the rows stand, on a grid of the frequency, or of the one they show.

    Raises:
        Unplaceable: a tenth of them are between the steps, or a gap is longer than `longest_gap` steps.
    """
    order = np.argsort(times, kind="stable")
    new = np.ones(len(times), bool)
    new[1:] = np.diff(times[order]) > 0
    rows, repeated = order[new], np.sort(order[~new])
    unsorted = times < np.maximum.accumulate(times)
    frequency = frequency or frequency_of(times[rows])
    if frequency is None:
        return Placed(rows, np.zeros(1, np.int64), repeated, rows[:0], unsorted, None, int(times[rows[0]]))
    grid = Grid.of(times[rows], frequency)
    steps, on = grid.steps(times[rows])
    if on.mean() < ON_GRID:
        off = int(times[rows[~on][0]])
        said = f"{(~on).sum()} of {len(on)} times do not lie on steps of {frequency}, the first is {iso(off)}"
        raise Unplaceable("irregular", said, RESAMPLE)
    kept, steps = rows[on], steps[on]
    _check_gaps(times[kept], steps, frequency, longest_gap)
    return Placed(kept, steps - steps[0], repeated, rows[~on], unsorted, grid, int(times[kept[0]]))


def _check_gaps(times: np.ndarray, steps: np.ndarray, frequency: Frequency, longest_gap: int) -> None:
    gaps = np.diff(steps, prepend=steps[0] - 1) - 1
    widest = int(gaps.argmax())
    where = f"between {iso(int(times[widest - 1]))} and {iso(int(times[widest]))}"
    if gaps[widest] > longest_gap:
        said = f"{gaps[widest]} steps of {frequency} are missing {where}, more than {longest_gap}"
        raise Unplaceable("long-gap", said, "cut the series there, or raise data.read.longest_gap")
    span = int(steps[-1] - steps[0]) + 1
    if span > MOST_SPARSE * len(steps):
        said = f"{len(steps)} rows on {span} steps of {frequency}; the widest gap is {where}"
        raise Unplaceable("sparse", said, f"name its frequency in data.read.frequency, or {RESAMPLE}")


def _commonest(values: np.ndarray) -> int:
    """Of equally common ones the least."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def _calendar(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Month since 1970, day of the month from 1, microseconds since midnight, days of that month."""
    days = times.astype("datetime64[us]").astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    first = months.astype("datetime64[D]")
    last = ((months + 1).astype("datetime64[D]") - first).astype(np.int64)
    return months.astype(np.int64), (days - first).astype(np.int64) + 1, times % DAY, last
