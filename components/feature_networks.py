"""What a feature network is: images in, features, class probabilities and layer maps out, under a hashed name.

`classifier@1a2b3c4d` (labels of the training split), `encoder@…` (no labels), `inception@…` and `vgg16@…`
(weights that the user gives). A distance carries the name, and only distances of equal digests compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from components.errors import ConfigError, DataError, did_you_mean
from components.weights import PUBLISHED


class FeatureNetwork(Protocol):
    """The shape of them all. Images are `[n, height, width, channels]`, floats in [0, 1].

    The same images give the same bits, in whatever batches they come: see `in_blocks`.
    """

    digest: str
    layers: tuple[str, ...]  # the names of the maps

    @property
    def name(self) -> str:
        """Kind, `@` and the digest's start."""

    def features(self, x: np.ndarray) -> np.ndarray:
        """Float64 `[n, d]`; NaN for an image that is not finite. DataError: images of another shape."""

    def probabilities(self, x: np.ndarray) -> np.ndarray | None:
        """Float64 `[n, classes]`, or None where the network knows no classes."""

    def maps(self, x: np.ndarray) -> list[np.ndarray]:
        """Of each of `layers`, float32 `[n, height, width, channels]`: large, so for a few images at once."""

    def save(self, folder: Path) -> None:
        """Writes what `load_feature_network` reads."""


def in_blocks(apply: Callable[[np.ndarray], Sequence[Any]], x: np.ndarray, rows: int) -> list[np.ndarray]:
    """The outputs of `apply` for all images, called on exactly `rows` of them each time.

    Kernels choose how they add by the shape they see; with one shape, an image's numbers depend neither on
    the batch it came in nor on its place there. The last block is filled up with zeros. Where an image holds
    a NaN or an infinity, all its outputs are NaN: a maximum in the network could have dropped it.
    """
    parts = []
    for first in range(0, len(x), rows):
        block = np.asarray(x[first : first + rows], np.float32)
        real = len(block)
        unknown = ~np.isfinite(block.reshape(real, -1)).all(axis=1)
        whole = np.zeros((rows, *block.shape[1:]), np.float32)
        whole[:real] = block
        outputs = [np.array(output)[:real] for output in apply(whole)]
        for output in outputs:
            output[unknown] = np.nan
        parts.append(outputs)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def check_images(name: str, x: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """`x`, which must be one image or more of `shape` `[height, width, channels]`, None where any will do.

    Raises:
        DataError: other images, or none.
    """
    x = np.asarray(x)
    fits = x.ndim == 4 and all(want in (None, got) for want, got in zip(shape, x.shape[1:], strict=True))
    if not fits or not len(x):
        told = ["any" if side is None else side for side in shape]
        raise DataError(
            f"{name} takes images {str(told).replace(chr(39), '')}, and was given {list(x.shape)}"
        )
    return x


def in_colour(name: str, x: np.ndarray) -> np.ndarray:
    """Images of three channels; a single channel is repeated.

    Raises:
        DataError: another number of channels.
    """
    x = check_images(name, x, (None, None, None))
    if x.shape[3] not in (1, 3):
        raise DataError(f"{name} takes grey or colour images, and was given {x.shape[3]} channels")
    return np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[n, classes]` in float64."""
    logits = logits.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def perceptual_distances(
    a: list[np.ndarray], b: list[np.ndarray], weights: list[np.ndarray] | None = None
) -> np.ndarray:
    """How unlike the images of two batches look to a network: float64 `[n]`, 0 where equal.

    Over the layers: the sum of the spatial means of Σ_c w_c (â_c - b̂_c)², where â has length 1 over the
    channels (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features", eq. 1). Without `weights`
    `[c]` per layer every channel counts 1.
    """
    total = np.zeros(len(a[0]))
    for place, (first, second) in enumerate(zip(a, b, strict=True)):
        unlike = (_unit(first) - _unit(second)) ** 2
        weight = np.ones(unlike.shape[3]) if weights is None else weights[place].astype(np.float64)
        total += (unlike @ weight).reshape(len(total), -1).mean(axis=1)
    return total


def _unit(map_: np.ndarray) -> np.ndarray:
    map_ = map_.astype(np.float64)
    return map_ / (np.sqrt((map_**2).sum(axis=3, keepdims=True)) + 1e-10)


def load_feature_network(folder: Path) -> FeatureNetwork:
    """The network that `save` wrote into `folder`, whatever its kind.

    Raises:
        DataError: there is none.
        IntegrityError: its weights are not those that it was saved with.
    """
    if (folder / "classifier.json").exists():
        from components.classifier import load_classifier

        return load_classifier(folder)
    if (folder / "encoder.json").exists():
        from components.encoder import load_encoder

        return load_encoder(folder)
    if (folder / "inception.json").exists():
        from components.inception import load_inception

        return load_inception(folder)
    if (folder / "vgg16.json").exists():
        from components.vgg import load_vgg

        return load_vgg(folder)
    raise DataError(f"there is no feature network in {folder}")


# -- how others compute the same names -----------------------------------------------------------------


@dataclass(frozen=True)
class Compatibility:
    """The choices of another tool, one by one, as they go into the record of a result.

    None where the tool does not compute the metric that a choice belongs to.
    """

    tool: str
    network: str | None  # of the Fréchet and the kernel distance, and of the Inception Score
    weights_sha256: str | None
    resize: str | None
    quantise: str | None
    covariance_ddof: int | None
    mean_type: str | None
    score_splits: int | None
    score_logits: str | None
    score_std_ddof: int | None
    kid_subsets: int | None
    kid_subset_size: int | None
    kid_kernel: str | None
    neighbours_network: str | None
    neighbours: int | None  # k
    inside: str | None  # how a distance compares with a radius
    seed: int | None
    seed_of: str

    def told(self) -> dict[str, Any]:
        """JSON-like, for the result's record."""
        return asdict(self)


CUBIC = "(x·y/d + 1)³, U-statistic"
COMPATIBILITY = {
    "torch-fidelity": Compatibility(
        tool="torch-fidelity 0.4.0",
        network="InceptionV3 of 2015-12-05, pool_3, 2048",
        weights_sha256=PUBLISHED["inception"].sha256,
        resize="tensorflow1: bilinear to 299, row i from row i·height/299, without antialiasing",
        quantise="takes images of 8 bits only; Mozart rounds to them",
        covariance_ddof=1,
        mean_type="float32",
        score_splits=10,
        score_logits="1008, without the bias, rows permuted",
        score_std_ddof=0,
        kid_subsets=100,
        kid_subset_size=1000,
        kid_kernel=CUBIC,
        neighbours_network="VGG16 of torchvision, fc2 after ReLU, 4096",
        neighbours=3,
        inside="<=",
        seed=2020,
        seed_of="RandomState of the score's permutation and of the kernel distance's subsets",
    ),
    "clean-fid": Compatibility(
        tool="clean-fid, mode clean",
        network="InceptionV3 of 2015-12-05, pool_3, 2048",
        weights_sha256=PUBLISHED["inception"].sha256,
        resize="pillow: bicubic to 299 of each channel in floats, antialiased",
        quantise="takes images of 8 bits only; Mozart rounds to them; nothing is rounded after resizing",
        covariance_ddof=1,
        mean_type="float32",
        score_splits=None,
        score_logits=None,
        score_std_ddof=None,
        kid_subsets=100,
        kid_subset_size=1000,
        kid_kernel=CUBIC,
        neighbours_network=None,
        neighbours=None,
        inside=None,
        seed=None,
        seed_of="none: its kernel distance draws from the global generator, and differs from call to call",
    ),
    "prdc": Compatibility(
        tool="prdc 0.2",
        network=None,
        weights_sha256=None,
        resize=None,
        quantise=None,
        covariance_ddof=None,
        mean_type=None,
        score_splits=None,
        score_logits=None,
        score_std_ddof=None,
        kid_subsets=None,
        kid_subset_size=None,
        kid_kernel=None,
        neighbours_network="any: it takes features",
        neighbours=5,
        inside="<",
        seed=None,
        seed_of="nothing is drawn",
    ),
}


def compatibility(mode: str) -> Compatibility:
    """The choices of the named mode.

    Raises:
        ConfigError: no such mode.
    """
    if mode not in COMPATIBILITY:
        raise ConfigError(f"there is no compatibility mode '{mode}'{did_you_mean(mode, COMPATIBILITY)}")
    return COMPATIBILITY[mode]
