"""The pass over pairs in Beam: the same bits as in this process, from blocks on disk, with any workers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import DataError
from components.metrics.comparison import Comparison, compare
from components.metrics.copies import copies, nearest
from components.metrics.kernel import kid_of
from components.metrics.neighbours import neighbourhood_of, two_sample_of
from components.metrics.rows import InMemory
from components.pairs_beam import Beam, store
from components.settings import BeamSettings

ROWS = 40  # in a block


def sets(d: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(5)
    real, samples = (random.normal(size=shape).astype(np.float32) for shape in ((150, d), (130, d)))
    samples[:20] = real[:20]
    samples[20:30] = 0
    return real, samples * np.float32(0.9)


def bits(compared: Comparison) -> dict[str, Any]:
    """All arrays as bytes."""

    def raw(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: raw(inner) for key, inner in value.items()}
        return (value.dtype, value.tobytes()) if isinstance(value, np.ndarray) else value

    return {field.name: raw(getattr(compared, field.name)) for field in dataclasses.fields(compared)}


@pytest.mark.parametrize(("d", "workers"), [(12, 1), (300, 1), (300, 2)])
def test_beam_gives_the_bits_of_the_loop(tmp_path: Path, d: int, workers: int) -> None:
    real, samples = sets(d)
    here = compare(InMemory(real, ROWS), InMemory(samples, ROWS), 3, realism=True)
    folder = tmp_path / "blocks"
    stored = store([real[:7], real[7:]], folder, "real", ROWS), store([samples], folder, "samples", ROWS)
    beam = Beam(folder, BeamSettings(workers=workers))
    there = compare(*stored, 3, realism=True, run=beam)
    assert bits(there) == bits(here)
    assert neighbourhood_of(there) == neighbourhood_of(here)
    assert two_sample_of(there) == two_sample_of(here)
    assert kid_of(there) == kid_of(here)
    assert {path.name[:-10] for path in folder.iterdir()} == {"real", "samples"}  # no pass is left over


def test_arrays_are_stored_for_the_time_of_a_pass(tmp_path: Path) -> None:
    real, samples = sets(300)
    beam = Beam(tmp_path)
    rows, training, held_out = (InMemory(part, ROWS) for part in (samples, real[:100], real[100:]))
    assert copies(rows, training, held_out, run=beam) == copies(rows, training, held_out)
    index, distance = nearest(rows, training, run=beam)
    np.testing.assert_array_equal(index, nearest(rows, training)[0])
    np.testing.assert_array_equal(distance, nearest(rows, training)[1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pieces", [1, 2, 7, 20])
def test_the_pieces_that_rows_come_in_do_not_matter(tmp_path: Path, pieces: int) -> None:
    real, samples = sets(20)
    stored = store(np.array_split(real, pieces), tmp_path, "real", ROWS)
    assert len(stored) == 150
    np.testing.assert_array_equal(np.concatenate([stored.read(i) for i in range(4)]), real)
    np.testing.assert_array_equal(stored.take(np.array([149, 0, 41, 40, 41])), real[[149, 0, 41, 40, 41]])
    assert bits(compare(stored, InMemory(samples, ROWS))) == bits(
        compare(InMemory(real, ROWS), InMemory(samples, ROWS))
    )


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'real' has no rows"):
        store([np.zeros((0, 3))], tmp_path, "real")
