"""VGG16 from weights that the user gives: the features of precision and recall, and the LPIPS distance.

The architecture is Simonyan & Zisserman 2015, configuration D, with torchvision's weights. Kynkäänniemi et al.
2019 measure precision and recall in its second hidden layer (`fc2`, after ReLU); Zhang et al. 2018 weigh its
layer maps linearly into LPIPS (version 0.1, in which maps are taken after ReLU and before pooling).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import ConfigError, DataError, IntegrityError
from components.feature_networks import in_blocks, in_colour, perceptual_distances
from components.home import home
from components.torch_layers import assign
from components.torch_weights import read_torch
from components.weights import PUBLISHED, fetch

FACTS = "vgg16.json"
SIDE = 224  # for features; maps are taken at the images' own size
SMALLEST = 16  # pixels: four pools halve them down to 1
ROWS = 8  # images at once, always: see in_blocks
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels in [0, 1]
STAGES = (2, 2, 3, 3, 3)  # convolutions before each pool
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


class VGG16:
    """The network: see FeatureNetwork. Features are the 4096 of fc2 after ReLU; it tells no probabilities.

    Features are of images rounded to 8 bits and resized to 224x224 as TensorFlow 1 did (torch-fidelity's way);
    maps and LPIPS are of the floats as they are, at their own size. Without `linear` there is no LPIPS.
    """

    layers: tuple[str, ...] = LAYERS

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        linear: Mapping[str, np.ndarray] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        import tensorflow as tf

        self.facts = facts or {}
        told = {name: value for name, value in self.facts.items() if name.endswith("sha256")}
        self.digest = hashlib.sha256(json.dumps(["vgg16", told]).encode()).hexdigest()
        network = _network()
        assign(network, weights)
        self._hidden = [_hidden(weights, name) for name in ("classifier.0", "classifier.3")]
        self._linear = None if linear is None else _linear(linear)
        images = [tf.TensorSpec((ROWS, None, None, 3), tf.float32)]
        self._look = tf.function(lambda x: network(_normal(x), training=False), input_signature=images)
        self._last = tf.function(lambda x: _pooled(network(_normal(_resized(x)))[-1]), input_signature=images)

    @property
    def name(self) -> str:
        """`vgg16@` and the start of the digest of its weights."""
        return f"vgg16@{self.digest[:8]}"

    def features(self, x: np.ndarray) -> np.ndarray:
        """fc2 after ReLU of images `[n, height, width, 1 or 3]` in [0, 1]: float64 `[n, 4096]`."""
        return in_blocks(self._fc2, in_colour(self.name, x), ROWS)[0].astype(np.float64)

    def probabilities(self, x: np.ndarray) -> None:
        """None: its classes are not used."""

    def maps(self, x: np.ndarray) -> list[np.ndarray]:
        """See FeatureNetwork.maps. DataError: images below 16x16."""
        x = in_colour(self.name, x)
        if min(x.shape[1:3]) < SMALLEST:
            raise DataError(
                f"{self.name} takes images of {SMALLEST}x{SMALLEST} or more, not {list(x.shape[1:3])}"
            )
        return in_blocks(self._look, x, ROWS)

    def lpips(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The LPIPS distance of each pair of images in [0, 1]: float64 `[n]`, 0 where they are equal.

        Raises:
            ConfigError: the network was made without LPIPS's linear weights.
            DataError: the images are not as many and as large, or below 16x16.
        """
        if self._linear is None:
            raise ConfigError(
                f"LPIPS needs linear weights beside VGG16's: fetch {PUBLISHED['lpips'].address} "
                f"(SHA-256 {PUBLISHED['lpips'].sha256})"
            )
        a, b = in_colour(self.name, a), in_colour(self.name, b)
        if a.shape != b.shape:
            raise DataError(
                f"LPIPS compares pairs of equal size, and these are {list(a.shape)} and {list(b.shape)}"
            )
        blocks = [slice(first, first + ROWS) for first in range(0, len(a), ROWS)]
        return np.concatenate(
            [perceptual_distances(self.maps(a[i]), self.maps(b[i]), self._linear) for i in blocks]
        )

    def save(self, folder: Path) -> None:
        """Writes which weights these are and where they came from: the files themselves are not copied."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps({**self.facts, "digest": self.digest}, indent=1), "utf-8")

    def _fc2(self, block: np.ndarray) -> list[np.ndarray]:
        eight_bits = np.rint(np.clip(block, 0, 1) * np.float32(255)) / np.float32(255)
        x = (
            np.asarray(self._last(eight_bits)).transpose(0, 3, 1, 2).reshape(len(block), -1)
        )  # PyTorch's order
        for kernel, bias in self._hidden:
            x = np.maximum(x @ kernel.T + bias, 0)
        return [x]


def make_vgg(
    source: str | Path = PUBLISHED["vgg16"].address,
    sha256: str = PUBLISHED["vgg16"].sha256,
    linear_source: str | Path | None = PUBLISHED["lpips"].address,
    linear_sha256: str = PUBLISHED["lpips"].sha256,
    cache: Path | None = None,
) -> VGG16:
    """The network with the weights of two PyTorch files; `linear_source` None leaves LPIPS out.

    Raises:
        DataError, IntegrityError, ConfigError, ResourceError: no such file, or another one.
    """
    cache = cache or home() / "weights"
    path = fetch(source, sha256, cache)
    facts = {"source": str(source), "sha256": sha256, "linear_source": None, "linear_sha256": None}
    linear = None
    if linear_source is not None:
        linear = read_torch(fetch(linear_source, linear_sha256, cache))
        facts |= {"linear_source": str(linear_source), "linear_sha256": linear_sha256}
    try:
        return VGG16(read_torch(path), linear, facts)
    except KeyError as error:
        raise DataError(f"{path} is not VGG16, or its linear weights not LPIPS's: {error.args[0]}") from error


def load_vgg(folder: Path) -> VGG16:
    """The network that `VGG16.save` noted in `folder`, from the same weight files.

    Raises:
        IntegrityError: the facts are not those of that network. And see make_vgg.
    """
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    digest = facts.pop("digest")
    made = make_vgg(**facts)
    if made.digest != digest:
        raise IntegrityError(f"{folder / FACTS} names another digest than its own facts give")
    return made


def _network() -> Any:
    """Images of any size → the five maps. A layer bears the name of its place in torchvision's `features`."""
    import keras

    x = image = keras.Input((None, None, 3))
    place, maps = 0, []
    for stage, count in enumerate(STAGES):
        for _ in range(count):
            width = min(64 * 2**stage, 512)
            x = keras.layers.Conv2D(
                width,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="zeros",
                name=f"features.{place}",
            )(x)
            place += 2  # its ReLU has a place of its own there
        maps.append(x)
        x = keras.layers.MaxPooling2D(2)(x)
        place += 1
    return keras.Model(image, maps)


def _normal(x: Any) -> Any:
    return (x - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)


def _resized(x: Any) -> Any:
    import tensorflow as tf

    return tf.raw_ops.ResizeBilinear(
        images=x, size=(SIDE, SIDE), align_corners=False, half_pixel_centers=False
    )


def _pooled(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def _hidden(weights: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel `[4096, in]` and bias of a hidden layer, as they lie in the file: they are large."""
    kernel, bias = (_tensor(weights, f"{name}.{part}") for part in ("weight", "bias"))
    wanted = (4096, 25_088 if name == "classifier.0" else 4096)
    if kernel.shape != wanted or bias.shape != wanted[:1]:
        raise KeyError(f"its {name} is {list(kernel.shape)}, and should be {list(wanted)}")
    return kernel, bias


def _linear(weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """LPIPS's weight of each channel of each map."""
    found = [_tensor(weights, f"lin{i}.model.1.weight").reshape(-1) for i in range(len(LAYERS))]
    wanted = [min(64 * 2**stage, 512) for stage in range(len(LAYERS))]
    if [len(each) for each in found] != wanted:
        raise KeyError(f"its maps have {[len(each) for each in found]} channels, and should have {wanted}")
    return found


def _tensor(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in weights:
        raise KeyError(f"it has no tensor {name}")
    return weights[name]
