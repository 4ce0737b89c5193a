"""Apache Beam, as Mozart uses it: the portable subset, in which every runner gives the same bytes.

An element is a chunk, never a record; one leaf; no tagged outputs, no Beam sinks; writes are
idempotent. The in-process runner is pinned (components.runners): Beam's default tries to download
another from the network. Beam is imported inside of the functions (0.7 s).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from components import errors
from components.errors import ConfigError, MozartError, ResourceError
from components.runners import engine, options
from components.settings import BeamSettings

DEAD_WORKER = (  # as Beam, Dask and Flink say it
    "Channel closed prematurely",
    "KilledWorker",
    "Socket closed",
    "CANCELLED: client cancelled",
    "SDK harness closed connection",
    "no longer reachable",
)
TOLD = re.compile(r"components\.errors\.(\w+): (.+?)(?: \[while running|\\n|\n|$)")  # by a worker elsewhere
Stage = Callable[[Any, list[Any]], Iterable[tuple[str, Any]]]


def run(
    chunks: list[Any],
    read: Callable[[Any], Iterable[tuple[str, Any]]],
    stages: Sequence[Stage],
    folder: Path,
    beam: BeamSettings | None = None,
) -> list[tuple[str, Any]]:
    """chunks → `read` → (key, value) → grouped by key → a stage → (key, value) → ... → all pairs, a list.

    Args:
        chunks: small descriptions that a worker can read by itself.
        read: yields pairs of a key and a value (bytes or JSON-like, small: names, counts, sketches).
        stages: each is called once a key with its values in any order, and yields pairs (a runner may
            repeat a call: it writes the same bytes under the same name); the last one's are JSON-like.
        folder: where the results pass from the workers to here, on a disk that all of them see.

    Raises:
        ConfigError: see components.runners.options.
        MozartError, OSError: what `read` or a stage raised, in its own words.
    """
    beam = beam or BeamSettings()
    made = options(beam)  # what is wrong with them is said before an engine starts
    results = folder / ".results.json"
    with engine(beam) as own:
        if own:
            made = options(beam.model_copy(update={"options": (*beam.options, *own)}))
        _run(made, chunks, read, stages, results)
    found = json.loads(results.read_text("utf-8"))
    results.unlink()
    return [(key, value) for key, value in found]


def _run(
    made: Any,
    chunks: list[Any],
    read: Callable[[Any], Iterable[tuple[str, Any]]],
    stages: Sequence[Stage],
    results: Path,
) -> None:
    import apache_beam

    try:
        pipeline = apache_beam.Pipeline(options=made)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"data.beam: {error}") from error
    join(pipeline, chunks, read, stages, results)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        own = error.__context__  # Beam raises a copy with its step's name, an OSError as a RuntimeError
        if getattr(error, "_tagged_with_step", False) and isinstance(own, MozartError | OSError):
            raise own from None
        told = TOLD.search(str(error))
        if told and issubclass(kind := getattr(errors, told[1], Exception), MozartError):
            raise kind(told[2]) from error
        if any(sign in f"{type(error).__name__} {error}" for sign in DEAD_WORKER):
            raise ResourceError(
                "a worker process of Beam ended while it worked (killed, or out of memory): run again, with fewer "
                "data.beam.workers where memory is short; nothing half-written was kept"
            ) from error
        raise


def join(
    pipeline: Any,
    chunks: list[Any],
    read: Callable[[Any], Iterable[tuple[str, Any]]],
    stages: Sequence[Stage],
    results: Path,
) -> Any:
    """Adds the one line of transforms to `pipeline` and returns its one leaf."""
    import apache_beam as beam

    line = (
        pipeline
        | "Chunks" >> beam.Create(chunks)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read)
    )
    for number, stage in enumerate(stages, 1):
        line = (
            line | f"Group {number}" >> beam.GroupByKey() | f"Stage {number}" >> beam.FlatMap(_Stage(stage))
        )
    return (
        line
        | "List" >> beam.Map(_listed)
        | "Collect" >> beam.CombineGlobally(_Gather())
        | "Keep" >> beam.Map(_Keep(str(results)))
    )


class _Stage:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(self, pair: tuple[str, Iterable[Any]]) -> Iterable[tuple[str, Any]]:
        return self.stage(pair[0], list(pair[1]))


def _listed(pair: Any) -> list[Any]:
    return [pair]


class _Gather:
    """Lists of results → one list."""

    def __call__(self, lists: Iterable[list[Any]]) -> list[Any]:
        return [result for some in lists for result in some]


class _Keep:
    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, results: list[Any]) -> None:
        Path(self.path).write_text(json.dumps(results), "utf-8")


def write_bytes(path: Path, body: bytes | memoryview) -> None:
    """Writes beside and renames: the same bytes whoever wins."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(body)
    os.replace(temporary, path)
