"""Flink, for real: Beam's job server with its embedded cluster, started from the jar that the variable names.

The job server can be had from Maven Central as one jar (beam-runners-flink-...-job-server), or put together
from its parts, as it was here with Beam 2.50 and Flink 1.16: see the README, Scale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dataflow import run
from components.errors import ResourceError
from components.runners import JAR
from components.settings import BeamSettings
from tests.components import dying
from tests.components.test_runners import expected, line, servers, source  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),  # Beam's own threads
    pytest.mark.skipif(not os.environ.get(JAR), reason=f"{JAR} names no Flink job server jar"),
]
FLINK = BeamSettings(runner="flink", workers=2)


def test_the_same_bytes(source: Path, expected: dict[str, Any], tmp_path: Path) -> None:  # noqa: F811
    assert line(source, tmp_path, FLINK) == expected


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set before the worker pool starts, which hands its environment on."""
    monkeypatch.setenv("MOZART_TEST_MARK", str(tmp_path / "mark"))
    return tmp_path / "mark"


def test_a_killed_worker_ends_in_a_sentence_and_a_second_run_gives_the_same_bytes(
    source: Path,  # noqa: F811
    expected: dict[str, Any],  # noqa: F811
    tmp_path: Path,
    mark: Path,
    servers: tuple[str, str],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("--environment_type=EXTERNAL", f"--environment_config={servers[1]}")
    beam = BeamSettings(runner="flink", workers=2, options=options)
    with monkeypatch.context() as patched:
        patched.setattr("components.ingest._Write", dying.Dying)
        with pytest.raises(ResourceError, match="a worker process of Beam ended"):
            line(source, tmp_path, beam)
    assert mark.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]
    assert line(source, tmp_path, beam) == expected


CHUNKS, VALUES, BYTES, KEYS = 100, 64, 64_000, 400  # 410 MB in all


def values(chunk: int) -> Iterator[tuple[str, bytes]]:
    """What one chunk gives: random bytes, which nothing compresses."""
    random = np.random.default_rng(chunk)
    for _ in range(VALUES):
        yield str(random.integers(KEYS)), random.bytes(BYTES)


def digests(key: str, found: list[bytes]) -> Iterator[tuple[str, Any]]:
    """What all the values of a key come to, in whatever order they came."""
    yield (
        key,
        [
            len(found),
            hashlib.sha256(b"".join(sorted(hashlib.sha256(one).digest() for one in found))).hexdigest(),
        ],
    )


def test_a_shuffle_larger_than_the_memory_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """410 MB grouped by 400 keys on a Java heap of 256 MB: what does not fit goes to disk, and comes back."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx256m")
    chunks = list(range(CHUNKS))
    found = dict(run(chunks, values, [digests], tmp_path, FLINK))
    assert sum(count for count, _ in found.values()) == CHUNKS * VALUES
    marks: dict[str, list[bytes]] = {}
    for key, value in (pair for chunk in chunks for pair in values(chunk)):
        marks.setdefault(key, []).append(hashlib.sha256(value).digest())
    assert found == {
        key: [len(own), hashlib.sha256(b"".join(sorted(own))).hexdigest()] for key, own in marks.items()
    }
