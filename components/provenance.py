"""Provenance: what made a model: code, data, versions, machine. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = (
    "mozart",
    "tensorflow",
    "keras",
    "tensorflow-probability",
    "apache-beam",
    "kfp",
    "mlflow-skinny",
    "numpy",
)
ROOT = Path(__file__).parent.parent


@cache
def code_version() -> str:
    """A digest of Mozart's own sources and of the versions it stands on: part of every cache key."""
    sha = hashlib.sha256()
    for floor in ("keras_models", "components", "pipelines"):
        for file in sorted((ROOT / floor).rglob("*")):
            if file.suffix in (".py", ".j2"):
                sha.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    sha.update(repr(sorted(versions().items())).encode())
    return sha.hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_commit() -> str | None:
    """The commit of Mozart's checkout, `+changes` where files differ from it; None outside of git."""
    if not (ROOT / ".git").exists():
        return None
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def environment() -> dict[str, Any]:
    """What equal bytes depend on: the same samples are promised in the same environment only."""
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
