"""Runs the pipeline here: Kubeflow Pipelines' own local runner, steps as subprocesses, no server.

MOZART_HOME/
  runs/<name>-<time>/report.html  run.json  <step>/task.log  <step>/<artifact>/
  cache/                          which step with which inputs has run already
  snapshots/                      of trainings that were broken off
  registry/                       bundles, versions, promotions
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from components.artifacts import read_json
from components.errors import DataError, GateRefused, MozartError, RegistryError, read_announcement
from components.home import home
from components.provenance import now
from pipelines.factory import STEPS, arguments, pipeline
from pipelines.recipe import Recipe
from pipelines.screen import Screen, headline

PROGRESS = "@mozart-progress "
GRACE = 30  # seconds that a step has to write its snapshot after it was asked to stop
MAIN_ARTIFACT = {
    "ingest": "records",
    "statistics": "statistics",
    "validate": "report",
    "transform": "examples",
    "train": "trained",
    "evaluate": "evaluation",
    "publish": "release",
}
LAST_LINES = 12  # of a failed step's output


class StepFailed(MozartError):
    """A step ended with a fault that is not the user's."""


@dataclass
class Run:
    """What one run did: its folder, and each finished step's main artifact."""

    recipe: Recipe
    folder: Path | None = None
    artifacts: dict[str, Path] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    error: MozartError | None = None

    @property
    def report(self) -> Path | None:
        """The page of the run."""
        return self.folder / "report.html" if self.folder else None

    @property
    def release(self) -> dict[str, Any] | None:
        """What was published, if anything was."""
        folder = self.artifacts.get("publish")
        return read_json(folder / "release.json") if folder else None


def run_here(recipe: Recipe, console: Console) -> Run:
    """Runs a recipe to its end or to its refusal, and leaves a report either way.

    Raises:
        GateRefused, DataError: a gate said no. StepFailed or the step's own error: a step failed.
    """
    recipe.preflight()
    root = home()
    root.mkdir(parents=True, exist_ok=True)
    given = arguments(recipe)
    given["champion"] = _champion_to_beat(recipe.name, given["line"])
    done = Run(recipe)
    engine = _Engine(done, Screen(console, len(STEPS)), root)
    preparation = _prepare_registry()
    try:
        with engine.hooked():
            pipeline(recipe.name)(**given)
    except _Ended:
        pass
    except RuntimeError as error:  # what the local runner says of a failed task
        done.error = done.error or StepFailed(str(error))
    finally:
        preparation.wait() if done.error is None else preparation.terminate()
        engine.screen._stop()
    done.error = done.error or _refusal(done)
    if done.folder is not None:
        _write_report(done)
    if done.error is not None:
        raise done.error
    return done


def _champion_to_beat(name: str, line: str) -> str:
    """The version that this run's model is measured against.

    The champion; but when the champion came out of this very line (same data, recipe and code), the
    version that it was itself measured against: so an unchanged run finds all of its steps cached.
    """
    if not (home() / "registry").exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        return ""
    from components.registry import Registry

    champion = Registry(home()).champion(name)
    if champion is None:
        return ""
    if champion.tags.get("mozart.key") != line:
        return str(champion.version)
    baseline = read_json(champion.bundle_path / "evaluation.json").get("champion")
    return str(baseline["version"]) if baseline else ""


def _prepare_registry() -> subprocess.Popen[bytes]:
    """Makes the registry's database beside the first steps: it takes seconds the first time."""
    import sys

    code = "from components.registry import Registry; Registry().prepare()"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", code], **quiet)  # its own errors come back at publish


class _Ended(Exception):  # noqa: N818
    """Leaves the local runner early: a step failed and nothing after it can run."""


class _Engine:
    """Hooks into the local runner: logs a step to its file, shows progress, ends children with us."""

    def __init__(self, done: Run, screen: Screen, root: Path) -> None:
        self.done, self.screen, self.root = done, screen, root
        self.step = ""
        self.ran = False
        self.tail: list[str] = []

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
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
        former = signal.signal(signal.SIGTERM, _interrupt)
        noise = (self.root / "runner.log").open("w", encoding="utf-8")
        try:
            with noise, contextlib.redirect_stdout(noise), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            signal.signal(signal.SIGTERM, former)
            task_executor.execute_single_task = execute
            subprocess_task_handler.run_local_subprocess = launch

    def _execute(self, *args: Any, **kwargs: Any) -> Any:
        """Around the runner's execution of one task: from its cache or in a subprocess."""
        self.step, self.ran = kwargs["task_name"], False
        self.done.folder = self.done.folder or self.root / "runs" / kwargs["pipeline_resource_name"]
        self.done.folder.mkdir(parents=True, exist_ok=True)
        self.screen.start(self.step)
        outputs, status = self.execute(*args, **kwargs)
        if status.name != "SUCCESS":
            self.screen.fail(self.step)
            self.done.error = self.done.error or self._fault()
            raise _Ended
        folder = Path(outputs[MAIN_ARTIFACT[self.step]].path)
        self.done.artifacts[self.step] = folder
        if not self.ran:
            self.done.cached.add(self.step)
        said = headline(self.step, folder)
        if outputs.get("Output") == "fail":
            self.screen.refuse(self.step, said)
        else:
            self.screen.finish(self.step, said, cached=not self.ran)
        return outputs, status

    def _launch(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Runs a step: its output to `<step>/task.log`, in a process group of its own."""
        self.ran = True
        self.tail = []
        assert self.done.folder is not None
        log = self.done.folder / self.step / "task.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **(env_vars or {}), "MOZART_LOCAL_RUN": "1", "PYTHONUNBUFFERED": "1"}
        child = subprocess.Popen(
            full_command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        try:
            with log.open("w", encoding="utf-8") as stream:
                assert child.stdout is not None
                for line in child.stdout:
                    self._read(line, stream)
            return child.wait()
        except BaseException:
            _end(child)
            raise

    def _read(self, line: str, stream: Any) -> None:
        if line.startswith(PROGRESS):
            self.screen.tell(json.loads(line[len(PROGRESS) :]))
            return
        stream.write(line)
        error = read_announcement(line)
        if error is not None:
            self.done.error = error
        elif line.strip():
            self.tail = [*self.tail[-LAST_LINES:], line.rstrip()]

    def _fault(self) -> MozartError:
        assert self.done.folder is not None
        log = self.done.folder / self.step / "task.log"
        traceback = "\n".join(f"    {line}" for line in self.tail[-LAST_LINES:])
        return StepFailed(f"step '{self.step}' failed; the last lines of {log} are\n{traceback}")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _end(child: subprocess.Popen[str]) -> None:
    """Asks the step's whole process group to stop, waits for its snapshot, then insists."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _refusal(done: Run) -> MozartError | None:
    """The gate that ended the run, as an error; None where the model was published."""
    if "publish" in done.artifacts:
        return None
    if "evaluate" in done.artifacts:
        verdict = read_json(done.artifacts["evaluate"] / "evaluation.json")["verdict"]
        failed = [said for said in verdict["reasons"] if said.startswith("failed:")]
        return GateRefused("gate 2 refused the model; nothing was published:\n  " + "\n  ".join(failed))
    if "validate" in done.artifacts:
        anomalies = read_json(done.artifacts["validate"] / "report.json")["anomalies"]
        return DataError("gate 1 refused the data; nothing was trained:\n  " + "\n  ".join(anomalies))
    return RegistryError("the run ended before it began")


def _write_report(done: Run) -> None:
    """`report.html` and `run.json` in the run's folder, whatever the end was."""
    from components.report import write_report

    assert done.folder is not None
    found = done.artifacts.get
    page = done.folder / "report.html"
    write_report(
        page,
        name=done.recipe.name,
        recipe=json.loads(done.recipe.as_json()),
        statistics=found("statistics"),
        validation=found("validate"),
        model=found("train"),
        evaluation=found("evaluate"),
        release=found("publish"),
        failure=str(done.error) if done.error else "",
    )
    facts = {
        "name": done.recipe.name,
        "finished": now(),
        "artifacts": {step: str(path) for step, path in done.artifacts.items()},
        "cached": sorted(done.cached),
        "error": str(done.error) if done.error else None,
        "release": done.release,
        "recipe": json.loads(done.recipe.as_json()),
    }
    (done.folder / "run.json").write_text(json.dumps(facts, indent=1), "utf-8")
    latest = done.folder.parent / f"{done.recipe.name}.html"
    shutil.copyfile(page, latest)
