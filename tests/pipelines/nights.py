"""Nights of a recurring recipe: texts that arrive day by day, and `mozart run` with its steps in this process.

The steps are those of the pipeline, called by Kubeflow's own executor from its own local runner: gates, cache
and files are the real ones. Left out is what costs seconds each night and decides nothing: the processes around
the steps and the pages.
"""

from __future__ import annotations

import contextlib
import io
import random
import traceback
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.errors import MozartError, read_announcement
from pipelines.local import run_here
from pipelines.recipe import load_recipe
from pipelines.step_process import StepProcess

FIRST = date(2026, 10, 1)
LETTERS = "abcdefg\n"
RECIPE = """\
name: nightly
about: a Markov chain of what the day brought
data:
  source: text:in/{SPAN}.txt
  spans: {window: 2}
  read: {block: 100}
  encode: {length: 32}
  split: {train: 0.5, validation: 0.3, test: 0.2}
  drift: {action: stop}
  max_rejected: 0
model: {family: markov_chain, config: {order: 2, capacity: 4096}}
train: {epochs: 1, batch_size: 8}
evaluate: {samples: 64, most_samples: 64}
gates: {metric: perplexity, beat_floors: false, champion_margin: 0.0, limits: {copy_excess: {max: 1.0}}}
"""


def day(night: int) -> str:
    """The name of a night's span."""
    return (FIRST + timedelta(days=night)).isoformat()


def written(kind: str, night: int, letters: int) -> bytes:
    """A day's text: each letter mostly follows the one before it in the alphabet.

    `worse` has the same letters in any order, `drifted` mostly one of them, `corrupt` bytes that are no text.
    """
    noise = random.Random(night)
    if kind == "empty":
        return b""
    if kind == "corrupt":
        return noise.randbytes(letters)
    text, at = [], 0
    for _ in range(letters):
        at = (at + 1) % len(LETTERS) if noise.random() < 0.8 else noise.randrange(len(LETTERS))
        text.append(LETTERS[at])
    if kind == "worse":
        noise.shuffle(text)
    if kind == "drifted":
        text = [letter if noise.random() < 0.4 else "c" for letter in text]
    return "".join(text).encode()


class Nights:
    """A folder in which texts arrive and a recipe is run after each."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.night = folder, 0
        self.home = folder / "home"
        (folder / "in").mkdir(parents=True)
        (folder / "nightly.yaml").write_text(RECIPE, "utf-8")
        patch.setenv("MOZART_HOME", str(self.home))
        patch.chdir(folder)
        patch.setattr("pipelines.local.StepProcess", _InProcess)
        patch.setattr("components.bundle._draw_in_new_process", _draw_here)
        patch.setattr("components.step.report", lambda name, page, **folders: Path(page).touch())
        patch.setattr("pipelines.outcome._write_page", lambda done: None)
        patch.setattr("components.history.now", lambda: f"{day(self.night)}T03:00:00+00:00")

    def run(self, night: int, kind: str, letters: int = 8000, *changes: str) -> MozartError | None:
        """What arrives on a night, if anything does, and the run after it; the error it ends with."""
        self.night = night
        if kind != "nothing":
            (self.folder / "in" / f"{day(night)}.txt").write_bytes(written(kind, night, letters))
        try:
            run_here(load_recipe("nightly.yaml", changes), Console(file=io.StringIO()))
        except MozartError as error:
            return error
        return None


class _InProcess(StepProcess):
    """A step without a process around it."""

    def run(self, command: list[str], variables: dict[str, str]) -> int:
        from kfp.dsl.executor import Executor

        from pipelines import steps

        given = {
            name: command[command.index(f"--{name}") + 1]
            for name in ("executor_input", "function_to_execute")
        }
        function = getattr(steps, given["function_to_execute"]).python_func
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            try:
                Executor(_json(given["executor_input"]), function).execute()
            except SystemExit as end:
                self.code = int(end.code or 0)
            except Exception:
                self.code = 1
                self.tail = traceback.format_exc().splitlines()
        for line in said.getvalue().splitlines():
            self.error = read_announcement(line) or self.error
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text(said.getvalue(), "utf-8")
        return self.code


def _json(text: str) -> Any:
    import json

    return json.loads(text)


def _draw_here(kind: str, folder: Path) -> dict[str, Any]:
    from components.bundle import _rebuild, draw_golden

    return draw_golden(_rebuild(folder))
