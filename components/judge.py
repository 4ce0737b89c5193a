"""Judge: measures any model on one data set, always by the same protocol.

One judge serves the recipe's model, its floors and the champion, so that their numbers compare:
the same splits, the same feature network, the same number of samples from the same seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from components.classifier import Classifier, train_classifier
from components.examples import Examples
from components.metrics import classes as class_metrics
from components.metrics import likelihood as likelihood_metrics
from components.metrics.frechet import Moments, frechet_distance
from components.metrics.neighbours import copy_rate, precision_recall
from components.settings import EvaluateSettings
from keras_models.base import GenerativeModel

DECISION_SPLITS = ("validation", "test")
SCORED_AT_ONCE = 100  # examples in one call of log_prob
COPY_TRAINING = 20_000  # most training examples that copies are looked for among
Numbers = dict[str, dict[str, Any]]


class Judge:
    """The yardsticks of one data set: its splits and a classifier trained on the training split."""

    def __init__(self, examples: Examples, settings: EvaluateSettings) -> None:
        self.examples, self.settings = examples, settings
        self.spec = examples.spec
        limits = {"train": None, **dict.fromkeys(DECISION_SPLITS, settings.likelihood_examples)}
        self.data = {split: examples.arrays(split, limit, settings.seed) for split, limit in limits.items()}
        self.classifier: Classifier | None = None
        self.accuracy = dict.fromkeys(DECISION_SPLITS, 0.0)
        if self.spec.kind == "image" and len(self.spec.classes) > 1:
            train = self.data["train"]
            self.classifier = train_classifier(
                train["x"], train["label"], len(self.spec.classes), settings.classifier_epochs, settings.seed
            )
            self.accuracy = {
                split: self.classifier.accuracy(self.data[split]["x"], self.data[split]["label"])
                for split in DECISION_SPLITS
            }

    @property
    def trusted(self) -> bool:
        """Whether the feature network knows the classes well enough to judge anything. It decides a gate,
        so the validation split is asked and the test split only told."""
        return (
            self.accuracy["validation"] >= self.settings.classifier_accuracy and self.classifier is not None
        )

    def features(self) -> dict[str, Any] | None:
        """The feature network's name, its accuracy on both splits, and whether it is used."""
        if self.classifier is None:
            return None
        accuracy = {f"{split}_accuracy": value for split, value in self.accuracy.items()}
        return {"name": self.classifier.name, **accuracy, "trusted": self.trusted}

    def samples(self, model: GenerativeModel) -> np.ndarray:
        """The samples that every sample-based metric uses."""
        return model.sample(self.settings.samples, seed=self.settings.seed)

    def measure(self, model: GenerativeModel, samples: np.ndarray) -> dict[str, Numbers]:
        """Split → metric → value with its protocol, on the validation and the test split."""
        found: dict[str, Numbers] = {split: {} for split in DECISION_SPLITS}
        for split in DECISION_SPLITS:
            values: dict[str, tuple[float, dict[str, Any]]] = {}
            if model.likelihood != "none":
                values |= self._likelihood(model, split)
            if self.spec.kind == "image":
                values |= self._images(samples, split)
            found[split] = {
                name: {
                    "value": float(value),
                    "n": len(samples),
                    "split": split,
                    "seed": self.settings.seed,
                    "checkpoint": "final",
                    **protocol,
                }
                for name, (value, protocol) in values.items()
            }
        return found

    def reference(self) -> dict[str, Numbers]:
        """The metrics of real training images in place of samples, at the same number."""
        if self.spec.kind != "image":
            return {split: {} for split in DECISION_SPLITS}
        real = self.data["train"]["x"][: self.settings.samples]
        found: dict[str, Numbers] = {}
        for split in DECISION_SPLITS:
            values = self._images(real, split)
            values.pop("copy_rate")  # training images are copies of training images
            found[split] = {
                name: {"value": float(value), "n": len(real), "split": split, **protocol}
                for name, (value, protocol) in values.items()
            }
        return found

    def collapse(self, samples: np.ndarray) -> str:
        """How a collapse shows, or nothing: fewer than half of the samples are distinct."""
        distinct = len(np.unique(samples.reshape(len(samples), -1), axis=0))
        return (
            f"only {distinct} of {len(samples)} samples are distinct" if 2 * distinct < len(samples) else ""
        )

    # -- the measurements ------------------------------------------------------------------------------

    def _likelihood(self, model: GenerativeModel, split: str) -> dict[str, tuple[float, dict[str, Any]]]:
        data = self.data[split]
        log_prob = self._log_prob(model, data)
        mean, standard_error = likelihood_metrics.nats(log_prob)
        protocol: dict[str, Any] = {
            "n": len(log_prob),
            "likelihood": model.likelihood,
            "measure": model.measure,
        }
        if model.likelihood == "bound":
            protocol["importance_samples"] = self.settings.importance_samples
        if self.spec.kind != "tokens":
            bits, bits_error = (
                likelihood_metrics.bits_per_dim(value, self.spec.dimensions)
                for value in (mean, standard_error)
            )
            return {
                "nats": (mean, {**protocol, "standard_error": standard_error}),
                "bits_per_dim": (bits, {**protocol, "standard_error": bits_error}),
            }
        characters = int(data["length"].sum())
        total = -float(np.sum(log_prob))
        return {
            "perplexity": (likelihood_metrics.perplexity(total, characters), {**protocol, "n": characters}),
            "bits_per_char": (
                likelihood_metrics.bits_per_char(total, characters),
                {**protocol, "n": characters},
            ),
        }

    def _log_prob(self, model: GenerativeModel, data: dict[str, np.ndarray]) -> np.ndarray:
        options: dict[str, Any] = {}
        if model.likelihood == "bound":
            options = {"samples": self.settings.importance_samples, "seed": self.settings.seed}
        parts = []
        for start in range(0, len(data["x"]), SCORED_AT_ONCE):
            rows = {
                name: data[name][start : start + SCORED_AT_ONCE] for name in ("x", "length") if name in data
            }
            parts.append(np.asarray(model.log_prob(**rows, **options), np.float64))
        return np.concatenate(parts)

    def _images(self, samples: np.ndarray, split: str) -> dict[str, tuple[float, dict[str, Any]]]:
        train = self.data["train"]["x"][:COPY_TRAINING]
        held_out = self.data[split]["x"]
        own, known, unseen = (array.reshape(len(array), -1) for array in (samples, train, held_out))
        copied = copy_rate(own, known, unseen)
        values: dict[str, tuple[float, dict[str, Any]]] = {
            "copy_rate": (copied, {"features": "pixels", "training": len(train)})
        }
        if not self.trusted or self.classifier is None:
            return values
        drawn, real = self.classifier.features(samples), self.classifier.features(held_out)
        protocol = {"features": self.classifier.name, "real": len(real)}
        precision, recall = precision_recall(real, drawn, self.settings.neighbours)
        count = len(self.spec.classes)
        shares = class_metrics.class_shares(self.classifier.predict(samples), count)
        real_shares = class_metrics.class_shares(self.data[split]["label"], count)
        return values | {
            "classifier_fid": (frechet_distance(Moments.of(drawn), Moments.of(real)), protocol),
            "precision": (precision, {**protocol, "neighbours": self.settings.neighbours}),
            "recall": (recall, {**protocol, "neighbours": self.settings.neighbours}),
            "class_histogram_distance": (class_metrics.total_variation(shares, real_shares), protocol),
            "classes_covered": (class_metrics.classes_covered(shares, real_shares), protocol),
            "smallest_class_share": (float(shares.min()), protocol),
            "largest_class_share": (float(shares.max()), protocol),
        }


def main_metric(model: GenerativeModel) -> str:
    """The metric that matters where the recipe names none."""
    if model.likelihood == "none":
        return "classifier_fid"
    return "perplexity" if model.spec.kind == "tokens" else "nats"
