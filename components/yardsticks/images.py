"""How images are judged: in the features of a network that learnt from the training split, and by pixels.

Labelled images are looked at by a classifier of ours, others by an encoder that learnt without labels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components.classifier import train_classifier
from components.metrics import classes as class_metrics
from components.metrics.frechet import Reference, ShardedMoments, frechet_distance, frechet_interval
from components.metrics.intervals import (
    SHARDS,
    Estimate,
    difference,
    exactly,
    jackknife,
    shard_of,
    share,
    wilson,
)
from components.metrics.neighbours import copies, precision_recall
from components.yardsticks import Base, Judged, Metrics

MAIN = "classifier_fid"
COPY_TRAINING = 20_000  # most training examples that copies are looked for among


class Yardstick(Base):
    """See components.yardsticks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        train = self.data["train"]
        self.network: Any = None
        self.accuracy = {"validation": 0.0, "test": 0.0}
        if len(self.spec.classes) > 1:
            self.network = train_classifier(
                train["x"],
                train["label"],
                len(self.spec.classes),
                self.settings.classifier_epochs,
                self.settings.seed,
            )
            for split in self.accuracy:
                self.accuracy[split] = self.network.accuracy(self.data[split]["x"], self.data[split]["label"])

    @property
    def trusted(self) -> bool:
        """Whether the feature network knows the classes well enough to judge anything. It decides a gate,
        so the validation split is asked and the test split only told."""
        return self.network is not None and self.accuracy["validation"] >= self.settings.classifier_accuracy

    def features(self) -> dict[str, Any] | None:
        """See components.yardsticks."""
        if self.network is None:
            return None
        accuracy = {f"{split}_accuracy": value for split, value in self.accuracy.items()}
        return {"name": self.network.name, **accuracy, "trusted": self.trusted}

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        found = Judged(self._copies(samples, split))
        if not self.trusted:
            return found
        held = self.data[split]
        drawn, real = self.network.features(samples), self.network.features(held["x"])
        protocol = {"features": self.network.name, "real": len(real)}
        metrics = {"classifier_fid": _frechet(_moments(drawn), _moments(real))}
        precision, recall = precision_recall(real, drawn, self.settings.neighbours)
        metrics["precision"] = wilson(round(precision * len(drawn)), len(drawn))
        metrics["recall"] = wilson(round(recall * len(real)), len(real))
        if "label" in held:
            metrics |= self._classes(self.network.predict(samples), held["label"])
        found.metrics |= {
            name: replace(one, extra={**protocol, **one.extra}) for name, one in metrics.items()
        }
        return found

    def save(self, folder: Path) -> None:
        """See components.yardsticks."""
        if self.network is not None:
            self.network.save(folder / "classifier")

    def slices_of(self, split: str) -> dict[str, np.ndarray]:
        """See components.yardsticks: the classes."""
        label = self.data[split].get("label")
        if label is None or len(self.spec.classes) < 2:
            return {}
        return {f"class {name}": np.flatnonzero(label == i) for i, name in enumerate(self.spec.classes)}

    def _copies(self, samples: np.ndarray, split: str) -> Metrics:
        train, held_out = self.data["train"]["x"][:COPY_TRAINING], self.data[split]["x"]
        own, known, unseen = (array.reshape(len(array), -1) for array in (samples, train, held_out))
        found = copies(own, known, unseen)
        if not np.isfinite(found.rate):
            return {"copy_rate": Estimate(found.rate, why="a value is not finite")}
        rate = wilson(round(found.rate * len(own)), len(own))
        expected = wilson(round(found.expected * len(unseen)), len(unseen))
        protocol = {"features": "pixels", "training": len(known)}
        return {
            "copy_rate": replace(rate, extra=protocol),
            "copy_excess": replace(difference(rate, expected), extra=protocol),
        }

    def _classes(self, predicted: np.ndarray, label: np.ndarray) -> Metrics:
        count = len(self.spec.classes)
        shares = class_metrics.class_shares(predicted, count)
        real = class_metrics.class_shares(label, count)
        smallest, largest = int(shares.argmin()), int(shares.argmax())
        return {
            "class_histogram_distance": _histogram_distance(predicted, label, count),
            "classes_covered": exactly(class_metrics.classes_covered(shares, real)),
            "smallest_class_share": share(predicted == smallest),
            "largest_class_share": share(predicted == largest),
        }


def _frechet(samples: ShardedMoments, real: ShardedMoments) -> Estimate:
    """The distance and its interval, which knows the noise of both sides. Two models are compared on one and
    the same held-out images, so what is left out for their difference are samples only: that noise falls
    as more are drawn."""
    found = frechet_interval(samples, real)
    if not found.estimable:
        return found
    reference = Reference(real.whole())
    without = tuple(frechet_distance(left, reference) for left in samples.without_each())
    return replace(found, without=without)


def _moments(features: np.ndarray) -> ShardedMoments:
    return ShardedMoments.of(features)


def _histogram_distance(predicted: np.ndarray, label: np.ndarray, count: int) -> Estimate:
    tables = [
        [np.bincount(x[shard_of(len(x)) == k], minlength=count) for k in range(SHARDS)]
        for x in (predicted, label)
    ]

    def distance(without: int) -> float:
        sums = [sum(one for k, one in enumerate(t) if k != without) for t in tables]
        return class_metrics.total_variation(*(np.asarray(one) / np.sum(one) for one in sums))

    return jackknife(distance(-1), [distance(k) for k in range(SHARDS)])
