"""A shard writer that ends its process in the middle of a shard: once, or each time."""

from __future__ import annotations

import os
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
