"""The same bytes from every engine that runs here: in-process, processes, portable protocol, Dask, Flink."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.artifacts import reading
from components.errors import DataError, ResourceError
from components.ingest import ingest
from components.settings import BeamSettings, DataSettings
from components.statistics import statistics
from components.transform import transform
from tests.components import dying

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def line(source: Path, out: Path, beam: BeamSettings | None = None) -> dict[str, Any]:
    """Records, statistics and examples by one engine; the digests of all their files."""
    data = DataSettings(source=f"images:{source}", max_rejected=0.1, beam=beam or BeamSettings())
    ingest(data, out / "records")
    statistics(out / "records", out / "statistics", data.beam)
    transform(out / "records", out / "statistics", out / "examples", data)
    return {name: reading(out / name)["files"] for name in ("records", "statistics", "examples")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """900 pictures in two classes, so several chunks; every hundredth is broken."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(900):
        file = folder / "ab"[i % 2] / f"{i:03d}.png"
        file.parent.mkdir(exist_ok=True)
        if i % 100 == 7:
            file.write_bytes(b"no picture")
        else:
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("in_process")
    found = line(source, out)
    counts = reading(out / "records")["counts"]
    assert (counts["read"], counts["rejected"]) == (900, 9)
    return found


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        with socket.socket() as opened:
            if opened.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "the server ended"
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port}")


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    """Beam's own job service and worker pool, in processes of their own: (job endpoint, pool)."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    job, pool = free_port(), free_port()
    runner, worker = (
        "apache_beam.runners.portability.local_job_service_main",
        "apache_beam.runners.worker.worker_pool_main",
    )
    started = [
        subprocess.Popen([sys.executable, "-m", runner, f"--port={job}"], env=environment, cwd=ROOT),
        subprocess.Popen([sys.executable, "-m", worker, f"--service_port={pool}"], env=environment, cwd=ROOT),
    ]
    try:
        wait_for(job, started[0])
        wait_for(pool, started[1])
        yield f"localhost:{job}", f"localhost:{pool}"
    finally:
        for process in started:
            process.terminate()
            process.wait(20)


def test_processes(source: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    assert line(source, tmp_path, BeamSettings(workers=2)) == expected


def test_portable_protocol(
    source: Path, expected: dict[str, Any], tmp_path: Path, servers: tuple[str, str]
) -> None:
    job, pool = servers
    options = (f"--job_endpoint={job}", "--environment_type=EXTERNAL", f"--environment_config={pool}")
    assert line(source, tmp_path, BeamSettings(runner="portable", options=options)) == expected


def test_dask_with_worker_processes(source: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    assert line(source, tmp_path, BeamSettings(runner="dask", workers=2)) == expected


def test_dask_replaces_a_worker_that_dies_in_the_middle_of_a_shard(
    source: Path, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZART_TEST_MARK", str(tmp_path / "mark"))
    monkeypatch.setattr("components.ingest._Write", dying.Dying)
    assert line(source, tmp_path, BeamSettings(runner="dask", workers=2)) == expected
    assert (tmp_path / "mark").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Beam's own threads
def test_a_dead_worker_process_ends_the_step_and_a_second_run_gives_the_same_bytes(
    source: Path, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZART_TEST_MARK", str(tmp_path / "mark"))
    with monkeypatch.context() as patched:
        patched.setattr("components.ingest._Write", dying.Dying)
        with pytest.raises(ResourceError, match="a worker process of Beam ended"):
            line(source, tmp_path, BeamSettings(workers=2))
    assert (tmp_path / "mark").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"], "nothing half-written is left"
    assert line(source, tmp_path, BeamSettings(workers=2)) == expected


def test_what_a_worker_process_finds_wrong_is_said_in_its_own_sentence(tmp_path: Path) -> None:
    for part, rank in (("images", 3), ("labels", 1)):
        header = bytes([0, 0, 8, rank]) + b"".join(n.to_bytes(4, "big") for n in (3, 2, 2)[:rank])
        (tmp_path / f"train-{part}-idx{rank}-ubyte").write_bytes(header + bytes(3))
    data = DataSettings(source=f"idx:{tmp_path}", beam=BeamSettings(workers=2))
    with pytest.raises(DataError, match=r"^'.*train-images.*holds 3 bytes: it is cut short or too long$"):
        ingest(data, tmp_path / "records")
