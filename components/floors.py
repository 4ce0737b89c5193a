"""Floors: the simple model that any other has to beat where the recipe names none.

Without one, a recipe of five lines would publish whatever came out of its training.
"""

from __future__ import annotations

from components.settings import FloorSettings
from keras_models import describe
from keras_models.spec import Spec

LARGEST_FULL = 1024  # entries of an image whose full covariance is estimated, then its variances only
LARGEST = 3072  # beyond, the scale matrix alone would take gigabytes
BATCH = 64


def default_floors(family: str, spec: Spec, examples: int) -> tuple[FloorSettings, ...]:
    """The floor that suits the data: one normal for images (independent pixels where they are binary),
    one state for tokens. A classical family is a floor itself and gets none.

    Args:
        examples: in the training split; a floor's batch is no larger.
    """
    if describe(family).school == "classical":
        return ()
    if spec.kind == "tokens":
        chosen = {"family": "hmm", "config": {"states": 1}}
    elif spec.levels == 2:
        chosen = {"family": "mixture", "config": {"components": 1}}
    elif spec.dimensions <= LARGEST:
        shape = "full" if spec.dimensions <= LARGEST_FULL else "diagonal"
        chosen = {"family": "normal", "config": {"covariance": shape}}
    else:
        return ()
    train = {"epochs": 1, "batch_size": min(BATCH, examples)}
    return (FloorSettings.parse({**chosen, "train": train}),)
