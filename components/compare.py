"""Compare: published models and foreign samples, measured on the same records: one leaderboard.

OUT/
  comparison.json      entrants with all metrics by split, intervals and protocols; differences by pair
  index.html           the leaderboard
  NAME.png|txt|mid|csv samples of each
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import explain_os_error, fingerprint_of, reading, write_json
from components.entrants import Entrant, data_meant, entrant, foreign
from components.errors import ConfigError, IntegrityError
from components.home import home
from components.metrics import METRICS
from components.metrics.intervals import difference
from components.modalities import modality_of
from components.settings import DataSettings, EvaluateSettings

RESULT = "comparison.json"
SHOWN = 36  # samples in a picture
BYTES_FIRST = ("bits_per_byte", "perplexity", "nats")  # by which models with a likelihood are ranked
Tell = Callable[[str], None]


def compare(
    names: list[str],
    out: Path,
    settings: EvaluateSettings,
    source: str = "",
    changes: dict[str, Any] | None = None,
    metric: str = "",
    tell: Tell = lambda said: None,
) -> dict[str, Any]:
    """Measures all of `names` and writes the folder `out`; returns what its comparison.json says.

    Every model sees the same records through its own encoding. All give as many samples as the one
    that has the fewest, so that distances compare.

    Args:
        source: the real data; by default those of the first published model's recipe.
        metric: what the leaderboard is ordered by; by default what all of them have.

    Raises:
        ConfigError: an unknown metric or name, or nobody said what the real data are.
    """
    if metric and metric not in METRICS:
        raise ConfigError(f"--metric {metric}: no such metric; there are {', '.join(METRICS)}")
    if out.exists() and not (out / RESULT).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} is there already and holds no comparison: name another folder")
    entrants = [entrant(name) for name in names]
    data = data_meant(entrants, source, changes or {})
    folder = prepared(data, tell)
    found = _Field(folder, data, settings, tell).measured(entrants)
    chosen = metric or _common(found)
    ranked = _ranked(found, chosen)
    result = {
        "metric": chosen,
        "better": METRICS[chosen].better,
        "data": data.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "entrants": [one for one, _ in ranked],
        "differences": _differences(ranked, chosen),
    }
    plain: dict[str, Any] = json.loads(json.dumps(result, default=float), parse_constant=lambda _: None)
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        beside.mkdir(parents=True)
        _write(beside, plain, ranked)
        if out.exists():
            shutil.rmtree(out)
        beside.rename(out)
    except OSError as error:
        raise explain_os_error(error, out) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return plain


def prepared(data: DataSettings, tell: Tell) -> Path:
    """Records and statistics of the data, kept in MOZART_HOME for the next comparison."""
    from components.ingest import ingest, source_fingerprint
    from components.provenance import code_version
    from components.statistics import statistics

    key = fingerprint_of(data.model_dump(mode="json"), source_fingerprint(data), code_version())
    folder = home() / "comparisons" / key[:32]
    steps = (
        ("records", lambda: ingest(data, folder / "records")),
        ("statistics", lambda: statistics(folder / "records", folder / "statistics", data.beam)),
    )
    for step, work in steps:
        if not _whole(folder / step):
            tell(f"{'reading' if step == 'records' else 'summarising'} {data.source}")
            work()
    return folder


def _whole(folder: Path) -> bool:
    try:
        reading(folder)
    except (IntegrityError, OSError):
        return False
    return True


class _Field:
    """Measures entrants; those that encode alike share a judge, and so their numbers compare as pairs."""

    def __init__(self, folder: Path, data: DataSettings, settings: EvaluateSettings, tell: Tell) -> None:
        self.folder, self.data, self.settings, self.tell = folder, data, settings, tell
        self.judges: dict[str, Any] = {}
        self.aside: dict[int, int] = {}  # files of samples that could not be read

    def measured(self, entrants: list[Entrant]) -> list[tuple[dict[str, Any], Any]]:
        """Facts and Measures of each."""
        own = next((one.encoding for one in entrants if one.encoding is not None), None)
        drawn = {}
        for number, one in enumerate(entrants):
            if one.source:
                self.tell(f"reading the samples of {one.name}")
                with tempfile.TemporaryDirectory(prefix=".samples-", dir=self.folder) as place:
                    records = Path(place) / "records"
                    drawn[number] = foreign(one, self.data, self._examples(own).encoding, records)
                    self.aside[number] = reading(records)["counts"]["rejected"]
        count = min([self.settings.samples, *(len(samples) for samples in drawn.values())])
        found = []
        for number, one in enumerate(entrants):
            encoding = one.encoding or own
            judge = self._judge(encoding)
            self.tell(f"measuring {one.name}")
            model = _Files(drawn[number]) if one.source else _load(one)
            samples = judge.samples(model, count)
            facts = {
                "name": one.name,
                "family": one.family,
                "likelihood": model.likelihood,
                "encoding": fingerprint_of(self._examples(encoding).encoding)[:8],
                "samples": len(samples),
                "set_aside": self.aside.get(number, 0),
            }
            found.append((facts, (judge.measure(model, samples), samples[:SHOWN], judge)))
        return found

    def _examples(self, encoding: dict[str, Any] | None) -> Any:
        from components.examples import Examples
        from components.transform import transform

        name = f"examples-{fingerprint_of(encoding)[:16]}" if encoding else "examples"
        if not _whole(self.folder / name):
            transform(
                self.folder / "records", self.folder / "statistics", self.folder / name, self.data, encoding
            )
        return Examples(self.folder / name)

    def _judge(self, encoding: dict[str, Any] | None) -> Any:
        from components.judge import Judge

        examples = self._examples(encoding)
        key = fingerprint_of(examples.encoding)
        if key not in self.judges:
            self.tell("learning the features by which they are judged")
            self.judges[key] = Judge(examples, self.settings)
        return self.judges[key]


class _Files:
    """Samples from files in the place of a model: as many as there are, in their order."""

    likelihood = "none"

    def __init__(self, samples: np.ndarray) -> None:
        self.drawn = samples

    def sample(self, n: int, *, seed: int = 0) -> np.ndarray:
        """The first `n`."""
        return self.drawn[:n]


def _load(one: Entrant) -> Any:
    from components.bundle import load_bundle

    assert one.bundle is not None
    return load_bundle(one.bundle)


# -- the leaderboard -----------------------------------------------------------------------------------


def _common(found: list[tuple[dict[str, Any], Any]]) -> str:
    """The metric by which all can be ranked."""
    everywhere = set.intersection(*(set(measures.splits["test"]) for _, (measures, *_) in found))
    judge = found[0][1][2]
    for name in (*BYTES_FIRST, judge.yardstick.main, *sorted(everywhere)):
        if name in everywhere:
            return name
    raise ConfigError("these have no metric in common: compare those of one kind, or name one by --metric")


def _ranked(found: list[tuple[dict[str, Any], Any]], metric: str) -> list[tuple[dict[str, Any], Any]]:
    """Facts with all numbers, best first on the test split; what was not measured comes last."""
    worst = float("inf")
    sign = 1.0 if METRICS[metric].better == "lower" else -1.0

    def place(pair: tuple[dict[str, Any], Any]) -> float:
        one = pair[1][0].splits["test"].get(metric)
        return sign * one.value if one is not None and np.isfinite(one.value) else worst

    ordered = sorted(found, key=place)
    return [({**facts, **kept[0].told(), "collapsed": kept[0].collapsed}, kept) for facts, kept in ordered]


def _differences(ranked: list[tuple[dict[str, Any], Any]], metric: str) -> list[dict[str, Any]]:
    """Each one less the one placed above it, on the test split, where they are measured alike."""
    found = []
    for (above, (first, _, judge)), (below, (second, _, other)) in itertools.pairwise(ranked):
        here, there = second.splits["test"].get(metric), first.splits["test"].get(metric)
        if here is not None and there is not None and (judge is other or metric == "bits_per_byte"):
            told = difference(here, there).told()
            found.append({"of": below["name"], "from": above["name"], **told})
    return found


def _write(out: Path, result: dict[str, Any], ranked: list[tuple[dict[str, Any], Any]]) -> None:
    from components.compare_page import write_page

    pictures = {}
    for number, (facts, (_, samples, judge)) in enumerate(ranked):
        modality = modality_of(result["data"]["source"])
        stem = f"{number + 1}-" + "".join(c if c.isalnum() else "-" for c in facts["name"]).strip("-")[-60:]
        pictures[facts["name"]] = modality.write_samples(samples, judge.examples.encoding, out / stem)
    write_json(out / RESULT, result)
    write_page(out / "index.html", result, pictures)
