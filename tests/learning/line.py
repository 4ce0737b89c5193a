"""One line in one process: a recipe's data steps, its training, its judgement, its verdict.

The recipe is the bundled one, loaded as `mozart run` loads it, so what a test claims is claimed of
the recipe itself; changes are written as on the command line.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import writing
from components.comparisons import against_floor, comparable
from components.examples import Examples
from components.gates import decide
from components.ingest import ingest
from components.judge import Judge, Measures
from components.settings import FloorSettings, ModelSettings, TrainSettings
from components.statistics import statistics
from components.train import make
from components.training import fit
from components.transform import transform
from components.validate import validate
from keras_models.base import GenerativeModel
from pipelines.recipe import Recipe


class Line:
    """A recipe with its examples, its judge and its floors, each made once."""

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        self.recipe, self.examples = recipe, examples

    @cached_property
    def judge(self) -> Judge:
        """The yardsticks of these examples."""
        return Judge(self.examples, self.recipe.evaluate)

    @cached_property
    def floors(self) -> dict[str, Measures]:
        """Label → what the judge measured of each floor of the recipe."""
        return {label(floor): self._floor(floor) for floor in self.recipe.evaluate.floors}

    def learn(
        self, seed: int, model: ModelSettings | None = None, train: TrainSettings | None = None
    ) -> tuple[GenerativeModel, str]:
        """The recipe's model (or another), trained from `seed`; and how long that took, in words."""
        settings = (train or self.recipe.train).model_copy(update={"seed": seed})
        learner = make(model or self.recipe.model, self.examples, seed)
        wall, work = time.perf_counter(), time.process_time()
        fit(learner, self.examples, settings)
        return (
            learner,
            f"{time.perf_counter() - wall:.0f} s, {time.process_time() - work:.0f} s of processor",
        )

    def untrained(self, seed: int = 0) -> GenerativeModel:
        """The recipe's model as it is before its first step."""
        return make(self.recipe.model, self.examples, seed)

    def evaluation(self, model: GenerativeModel, samples: np.ndarray | None = None) -> dict[str, Any]:
        """What gate 2 decides on, as the step evaluate gathers it. `samples` stand in for the model's own."""
        count = self.recipe.evaluate.samples
        own = self.judge.measure(model, self.judge.samples(model, count) if samples is None else samples)
        gates = self.recipe.gates
        metric = gates.metric or self.judge.main_metric(model)
        floors = {}
        for label, floor in self.floors.items():
            measured = comparable(own, floor)
            floors[label] = {**measured.told(), **against_floor(own, measured, metric, gates.floor_ratio)}
        return {
            "metric": metric,
            **own.told(),
            "floors": floors,
            "champion": None,
            "collapsed": own.collapsed,
        }

    def verdict(self, evaluation: dict[str, Any]) -> dict[str, Any]:
        """The verdict of gate 2 under the recipe's gates."""
        return decide(evaluation, self.recipe.gates)

    def _floor(self, floor: FloorSettings) -> Measures:
        model, _ = self.learn(floor.train.seed, floor, floor.train)
        return self.judge.measure(model, self.judge.samples(model, self.recipe.evaluate.samples))


def run_data_steps(recipe: Recipe, folder: Path) -> Examples:
    """Ingest, statistics, validate and transform into `folder`; gate 1 has to pass."""
    recipe.preflight()
    records, found, report, out = (folder / name for name in ("records", "statistics", "report", "examples"))
    ingest(recipe.data, records)
    statistics(records, found, recipe.data.beam)
    verdict = validate(records, found, report, recipe.data, recipe.train)["verdict"]
    assert verdict == "pass", f"gate 1 refused the data of '{recipe.name}': see {report}"
    transform(records, found, out, recipe.data)
    return Examples(out)


def spoilt(
    examples: Examples, folder: Path, field: str, change: Callable[[np.ndarray], np.ndarray]
) -> Examples:
    """The examples again in `folder`, one field of the training split changed and nothing else."""
    with writing(folder, "transform") as (out, manifest):
        for file in examples.folder.iterdir():
            if file.name.startswith("train-") and file.name.endswith(f".{field}.npy"):
                np.save(out / file.name, change(np.load(file)), allow_pickle=False)
            elif file.name != "manifest.json":
                shutil.copy(file, out)
        for fact in ("counts", "data_fingerprint", "fingerprint"):
            manifest[fact] = examples.manifest[fact]
    return Examples(folder)


def label(floor: FloorSettings) -> str:
    """`family (setting value, ...)`."""
    return f"{floor.family} ({', '.join(f'{name} {value}' for name, value in floor.config.items())})"


def value(measured: dict[str, Any] | Measures, split: str, metric: str) -> float:
    """One number of what the judge measured, as it is or as evaluation.json keeps it."""
    if isinstance(measured, Measures):
        return measured.splits[split][metric].value
    return measured[split][metric]["value"]


def failures(verdict: dict[str, Any]) -> list[str]:
    """The sentences that say no."""
    return [said for said in verdict["reasons"] if said.startswith("failed:")]
