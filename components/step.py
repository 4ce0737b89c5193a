"""What each step does inside its own process: settings from text, the work, errors told clearly.

Every function takes the settings blocks it needs as JSON text and paths as text: what a pipeline can
pass. Nothing heavy is imported before the step that needs it.
"""

from __future__ import annotations

import errno
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

from components.artifacts import explain_os_error, read_json, write_json
from components.errors import MozartError, NothingToDo, ResourceError, announce
from components.home import home
from components.resources import RUN
from components.settings import DataSettings, EvaluateSettings, GateSettings, ModelSettings, TrainSettings
from components.verdict import NOTHING, leave_word

P = ParamSpec("P")
R = TypeVar("R")
RUNNER = "MOZART_LOCAL_RUN"  # set where the local runner holds our standard input
GRACE = 30  # seconds that a step has to write its snapshot after it was asked to stop


def told(work: Callable[P, R]) -> Callable[P, R]:
    """Ends the process with the error's own exit code and one line for the parent to read."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if os.environ.get(RUNNER):
            threading.Thread(target=_end_with_runner, daemon=True).start()
        try:
            done = work(*args, **kwargs)
        except Exception as error:
            known = disk_error(error) if isinstance(error, OSError) else error
            leave_word(work.__name__, "failed", [str(known or error) or type(error).__name__])
            if not isinstance(known, MozartError):
                raise
            print(announce(known), flush=True)
            sys.exit(known.exit_code)
        leave_word(work.__name__, *_outcome(work.__name__, done, args))
        return done

    return run


def _outcome(step: str, done: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """How a step ended, for the verdict of a run on a cluster, a gate's reasons for a no, what was published."""
    match step:
        case "look" if done[-1] != "yes":
            return NOTHING, [done[-1]]
        case "validate":
            anomalies = read_json(Path(given[-1]) / "report.json")["anomalies"]
            return done, [one["message"] for one in anomalies if one["severity"] == "error"]
        case "evaluate":
            reasons = read_json(Path(given[-2]) / "evaluation.json")["verdict"]["reasons"]
            return done[0], [said for said in reasons if said.startswith(("failed:", "inconclusive:"))]
        case "publish":
            return "published", [done["message"]], {key: done[key] for key in ("version", "champion")}
    return "done", []


def disk_error(error: OSError) -> ResourceError | None:
    """The sentence for a disk that is full or may not be written; None for any other error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return None
    return explain_os_error(error, Path(error.filename or home()))


def _end_with_runner() -> None:
    """No orphan trains on: the runner holds our standard input open as long as it lives."""
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGTERM)  # the group is this step's own
    time.sleep(GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


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
def validate(
    name: str,
    data: str,
    model: str,
    train: str,
    gates: str,
    schema: str,
    champion: str,
    records: str,
    statistics: str,
    out: str,
) -> str:
    """Statistics → the verdict of gate 1: `pass` or `fail`."""
    from components.schema import Schema
    from components.validate import validate

    report = validate(
        Path(records),
        Path(statistics),
        Path(out),
        DataSettings.parse(data),
        TrainSettings.parse(train),
        ModelSettings.parse(model),
        GateSettings.parse(gates),
        schema=Schema.parse(schema) if schema else None,
        champion_statistics=_statistics_of(f"{name}:{champion}") if champion else None,
    )
    return report["verdict"]


def _statistics_of(reference: str) -> Path | None:
    """The statistics of what a published version learnt from, where its bundle carries them."""
    from components.bundle import STATISTICS
    from components.registry import Registry

    file = Registry(home()).resolve(reference).bundle_path / STATISTICS
    return file if file.is_file() else None


@told
def transform(name: str, data: str, fine_tuned: str, records: str, statistics: str, out: str) -> None:
    """Records → examples; where spans arrive, with the frozen validation split, and where a published model is
    `fine_tuned`, as it sees them."""
    from components.frozen import freeze, frozen_split
    from components.transform import transform

    settings = DataSettings.parse(data)
    frozen = frozen_split(home(), name, settings)
    encoding = _encoding_of(fine_tuned) if fine_tuned else None
    transform(Path(records), Path(statistics), Path(out), settings, encoding, frozen)
    freeze(Path(records), home(), name, settings)


def _encoding_of(reference: str) -> dict[str, Any]:
    """How a published version sees data; augmentation is of the training, not of the model."""
    from components.registry import Registry

    encoding = read_json(Registry(home()).resolve(reference).bundle_path / "encoding.json")
    return {key: value for key, value in encoding.items() if key != "augment"}


@told
def train(
    name: str, data: str, model: str, train: str, begin: str, examples: str, out: str, metrics: str
) -> dict[str, float]:
    """Examples → model; returns the last values of the learning curve, all finite.

    `begin` is the version that training begins with, or empty.
    """
    from components.train import train as learn

    recipe = {"name": name, "data": json.loads(data), "model": json.loads(model), "train": json.loads(train)}
    last = learn(
        Path(examples),
        Path(out),
        ModelSettings.parse(model),
        TrainSettings.parse(train),
        recipe,
        begin,
    )
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
def report(name: str, page: str, statistics: str, validation: str, model: str, evaluation: str) -> None:
    """The page of a run, from what there is before publishing."""
    from components.report import write_report

    write_report(
        Path(page),
        name=name,
        statistics=Path(statistics),
        validation=Path(validation),
        model=Path(model),
        evaluation=Path(evaluation),
    )


@told
def publish(name: str, line: str, model: str, evaluation: str, out: str) -> dict[str, Any]:
    """Model and evaluation → a release; a refusal ends the step."""
    from components.publish import publish

    return publish(Path(model), Path(evaluation), home(), name, Path(out), key=line)


@told
def look(
    name: str, data: str, model: str, train: str, evaluate: str, gates: str, schema: str
) -> tuple[str, str, str, str, str, str, str, str]:
    """The data block with the window of spans that it means now, the champion to beat, the versions to fine-tune and
    to begin with, the state of the source, the code and the mark of all (see `components.line`); at last `yes`, or
    why there is nothing to do."""
    from components.line import begin_with, champion_to_beat, departure
    from components.spans import pinned

    try:
        data = pinned(DataSettings.parse(data)).model_dump_json()
    except NothingToDo as error:
        return data, "", "", "", "", "", "", str(error)
    blocks = {"name": name, "data": data, "model": model, "train": train}
    found = departure({**blocks, "evaluate": evaluate, "gates": gates, "schema": schema})
    champion = champion_to_beat(home(), name, found["line"])
    begin = begin_with(name, TrainSettings.parse(train), champion, found["fine_tuned"])
    tuned, source, code, line = (found[key] for key in ("fine_tuned", "source_state", "code_version", "line"))
    return data, champion, tuned, begin, source, code, line, "yes"


def finish(name: str, notify: str, state: str, error: str, out: str) -> str:
    """How a run on a cluster ended: written, printed and told to whom the recipe names."""
    from components.notify import NotifySettings
    from components.notify import notify as tell
    from components.verdict import keep, verdict_of

    facts = verdict_of(name, os.environ.get(RUN, ""), state, error)
    keep(facts, Path(out))
    problems = tell(NotifySettings.parse(notify), facts)
    print("\n".join([f"{facts['verdict']}: {name}", *facts["reasons"], *problems]), flush=True)
    return facts["verdict"]


def _keep(values: dict[str, float], file: str) -> dict[str, float]:
    """Only the finite numbers (Kubeflow Pipelines fails a step that logs another one), in a file too:
    the local cache takes a step whose artifact has no file for one that never ran."""
    finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
    write_json(Path(file), finite)
    return finite
