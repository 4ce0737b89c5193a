"""How a run on a cluster ended, wherever it ended: each step leaves word, the exit handler reads it.

MOZART_HOME/runs/<run>/word/<step>.json     of steps that failed, refused or published
MOZART_HOME/runs/<run>/verdict.json         of the run: published, refused, failed, cancelled, nothing-to-do
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from components.history import History
from components.home import home
from components.provenance import now
from components.resources import RUN, STEPS

NOTHING = "nothing-to-do"


def leave_word(step: str, outcome: str, reasons: Sequence[str], facts: dict[str, Any] | None = None) -> None:
    """Notes how a step ended, where the environment names a run; a full disk changes nothing of that."""
    run = os.environ.get(RUN)
    if not run:
        return
    folder = home() / "runs" / run / "word"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / f"{step}.json",
            {"step": step, "outcome": outcome, "reasons": list(reasons), **(facts or {})},
        )


def verdict_of(name: str, run: str, state: str, error: str) -> dict[str, Any]:
    """The facts of a run that Kubeflow ended in `state`, from what its steps left.

    A gate's word is missing where an earlier run's verdict was taken from the cache: then that is said.
    """
    words = _words(home() / "runs" / run / "word") if run else {}
    failed = {step: word for step, word in words.items() if word["outcome"] == "failed"}
    facts: dict[str, Any] = {"name": name, "run": run, "finished": now()}
    if state in ("CANCELLED", "CANCELED"):
        return {**facts, "verdict": "cancelled", "reasons": ["somebody ended the run"]}
    if state != "SUCCEEDED":
        reasons = [f"step '{step}': {reason}" for step, word in failed.items() for reason in word["reasons"]]
        return {**facts, "verdict": "failed", "reasons": reasons or [error or f"Kubeflow says {state}"]}
    if "publish" in words and words["publish"]["outcome"] == "published":
        word = words["publish"]
        released = {key: word[key] for key in ("version", "champion")}
        return {**facts, "verdict": "published", "reasons": word["reasons"], **released}
    if words.get("look", {}).get("outcome") == NOTHING:
        return {**facts, "verdict": NOTHING, "reasons": words["look"]["reasons"]}
    reasons = [reason for word in words.values() if word["outcome"] == "fail" for reason in word["reasons"]]
    known = "a gate said no, as it did of the same data and settings before: that run has the reasons"
    return {**facts, "verdict": "refused", "reasons": reasons or [known]}


def _words(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for step in ("look", *STEPS):
        with contextlib.suppress(OSError, ValueError):
            found[step] = read_json(folder / f"{step}.json")
    return found


def keep(facts: dict[str, Any], out: Path) -> None:
    """Writes the verdict as the step's artifact and, where there is a run's folder, there and in the history."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "verdict.json", facts)
    folder = home() / "runs" / facts["run"] if facts["run"] else None
    if folder is not None and folder.is_dir():
        with contextlib.suppress(OSError):
            write_json(folder / "verdict.json", facts)
            known = {key: facts[key] for key in ("name", "run", "reasons")}
            verdict = "failed" if facts["verdict"] == "cancelled" else facts["verdict"]
            released = {"version": facts.get("version"), "champion": facts.get("champion", False)}
            History(home()).append({**known, "verdict": verdict, **released})
