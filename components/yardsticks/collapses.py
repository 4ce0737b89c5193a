"""How a collapse of images shows: in what they cover, in repeats, and in classes that are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.metrics.classes import class_shares
from components.metrics.comparison import Comparison
from components.metrics.coverage import collapse
from components.metrics.missing import Missing, missing_mass
from components.yardsticks import Metrics

LOST = 1e-3  # chance of so few samples of a class, below which it may be lost


def collapsed(
    compared: Comparison,
    metrics: Metrics,
    predicted: np.ndarray | None,
    label: np.ndarray | None,
    names: Sequence[str],
) -> str:
    """The sentence of what shows a collapse, or "" where nothing does.

    Args:
        metrics: at least coverage, recall and duplicate_rate.
        predicted: the class of each sample, int `[m]`; None where there are no classes.
        label: the class of each real image, int `[n]`.
        names: of the classes.
    """
    missing = None
    if predicted is not None and label is not None:
        missing = missing_mass(predicted, class_shares(label, len(names)), counted_on=len(label))
    expected = metrics["coverage"].extra.get("expected", 1.0)
    shown = collapse(
        coverage=metrics["coverage"].value,
        expected_coverage=expected,
        recall=metrics["recall"].value,
        duplicate_rate=metrics["duplicate_rate"].value,
        real_duplicate_rate=metrics["duplicate_rate"].extra.get("real", 0.0),
        missing=missing,
        names=names,
    )
    if shown or missing is None or label is None:
        return shown
    return _lost(missing, compared.covered, label[: len(compared.covered)], expected, names)


def _lost(
    missing: Missing, covered: np.ndarray, label: np.ndarray, expected: float, names: Sequence[str]
) -> str:
    """A class that is left out although a few samples of others are taken for it: it has fewer than chance
    gives, and the balls of most of its images hold no sample."""
    for c, name in enumerate(names):
        reached = covered[label == c]
        if missing.p[c] < LOST and len(reached) and reached.mean() < expected / 2:
            return (
                f"Mode collapse: class {name} has {missing.counts[c]} samples where {missing.expected[c]:.0f} are "
                f"expected (p = {missing.p[c]:.1g}), and covers {reached.mean():.0%} of its images."
            )
    return ""
