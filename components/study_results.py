"""What judges prefer: the answers to a study, as numbers with intervals, as a file and as a page.

    results.json   all numbers; results.html shows them

A pair that came twice counts once: the second time tells whether the judge is consistent.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import explain_os_error, write_json
from components.errors import ConfigError
from components.metrics.intervals import Estimate, holm, wilson
from components.metrics.preferences import preferred, strengths
from components.pages import template
from components.study_answers import Answer, Gathered, Key, answer_files, gather, read_key

TEMPLATE = "study_results.html.j2"
RESULTS = "results.html"
SCORES = {"left": 1.0, "same": 0.5, "right": 0.0}


@dataclass(frozen=True)
class Verdict:
    """Model `first` beside `second`: `score` is 1 where it was preferred, 0 where the other was, ½ of a tie."""

    judge: int
    first: int
    second: int
    score: float


def study_results(study: Path, names: Sequence[str], out: Path | None = None) -> tuple[dict[str, Any], Path]:
    """The results of a study, and the page that was written of them (by default in the study's folder).

    Raises:
        ConfigError: `out` is no .html.
        DataError: no key, or no answer that fits it.
        ResourceError: `out` cannot be written.
    """
    page = out or (study if study.is_dir() else study.parent) / RESULTS
    if page.suffix != ".html":
        raise ConfigError(f"--out {page}: the results are a page: name it {page.stem}.html")
    key = read_key(study)
    results = summed(key, gather(key, answer_files(study, names)))
    html = template(TEMPLATE).render(results=results, shares=[_parts(pair) for pair in results["pairs"]])
    beside = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_json(beside, results)
        os.replace(beside, page.with_suffix(".json"))
        beside.write_text(html, "utf-8")
        os.replace(beside, page)
    except OSError as error:
        raise explain_os_error(error, page) from error
    finally:
        beside.unlink(missing_ok=True)
    return results, page


def summed(key: Key, found: Gathered) -> dict[str, Any]:
    """All that results.json says (JSON-like; None where a number is not known)."""
    verdicts = [
        one for judge, answers in enumerate(found.judges.values()) for one in _verdicts(key, answers, judge)
    ]
    pairs = _pairs(key, verdicts)
    judges = [_judge(key, name, answers) for name, answers in found.judges.items()]
    again, agree = (sum(one[name] for one in judges) for name in ("repeated", "consistent"))
    left, right = (sum(one[name] for one in judges) for name in ("left", "right"))
    return {
        "study": key.study,
        "kind": key.kind,
        "question": key.question,
        "models": key.models,
        "judges": judges,
        "answers": len(verdicts),
        "pairs": pairs,
        "strengths": _strengths(key, verdicts),
        "consistency": _told(wilson(agree, again)) | {"agree": agree, "n": again} if again else None,
        "left": _told(wilson(left, left + right)) | {"n": left + right} if left + right else None,
        "set_aside": [{"file": file, "why": why} for file, why in found.set_aside],
        "unknown_answers": found.unknown,
    }


def _verdicts(key: Key, answers: dict[str, Answer], judge: int) -> Iterator[Verdict]:
    """What a judge said of each different pair: the first time, or the second where there is no first."""
    for name, answer in answers.items():
        question = key.questions[name]
        if question.repeats is None or question.repeats not in answers:
            yield Verdict(judge, question.left, question.right, SCORES[answer.choice])


def _pairs(key: Key, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Every two models that were compared, with Holm's word over all of them."""
    found = []
    for a, b in itertools.combinations(range(len(key.models)), 2):
        scores = [
            one.score if one.first == a else 1 - one.score
            for one in verdicts
            if {one.first, one.second} == {a, b}
        ]
        if not scores:
            continue
        estimate = preferred(scores.count(1.0), scores.count(0.0), scores.count(0.5))
        found.append(
            {"of": key.models[a], "against": key.models[b], "answers": len(scores), **_told(estimate)}
        )
    for pair, holds in zip(found, holm([pair["p"] for pair in found]).tolist(), strict=True):
        pair["holds"] = holds
    return found


def _strengths(key: Key, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Bradley–Terry, the strongest first; `chance` is that of being preferred to a model of strength 0."""
    first, second, score, judge = (
        np.array([getattr(one, name) for one in verdicts]) for name in ("first", "second", "score", "judge")
    )
    ranked = strengths(first, second, score, judge, len(key.models))
    found = []
    for name, one in zip(key.models, ranked, strict=True):
        chance = 1 / (1 + math.exp(-one.value)) if math.isfinite(one.value) else None
        found.append({"model": name, "chance": chance, **_told(one)})
    return sorted(found, key=lambda one: -math.inf if one["value"] is None else one["value"], reverse=True)


def _judge(key: Key, name: str, answers: dict[str, Answer]) -> dict[str, Any]:
    """How a judge went about it: haste, a favourite side and whims show here."""
    choices = [one.choice for one in answers.values()]
    repeated = [
        (one.choice, answers[first].choice)
        for place, one in answers.items()
        if (first := key.questions[place].repeats) is not None and first in answers
    ]
    return {
        "judge": name,
        "answers": len(answers),
        "left": choices.count("left"),
        "same": choices.count("same"),
        "right": choices.count("right"),
        "repeated": len(repeated),
        "consistent": sum(
            SCORES[again] == 1 - SCORES[first] for again, first in repeated
        ),  # sides are swapped
        "median_seconds": statistics.median(one.seconds for one in answers.values()),
    }


def _told(one: Estimate) -> dict[str, Any]:
    """As JSON has it: None for what is not a number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in one.told().items()
    }


def _parts(pair: dict[str, Any]) -> dict[str, float]:
    """The widths of wins, ties and losses in a bar, in percent."""
    return {name: round(100 * pair[name] / pair["answers"], 2) for name in ("wins", "ties", "losses")}
