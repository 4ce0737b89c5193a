"""Samples of a published model in a file that a person opens, marked: whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.artifacts import explain_os_error, read_json
from components.bundle import load_bundle
from components.errors import ConfigError
from components.marking import facts_of, mark, write_manifest
from components.modalities import modalities
from components.registry import Version


def sample_to_file(version: Version, count: int, seed: int, out: str = "") -> Path:
    """Draws `count` samples and returns the file that holds them; a manifest lies beside it.

    Args:
        out: the file, or the folder for one named after the model; by default here. Without a suffix
            it gets the one that such samples have.

    Raises:
        ConfigError: `out` has another suffix.
        ResourceError: it cannot be written.
        IntegrityError: the bundle is not what was published.
    """
    wanted = Path(out)
    named = bool(out) and not wanted.is_dir()
    folder = wanted.parent if named else wanted
    name = wanted.name if named else f"{version.name}-{version.version}-seed{seed}"
    suffix = wanted.suffix if named else ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".mozart-") as beside:
            drawn = load_bundle(version.bundle_path).sample(count, seed=seed)  # checks every digest first
            encoding = read_json(version.bundle_path / "encoding.json")
            write = modalities()[encoding["modality"]].write_samples
            written: Path = write(drawn, encoding, Path(beside) / "samples")
            if suffix not in ("", written.suffix):
                raise ConfigError(
                    f"--out {out}: samples of this model are written as {written.suffix}: name it "
                    f"{wanted.stem}{written.suffix}"
                )
            final = folder / (name if suffix else name + written.suffix)
            return _kept(written, final, facts_of(version, seed) | {"count": count})
    except OSError as error:
        raise explain_os_error(error, folder / name) from error


def sample_to_shards(version: Version, count: int, seed: int, out: str, workers: int) -> Path:
    """Draws any number of samples into a folder of shards; broken off, the same call goes on.

    Raises:
        ConfigError, IntegrityError, ResourceError: see `components.bulk.sample_in_bulk`.
    """
    from components.bulk import sample_in_bulk
    from components.settings import BeamSettings

    folder = Path(out or f"{version.name}-{version.version}-seed{seed}")
    sample_in_bulk(version, count, seed, folder, BeamSettings(workers=workers))
    return folder


def _kept(written: Path, final: Path, facts: dict[str, Any]) -> Path:
    """Marks what was written and what lies beside it (a picture of the music, say), gives all of it the
    final name, and a manifest."""
    made = []
    for file in (written, *sorted(set(written.parent.iterdir()) - {written})):
        mark(file, facts)
        made.append(file.rename(final if file == written else final.with_suffix(file.suffix)))
    write_manifest(made, facts)
    return final


@contextlib.contextmanager
def without_native_noise() -> Iterator[None]:
    """TensorFlow's libraries write to standard error while they load, whatever they are told."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
