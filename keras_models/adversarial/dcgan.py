"""DCGAN: two convolutional networks against each other.

Radford, Metz & Chintala 2016, with the non-saturating loss of Goodfellow et al. 2014 on logits:
    discriminator  softplus(-D(x)) + softplus(D(G(z)))
    generator      softplus(-D(G(z))).
Samples come from a moving average of the generator (Yazici et al. 2019), its batch statistics too.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig


class Config(FamilyConfig):
    latent: int = Field(64, ge=1, le=1024, description="dimensions of the noise z")
    width: int = Field(64, ge=4, le=1024, description="channels next to the image; doubled at each halving")
    generator_learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size, generator")
    discriminator_learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's, discriminator")
    beta_1: float = Field(0.5, ge=0, lt=1, description="Adam's momentum, both networks")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="of the generator's moving average, per step")


class DCGAN(GenerativeModel):
    """A generator and a discriminator, two optimizers, a moving average of the generator."""

    kinds = ("image",)
    likelihood = "none"
    paper = "Radford, Metz & Chintala 2016, Unsupervised Representation Learning with DCGAN"
    mixed_precision = True
    reports = ("discriminator_loss", "generator_loss", "real_logit", "fake_logit")

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        halvings = _halvings(spec.shape)
        self.generator = _generator(spec.shape, config, halvings, "generator")
        self.discriminator = _discriminator(spec.shape, config, halvings)
        self.generator_ema = _generator(spec.shape, config, halvings, "generator_ema")
        self.generator_ema.set_weights(self.generator.get_weights())
        self.generator_ema.trainable = False
        self.updates = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="updates"
        )
        self.generator_optimizer = self.scaling(
            keras.optimizers.Adam(config.generator_learning_rate, config.beta_1)
        )
        self.discriminator_optimizer = self.scaling(
            keras.optimizers.Adam(config.discriminator_learning_rate, config.beta_1)
        )
        self.built = True

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The generator's and the discriminator's Adam."""
        pairs = (
            (self.generator_optimizer, self.generator),
            (self.discriminator_optimizer, self.discriminator),
        )
        for optimizer, network in pairs:
            if not optimizer.built:
                optimizer.build(network.trainable_variables)
        return [optimizer for optimizer, _ in pairs]

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """One step of the discriminator, one of the generator on fresh noise, one of the average."""
        x = 2.0 * tf.cast(batch["x"], tf.float32) - 1.0
        discriminator_loss, real, fake = self._discriminator_step(x)
        generator_loss = self._generator_step(tf.shape(x)[0])
        self._average()
        return self.track(
            {
                "discriminator_loss": discriminator_loss,
                "generator_loss": generator_loss,
                "real_logit": tf.reduce_mean(real),
                "fake_logit": tf.reduce_mean(fake),
            }
        )

    def _discriminator_step(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images = self.generator(self._noise(tf.shape(x)[0]), training=True)
        with tf.GradientTape() as tape:  # real and fake in batches of their own: batch normalisation
            real = self.discriminator(x, training=True)
            fake = self.discriminator(tf.stop_gradient(images), training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
            scaled = self.discriminator_optimizer.scale_loss(loss)
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss, real, fake

    def _generator_step(self, n: tf.Tensor) -> tf.Tensor:
        statistics = [tf.identity(variable) for variable in self.discriminator.non_trainable_variables]
        with tf.GradientTape() as tape:
            fake = self.discriminator(self.generator(self._noise(n), training=True), training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-fake))
            scaled = self.generator_optimizer.scale_loss(loss)
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(scaled, variables), variables)
        for variable, value in zip(self.discriminator.non_trainable_variables, statistics, strict=True):
            variable.assign(value)  # the generator's step leaves the discriminator as it was
        return loss

    def _average(self) -> None:
        """Moves the average; the decay warms up so that the first weights are forgotten soon."""
        self.updates.assign_add(1)
        step = tf.cast(self.updates, tf.float32)
        decay = tf.minimum(self.config.ema_decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.generator_ema.weights, self.generator.weights, strict=True):
            average.assign(decay * average + (1.0 - decay) * variable)

    def _noise(self, n: tf.Tensor) -> tf.Tensor:
        return keras.random.normal((n, self.config.latent), seed=self.seed_generator)

    def latents(self, n: int, seed: int) -> Any:
        """`n` draws `[n, latent]` of the prior, for `decode`."""
        return tf.random.stateless_normal((n, self.config.latent), (seed, 1))

    def decode(self, z: Any) -> Any:
        """Noise `[B, latent]` → images `[B, H, W, C]` of the averaged generator."""
        return 0.5 * (self.generator_ema(z, training=False) + 1.0)

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        return self.decode(tf.random.stateless_normal((n, self.config.latent), seed))


def _halvings(shape: tuple[int, ...]) -> int:
    """How often both sides can be halved before one is odd or 4.

    Raises:
        ValueError: the smallest map would be larger than 8 (a side such as 30 or 33).
    """
    height, width, _ = shape
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) > 4:
        height, width, count = height // 2, width // 2, count + 1
    if max(height, width) > 8:
        raise ValueError(
            f"images of {shape[0]}x{shape[1]} do not halve down to 8 or less: set data.read.resize, e.g. to "
            f"{max(8, 2 ** round(max(shape[0], shape[1]).bit_length() - 1))}"
        )
    return count


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(0.0, 0.02)


def _generator(shape: tuple[int, ...], config: Config, halvings: int, name: str) -> keras.Sequential:
    height, width = shape[0] >> halvings, shape[1] >> halvings
    channels = config.width << halvings
    network = [
        keras.Input((config.latent,)),
        layers.Dense(height * width * channels, use_bias=False, kernel_initializer=_normal()),
        layers.Reshape((height, width, channels)),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]
    for _ in range(halvings):
        channels //= 2
        network += [
            layers.Conv2DTranspose(channels, 4, 2, "same", use_bias=False, kernel_initializer=_normal()),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    last = {"activation": "tanh", "kernel_initializer": _normal(), "dtype": "float32"}
    network.append(layers.Conv2D(shape[2], 3, 1, "same", **last))
    return keras.Sequential(network, name=name)


def _discriminator(shape: tuple[int, ...], config: Config, halvings: int) -> keras.Sequential:
    channels = config.width
    network = [keras.Input(shape)]
    for i in range(max(halvings, 1)):
        network.append(layers.Conv2D(channels, 4, 2, "same", kernel_initializer=_normal()))
        if i:
            network.append(layers.BatchNormalization(momentum=0.9))
        network.append(layers.LeakyReLU(0.2))
        channels *= 2
    network += [
        layers.Conv2D(channels, 3, 1, "same", use_bias=False, kernel_initializer=_normal()),
        layers.BatchNormalization(momentum=0.9),
        layers.LeakyReLU(0.2),
        layers.Flatten(),
        layers.Dense(1, kernel_initializer=_normal(), dtype="float32"),
    ]
    return keras.Sequential(network, name="discriminator")
