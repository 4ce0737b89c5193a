"""VAE: a latent Gaussian and a decoder, trained on a bound of the likelihood.

Kingma & Welling 2014, Auto-Encoding Variational Bayes:
    ELBO(x) = E_q(z|x) [log p(x|z)] - KL(q(z|x) || N(0, I)) <= log p(x).
`log_prob` is the tighter importance-weighted bound of Burda et al. 2016,
    log (1/K) sum_k p(x, z_k) / q(z_k|x),  z_k ~ q(z|x).
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig

tfd = tfp.distributions
SAMPLE_CHUNK = 50  # importance samples held in memory at once


class Config(FamilyConfig):
    latent: int = Field(16, ge=1, le=4096, description="dimensions of z")
    hidden: tuple[int, ...] = Field(
        (256, 256), min_length=1, max_length=8, description="ReLU units of each layer, encoder's order"
    )
    decoder: Literal["bernoulli", "gaussian", "discretised_logistic"] = Field(
        "bernoulli", description="p(x|z): bernoulli for binary data, the others for grey levels and colour"
    )
    std: float = Field(0.1, gt=0, le=1, description="the gaussian decoder's stated standard deviation")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size")


class VariationalAutoencoder(GenerativeModel):
    """q(z|x) = N(mean(x), diag(std(x)^2)) and p(x|z), both by dense layers."""

    kinds = ("image",)
    likelihood = "bound"
    measure = "mass"
    paper = "Kingma & Welling 2014, Auto-Encoding Variational Bayes"
    mixed_precision = True
    reports = ("loss", "reconstruction", "kl")

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        if config.decoder == "bernoulli" and spec.levels != 2:
            raise ValueError(
                f"a bernoulli decoder needs binary data, and these have {spec.levels} levels: set "
                "data.encode.binarise to threshold or sample, or model.config.decoder to discretised_logistic"
            )
        if config.decoder == "gaussian":
            self.measure = "density"
        parameters = 2 if config.decoder == "discretised_logistic" else 1
        self.encoder = _dense(spec.dimensions, config.hidden, 2 * config.latent, "encoder")
        self.decoder = _dense(config.latent, config.hidden[::-1], parameters * spec.dimensions, "decoder")
        self.optimizer_of_bound = self.scaling(keras.optimizers.Adam(config.learning_rate))
        self.built = True

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """One Adam."""
        if not self.optimizer_of_bound.built:
            self.optimizer_of_bound.build(self.trainable_variables)
        return [self.optimizer_of_bound]

    # -- the distributions ---------------------------------------------------------------------------

    def prior(self) -> Any:
        """p(z) = N(0, I) over `[latent]`."""
        return tfd.MultivariateNormalDiag(tf.zeros(self.config.latent), tf.ones(self.config.latent))

    def posterior(self, x: Any) -> Any:
        """q(z|x): batch `[B]`, event `[latent]`."""
        flat = tf.reshape(tf.cast(x, tf.float32), (-1, self.spec.dimensions))
        mean, raw = tf.split(self.encoder(2.0 * flat - 1.0), 2, axis=-1)
        return tfd.MultivariateNormalDiag(mean, tf.exp(0.5 * tf.clip_by_value(raw, -14.0, 14.0)))

    def likelihood_of(self, z: Any) -> Any:
        """p(x|z) for z `[..., latent]`: event `[dimensions]`, over x as `support` gives it."""
        mean, log_scale = self._decoder_output(z)
        if self.config.decoder == "bernoulli":
            return tfd.Independent(tfd.Bernoulli(logits=mean, dtype=tf.float32), 1)
        if self.config.decoder == "gaussian":
            return tfd.Independent(tfd.Normal(tf.sigmoid(mean), self.config.std), 1)
        top = self.spec.levels - 1.0
        scale = top * tf.exp(tf.clip_by_value(log_scale - 2.0, -7.0, 3.0))  # starts wide: e^-2 of the range
        below = tfd.TransformedDistribution(
            tfd.Logistic(top * tf.sigmoid(mean), scale), tfp.bijectors.Shift(-0.5)
        )
        return tfd.Independent(tfd.QuantizedDistribution(below, low=0.0, high=top), 1)

    def support(self, x: Any) -> tf.Tensor:
        """x `[B, *shape]` in [0, 1] → flat `[B, dimensions]`, on 0 ... levels - 1 for the logistic."""
        flat = tf.reshape(tf.cast(x, tf.float32), (-1, self.spec.dimensions))
        return tf.round(flat * self._top) if self._top != 1.0 else flat

    def as_tfp(self) -> Any:
        """p(z) p(x|z) as one joint distribution over (z, `support(x)`): equals `joint_log_prob`."""
        return tfd.JointDistributionSequential([self.prior(), lambda z: self.likelihood_of(z)])

    @property
    def _top(self) -> float:
        return self.spec.levels - 1.0 if self.config.decoder == "discretised_logistic" else 1.0

    def _decoder_output(self, z: Any) -> tuple[tf.Tensor, Any]:
        """The logit of the mean and, for the logistic, the log of its scale: `[..., dimensions]` each."""
        out = self.decoder(tf.reshape(z, (-1, self.config.latent)))
        out = tf.reshape(out, tf.concat([tf.shape(z)[:-1], [out.shape[-1]]], 0))
        if self.config.decoder == "discretised_logistic":
            mean, log_scale = tf.split(out, 2, axis=-1)
            return mean, log_scale
        return out, None

    # -- learning ------------------------------------------------------------------------------------

    def objective(self, batch: Batch, training: bool) -> dict[str, Any]:
        """The negative ELBO in nats, one sample of z an example; KL in closed form."""
        posterior = self.posterior(batch["x"])
        noise = keras.random.normal(tf.shape(posterior.loc), seed=self.seed_generator)
        z = posterior.loc + noise * posterior.scale.diag_part()
        reconstruction = -tf.reduce_mean(self.likelihood_of(z).log_prob(self.support(batch["x"])))
        kl = tf.reduce_mean(tfd.kl_divergence(posterior, self.prior()))
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    # -- using ---------------------------------------------------------------------------------------

    def joint_log_prob(self, x: Any, z: Any) -> Any:
        """log p(x, z) in nats for x `[B, *shape]` and z `[..., B, latent]`."""
        return self.prior().log_prob(z) + self.likelihood_of(z).log_prob(self.support(x))

    def log_prob(self, x: Any, *, samples: int = 500, seed: int = 0) -> Any:
        """The importance-weighted bound on log p(x), in nats `[B]`; it tightens as `samples` grows."""
        return self._bound(tf.convert_to_tensor(x, tf.float32), tf.constant([seed, 0]), samples)

    @tf.function(reduce_retracing=True)
    def _bound(self, x: tf.Tensor, seed: tf.Tensor, samples: int) -> tf.Tensor:
        posterior = self.posterior(x)
        parts = []
        for start in range(0, samples, SAMPLE_CHUNK):
            count = min(SAMPLE_CHUNK, samples - start)
            noise = tf.random.stateless_normal((count, tf.shape(x)[0], self.config.latent), seed + [0, start])
            z = posterior.loc + noise * posterior.scale.diag_part()
            weights = self.joint_log_prob(x, z) - posterior.log_prob(z)
            parts.append(tf.reduce_logsumexp(tf.cast(weights, tf.float64), axis=0))
        return tf.reduce_logsumexp(tf.stack(parts), axis=0) - tf.math.log(tf.cast(samples, tf.float64))

    def encode(self, x: Any) -> Any:
        """The mean of q(z|x): `[B, latent]`."""
        return self.posterior(x).mean()

    def decode(self, z: Any) -> Any:
        """The mean of p(x|z): `[B, *shape]` in [0, 1]."""
        mean, _ = self._decoder_output(tf.convert_to_tensor(z, tf.float32))
        return tf.reshape(tf.sigmoid(mean), (-1, *self.spec.shape))

    def reconstruct(self, x: Any) -> Any:
        """x through the mean code and back: `[B, *shape]`."""
        return self.decode(self.encode(x))

    def latents(self, n: int, seed: int) -> Any:
        """`n` draws `[n, latent]` of the prior, for `decode`."""
        return tf.random.stateless_normal((n, self.config.latent), (seed, 1))

    def simulate(self, n: int, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Images `[n, *shape]` and the latents `[n, latent]` that they came from: z ~ p(z), x ~ p(x|z)."""
        seeds = tf.random.split(seed, 2)
        z = tf.random.stateless_normal((n, self.config.latent), seeds[0])
        x = self.likelihood_of(z).sample(seed=seeds[1]) / self._top
        return tf.reshape(tf.clip_by_value(x, 0.0, 1.0), (n, *self.spec.shape)), z

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """Ancestral samples: see `simulate`."""
        return self.simulate(n, seed)[0]


def _dense(inputs: int, hidden: tuple[int, ...], outputs: int, name: str) -> keras.Sequential:
    layers = [keras.layers.Dense(units, activation="relu") for units in hidden]
    last = keras.layers.Dense(outputs, dtype="float32")  # logits, means and variances keep their digits
    return keras.Sequential([keras.Input((inputs,)), *layers, last], name=name)
