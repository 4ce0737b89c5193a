"""Apache Beam, as Mozart uses it: the portable subset, in which every runner gives the same bytes.

An element is a chunk, never a record; one leaf; no tagged outputs, no Beam sinks; writes are
idempotent. The in-process runner is pinned: Beam's default tries to download another from the
network. Import this module's functions, not Beam: Beam is imported inside (0.7 s).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from components.errors import ConfigError, MozartError

DEFAULT_OPTIONS = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")


def options(extra: tuple[str, ...]) -> Any:
    """Beam's options: the pinned runner, or the recipe's own.

    Raises:
        ConfigError: an option that Beam does not know, or one that loses data.
    """
    quiet = logging.getLogger()
    if not quiet.handlers:  # importing Beam logs through the root logger, which installs a handler
        quiet.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module="apache_beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    if any("multi_threading" in option for option in extra):
        raise ConfigError(
            "data.beam: --direct_running_mode=multi_threading silently loses records in this Beam; "
            "use in_memory (the default) or multi_processing"
        )
    known = {f"--{name}" for name in PipelineOptions([]).get_all_options()} | {"--runner"}
    for option in extra:
        if option.split("=", 1)[0] not in known:
            raise ConfigError(
                f"data.beam: Beam has no option '{option.split('=', 1)[0]}' (write --name=value)"
            )
    made = PipelineOptions([*DEFAULT_OPTIONS, *extra])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            made.get_all_options()
    except SystemExit as error:  # argparse ends the process where a value is wrong
        reason = said.getvalue().strip().rsplit("error: ", 1)[-1]
        raise ConfigError(f"data.beam: {reason}") from error
    return made


def run(
    chunks: list[Any],
    read: Callable[[Any], Iterable[tuple[Any, Any]]],
    write: Callable[[Any, list[Any]], Any],
    folder: Path,
    beam_options: tuple[str, ...] = (),
) -> list[Any]:
    """chunks → `read` → (key, value) → grouped by key → `write(key, values)` → all results, a list.

    Args:
        chunks: small descriptions that a worker can read by itself.
        read: yields pairs of a key and a value (bytes or JSON-like).
        write: called once a key (a runner may repeat it: it writes the same bytes under the same
            name); its result is JSON-like.
        folder: where the results pass from the workers to here.

    Raises:
        ConfigError: see `options`.
        MozartError, OSError: what `read` or `write` raised, in its own words.
    """
    made = options(beam_options)
    import apache_beam as beam

    results = folder / ".results.json"
    try:
        pipeline = beam.Pipeline(options=made)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"data.beam: {error}") from error
    join(pipeline, chunks, read, write, results)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        own = error.__context__  # Beam raises a copy with its step's name, an OSError as a RuntimeError
        if getattr(error, "_tagged_with_step", False) and isinstance(own, MozartError | OSError):
            raise own from None
        raise
    found = json.loads(results.read_text("utf-8"))
    results.unlink()
    return found


def join(
    pipeline: Any,
    chunks: list[Any],
    read: Callable[[Any], Iterable[tuple[Any, Any]]],
    write: Callable[[Any, list[Any]], Any],
    results: Path,
) -> Any:
    """Adds the one line of transforms to `pipeline` and returns its one leaf."""
    import apache_beam as beam

    return (
        pipeline
        | "Chunks" >> beam.Create(chunks)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read)
        | "Group" >> beam.GroupByKey()
        | "Write" >> beam.Map(_Write(write))
        | "Collect" >> beam.CombineGlobally(_Gather())
        | "Keep" >> beam.Map(_Keep(str(results)))
    )


class _Write:
    def __init__(self, write: Callable[[Any, list[Any]], Any]) -> None:
        self.write = write

    def __call__(self, pair: tuple[Any, Iterable[Any]]) -> list[Any]:
        return [self.write(pair[0], list(pair[1]))]


class _Gather:
    """Lists of results → one list."""

    def __call__(self, lists: Iterable[list[Any]]) -> list[Any]:
        return [result for some in lists for result in some]


class _Keep:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, results: list[Any]) -> None:
        Path(self.path).write_text(json.dumps(results), "utf-8")


def unit_hash(key: str, purpose: str) -> float:
    """A stable number in [0, 1) for `key`; another purpose gives an independent one."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=purpose.encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


def to_ipc(table: Any) -> bytes:
    """An Arrow table as IPC stream bytes."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def from_ipc(parts: list[bytes]) -> Any:
    """IPC stream bytes, several → one Arrow table."""
    import pyarrow as pa

    return pa.concat_tables([pa.ipc.open_stream(part).read_all() for part in parts]).combine_chunks()


def write_bytes(path: Path, body: bytes | memoryview) -> None:
    """Writes beside and renames: the same bytes whoever wins."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(body)
    os.replace(temporary, path)
