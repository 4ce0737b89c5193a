"""Samples of a published model in a file that a person opens: whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.artifacts import explain_os_error, read_json
from components.bundle import load_bundle
from components.errors import ConfigError
from components.modalities import modalities
from components.registry import Version


def sample_to_file(version: Version, count: int, seed: int, out: str = "") -> Path:
    """Draws `count` samples and returns the file that holds them.

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
            for second in sorted(set(Path(beside).iterdir()) - {written}):  # a picture of them, say
                second.rename(final.with_suffix(second.suffix))
            return written.rename(final)
    except OSError as error:
        raise explain_os_error(error, folder / name) from error


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
