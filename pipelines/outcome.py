"""What one run did: its folder, its artifacts, how it ended; and the page and the facts it leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from components.artifact_roots import send_run
from components.artifacts import read_json, write_json
from components.errors import DataError, GateRefused, MozartError, NothingToDo, RegistryError
from components.notify import notify
from components.provenance import now
from components.step import disk_error
from pipelines.recipe import Recipe
from pipelines.step_process import StepFailed


@dataclass
class Run:
    """What one run did: its folder, and each finished step's main artifact."""

    recipe: Recipe
    folder: Path | None = None
    artifacts: dict[str, Path] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    error: MozartError | None = None
    refused: bool = False  # by a gate: everything else that is wrong is a failure

    @property
    def report(self) -> Path | None:
        """The page of the run."""
        return self.folder / "report.html" if self.folder else None

    @property
    def release(self) -> dict[str, Any] | None:
        """What was published, if anything was."""
        folder = self.artifacts.get("publish")
        return read_json(folder / "release.json") if folder else None


def refusal(done: Run) -> MozartError | None:
    """The gate that ended the run, as an error; None where the model was published."""
    if "publish" in done.artifacts:
        return None
    if "evaluate" in done.artifacts:
        verdict = read_json(done.artifacts["evaluate"] / "evaluation.json")["verdict"]
        failed = [said for said in verdict["reasons"] if said.startswith(("failed:", "inconclusive:"))]
        return GateRefused("gate 2 refused the model; nothing was published:\n  " + "\n  ".join(failed))
    if "validate" in done.artifacts:
        anomalies = read_json(done.artifacts["validate"] / "report.json")["anomalies"]
        errors = [one["message"] for one in anomalies if one["severity"] == "error"]
        return DataError("gate 1 refused the data; nothing was trained:\n  " + "\n  ".join(errors))
    return RegistryError("the run ended before it began")


def tell_whom(done: Run, error: Exception | None, console: Console) -> None:
    """Tells those whom the recipe names how the run ended; what goes wrong with that is a line each."""
    verdict = "published" if error is None else "refused" if done.refused else "failed"
    published = [done.release["message"]] if error is None and done.release else []
    said = [line.strip() for line in str(error).splitlines()] if error is not None else published
    run = done.folder.name if done.folder else "before its first step"
    facts = {"name": done.recipe.name, "run": run, "verdict": verdict, "reasons": said, "finished": now()}
    for problem in notify(done.recipe.notify, facts):
        console.print(problem, soft_wrap=True, markup=False)


def write_outcome(done: Run, console: Console) -> None:
    """`run.json` and `report.html` in the run's folder. Their failure never hides the run's own."""
    try:
        _write_facts(done)
        if not isinstance(done.error, NothingToDo):  # the last page is still the last
            _write_page(done)
        assert done.folder is not None
        send_run(done.folder)
    except Exception as error:
        known = disk_error(error) if isinstance(error, OSError) else error
        reason = f"no report was written: {known or error}"
        if done.error is not None:
            console.print(reason, soft_wrap=True, markup=False)
        else:
            done.error = type(known)(reason) if isinstance(known, MozartError) else StepFailed(reason)


def _write_facts(done: Run) -> None:
    assert done.folder is not None
    facts = {
        "name": done.recipe.name,
        "finished": now(),
        "artifacts": {step: str(path) for step, path in done.artifacts.items()},
        "cached": sorted(done.cached),
        "error": str(done.error) if done.error else None,
        "release": done.release,
        "recipe": json.loads(done.recipe.as_json()),
    }
    write_json(done.folder / "run.json", facts)


def _write_page(done: Run) -> None:
    from components.report import write_report

    assert done.report is not None
    found = done.artifacts.get
    write_report(
        done.report,
        name=done.recipe.name,
        recipe=json.loads(done.recipe.as_json()),
        statistics=found("statistics"),
        validation=found("validate"),
        model=found("train"),
        evaluation=found("evaluate"),
        release=found("publish"),
        failure=str(done.error) if done.error else "",
    )
    shutil.copyfile(done.report, done.report.parents[1] / f"{done.recipe.name}.html")
