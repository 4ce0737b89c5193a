"""Flink, for real: Beam's job server with its embedded cluster, started from the jar that the variable names.

The job server can be had from Maven Central as one jar (beam-runners-flink-...-job-server), or put together
from its parts, as it was here with Beam 2.50 and Flink 1.16: see the README, Scale.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

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
