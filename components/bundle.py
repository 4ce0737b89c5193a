"""The bundle: a published model as a folder named by its own content, which holds data and no code.

    <root>/<SHA-256 of manifest.json>/
        weights.safetensors  model.json       from which Mozart's own code rebuilds the model
        encoding.json                         how data become examples and samples become data
        statistics.json                       of the data it learnt from, for drift
        optimizers.safetensors                where a recipe starts from its champion: to go on exactly
        provenance.json  evaluation.json      where it comes from, how it was measured
        golden.json                           hash of samples that whoever loads it can draw again
        card.md                               the model card
        manifest.json                         SHA-256 of every other file
        model.sig                             who published it (components.signing); added last

The folder's name vouches for the manifest and the manifest for the files but the signature, so all is
checked before anything is parsed. TensorFlow runs only in child processes (`python -m components.bundle`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.artifacts import MANIFEST, explain_os_error, read_json, reading, seal, sha256_of, write_json
from components.errors import IntegrityError, MozartError, announce, read_announcement
from components.signing import SIGNATURE
from components.warm_start import OPTIMIZERS

if TYPE_CHECKING:
    from keras_models.base import GenerativeModel

GOLDEN, CARD = "golden.json", "card.md"
STATISTICS = "statistics.json"
FROM_MODEL = ("weights.safetensors", "model.json", "encoding.json", STATISTICS, "provenance.json")
FROM_EVALUATION = ("evaluation.json",)
OPTIONAL = frozenset((STATISTICS, OPTIMIZERS, SIGNATURE))  # not in every bundle
FILES = frozenset((*FROM_MODEL, *FROM_EVALUATION, GOLDEN, CARD, MANIFEST)) | OPTIONAL  # nothing else, ever
GOLDEN_SEED, GOLDEN_COUNT = 20, 16
STALE_SECONDS = 24 * 3600  # a temporary folder this old has no writer any more


def write_bundle(model: Path, evaluation: Path, destination_root: Path, name: str) -> Path:
    """The bundle of a model and its evaluation: written beside, synced, renamed to its digest.

    The same inputs give the same bundle; one that is there already is checked and returned.

    Raises:
        IntegrityError: a folder is not the one its step wrote, or its model cannot be rebuilt.
        ResourceError: the disk is full or not writable.
    """
    sources = {file: model for file in FROM_MODEL} | {file: evaluation for file in FROM_EVALUATION}
    promised = {folder: reading(folder)["files"] for folder in (model, evaluation)}
    if OPTIMIZERS in promised[model]:
        sources[OPTIMIZERS] = model
    temporary = destination_root / f".{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        destination_root.mkdir(parents=True, exist_ok=True)
        _sweep(destination_root)
        temporary.mkdir()
        for file, folder in sources.items():
            if file not in promised[folder]:
                raise IntegrityError(f"{folder / file} is missing: it is part of every bundle")
            shutil.copyfile(folder / file, temporary / file)
        write_json(temporary / GOLDEN, _draw_in_new_process("model", temporary))
        (temporary / CARD).write_text(_card(temporary, name), "utf-8")
        manifest = seal(temporary, {"schema": 1, "kind": "bundle", "name": name})
        for file, folder in sources.items():
            if manifest["files"][file] != promised[folder][file]:
                raise IntegrityError(f"{folder / file} changed while it was copied: run again")
        return _settle(temporary, destination_root)
    except OSError as error:
        raise explain_os_error(error, destination_root) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_bundle(folder: Path, digest: str = "") -> dict[str, Any]:
    """The manifest of a bundle, after the folder's name, its list of files and every digest agreed.

    `digest` is what was published, where the folder has another name. Who signed it: `signing.verify`.

    Raises:
        IntegrityError: what does not belong there, is missing or is not what was published, by name.
    """
    if not folder.is_dir():
        raise IntegrityError(f"{folder} is missing: the bundle was moved or deleted after it was published")
    present = {entry.name for entry in folder.iterdir()}
    for name in sorted(present - FILES):
        raise IntegrityError(f"{folder / name} does not belong in a bundle (it holds data, never code)")
    for name in sorted(FILES - OPTIONAL - present):
        raise IntegrityError(f"{folder / name} is missing: the bundle was changed after it was published")
    if any((folder / name).is_symlink() for name in FILES):
        raise IntegrityError(f"{folder} holds a link where a file was published")
    if sha256_of(folder / MANIFEST) != (digest or folder.resolve().name):
        raise IntegrityError(f"{folder / MANIFEST} is not the file that was published (its SHA-256 differs)")
    return _checked_files(folder, present - {MANIFEST, SIGNATURE})


def _checked_files(folder: Path, present: set[str]) -> dict[str, Any]:
    """The manifest, after every file but it and the signature was found in it as it is."""
    try:
        manifest = read_json(folder / MANIFEST)
        listed = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{folder / MANIFEST} cannot be read as a manifest: {error!r}") from error
    for name in sorted(present ^ listed.keys()):
        state = "is not in the manifest" if name in present else "is missing"
        raise IntegrityError(f"{folder / name} {state}: the bundle was changed after it was published")
    for name, digest in sorted(listed.items()):
        if sha256_of(folder / name) != digest:
            raise IntegrityError(f"{folder / name} is not the file that was published (its SHA-256 differs)")
    return manifest


def load_bundle(folder: Path) -> GenerativeModel:
    """The model in a bundle, checked first. Imports TensorFlow.

    Raises:
        IntegrityError: the bundle is not what was published, or this Mozart cannot rebuild it.
    """
    check_bundle(folder)
    return _rebuild(folder)


def reproduce_golden(folder: Path) -> None:
    """A new process checks and loads the bundle and draws its golden samples again.

    Raises:
        IntegrityError: the bundle is damaged, cannot be loaded, or draws other samples.
    """
    drawn = _draw_in_new_process("bundle", folder)
    golden = read_json(folder / GOLDEN)
    if all(drawn[key] == golden[key] for key in ("sha256", "dtype", "shape")):
        return
    here, there = drawn["environment"], golden["environment"]
    changed = [f"{key} {there.get(key)} → {here[key]}" for key in here if there.get(key) != here[key]]
    reason = f"the environment differs: {', '.join(changed)}" if changed else "in the same environment"
    raise IntegrityError(
        f"{folder / GOLDEN}: seed {golden['seed']} draws other samples than when it was written ({reason})"
    )


def draw_golden(model: GenerativeModel) -> dict[str, Any]:
    """Seed, number, dtype, shape and SHA-256 of a few samples, and the environment they hold in."""
    import numpy as np

    samples = np.ascontiguousarray(model.sample(GOLDEN_COUNT, seed=GOLDEN_SEED))
    return {
        "seed": GOLDEN_SEED,
        "n": GOLDEN_COUNT,
        "dtype": samples.dtype.str,
        "shape": list(samples.shape),
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
        "environment": _environment(),
    }


def _environment() -> dict[str, Any]:
    """What equal samples depend on besides the bundle."""
    import tensorflow as tf

    from components.provenance import environment

    return environment() | {
        "tensorflow": tf.__version__,
        "accelerators": len(tf.config.list_physical_devices("GPU")),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),  # 0 = its choice
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _rebuild(folder: Path) -> GenerativeModel:
    from keras_models.saving import load

    try:
        return load(folder)
    except (ValueError, KeyError) as error:
        raise IntegrityError(f"this Mozart cannot rebuild the model in {folder}: {error}") from error


def _draw_in_new_process(kind: str, folder: Path) -> dict[str, Any]:
    """What `draw_golden` says in a process of its own; its announced error is raised here."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    child = subprocess.run(
        [sys.executable, "-P", "-m", "components.bundle", kind, str(folder.resolve())],
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    for line in child.stdout.splitlines():
        if error := read_announcement(line):
            raise error
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["no output"])[-1]
        raise IntegrityError(f"the model in {folder} draws no samples (exit {child.returncode}): {last}")
    return json.loads(child.stdout.splitlines()[-1])


def _settle(temporary: Path, root: Path) -> Path:
    """Gives the finished folder its name; the loser of a race to the same content takes the winner's."""
    folder = root / sha256_of(temporary / MANIFEST)
    _sync(temporary)
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():
            raise
        check_bundle(folder)
    _sync(root)
    return folder


def _sync(folder: Path) -> None:
    """Makes the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(root: Path) -> None:
    """Removes what killed writers left."""
    for folder in root.glob(".*.tmp"):
        try:
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # its writer was quicker
            continue


def _card(folder: Path, name: str) -> str:
    """The model card, in Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from components.metrics import METRICS
    from keras_models import describe

    files = {file: read_json(folder / file) for file in (*FROM_MODEL[1:], *FROM_EVALUATION, GOLDEN)}
    evaluation = files["evaluation.json"]
    environment = Environment(  # Markdown is not HTML: nothing to escape
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("model_card.md.j2").render(
        name=name,
        family=describe(files["model.json"]["family"]),
        model=files["model.json"],
        encoding=files["encoding.json"],
        provenance=files["provenance.json"],
        evaluation=evaluation,
        floors={label: _values(floor) for label, floor in (evaluation.get("floors") or {}).items()},
        reference=_values(evaluation.get("reference") or {}),
        golden=files[GOLDEN],
        about={key: metric.about for key, metric in METRICS.items()},
        better={key: metric.better for key, metric in METRICS.items()},
    )


def _values(measured: dict[str, Any]) -> dict[str, Any]:
    """Metric → number, of what was measured on the validation split (or on the only one)."""
    entries = measured.get("validation", measured)
    return {key: entry.get("value") if isinstance(entry, dict) else entry for key, entry in entries.items()}


def main() -> int:
    """`python -m components.bundle model|bundle FOLDER`: prints the golden samples' facts as JSON."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    try:
        if kind == "bundle":
            check_bundle(folder)
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()  # else an accelerator may add in another order
        print(json.dumps(draw_golden(_rebuild(folder))))
    except MozartError as error:
        print(announce(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
