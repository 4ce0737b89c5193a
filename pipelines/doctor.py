"""Whether this machine can run Mozart: each finding in one line, with the remedy.

Imports none of the heavy packages: versions come from the installed metadata, devices from a child
process that imports TensorFlow, which shows at once whether that works.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from components.errors import MozartError, ResourceError

LEAST_FREE, GOOD_FREE = 1e9, 5e9  # bytes: one run of a small recipe; room for a few larger ones
TENSORFLOW_SECONDS = 180  # importing takes 6 s, 20 s without bytecode, longer on a crowded machine
LEAST_KFP = (2, 17)

_DEVICES = """
import json, tensorflow as tf
found = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(one).get("device_name", one.name) for one in found]
print(json.dumps({"gpus": names}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `error` is what a run would be refused with."""

    what: str
    said: str
    state: Literal["ok", "note", "wrong"] = "ok"
    error: MozartError | None = None


def findings(home: Path, *, quick: bool = False) -> Iterator[Finding]:
    """Everything that decides whether a run can succeed; `quick` leaves TensorFlow's devices out."""
    yield Finding("python", f"{platform.python_version()} ({sys.executable})")
    yield from _packages()
    yield _machine()
    if not quick:
        yield _devices()
    disk = _disk(home)
    yield disk
    if disk.error is None:
        yield _registry(home)
    yield Finding(
        "local runs",
        "cpu, memory and gpu limits, timeouts, node selectors, tolerations, volumes, secrets and "
        "schedules of a recipe's pipeline hold on Kubeflow only; here every step gets the whole machine",
        "note",
    )


def require_kfp() -> str:
    """The version of kfp.

    Raises:
        ResourceError: kfp is missing, or so old that its local runs ignore conditions.
    """
    try:
        version = metadata.version("kfp")
    except metadata.PackageNotFoundError:
        raise ResourceError("kfp is not installed: run `uv sync`") from None
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_KFP:
        raise ResourceError(
            f"kfp {version} is too old: before 2.17 a local run takes every branch of a condition and "
            "would publish what a gate refused; run `uv sync`"
        )
    return version


def _packages() -> Iterator[Finding]:
    """Each package that Mozart requires, at the version that is installed."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in metadata.requires("mozart") or ()]
    except metadata.PackageNotFoundError:
        yield _wrong("mozart", ResourceError("mozart itself is not installed: run `uv sync`"))
        return
    for requirement in required:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = require_kfp() if requirement.name == "kfp" else metadata.version(requirement.name)
        except ResourceError as error:
            yield _wrong(requirement.name, error)
        except metadata.PackageNotFoundError:
            yield _wrong(requirement.name, ResourceError(f"{requirement.name} is missing: run `uv sync`"))
        else:
            if requirement.specifier.contains(version, prereleases=True):
                yield Finding(requirement.name, version)
            else:
                said = f"{requirement.name} {version} is not {requirement.specifier}: run `uv sync`"
                yield _wrong(requirement.name, ResourceError(said))


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = f"{platform.system()} {platform.machine()}, {cores} cores"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        said += f", {memory / 1e9:.0f} GB of memory"
    return Finding("machine", said)


def _devices() -> Finding:
    """What TensorFlow can compute on, asked of a child process."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _DEVICES]
    try:
        done = subprocess.run(
            command, env=quiet, capture_output=True, text=True, timeout=TENSORFLOW_SECONDS, check=True
        )
        gpus = json.loads(done.stdout.splitlines()[-1])["gpus"]
    except subprocess.TimeoutExpired:
        said = f"TensorFlow could not be imported within {TENSORFLOW_SECONDS} s: see `{sys.executable}`"
        return _wrong("devices", ResourceError(said))
    except (subprocess.CalledProcessError, IndexError, ValueError, KeyError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        said = f"TensorFlow cannot be imported: {lines[-1] if lines else error}"
        return _wrong("devices", ResourceError(said))
    if gpus:
        return Finding("devices", f"{len(gpus)} GPU: {', '.join(gpus)}")
    if shutil.which("nvidia-smi"):
        said = "CPU only, although there is an NVIDIA driver: install `mozart[gpu]` to use it"
        return Finding("devices", said, "note")
    return Finding("devices", "CPU only: no GPU is found")


def _disk(home: Path) -> Finding:
    """Free space where MOZART_HOME is, and whether it may be written."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return _wrong(
            "home", ResourceError(f"{home} cannot be written: set MOZART_HOME to a folder of yours")
        )
    free = shutil.disk_usage(there).free
    said = f"{home}, {free / 1e9:.1f} GB free"
    if free < LEAST_FREE:
        wanted = f"{said}: at least {LEAST_FREE / 1e9:.0f} GB are needed; make room or set MOZART_HOME"
        return _wrong("home", ResourceError(wanted))
    return Finding("home", said, "ok" if free >= GOOD_FREE else "note")


def _registry(home: Path) -> Finding:
    """Whether the model registry answers; made if there is none."""
    from components.registry import Registry

    try:
        registry = Registry(home)
        registry.prepare()
        versions = registry.models()
    except MozartError as error:
        return _wrong("registry", error)
    names = {version.name for version in versions}
    return Finding("registry", f"reached, {len(names)} models with {len(versions)} versions")


def _wrong(what: str, error: MozartError) -> Finding:
    return Finding(what, str(error), "wrong", error)
