"""One step in a process group of its own: its output goes to a log, its progress to the screen.

Whoever ends the runner ends the step. Asked to stop (Ctrl-C, SIGTERM), the runner passes that on and
waits for the step's snapshot; killed, it lets go of the step's standard input, and the step, which
listens there (`components.step`), stops by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from components.errors import MozartError, ResourceError, read_announcement
from components.step import GRACE, RUNNER

PROGRESS = "@mozart-progress "
LAST_LINES = 12  # of a failed step's output
FULL = "No space left on device"


def environment() -> dict[str, str]:
    """For a child process: this very Mozart, and no module from the folder that the user stands in."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


class StepFailed(MozartError):
    """A step ended with a fault that is not the user's."""


class StepProcess:
    """A step's process; `error` is what it announced, `tail` the end of its output."""

    def __init__(self, name: str, log: Path, tell: Callable[[dict[str, Any]], None]) -> None:
        self.name, self.log, self.tell = name, log, tell
        self.error: MozartError | None = None
        self.tail: list[str] = []
        self.code = 0

    def run(self, command: list[str], variables: dict[str, str]) -> int:
        """Runs `command` to its end and returns its exit code; ended early, it ends the whole group."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="mozart-", ignore_cleanup_errors=True) as scratch,
            self.log.open("w", buffering=1, encoding="utf-8") as stream,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**environment(), **variables, RUNNER: "1", "TMPDIR": scratch},
                start_new_session=True,
            ) as child,
        ):
            try:
                self._follow(child, stream)
            except BaseException:
                self._end(child, stream)
                raise
            self.code = child.wait()
        return self.code

    def fault(self) -> MozartError:
        """Why the step failed: what it announced, or what the end of its output shows."""
        if self.error is not None:
            return self.error
        if any(FULL in line for line in self.tail):
            return ResourceError(
                f"the disk is full in step '{self.name}': make room and run again; {self.log} has the details"
            )
        if self.code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return ResourceError(
                f"step '{self.name}' was killed from outside, as systems do when memory runs out: free some, or "
                f"set train.batch_size or evaluate.samples lower; {self.log} has the details"
            )
        last = "\n".join(f"    {line}" for line in self.tail)
        return StepFailed(f"step '{self.name}' failed; the last lines of {self.log} are\n{last}")

    def _follow(self, child: subprocess.Popen[str], stream: IO[str]) -> None:
        """Reads until the last process of the group has closed its output."""
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(PROGRESS):
                self.tell(json.loads(line[len(PROGRESS) :]))
                continue
            self.error = read_announcement(line) or self.error
            if line.strip():
                self.tail = [*self.tail[1 - LAST_LINES :], line.rstrip()]
            stream.write(line)

    def _end(self, child: subprocess.Popen[str], stream: IO[str]) -> None:
        """Asks the group to stop, waits for its snapshot, then insists; asked again, at once."""
        _send(child, signal.SIGTERM)
        insist = threading.Timer(GRACE, _send, (child, signal.SIGKILL))
        insist.start()
        try:
            with contextlib.suppress(OSError):  # a full disk may be why we are here
                self._follow(child, stream)
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            insist.cancel()
            _send(child, signal.SIGKILL)
            child.wait()


def _send(child: subprocess.Popen[str], number: int) -> None:
    """Signals what is left of the step's group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
