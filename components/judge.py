"""Judge: measures any model on one data set, always by the same protocol.

One judge serves the recipe's model, its floors and the champion, so that their numbers compare:
the same splits, the same feature network, the same number of samples from the same seed.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from components.examples import Examples
from components.metrics.intervals import mean
from components.metrics.likelihood import nats_per, token_likelihood
from components.settings import EvaluateSettings
from components.yardsticks import Judged, Metrics, yardstick_of
from keras_models.base import GenerativeModel

DECISION_SPLITS = ("validation", "test")
GATE_SPLIT = "validation"  # the test split decides nothing
BESIDE = ("length", "mask", "covariates")  # fields that a family's log_prob may take beside x
SCORED_AT_ONCE = 100  # examples in one call of log_prob
TRAINING_ROWS = 50_000  # most training examples that are looked at: the first ones, an order drawn by hash


@dataclass
class Measures:
    """Split → metric → estimate; the same by slice; how a collapse shows, or nothing; what a page shows
    beside the numbers, by split."""

    splits: dict[str, Metrics] = field(default_factory=dict)
    slices: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # why a metric was not measured
    collapsed: str = ""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """As evaluation.json keeps them."""
        found: dict[str, Any] = {
            split: {name: one.told() for name, one in metrics.items()}
            for split, metrics in self.splits.items()
        }
        found["notes"] = self.notes
        found["facts"] = self.facts
        found["slices"] = {
            split: {
                name: {metric: one.told() for metric, one in metrics.items()}
                for name, metrics in slices.items()
            }
            for split, slices in self.slices.items()
        }
        return found


class Judge:
    """The yardstick of one data set and the examples that it measures against."""

    def __init__(self, examples: Examples, settings: EvaluateSettings) -> None:
        self.examples, self.settings = examples, settings
        self.spec = examples.spec
        limits = {"train": TRAINING_ROWS, **dict.fromkeys(DECISION_SPLITS, settings.likelihood_examples)}
        self.data = {split: examples.arrays(split, limit, settings.seed) for split, limit in limits.items()}
        self.yardstick = yardstick_of(examples).Yardstick(examples, self.data, settings)

    def samples(self, model: GenerativeModel, count: int) -> np.ndarray:
        """The samples that every sample-based metric uses: the first of more are the same."""
        return model.sample(count, seed=self.settings.seed)

    def measure(self, model: GenerativeModel, samples: np.ndarray) -> Measures:
        """Everything that can be measured of a model, on the validation and the test split."""
        found = Measures()
        for split in DECISION_SPLITS:
            parts = [self.yardstick.judge(samples, split), self.yardstick.of_model(model, split)]
            if model.likelihood != "none":
                parts.insert(0, self._likelihood(model, split))
            metrics: Metrics = {}
            slices: dict[str, Metrics] = {}
            for judged in parts:
                metrics |= judged.metrics
                found.notes |= judged.notes
                found.facts[split] = {**found.facts.get(split, {}), **judged.facts}
                if split == GATE_SPLIT:
                    found.collapsed = found.collapsed or judged.collapsed
                for name, own in judged.slices.items():
                    slices[name] = {**slices.get(name, {}), **own}
            found.splits[split] = self._protocol(metrics, split, len(samples), found.notes)
            found.slices[split] = slices
        distinct = len(np.unique(samples.reshape(len(samples), -1), axis=0))
        if 2 * distinct < len(samples):
            found.collapsed = f"only {distinct} of {len(samples)} samples are distinct"
        return found

    def reference(self, count: int) -> Measures:
        """The metrics of `count` real training examples in place of samples, or of as many as there are."""
        found = Measures()
        count = min(count, len(self.data["train"]["x"]))
        for split in DECISION_SPLITS:
            judged = self.yardstick.reference(split, count)
            found.splits[split] = self._protocol(judged.metrics, split, count, found.notes)
        return found

    def _protocol(self, metrics: Metrics, split: str, count: int, notes: dict[str, str]) -> Metrics:
        """Each number with what it was measured on. One that these data do not carry goes to the notes; one
        that is NaN because a value was not finite stays, for a gate to stumble over."""
        common = {"n": count, "split": split, "seed": self.settings.seed, "checkpoint": "final"}
        found = {}
        for name, one in metrics.items():
            if math.isnan(one.value) and one.why and "not finite" not in one.why:
                notes[name] = one.why
            else:
                found[name] = replace(one, extra={**common, **one.extra})
        return found

    # -- the likelihood --------------------------------------------------------------------------------

    def _likelihood(self, model: GenerativeModel, split: str) -> Judged:
        data = self.data[split]
        log_prob, notes = self._log_prob(model, data)
        protocol: dict[str, Any] = {
            "n": len(log_prob),
            "likelihood": model.likelihood,
            "measure": model.measure,
            **notes,
        }
        sizes = self.yardstick.sizes(split)

        def of(rows: np.ndarray | slice) -> Metrics:
            nats = -log_prob[rows]
            if self.spec.kind != "tokens":
                found = {
                    "nats": mean(nats),
                    "bits_per_dim": mean(nats).scaled(1 / (self.spec.dimensions * math.log(2))),
                }
                if self.spec.kind == "roll":
                    found["nats_per_step"] = nats_per(nats, data["length"][rows])
            else:
                length = data["length"][rows]
                found = token_likelihood(nats, length, None if sizes is None else sizes[rows])
                counted = {"n": int(length.sum()), "sequences": len(length)}
                found = {name: replace(one, extra={**one.extra, **counted}) for name, one in found.items()}
            return {name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()}

        slices = self.yardstick.slices_of(split)
        whole = of(slice(None))
        annealed = self.settings.annealed_examples
        if annealed and hasattr(model, "simulate") and hasattr(model, "joint_log_prob"):
            from components.annealed_bounds import annealed_bounds

            steps, seed = self.settings.annealed_steps, self.settings.seed
            whole |= annealed_bounds(model, data["x"][:annealed], steps=steps, seed=seed)
        return Judged(whole, {name: of(rows) for name, rows in slices.items() if len(rows) > 1})

    def _log_prob(
        self, model: GenerativeModel, data: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """log p(x) `[n]` in nats, and how it was found where it is a bound."""
        options: dict[str, Any] = {}
        if model.likelihood == "bound":
            options = {"samples": self.settings.importance_samples, "seed": self.settings.seed}
        taken = inspect.signature(model.log_prob).parameters
        names = ["x", *(name for name in BESIDE if name in data and name in taken)]
        parts = []
        count = len(data["x"])
        for start in range(0, count, SCORED_AT_ONCE):
            own = np.arange(start, min(start + SCORED_AT_ONCE, count))
            asked = np.resize(own, min(SCORED_AT_ONCE, count))  # all calls of one size: each size is compiled
            rows = {name: data[name][asked] for name in names}
            parts.append(np.asarray(model.log_prob(**rows, **options), np.float64)[: len(own)])
        notes = {"importance_samples": self.settings.importance_samples} if options else {}
        return np.concatenate(parts), notes

    def main_metric(self, model: GenerativeModel) -> str:
        """The metric that matters where the recipe names none."""
        if model.likelihood == "none":
            return str(self.yardstick.main)
        return "perplexity" if self.spec.kind == "tokens" else "nats"
