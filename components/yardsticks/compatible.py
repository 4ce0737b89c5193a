"""The same names as other tools compute them, beside our own numbers: `inception_fid@torch-fidelity`.

They have no interval of ours and decide no gate. What each mode chooses is in the record's `choices`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from components.errors import DataError
from components.feature_networks import compatibility
from components.metrics.classifier_score import inception_score
from components.metrics.frechet import frechet_of
from components.metrics.intervals import Estimate
from components.metrics.kernel import kid_reference
from components.metrics.neighbours import neighbourhood
from components.yardsticks import Judged

WHY = "as published: without an interval"


def compatible(
    mode: str, kind: str, real: np.ndarray, drawn: np.ndarray, probabilities: np.ndarray | None
) -> Judged:
    """What the mode computes of features `real` `[n, d]` and `drawn` `[m, d]`; what there is too little for
    is noted."""
    choices = compatibility(mode)
    found = Judged()
    made: dict[str, Any] = {}
    if choices.covariance_ddof is not None:
        made[f"{kind}_fid"] = lambda: Estimate(frechet_of(drawn, real), why=WHY)
    if choices.kid_subsets is not None and choices.kid_subset_size is not None:
        subsets, size = choices.kid_subsets, choices.kid_subset_size
        made[f"{kind}_kid"] = lambda: kid_reference(real, drawn, subsets, size, choices.seed or 0)
    if choices.score_splits is not None and probabilities is not None:
        made["inception_score"] = lambda: _score(probabilities, choices.score_splits, choices.seed)
    if choices.neighbours is not None:
        convention = "prdc" if choices.inside == "<" else "kynkaanniemi"
        made["neighbourhood"] = lambda: neighbourhood(real, drawn, convention=convention)
    for name, measure in made.items():
        try:
            one = measure()
        except DataError as error:
            found.notes[f"{name}@{mode}"] = str(error)
            continue
        for key, value in one.items() if isinstance(one, dict) else [(name, one)]:
            found.metrics[f"{key}@{mode}"] = value
    return found


def _score(probabilities: np.ndarray, splits: int | None, seed: int | None) -> Estimate:
    mean, std = inception_score(probabilities, splits=splits or 10, seed=seed or 0)
    return Estimate(mean, why=WHY, extra={"splits_std": std})
