"""InceptionV3 as the Fréchet Inception Distance uses it, from weights that the user gives.

The architecture is Szegedy et al. 2015, "Rethinking the Inception Architecture", figures 5 to 7 and 10, as in
the network of 2015-12-05 with which Heusel et al. 2017 and Salimans et al. 2016 measured: 1008 outputs, whose
bias the Inception Score leaves out; average pools that do not count the padding; a maximum pool instead of an
average in the very last block. Images are rounded to 8 bits, resized to 299x299 and scaled to (x - 128)/128.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.errors import DataError, IntegrityError
from components.feature_networks import in_blocks, in_colour, softmax
from components.home import home
from components.torch_layers import assign
from components.torch_weights import read_torch
from components.weights import PUBLISHED, fetch

FACTS = "inception.json"
SIDE = 299
ROWS = 8  # images at once, always: see in_blocks
LAYERS = ("MaxPool_1", "MaxPool_2", "Mixed_6e", "Mixed_7c")
Resize = Literal["tensorflow1", "pillow"]


class Inception:
    """The network: see FeatureNetwork. Features are the 2048 of pool_3, probabilities of the 1008 outputs.

    `resize` is "tensorflow1" (bilinear without antialiasing, as in the original and torch-fidelity) or
    "pillow" (bicubic in floats with antialiasing, as clean-fid proposes: Parmar et al. 2022).
    """

    layers: tuple[str, ...] = LAYERS

    def __init__(
        self, weights: dict[str, np.ndarray], sha256: str, source: str = "", resize: Resize = "tensorflow1"
    ) -> None:
        import tensorflow as tf

        self.facts = {"sha256": sha256, "resize": resize}
        self.source = source
        self.resize = resize
        self.digest = hashlib.sha256(json.dumps(["inception", self.facts]).encode()).hexdigest()
        network = _network()
        assign(network, weights)
        looks = type(network)(network.inputs, [network.get_layer(name).output for name in LAYERS])
        images = [tf.TensorSpec((ROWS, None, None, 3), tf.float32)]
        self._apply = tf.function(lambda x: network(_scaled(x), training=False), input_signature=images)
        self._look = tf.function(lambda x: looks(_scaled(x), training=False), input_signature=images)

    @property
    def name(self) -> str:
        """`inception@` and the start of the digest of its weights and its way of resizing."""
        return f"inception@{self.digest[:8]}"

    def features(self, x: np.ndarray) -> np.ndarray:
        """The pool_3 features of images `[n, height, width, 1 or 3]` in [0, 1]: float64 `[n, 2048]`."""
        return self._run(self._apply, x)[0].astype(np.float64)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Of the 1008 outputs, without the bias, as the Inception Score takes them: float64 `[n, 1008]`."""
        return softmax(self._run(self._apply, x)[1])

    def maps(self, x: np.ndarray) -> list[np.ndarray]:
        """See FeatureNetwork.maps."""
        return self._run(self._look, x)

    def save(self, folder: Path) -> None:
        """Writes which weights these are and where they came from: the file itself is not copied."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {**self.facts, "source": self.source, "digest": self.digest}
        (folder / FACTS).write_text(json.dumps(facts, indent=1), "utf-8")

    def _run(self, apply: Any, x: np.ndarray) -> list[np.ndarray]:
        x = in_colour(self.name, x)

        def prepared(block: np.ndarray) -> Any:
            eight_bits = np.rint(np.clip(block, 0, 1) * np.float32(255))
            return apply(_cubic(eight_bits) if self.resize == "pillow" else eight_bits)

        return in_blocks(prepared, x, ROWS)


def make_inception(
    source: str | Path = PUBLISHED["inception"].address,
    sha256: str = PUBLISHED["inception"].sha256,
    resize: Resize = "tensorflow1",
    cache: Path | None = None,
) -> Inception:
    """The network with the weights of the PyTorch file at `source`: see `components.weights.fetch`.

    Raises:
        DataError, IntegrityError, ConfigError, ResourceError: no such file, or another one.
    """
    path = fetch(source, sha256, cache or home() / "weights")
    try:
        return Inception(read_torch(path), sha256, str(source), resize)
    except KeyError as error:
        raise DataError(f"{path} is not the Inception network of FID: {error.args[0]}") from error


def load_inception(folder: Path) -> Inception:
    """The network that `Inception.save` noted in `folder`, from the same weight file.

    Raises:
        IntegrityError: the facts are not those of that network. And see make_inception.
    """
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    made = make_inception(facts["source"], facts["sha256"], facts["resize"])
    if made.digest != facts["digest"]:
        raise IntegrityError(f"{folder / FACTS} names another digest than its own facts give")
    return made


def _scaled(x: Any) -> Any:
    """8-bit values of any size → [-1, 1) at 299x299. Row i is read at i · height/299, as TensorFlow 1 did."""
    import tensorflow as tf

    x = tf.raw_ops.ResizeBilinear(images=x, size=(SIDE, SIDE), align_corners=False, half_pixel_centers=False)
    return (x - 128.0) / 128.0


def _cubic(images: np.ndarray) -> np.ndarray:
    """Each channel on its own, in floats that are not rounded again."""
    from PIL import Image

    def resized(channel: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(channel).resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    return np.stack([np.stack([resized(c) for c in image.transpose(2, 0, 1)], -1) for image in images])


# -- the architecture ----------------------------------------------------------------------------------


def _convolution(
    x: Any, name: str, filters: int, kernel: Any, strides: int = 1, padding: str = "same"
) -> Any:
    """Convolution without bias, batch normalisation, ReLU."""
    import keras

    convolution = keras.layers.Conv2D(
        filters, kernel, strides, padding, use_bias=False, kernel_initializer="zeros", name=f"{name}.conv"
    )
    return keras.layers.ReLU()(
        keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}.bn")(convolution(x))
    )


def _chain(x: Any, block: str, *steps: tuple[str, int, Any]) -> Any:
    """Convolutions one after the other: (name, filters, kernel)."""
    for name, filters, kernel in steps:
        x = _convolution(x, f"{block}.{name}", filters, kernel)
    return x


def _halved(x: Any) -> Any:
    import keras

    return keras.layers.MaxPooling2D(3, 2)(x)


def _pooled(x: Any, block: str, filters: int, maximum: bool = False) -> Any:
    """A 3x3 pool that keeps the size, then a 1x1 convolution. Keras' average leaves the padding out."""
    import keras

    pool = keras.layers.MaxPooling2D if maximum else keras.layers.AveragePooling2D
    return _convolution(pool(3, 1, "same")(x), f"{block}.branch_pool", filters, 1)


def _joined(parts: list[Any], name: str | None = None) -> Any:
    import keras

    return keras.layers.Concatenate(name=name)(parts)


def _network() -> Any:
    """299x299x3 → [pool_3 `[2048]`, outputs without bias `[1008]`]."""
    import keras

    image = keras.Input((SIDE, SIDE, 3))
    x = _convolution(image, "Conv2d_1a_3x3", 32, 3, 2, "valid")
    x = _convolution(x, "Conv2d_2a_3x3", 32, 3, padding="valid")
    x = _convolution(x, "Conv2d_2b_3x3", 64, 3)
    x = keras.layers.MaxPooling2D(3, 2, name="MaxPool_1")(x)
    x = _convolution(x, "Conv2d_3b_1x1", 80, 1, padding="valid")
    x = _convolution(x, "Conv2d_4a_3x3", 192, 3, padding="valid")
    x = keras.layers.MaxPooling2D(3, 2, name="MaxPool_2")(x)
    for block, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_35(x, block, pooled)
    x = _to_17(x, "Mixed_6a")
    for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_17(x, block, width)
    x = _to_8(x, "Mixed_7a")
    x = _block_8(x, "Mixed_7b", maximum=False)
    x = _block_8(x, "Mixed_7c", maximum=True)
    features = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(1008, use_bias=False, kernel_initializer="zeros", name="fc")(features)
    return keras.Model(image, [features, outputs])


def _block_35(x: Any, block: str, pooled: int) -> Any:
    """Figure 5: 1x1, 5x5, two 3x3, a pool."""
    one = _chain(x, block, ("branch1x1", 64, 1))
    five = _chain(x, block, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5))
    three = _chain(x, block, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))
    return _joined([one, five, three, _pooled(x, block, pooled)])


def _to_17(x: Any, block: str) -> Any:
    """Figure 10: halves 35 to 17."""
    three = _convolution(x, f"{block}.branch3x3", 384, 3, 2, "valid")
    double = _chain(x, block, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3))
    double = _convolution(double, f"{block}.branch3x3dbl_3", 96, 3, 2, "valid")
    return _joined([three, double, _halved(x)])


def _block_17(x: Any, block: str, width: int) -> Any:
    """Figure 6 with n = 7: rows and columns apart."""
    row, column = (1, 7), (7, 1)
    one = _chain(x, block, ("branch1x1", 192, 1))
    seven = _chain(
        x, block, ("branch7x7_1", width, 1), ("branch7x7_2", width, row), ("branch7x7_3", 192, column)
    )
    names = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    double = _chain(x, block, *zip(names, [width] * 4 + [192], [1, column, row, column, row]))
    return _joined([one, seven, double, _pooled(x, block, 192)], f"{block}")


def _to_8(x: Any, block: str) -> Any:
    """Halves 17 to 8."""
    three = _chain(x, block, ("branch3x3_1", 192, 1))
    three = _convolution(three, f"{block}.branch3x3_2", 320, 3, 2, "valid")
    seven = _chain(
        x, block, ("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))
    )
    seven = _convolution(seven, f"{block}.branch7x7x3_4", 192, 3, 2, "valid")
    return _joined([three, seven, _halved(x)])


def _block_8(x: Any, block: str, maximum: bool) -> Any:
    """Figure 7: ends that part into a row and a column."""

    def parted(stem: Any, name: str) -> Any:
        row = _convolution(stem, f"{block}.{name}a", 384, (1, 3))
        return _joined([row, _convolution(stem, f"{block}.{name}b", 384, (3, 1))])

    one = _chain(x, block, ("branch1x1", 320, 1))
    three = parted(_chain(x, block, ("branch3x3_1", 384, 1)), "branch3x3_2")
    double = _chain(x, block, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3))
    double = parted(double, "branch3x3dbl_3")
    return _joined([one, three, double, _pooled(x, block, 192, maximum)], block)
