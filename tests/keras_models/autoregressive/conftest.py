"""What the tests of linear processes share: models of one series, and statsmodels' numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_models import build, describe
from keras_models.spec import Spec

GOLDEN = Path(__file__).parent / "golden" / "statsmodels.json"  # made by statsmodels_recipe.py beside it


@pytest.fixture(scope="session")
def golden():
    """statsmodels' numbers; the series that they are of are in it, NaN where missing."""
    found = json.loads(GOLDEN.read_text("utf-8"))
    for name in ("air", "air_missing", "air_missing_early", "temperature", "temperature_missing", "sunspots"):
        found[name] = np.array([np.nan if value is None else value for value in found[name]])
    return found


def make(family, steps, *, channels=1, series=0, covariates=0, seed=0, **config):
    """A model of windows `[steps, channels]`."""
    spec = Spec(kind="series", shape=(steps, channels), series=series, covariates=covariates)
    return build(family, spec, describe(family).config(**config), seed=seed)


def batch_of(x, **fields):
    """Series `[n, t]` or `[n, t, c]`, NaN where missing, as a batch; each row is a series of its own."""
    x = np.atleast_2d(x)
    x = x[..., None] if x.ndim == 2 else x
    mask = ~np.isnan(x)
    own = {"x": np.where(mask, x, 0.0), "mask": mask.astype(np.float32)}
    return {**own, "series": np.arange(1, len(x) + 1, dtype=np.int32), **fields}


def learn(model, batch, *, size=None, epochs=1):
    """Fits the model to the batch, in pieces of `size` rows."""
    model.compile()
    stream = tf.data.Dataset.from_tensor_slices(batch).batch(size or len(batch["x"]))
    return model.fit(stream, epochs=epochs, verbose=0)


def score(model, x, **options):
    """log p of series `[n, t]`, NaN where missing."""
    batch = batch_of(x)
    return np.asarray(model.log_prob(batch["x"], mask=batch["mask"], **options))
