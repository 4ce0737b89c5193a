"""The feature network behind `classifier_fid`: a small CNN that learns the labels of the training split.

Its penultimate layer gives the features in which samples and real images are compared, its softmax
the class shares. It is trained on the data at hand, so nothing is downloaded and the features fit the
images; a distance therefore carries the network's digest, and only equal digests compare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np

from components.errors import DataError, IntegrityError
from components.feature_networks import check_images, in_blocks, softmax

WEIGHTS, FACTS = "classifier.safetensors", "classifier.json"
FEATURES = 48  # few enough for a covariance from a few hundred test images
STEPS = 1000  # most training steps, whatever the data's size
BATCH = 128
SMALLEST = 8  # pixels on a side
COARSEST = 7  # the side is halved until it is no longer than this
ROWS = 256  # images at once, always: see in_blocks
MAPS = tuple(f"stage{i}" for i in range(20))  # layers of which a map can be asked


class TrainedNetwork:
    """A network of ours: images → [features, logits]. What a `FeatureNetwork` is, but for its kind."""

    kind: str

    def __init__(self, network: Any) -> None:
        import tensorflow as tf

        from keras_models.saving import arrays_of, digest

        self.network = network
        self.shape = tuple(network.input_shape[1:])
        self.classes = int(network.output_shape[1][-1])
        self.digest = digest(arrays_of(network.variables))
        signature = [tf.TensorSpec((ROWS, *self.shape), tf.float32)]
        self._apply = tf.function(lambda x: network(x, training=False), input_signature=signature)
        seen = [layer for layer in network.layers if layer.name in MAPS]
        self.layers = tuple(layer.name for layer in seen)
        looks = type(network)(network.inputs, [layer.output for layer in seen])
        self._look = tf.function(lambda x: looks(x, training=False), input_signature=signature)

    @property
    def name(self) -> str:
        """What distances in these features are labelled with: the kind, `@` and the digest's start."""
        return f"{self.kind}@{self.digest[:8]}"

    def features(self, x: np.ndarray) -> np.ndarray:
        """Penultimate features `[n, 48]` of images `[n, H, W, C]`, float64."""
        return self._run(x)[0].astype(np.float64)

    def probabilities(self, x: np.ndarray) -> np.ndarray | None:
        """See FeatureNetwork.probabilities: None, unless the logits are of classes."""

    def maps(self, x: np.ndarray) -> list[np.ndarray]:
        """What each convolution sees, after its ReLU: see FeatureNetwork.maps."""
        return in_blocks(self._look, check_images(self.name, x, self.shape), ROWS)

    def save(self, folder: Path) -> None:
        """Writes the weights and the facts that rebuild the network: no code, no pickle."""
        from safetensors.numpy import save_file

        from keras_models.saving import arrays_of

        folder.mkdir(parents=True, exist_ok=True)
        save_file(arrays_of(self.network.variables), folder / f"{self.kind}.safetensors")
        facts = {"shape": self.shape, "classes": self.classes, "digest": self.digest}
        (folder / f"{self.kind}.json").write_text(json.dumps(facts, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The network that `save` wrote into `folder`.

        Raises:
            IntegrityError: the weights are not those that the facts name.
        """
        from safetensors.numpy import load_file

        from keras_models.base import assign
        from keras_models.saving import digest

        facts = json.loads((folder / f"{cls.kind}.json").read_text("utf-8"))
        weights = folder / f"{cls.kind}.safetensors"
        arrays = load_file(weights)
        if digest(arrays) != facts["digest"]:
            raise IntegrityError(f"{weights} does not hold the tensors that {cls.kind}.json names")
        network = feature_network(tuple(facts["shape"]), facts["classes"], seed=0)
        assign(network.variables, [arrays[name] for name in sorted(arrays)])
        return cls(network)

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        """Features and logits of all images."""
        return in_blocks(self._apply, check_images(self.name, x, self.shape), ROWS)


class Classifier(TrainedNetwork):
    """A trained network: `[n, H, W, C]` in [0, 1] → features, classes, accuracy."""

    kind = "classifier"

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """The share of certainty of each class, float64 `[n, classes]`."""
        return softmax(self._run(x)[1])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most probable class of each image, int64 `[n]`."""
        return self._run(x)[1].argmax(axis=1)

    def accuracy(self, x: np.ndarray, label: np.ndarray) -> float:
        """The share of images whose label is predicted."""
        return float((self.predict(x) == np.asarray(label)).mean())


def train_classifier(
    x: np.ndarray, label: np.ndarray, classes: int, epochs: int = 30, seed: int = 0
) -> Classifier:
    """A classifier of `classes` labels, learnt from images `[n, H, W, C]` and labels int `[n]`.

    At most 1000 steps of 128 images, so that it costs seconds on small data and a minute on large.

    Raises:
        DataError: images too small or not images, labels that do not fit, or a single class.
    """
    import tensorflow as tf

    label = np.asarray(label)
    _check(x, label, classes)
    random = np.random.default_rng(seed)
    batch = min(BATCH, max(1, len(x) // 16))
    per_epoch = len(x) // batch
    steps = min(epochs * per_epoch, STEPS)
    network = feature_network(tuple(x.shape[1:]), classes, seed)
    step = _training_step(network, steps)
    for number in range(steps):
        place = number % per_epoch
        if place == 0:
            order = random.permutation(len(x))
        chosen = order[place * batch : (place + 1) * batch]
        step(tf.constant(x[chosen], tf.float32), tf.constant(label[chosen], tf.int32))
    return Classifier(network)


def load_classifier(folder: Path) -> Classifier:
    """See TrainedNetwork.load."""
    return Classifier.load(folder)


def _check(x: np.ndarray, label: np.ndarray, classes: int) -> None:
    if x.ndim != 4 or min(x.shape[1:3]) < SMALLEST:
        raise DataError(
            f"the feature classifier takes images [n, height, width, channels] of at least {SMALLEST}x"
            f"{SMALLEST} pixels, and these are {list(x.shape)}: set data.read.resize to {SMALLEST} or more"
        )
    if label.shape != (len(x),) or label.min() < 0 or label.max() >= classes:
        raise DataError(f"{len(x)} images need as many labels from 0 to {classes - 1}")
    if len(np.unique(label)) < 2:
        raise DataError("the feature classifier needs images of two classes or more, and these are of one")


def feature_network(shape: tuple[int, ...], classes: int, seed: int) -> Any:
    """Image → (features, logits): convolutions that halve the side down to 4 to 7, then two layers."""
    import keras

    def initial(place: int) -> Any:
        return keras.initializers.GlorotUniform(seed=seed * 100 + place)

    x = image = keras.Input(shape)
    x = keras.layers.Rescaling(2.0, -1.0)(x)
    side, stage = min(shape[:2]), 0
    while side > COARSEST:
        width = min(32 * 2**stage, 64)
        # The first layer of a large image strides: at full size it would cost more than all others.
        strides = 2 if stage == 0 and side >= 64 else 1
        x = keras.layers.Conv2D(width, 3, strides, "same", kernel_initializer=initial(stage))(x)
        x = keras.layers.MaxPooling2D()(keras.layers.ReLU(name=MAPS[stage])(x))
        side, stage = side // (2 * strides), stage + 1
    x = keras.layers.Conv2D(64, 3, padding="same", kernel_initializer=initial(stage))(x)
    x = keras.layers.ReLU(name=MAPS[stage])(x)
    x = keras.layers.Flatten()(x)
    features = keras.layers.Dense(FEATURES, "relu", kernel_initializer=initial(stage + 1))(x)
    logits = keras.layers.Dense(classes, kernel_initializer=initial(stage + 2))(features)
    return keras.Model(image, [features, logits])


def _training_step(network: Any, steps: int) -> Any:
    """One step of Adam on the cross-entropy; the rate falls to zero along a half cosine."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))
    optimizer.build(network.trainable_variables)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(reduce_retracing=True)
    def step(x: Any, label: Any) -> None:
        with tf.GradientTape() as tape:
            loss = cross_entropy(label, network(x, training=True)[1])
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    return step
