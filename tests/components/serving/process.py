"""`mozart serve` as a process of its own on loopback, and what the system says of its memory."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Service:
    """A service that answers at `url`."""

    url: str
    process: subprocess.Popen[str]

    def resident_bytes(self) -> int:
        """Memory that the process has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


@contextlib.contextmanager
def served(home: Path, *options: str) -> Iterator[Service]:
    """`mozart serve tiny` of the registry in `home`; ended by SIGTERM, without an error."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pipelines.cli", "serve", "tiny@champion", "--port", "0", *options],
        env={**os.environ, "MOZART_HOME": str(home), "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = process.stdout.readline()
        found = re.search(r"at (http://\S+) ", said)
        assert found, said + process.stderr.read()
        yield Service(found[1], process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode in (0, -signal.SIGTERM), errors
    assert "Traceback" not in errors, errors
