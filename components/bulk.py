"""Bulk samples: any number, drawn by Beam in chunks into a folder.

    <out>/samples-00000-of-00123.npy ...     CHUNK samples each, as the model draws them (encoding.json)
    <out>/encoding.json                      how they become data
    <out>/manifest.json                      model, version, seed, count, SHA-256 of each file
    <out>.part/                              while it is not finished: the same call goes on there

They are the samples of `mozart sample` with the same seed: chunk k holds blocks k, k + 1 ... of the model, so
who draws which chunk, in which order and after how many crashes makes no difference.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from components import dataflow
from components.artifacts import MANIFEST, SCHEMA, explain_os_error, reading, seal
from components.bundle import check_bundle, load_bundle
from components.errors import ConfigError, ResourceError
from components.marking import facts_of
from components.registry import Version
from components.settings import BeamSettings

CHUNK = 8192  # samples in a file: 64 of the model's blocks
PLAN = "plan.json"


def sample_in_bulk(
    version: Version, count: int, seed: int, out: Path, beam: BeamSettings | None = None, chunk: int = CHUNK
) -> dict[str, Any]:
    """Draws `count` samples into the folder `out` and returns its manifest; broken off, it goes on.

    Args:
        chunk: samples in a file, a multiple of the model's block of 128.

    Raises:
        ConfigError: `out` or its beginning holds something else, or the samples of another wish.
        IntegrityError: the bundle, or a set that was finished, is not what it was.
        ResourceError: `out` cannot be written, or another process is writing it.
    """
    check_bundle(version.bundle_path)
    wish = facts_of(version, seed) | {"count": count, "chunk": chunk}
    if out.exists():
        return _finished(out, wish)
    part = out.with_name(f"{out.name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with (part / PLAN).open("a+") as plan:
            _hold(plan, part)
            _agree(plan, wish, part)
            _draw(version.bundle_path, wish, part, beam)
            seal(part, {"schema": SCHEMA, "step": "sample", **wish})
            os.rename(part, out)
    except OSError as error:
        raise explain_os_error(error, out) from error
    return reading(out)


def _draw(bundle: Path, wish: dict[str, Any], part: Path, beam: BeamSettings | None) -> None:
    """The chunks that are not there yet."""
    for torn in [*part.glob(".*"), part / MANIFEST]:  # what killed processes left
        torn.unlink(missing_ok=True)
    shutil.copyfile(bundle / "encoding.json", part / "encoding.json")
    count, chunk = wish["count"], wish["chunk"]
    todo = [
        {"path": str(part / name), "first": k * chunk, "count": min(chunk, count - k * chunk)}
        for k, name in enumerate(_names(count, chunk))
        if not (part / name).is_file()
    ]
    if todo:
        dataflow.run(todo, Draw(str(bundle), wish["seed"]), [], part, beam)


class Draw:
    """Draws one chunk and writes it, whole or not at all. A worker loads the model once."""

    def __init__(self, bundle: str, seed: int) -> None:
        self.bundle, self.seed = bundle, seed

    def __call__(self, chunk: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yields the file's name and its number of samples."""
        samples = _drawer(self.bundle)(chunk["first"], chunk["count"], self.seed)
        path = Path(chunk["path"])
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as stream:
            np.save(stream, samples, allow_pickle=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        yield path.name, len(samples)


@lru_cache(maxsize=1)
def _drawer(bundle: str) -> Any:
    """`(first, count, seed) → samples` of the model in a bundle."""
    import tensorflow as tf

    from keras_models.base import BLOCK

    model = load_bundle(Path(bundle))
    draw = tf.function(lambda seed: model.draw(BLOCK, None, seed), reduce_retracing=True, autograph=False)

    def drawn(first: int, count: int, seed: int) -> np.ndarray:
        blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
        found = [np.asarray(draw(tf.constant([seed, block], tf.int32))) for block in blocks]
        return np.concatenate(found)[:count]

    return drawn


def _names(count: int, chunk: int) -> list[str]:
    number = -(-count // chunk)
    return [f"samples-{k:05d}-of-{number:05d}.npy" for k in range(number)]


def _hold(plan: IO[str], part: Path) -> None:
    """One process at a time; the system lets go when its holder dies."""
    try:
        fcntl.flock(plan, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ResourceError(f"another process is writing {part}: wait, or name another folder") from error


def _agree(plan: IO[str], wish: dict[str, Any], part: Path) -> None:
    """Writes the wish into an empty plan; what is there was wished for before."""
    plan.seek(0)
    text = plan.read()
    try:
        there = json.loads(text) if text else None
    except ValueError:  # its writer was killed within it, so no chunk is there
        there = None
    if there is None:
        plan.truncate(0)
        plan.write(json.dumps(wish))
        plan.flush()
        os.fsync(plan.fileno())
    elif there != wish:
        raise ConfigError(f"{part} is of {_differs(there, wish)}: name another folder, or remove that one")


def _finished(out: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a set that is there and was wished for, checked."""
    if not (out / MANIFEST).is_file():
        raise ConfigError(f"{out} is there and holds no bulk samples: name another folder")
    manifest = reading(out)
    if any(manifest.get(key) != value for key, value in wish.items()):
        raise ConfigError(f"{out} is of {_differs(manifest, wish)}: name another folder")
    return manifest


def _differs(there: dict[str, Any], wish: dict[str, Any]) -> str:
    return "another " + " and ".join(key for key in sorted(wish) if there.get(key) != wish[key])
