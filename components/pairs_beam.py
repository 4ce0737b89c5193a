"""The pass over all pairs of rows in Beam: blocks of rows on disk, and any engine runs the tasks.

folder/
  NAME-00000.npy ...        a set's blocks of rows, in order (`store`)
  pass-000/given.npz        sizes and radii of all rows; found-000000.npz ...: what each task found
A pass is read back in the order of its tasks, so that the result is the same to the bit as
components.metrics.pairs.here gives, with any number of workers. Passes are removed as they are read.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from components.dataflow import run, write_bytes
from components.errors import DataError
from components.metrics.pairs import Found, Job, Task
from components.metrics.rows import BLOCK, Rows, read_all
from components.settings import BeamSettings

GIVEN, GIVEN_FILE = ("sizes", "radii"), "given.npz"


@dataclass(frozen=True)
class Stored:
    """Rows `[n, width]` as blocks on disk; the description travels, the rows stay where they are."""

    folder: str
    name: str
    n: int
    width: int
    block: int = BLOCK

    def __len__(self) -> int:
        return self.n

    def read(self, number: int) -> np.ndarray:
        """See Rows.read."""
        found: np.ndarray = np.load(block_file(self.folder, self.name, number))
        return found

    def take(self, index: np.ndarray) -> np.ndarray:
        """See Rows.take: only what is asked for is read."""
        rows = np.empty((len(index), self.width), self._open(0).dtype)
        numbers = index // self.block
        for number in np.unique(numbers):
            here = numbers == number
            rows[here] = self._open(int(number))[index[here] - number * self.block]
        return rows

    def _open(self, number: int) -> np.ndarray:
        found: np.ndarray = np.load(block_file(self.folder, self.name, number), mmap_mode="r")
        return found


def block_file(folder: str | Path, name: str, number: int) -> Path:
    """Where a block of a set lies."""
    return Path(folder) / f"{name}-{number:05d}.npy"


def store(parts: Iterable[np.ndarray], folder: Path, name: str, block: int = BLOCK) -> Stored:
    """Writes the rows of `parts` (each `[r, d]` or `[r, ...]`, of any r) into `folder` and describes them.

    Float32 rows stay float32, others become float64: a set is of one of the two.

    Raises:
        DataError: no rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[np.ndarray] = []
    n = width = written = 0
    for part in parts:
        flat = part.reshape(len(part), -1) if len(part) else part.reshape(0, width)
        flat = flat if flat.dtype == np.float32 else flat.astype(np.float64)
        waiting.append(flat)
        n, width = n + len(flat), flat.shape[1]
        while sum(map(len, waiting)) >= block:
            rows = np.concatenate(waiting)
            _write(folder, name, written, rows[:block])
            waiting, written = [rows[block:]], written + 1
    if not n:
        raise DataError(f"'{name}' has no rows to compare")
    if sum(map(len, waiting)):
        _write(folder, name, written, np.concatenate(waiting))
    return Stored(str(folder), name, n, width, block)


def _write(folder: Path, name: str, number: int, rows: np.ndarray) -> None:
    write_bytes(block_file(str(folder), name, number), array_bytes(rows))


def array_bytes(rows: np.ndarray) -> bytes:
    """What np.load reads."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(rows))
    return out.getvalue()


class Beam:
    """Runs tasks through components.dataflow: a `Run` as components.metrics.comparison takes it."""

    def __init__(self, folder: Path, settings: BeamSettings | None = None) -> None:
        self.folder, self.settings = folder, settings
        self.passes = 0

    def __call__(self, job: Job, tasks: list[Task]) -> Iterator[Found]:
        """What each task finds, in order.

        Raises:
            ConfigError, ResourceError: see components.dataflow.run.
            DataError: the engine lost a task.
        """
        place = self.folder / f"pass-{self.passes:03d}"
        self.passes += 1
        place.mkdir(parents=True)
        sets: dict[str, Rows] = {
            name: self._stored(rows, f"{place.name}-{name}") for name, rows in job.sets.items()
        }
        given = {f"{kind}-{name}": array for kind in GIVEN for name, array in getattr(job, kind).items()}
        write_bytes(place / GIVEN_FILE, _archive(given))
        chunks = [[number, *task] for number, task in enumerate(tasks)]
        done = run(
            chunks, _Work(str(place), replace(job, sets=sets, sizes={}, radii={})), [], place, self.settings
        )
        if sorted(int(number) for number, _ in done) != list(range(len(tasks))):
            raise DataError(
                f"{len(done)} of {len(tasks)} blocks of pairs came back: run again with data.beam left out"
            )
        for number in range(len(tasks)):
            with np.load(_found(place, number)) as found:
                yield dict(found)
            _found(place, number).unlink()
        shutil.rmtree(place)
        for name, rows in job.sets.items():
            if not isinstance(rows, Stored):
                for file in self.folder.glob(f"{place.name}-{name}-*.npy"):
                    file.unlink()

    def _stored(self, rows: Rows, name: str) -> Stored:
        return rows if isinstance(rows, Stored) else store(read_all(rows), self.folder, name, rows.block)


class _Work:
    """One task → what it found, on disk, under its number. It travels without the arrays of all rows."""

    def __init__(self, place: str, job: Job) -> None:
        self.place, self.job = place, job

    def __call__(self, chunk: list[Any]) -> Iterator[tuple[str, Any]]:
        if not self.job.sizes:  # once a worker
            with np.load(Path(self.place) / GIVEN_FILE) as kept:
                given = dict(kept)
            sizes, radii = (
                {name: given[f"{kind}-{name}"] for name in self.job.sets if f"{kind}-{name}" in given}
                for kind in GIVEN
            )
            self.job = replace(self.job, sizes=sizes, radii=radii)
        number, name, i, other, j = chunk
        write_bytes(_found(Path(self.place), number), _archive(self.job((name, i, other, j))))
        yield str(number), 0


def _archive(arrays: Found) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _found(place: Path, number: int) -> Path:
    return place / f"found-{number:06d}.npz"
