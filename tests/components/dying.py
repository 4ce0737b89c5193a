"""Shard writers in the middle of whose work a process is killed: their own, or another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.ingest import _Write


class Dying(_Write):
    """Dies at the first shard of the train split, half of it written, unless `mark` says that it has."""

    mark = Path(os.environ.get("MOZART_TEST_MARK", os.devnull))

    def __call__(self, name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
        if name.startswith("train") and not self.mark.exists():
            self.mark.touch()
            half = Path(self.folder) / f".{name}.parquet.{os.getpid()}.tmp"
            half.write_bytes(b"half a shard")
            os._exit(9)
        yield from super().__call__(name, values)


class Killing(_Write):
    """Kills the process that MOZART_TEST_VICTIM numbers before each shard: it is gone after the first."""

    def __call__(self, name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
        os.kill(int(os.environ["MOZART_TEST_VICTIM"]), signal.SIGKILL)
        yield from super().__call__(name, values)
