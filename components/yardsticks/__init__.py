"""How each kind of data is judged, one module each, named as in components/modalities.

A module offers one class

    Yardstick(examples, data, settings)    learns what it needs from the training split `data["train"]`
        .main                              the metric of a family without likelihood
        .features()                        facts of its feature network, or None
        .judge(samples, split)             → Judged: metrics, and the same by slice (class, group)
        .of_model(model, split)            → metrics that ask the model more than samples (reconstructions)
        .reference(split, count)           → metrics of training examples in place of samples
        .sizes(split)                      → bytes of UTF-8 of each example, int64 [n], or None
        .slices_of(split)                  → name → rows of the split, for slices of the likelihood
        .save(folder)                      the feature network, for whoever measures again
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from components.errors import ConfigError
from components.examples import Examples
from components.metrics.intervals import Estimate
from components.modalities import modalities
from components.settings import EvaluateSettings

COPYING = ("copy_", "training_overlap_", "longest_training_run", "authentic_share")
Arrays = dict[str, np.ndarray]
Metrics = dict[str, Estimate]


@dataclass
class Judged:
    """Metric → estimate, and for each slice the same; `notes` say why a metric was not measured,
    `collapsed` how a collapse shows, and `facts` what a page shows beside the numbers (JSON-like)."""

    metrics: Metrics = field(default_factory=dict)
    slices: dict[str, Metrics] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    collapsed: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Base:
    """What a kind of data has where it says nothing else: no network and no slices."""

    def __init__(self, examples: Examples, data: dict[str, Arrays], settings: EvaluateSettings) -> None:
        self.examples, self.data, self.settings = examples, data, settings
        self.spec, self.encoding = examples.spec, examples.encoding

    @property
    def main(self) -> str:
        """See the module."""
        raise NotImplementedError

    def features(self) -> dict[str, Any] | None:
        """See the module."""
        return None

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See the module."""
        raise NotImplementedError

    def of_model(self, model: Any, split: str) -> Judged:
        """See the module."""
        return Judged()

    def reference(self, split: str, count: int) -> Judged:
        """See the module."""
        return without_copies(self.judge(self.data["train"]["x"][:count], split))

    def sizes(self, split: str) -> np.ndarray | None:
        """See the module."""
        return None

    def slices_of(self, split: str) -> dict[str, np.ndarray]:
        """See the module."""
        return {}

    def save(self, folder: Path) -> None:
        """See the module."""


def without_copies(found: Judged) -> Judged:
    """What was measured of training examples, without what only says that they are training examples."""
    for metrics in [found.metrics, *found.slices.values()]:
        for name in [name for name in metrics if name.startswith(COPYING)]:
            del metrics[name]
    return found


def yardstick_of(examples: Examples) -> ModuleType:
    """The module that judges these examples.

    Raises:
        ConfigError: nothing judges this kind of data.
    """
    name = examples.encoding["modality"]
    known = {module.name for module in pkgutil.iter_modules(__path__)} & set(modalities())
    if name not in known:
        raise ConfigError(f"nothing judges {name} yet: {', '.join(sorted(known))} can be evaluated")
    return importlib.import_module(f"{__name__}.{name}")
