"""Runs the pipeline here: Kubeflow Pipelines' own local runner, steps as subprocesses, no server.

MOZART_HOME/
  runs/<name>-<time>/report.html  run.json  runner.log  <step>/task.log  <step>/<artifact>/
  runs/<name>.html                the page of the last run of that name
  cache/                          which step with which inputs has run already
  snapshots/                      of trainings that were broken off
  bundles/  registry/             what is published
"""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from components import frozen, spans
from components.artifact_roots import artifact_root
from components.errors import DataError, GateRefused, NothingToDo, ResourceError
from components.home import home
from components.line import begin_with, champion_to_beat
from components.registry import Registry
from components.step import disk_error
from components.tracking import database_file
from pipelines.factory import STEPS, arguments, pipeline
from pipelines.outcome import Run, refusal, tell_whom, write_outcome
from pipelines.recipe import Recipe
from pipelines.record import keep_record, learnt_before
from pipelines.screen import Screen, headline
from pipelines.step_process import StepFailed, StepProcess, environment

MAIN_ARTIFACT = {
    "ingest": "records",
    "statistics": "statistics",
    "validate": "report",
    "transform": "examples",
    "train": "trained",
    "evaluate": "evaluation",
    "publish": "release",
}


def run_here(recipe: Recipe, console: Console) -> Run:
    """Runs a recipe to its end or to its refusal, and leaves a report either way.

    Raises:
        GateRefused, DataError: a gate said no. StepFailed or the step's own error: a step failed.
        NothingToDo: too few spans have arrived, or nothing new since a run before.
        ResourceError: MOZART_HOME or the disk cannot be written. ConfigError: MOZART_ARTIFACTS names no store.
        KeyboardInterrupt, SystemExit: asked to stop by Ctrl-C or SIGTERM; the step has ended too.
    """
    done = Run(recipe)
    try:
        _run(done, console)
    except Exception as error:
        _record(done, error, console)
        if not isinstance(error, NothingToDo):
            tell_whom(done, error, console)
        raise
    _record(done, None, console)
    tell_whom(done, None, console)
    return done


def _record(done: Run, error: Exception | None, console: Console) -> None:
    """Into the history; a disk that is full never hides how the run ended."""
    try:
        keep_record(done, error)
    except OSError as failed:
        console.print(f"the history was not kept: {disk_error(failed) or failed}", markup=False)


def _run(done: Run, console: Console) -> None:
    """See `run_here`."""
    artifact_root()  # where finished artifacts cannot go, none is made
    recipe = done.recipe = _at_this_moment(done.recipe.preflight(), console)
    root = _writable_home()
    engine = _Engine(done, Screen(console, len(STEPS)), root)
    try:
        with _sigterm_raised(), _registry_in_preparation(root), engine.hooked():
            given = arguments(recipe)
            given["champion"] = champion_to_beat(root, recipe.name, given["line"])
            given["begin"] = begin_with(recipe.name, recipe.train, given["champion"], given["fine_tuned"])
            pipeline(recipe.name)(**given)
    except _Ended:
        pass
    except RuntimeError as error:  # what the local runner says of a failed task
        done.error = done.error or StepFailed(str(error))
    except OSError as error:
        done.error = disk_error(error)
        if done.error is None:
            raise
    except (KeyboardInterrupt, SystemExit):
        engine.screen.stop()
        console.print(f"stopped in step '{engine.step}': the same command goes on from there")
        raise
    finally:
        engine.screen.stop()
    if done.error is None:
        done.error = refusal(done)
        done.refused = isinstance(done.error, GateRefused | DataError)
    if done.folder is not None:
        write_outcome(done, console)
    if done.error is not None:
        raise done.error


def _at_this_moment(recipe: Recipe, console: Console) -> Recipe:
    """The recipe with the window of spans that it means now, which the log tells.

    Raises:
        ConfigError: the frozen validation split of its name was made otherwise.
    """
    if not spans.has_spans(recipe.data):
        return recipe
    frozen.frozen_split(home(), recipe.name, recipe.data)
    data = spans.pinned(recipe.data)
    there = [span for span, _ in spans.sources(data)]
    assert data.spans is not None
    console.print(f"spans {data.spans.only}, {len(there)} arrived: {', '.join(there)}", soft_wrap=True)
    return recipe.model_copy(update={"data": data})


def _writable_home() -> Path:
    """MOZART_HOME, made if it is not there."""
    root = home()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError as error:
        raise ResourceError(
            f"MOZART_HOME '{root}' is no folder that can be written "
            f"({'it is a file' if root.is_file() else error.strerror}): set it to one of yours"
        ) from error


@contextlib.contextmanager
def _sigterm_raised() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, with its own exit code, 143."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextlib.contextmanager
def _registry_in_preparation(root: Path) -> Iterator[None]:
    """Makes the registry's database beside the first steps: it takes seconds the first time."""
    database = database_file(Registry(root).uri)
    if database is None or database.exists():
        yield
        return
    code = "from components.registry import Registry; Registry().prepare()"
    quiet: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    command = [sys.executable, "-c", code]
    child = subprocess.Popen(command, env=environment(), **quiet)  # its own errors come back at publish
    try:
        yield
    finally:
        child.terminate()  # publishing has made sure of the database by now
        child.wait()


class _Ended(Exception):
    """Leaves the local runner early: a step failed and nothing after it can run."""


class _Engine:
    """Hooks into the local runner: each task passes here, on its way to the cache or to a process."""

    def __init__(self, done: Run, screen: Screen, root: Path) -> None:
        self.done, self.screen, self.root = done, screen, root
        self.step = STEPS[0]
        self.process: StepProcess | None = None

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """Has the local runner use the two methods below, and keeps what it prints off the screen."""
        from kfp import local
        from kfp.local import subprocess_task_handler
        from kfp.local.orchestrator import task_executor

        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(self.root / "runs"),
            enable_caching=True,
            cache_root=str(self.root / "cache"),
        )
        execute, launch = task_executor.execute_single_task, subprocess_task_handler.run_local_subprocess
        self.execute = execute
        task_executor.execute_single_task = self._execute
        subprocess_task_handler.run_local_subprocess = self._launch
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            task_executor.execute_single_task = execute
            subprocess_task_handler.run_local_subprocess = launch
            if self.done.folder is not None:
                with contextlib.suppress(OSError):
                    (self.done.folder / "runner.log").write_text(said.getvalue(), "utf-8")

    def _execute(self, *args: Any, **kwargs: Any) -> Any:
        """Around the runner's execution of one task: from its cache or in a subprocess."""
        self.step, self.process = kwargs["task_name"], None
        self.done.folder = self.done.folder or self.root / "runs" / kwargs["pipeline_resource_name"]
        self.done.folder.mkdir(parents=True, exist_ok=True)
        self.screen.start(self.step)
        outputs, status = self.execute(*args, **kwargs)
        if status.name != "SUCCESS":
            self.screen.fail(self.step)
            assert self.process is not None
            self.done.error = self.process.fault()
            raise _Ended
        folder = Path(outputs[MAIN_ARTIFACT[self.step]].path)
        self.done.artifacts[self.step] = folder
        cached = self.process is None
        if cached:
            self.done.cached.add(self.step)
        said = headline(self.step, folder)
        if outputs.get("Output") == "fail":
            self.screen.refuse(self.step, said)
        else:
            self.screen.finish(self.step, said, cached)
        if self.step == "ingest":
            self.done.error = learnt_before(self.done)
            if self.done.error is not None:
                raise _Ended
        return outputs, status

    def _launch(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """In place of the runner's own start of a subprocess."""
        assert self.done.folder is not None
        self.process = StepProcess(self.step, self.done.folder / self.step / "task.log", self.screen.tell)
        return self.process.run(full_command, env_vars or {})
