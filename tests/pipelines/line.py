"""`mozart` as a person runs it: in processes of its own, with a home that a test names."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.artifacts import read_json

ROOT = Path(__file__).parents[2]
SECONDS = 300
STEPS = ["ingest", "statistics", "validate", "transform", "train", "evaluate", "publish"]
TINY = """\
name: tiny
about: a normal of digits
data: {source: digits, split: {train: 0.6, validation: 0.2, test: 0.2}}
model: {family: normal}
train: {epochs: 1}
evaluate: {samples: 64, classifier_epochs: 3, classifier_accuracy: 0.0}
gates: {metric: classifier_fid}
"""
GAN = (
    "model={family: dcgan, config: {width: 8}}",
    "train={epochs: 30, snapshot_steps: 17}",  # 17 steps are an epoch
)


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, *arguments: str, code: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    """`mozart ARGUMENTS` in `folder`, whose `home` is MOZART_HOME; `code` is where the three floors are."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pipelines.cli", *arguments],
        cwd=folder,
        env={**os.environ, "MOZART_HOME": str(folder / "home"), "PYTHONPATH": str(code), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell that starts the tests in its background lets them ignore Ctrl-C, and children inherit it
        preexec_fn=_hear_interrupts,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Waits for its end."""
    out, errors = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def mozart(folder: Path, *arguments: str, code: Path = ROOT, **environment: str) -> Any:
    """As `start`, to its end."""
    return finish(start(folder, *arguments, code=code, **environment))


def changes(*settings: str) -> list[str]:
    """`--set` for each."""
    return [word for setting in settings for word in ("--set", setting)]


def folder_with_recipe(folder: Path, text: str = TINY) -> Path:
    """`folder` itself, made if it is not there, with `tiny.yaml`."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(text, "utf-8")
    return folder


def runs(folder: Path) -> list[Path]:
    """The folders of the runs, oldest first."""
    return sorted(path for path in (folder / "home/runs").iterdir() if path.is_dir())


def facts(folder: Path, run: int = -1) -> Any:
    """`run.json` of the last run, or of another."""
    return read_json(runs(folder)[run] / "run.json")


def copy_of_code(folder: Path, file: str, old: str, new: str) -> Path:
    """The three floors in `folder`, with `old` in `file` replaced by `new`."""
    for floor in ("keras_models", "components", "pipelines"):
        shutil.copytree(ROOT / floor, folder / floor, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text("utf-8")
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new), "utf-8")
    return folder


def processes(folder: Path) -> list[str]:
    """The processes that work for the home in `folder`, as their command lines."""
    mark = f"MOZART_HOME={folder / 'home'}".encode() + b"\0"
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def wait_until(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Returns as soon as `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.05)
