"""What each step does inside its own process: settings from text, the work, errors told clearly.

Every function takes the settings blocks it needs as JSON text and paths as text: what a pipeline can
pass. Nothing heavy is imported before the step that needs it.
"""

from __future__ import annotations

import functools
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from components.artifacts import write_json
from components.errors import MozartError, announce
from components.home import home
from components.settings import DataSettings, EvaluateSettings, GateSettings, ModelSettings, TrainSettings

P = ParamSpec("P")
R = TypeVar("R")


def told(work: Callable[P, R]) -> Callable[P, R]:
    """Ends the process with the error's own exit code and one line for the parent to read."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        _end_with_parent()
        try:
            return work(*args, **kwargs)
        except MozartError as error:
            print(announce(error), flush=True)
            sys.exit(error.exit_code)

    return run


def _end_with_parent() -> None:
    """A step whose runner was killed asks itself to stop: no orphan trains on."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.get("MOZART_LOCAL_RUN"):
        threading.Thread(target=watch, daemon=True).start()


@told
def ingest(data: str, records: str) -> None:
    """Source → records."""
    from components.ingest import ingest

    ingest(DataSettings.parse(data), Path(records))


@told
def statistics(data: str, records: str, out: str) -> None:
    """Records → statistics."""
    from components.statistics import statistics

    statistics(Path(records), Path(out), DataSettings.parse(data).beam)


@told
def validate(data: str, train: str, records: str, statistics: str, out: str) -> str:
    """Statistics → the verdict of gate 1: `pass` or `fail`."""
    from components.validate import validate

    report = validate(
        Path(records), Path(statistics), Path(out), DataSettings.parse(data), TrainSettings.parse(train)
    )
    return report["verdict"]


@told
def transform(data: str, records: str, statistics: str, out: str) -> None:
    """Records → examples."""
    from components.transform import transform

    transform(Path(records), Path(statistics), Path(out), DataSettings.parse(data))


@told
def train(
    name: str, data: str, model: str, train: str, examples: str, out: str, metrics: str
) -> dict[str, float]:
    """Examples → model; returns the last values of the learning curve, all finite."""
    from components.train import train as learn

    recipe = {"name": name, "data": json.loads(data), "model": json.loads(model), "train": json.loads(train)}
    last = learn(Path(examples), Path(out), ModelSettings.parse(model), TrainSettings.parse(train), recipe)
    return _keep(last, metrics)


@told
def evaluate(
    name: str, evaluate: str, gates: str, champion: str, examples: str, model: str, out: str, metrics: str
) -> tuple[str, dict[str, float]]:
    """Model → the verdict of gate 2 (`pass` or `fail`) and the test split's metrics, all finite."""
    from components.evaluate import evaluate as judge

    reference = f"{name}:{champion}" if champion else ""
    found = judge(
        Path(examples),
        Path(model),
        Path(out),
        EvaluateSettings.parse(evaluate),
        GateSettings.parse(gates),
        reference,
    )
    values = {key: entry["value"] for key, entry in found["test"].items()}
    return "pass" if found["verdict"]["blessed"] else "fail", _keep(values, metrics)


@told
def report(name: str, page: str, **folders: str) -> None:
    """The page of a run, from the folders that are there."""
    from components.report import write_report

    write_report(Path(page), name=name, **{key: Path(folder) for key, folder in folders.items()})


@told
def publish(name: str, line: str, model: str, evaluation: str, out: str) -> dict[str, Any]:
    """Model and evaluation → a release; a refusal ends the step."""
    from components.publish import publish

    return publish(Path(model), Path(evaluation), home(), name, Path(out), key=line)


def _keep(values: dict[str, float], file: str) -> dict[str, float]:
    """Only the finite numbers (Kubeflow Pipelines fails a step that logs another one), in a file too:
    the local cache takes a step whose artifact has no file for one that never ran."""
    finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
    write_json(Path(file), finite)
    return finite
