"""The feature network behind `classifier_fid`: a small CNN that learns the labels of the training split.

Its penultimate layer gives the features in which samples and real images are compared, its softmax
the class shares. It is trained on the data at hand, so nothing is downloaded and the features fit the
images; a distance therefore carries the network's digest, and only equal digests compare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import DataError, IntegrityError

WEIGHTS, FACTS = "classifier.safetensors", "classifier.json"
FEATURES = 48  # few enough for a covariance from a few hundred test images
STEPS = 1000  # most training steps, whatever the data's size
BATCH = 128
SMALLEST = 8  # pixels on a side
COARSEST = 7  # the side is halved until it is no longer than this


class Classifier:
    """A trained network: `[n, H, W, C]` in [0, 1] → features, classes, accuracy."""

    def __init__(self, network: Any) -> None:
        import tensorflow as tf

        from keras_models.saving import arrays_of, digest

        self.network = network
        self.shape = tuple(network.input_shape[1:])
        self.classes = int(network.output_shape[1][-1])
        self.digest = digest(arrays_of(network.variables))
        signature = [tf.TensorSpec((None, *self.shape), tf.float32)]
        self._apply = tf.function(lambda x: network(x, training=False), input_signature=signature)

    @property
    def name(self) -> str:
        """What distances in these features are labelled with: `classifier@` and the digest's start."""
        return f"classifier@{self.digest[:8]}"

    def features(self, x: np.ndarray) -> np.ndarray:
        """Penultimate features `[n, 48]` of images `[n, H, W, C]`, float64."""
        return self._run(x)[0].astype(np.float64)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most probable class of each image, int64 `[n]`."""
        return self._run(x)[1].argmax(axis=1)

    def accuracy(self, x: np.ndarray, label: np.ndarray) -> float:
        """The share of images whose label is predicted."""
        return float((self.predict(x) == np.asarray(label)).mean())

    def save(self, folder: Path) -> None:
        """Writes the weights and the facts that rebuild the network: no code, no pickle."""
        from safetensors.numpy import save_file

        from keras_models.saving import arrays_of

        folder.mkdir(parents=True, exist_ok=True)
        save_file(arrays_of(self.network.variables), folder / WEIGHTS)
        facts = {"shape": self.shape, "classes": self.classes, "digest": self.digest}
        (folder / FACTS).write_text(json.dumps(facts, indent=1), "utf-8")

    def _run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and logits of all images, 512 at a time."""
        x = np.asarray(x)
        if x.shape[1:] != self.shape or not len(x):
            raise DataError(f"{self.name} takes images {list(self.shape)}, and was given {list(x.shape)}")
        parts = [self._apply(x[i : i + 512].astype(np.float32)) for i in range(0, len(x), 512)]
        features, logits = zip(*parts)
        return np.concatenate(features), np.concatenate(logits)


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
    network = _network(tuple(x.shape[1:]), classes, seed)
    step = _training_step(network, steps)
    for number in range(steps):
        place = number % per_epoch
        if place == 0:
            order = random.permutation(len(x))
        chosen = order[place * batch : (place + 1) * batch]
        step(tf.constant(x[chosen], tf.float32), tf.constant(label[chosen], tf.int32))
    return Classifier(network)


def load_classifier(folder: Path) -> Classifier:
    """The classifier that `Classifier.save` wrote into `folder`.

    Raises:
        IntegrityError: the weights are not those that the facts name.
    """
    from safetensors.numpy import load_file

    from keras_models.base import assign
    from keras_models.saving import digest

    facts = json.loads((folder / FACTS).read_text("utf-8"))
    arrays = load_file(folder / WEIGHTS)
    if digest(arrays) != facts["digest"]:
        raise IntegrityError(f"{folder / WEIGHTS} does not hold the tensors that {FACTS} names")
    network = _network(tuple(facts["shape"]), facts["classes"], seed=0)
    assign(network.variables, [arrays[name] for name in sorted(arrays)])
    return Classifier(network)


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


def _network(shape: tuple[int, ...], classes: int, seed: int) -> Any:
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
        x = keras.layers.MaxPooling2D()(keras.layers.ReLU()(x))
        side, stage = side // (2 * strides), stage + 1
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu", kernel_initializer=initial(stage))(x)
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
