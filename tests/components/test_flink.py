"""Flink, for real: embedded in Beam's job server, and a cluster of processes, from the jar that the variable names.

The job server can be had from Maven Central as one jar (beam-runners-flink-...-job-server), or put together
from its parts, as it was here with Beam 2.62 and Flink 1.19: see the README, Scale.
"""

from __future__ import annotations

import hashlib
import os
import signal
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
from tests.components.flink_cluster import Cluster
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


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("flink"))
    yield started
    started.stop()


def on(cluster: Cluster, parts: int) -> BeamSettings:
    """More parts than the cluster has slots: one after the other, each small enough for the heap."""
    return BeamSettings(runner="flink", workers=parts, options=(f"--flink_master={cluster.master}",))


CHUNKS, VALUES, BYTES, KEYS = 400, 16, 80_000, 400


def values(chunk: int) -> Iterator[tuple[str, bytes]]:
    """What one chunk gives: random bytes, which nothing compresses."""
    random = np.random.default_rng(chunk)
    for _ in range(VALUES):
        yield str(random.integers(KEYS)), random.bytes(BYTES)


def digests(key: str, found: list[bytes]) -> Iterator[tuple[str, Any]]:
    """What all the values of a key come to, in whatever order they came."""
    marks = sorted(hashlib.sha256(one).digest() for one in found)
    yield key, [len(found), hashlib.sha256(b"".join(marks)).hexdigest()]


def test_a_shuffle_larger_than_the_memory_of_the_worker(cluster: Cluster, tmp_path: Path) -> None:
    """512 MB grouped by 400 keys on a heap of 256 MB: what does not fit goes to disk."""
    chunks = list(range(CHUNKS))
    assert CHUNKS * VALUES * BYTES >= 512e6
    found = dict(run(chunks, values, [digests], tmp_path, on(cluster, 40)))
    whole: dict[str, list[bytes]] = {}
    for key, value in (pair for chunk in chunks for pair in values(chunk)):
        whole.setdefault(key, []).append(value)
    assert found == dict(pair for key, own in whole.items() for pair in digests(key, own))


def test_a_killed_task_manager_ends_in_a_sentence_and_a_new_one_gives_the_same_bytes(
    cluster: Cluster,
    source: Path,  # noqa: F811
    expected: dict[str, Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOZART_TEST_VICTIM", str(cluster.worker.pid))
    with monkeypatch.context() as patched:
        patched.setattr("components.ingest._Write", dying.Killing)
        with pytest.raises(ResourceError, match="a worker process of Beam ended"):
            line(source, tmp_path, on(cluster, 2))
    assert cluster.worker.wait(20) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    cluster.start_worker()
    assert line(source, tmp_path, on(cluster, 2)) == expected
