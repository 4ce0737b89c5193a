"""What an evaluation shows beside its numbers: samples, real examples, and for images what lies behind them.

evaluation/
  samples.png|txt …    the first samples; real.png|txt …: as many real examples of the test split
  pictures.npz         samples, real; of images also
                       nearest [16], distances [16]: the training image nearest to each of the first samples
                       real_distances [64]: how far held-out images are from theirs
                       originals, reconstructions [16]: where the model reconstructs
                       interpolations [6, 9], traversals [6, 9], traversed [6]: where it has latents
  reconstructions.png  interpolations.png  traversals.png   the same as grids
  forecasts.png  residuals.png   of series (components.series_pictures)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.examples import Examples
from components.metrics.path_length import slerp

SHOWN = 64  # samples in the picture
PAIRED = 16  # samples beside their neighbours, originals beside reconstructions
PATHS, STOPS = 6, 9  # interpolations, and the images along each
DIMENSIONS, PLACES = 6, 9  # latent dimensions traversed, and the images along each
TRIED = 128  # most dimensions whose effect is looked at: the first ones
BASES = 4  # latents that the effect of a dimension is averaged over
DRAWN = 500  # latents that say how far a dimension goes
AT_ONCE = 100  # latents decoded in one call

Arrays = dict[str, np.ndarray]
Decode = Callable[[np.ndarray], np.ndarray]


def write_pictures(folder: Path, data: Examples, judge: Any, model: Any, samples: np.ndarray) -> None:
    """Writes the files above into `folder`; `samples` `[n, *shape]` are of `model`."""
    real = _real(judge.data["test"])
    arrays: dict[str, Any] = {"samples": samples[:SHOWN], "real": real}
    for part, shown in arrays.items():
        data.modality.write_samples(shown, data.encoding, folder / part)
    if data.spec.kind == "image":
        arrays |= neighbours(samples[:PAIRED], real, judge.data["train"]["x"])
        if hasattr(model, "reconstruct"):
            arrays |= reconstructions(model, judge.data["test"]["x"][:PAIRED])
        if hasattr(model, "latents") and hasattr(model, "decode"):
            arrays |= latent_pictures(model, judge.settings.seed)
        _save_grids(arrays, folder)
    if data.spec.kind == "series":
        from components.series_pictures import write_series_pictures

        write_series_pictures(folder, model, data, judge.settings)
    np.savez(folder / "pictures.npz", **arrays)


def _real(test: Arrays) -> np.ndarray:
    real = test["x"][:SHOWN]
    if "mask" in test:  # what is missing is shown as missing
        real = np.where(test["mask"][:SHOWN] > 0, real, np.nan)
    return real


def neighbours(samples: np.ndarray, real: np.ndarray, training: np.ndarray) -> Arrays:
    """The training image `nearest` to each sample, how far it is (`distances`, of pixels), and how far real
    images are from theirs (`real_distances`): a sample much nearer than those is a copy."""
    from components.metrics.copies import nearest

    flat = training.reshape(len(training), -1)
    index, distances = nearest(samples.reshape(len(samples), -1), flat)
    _, usual = nearest(real.reshape(len(real), -1), flat)
    return {"nearest": training[index], "distances": distances, "real_distances": usual}


def reconstructions(model: Any, originals: np.ndarray) -> Arrays:
    """Real images and what the model makes of them."""
    return {"originals": originals, "reconstructions": np.asarray(model.reconstruct(originals))}


def latent_pictures(model: Any, seed: int) -> Arrays:
    """`interpolations` along arcs between draws of the prior, and `traversals` of the dimensions of largest
    effect, whose numbers are `traversed`; nothing for latents that are no vectors `[n, d]`, d > 1."""
    drawn = np.asarray(model.latents(DRAWN, seed=seed))
    if drawn.ndim != 2 or drawn.shape[1] < 2 or not np.issubdtype(drawn.dtype, np.floating):
        return {}

    def decode(z: np.ndarray) -> np.ndarray:
        parts = [np.asarray(model.decode(z[start : start + AT_ONCE])) for start in range(0, len(z), AT_ONCE)]
        return np.concatenate(parts)

    return {"interpolations": interpolations(decode, drawn), **traversals(decode, drawn)}


def interpolations(decode: Decode, drawn: np.ndarray) -> np.ndarray:
    """Images `[PATHS, STOPS, *shape]` along the arcs between pairs of `drawn` latents `[n, d]`."""
    here, there = drawn[:PATHS], drawn[PATHS : 2 * PATHS]
    t = np.tile(np.linspace(0, 1, STOPS), len(here))
    images = decode(slerp(np.repeat(here, STOPS, axis=0), np.repeat(there, STOPS, axis=0), t))
    return images.reshape(len(here), STOPS, *images.shape[1:])


def traversals(decode: Decode, drawn: np.ndarray) -> Arrays:
    """Images `[DIMENSIONS, PLACES, *shape]`: one latent whose dimension goes from the 2.5 % to the 97.5 %
    quantile of the prior, for the dimensions that change images most, the first foremost."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0).astype(drawn.dtype)
    tried = min(drawn.shape[1], TRIED)
    effect = np.zeros(tried)
    for base in drawn[:BASES]:
        ends = []
        for end in (low, high):
            moved = np.repeat(base[None], tried, axis=0)
            np.fill_diagonal(moved, end[:tried])
            ends.append(decode(moved).reshape(tried, -1))
        effect += np.square(ends[1] - ends[0]).mean(axis=1)
    chosen = np.argsort(-effect, kind="stable")[:DIMENSIONS]
    latents = np.repeat(drawn[:1], len(chosen) * PLACES, axis=0)
    for row, dimension in enumerate(chosen):
        places = np.linspace(low[dimension], high[dimension], PLACES)
        latents[row * PLACES : (row + 1) * PLACES, dimension] = places
    images = decode(latents)
    return {"traversals": images.reshape(len(chosen), PLACES, *images.shape[1:]), "traversed": chosen}


def _save_grids(arrays: Arrays, folder: Path) -> None:
    from components.modalities.images import grid

    if "reconstructions" in arrays:
        both = np.concatenate([arrays["originals"], arrays["reconstructions"]])
        grid(both, columns=len(both) // 2).save(folder / "reconstructions.png")
    for part in ("interpolations", "traversals"):
        if part in arrays:
            rows, columns, *shape = arrays[part].shape
            grid(arrays[part].reshape(rows * columns, *shape), columns=columns).save(folder / f"{part}.png")
