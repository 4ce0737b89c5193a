"""Hidden Markov model: unseen states follow a Markov chain, and each emits a symbol, a chord, numbers or counts.

p(x) = sum over state paths z of  initial[z_1] prod_{t>1} transition[z_{t-1}, z_t] prod_t p(x_t | z_t)

Learns by Baum–Welch, which is EM: each batch adds its expected counts, the end of the epoch turns counts into
parameters (Rabiner 1989; with priors that is the largest posterior). Or by gradient: by Fisher's identity the
gradient of log p(x) is that of the expected complete log-likelihood, so no derivative passes the recursions.
Or from tags: each tag is a state, and counting is learning.

The parts: hmm_recursions, hmm_programs (compiled), hmm_emissions and the three it names, hmm_structure, hmm_candidate,
hmm_restarts, hmm_inputs.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from pydantic import Field

from keras_models.base import Batch, GenerativeModel
from keras_models.config import FamilyConfig
from keras_models.markov import hmm_inputs as inputs
from keras_models.markov import hmm_programs as programs
from keras_models.markov import hmm_structure as structure
from keras_models.markov.hmm_candidate import Candidate, counts_of_tags
from keras_models.markov.hmm_restarts import Restarts
from keras_models.markov.hmm_structure import walked


class Config(FamilyConfig):
    states: int = Field(
        16, ge=1, le=1024, description="number of hidden states; of tags, as many as there are"
    )
    emission: Literal["gaussian", "full_gaussian", "gaussian_mixture", "poisson"] = Field(
        "gaussian",
        description="of series: channels apart, with full covariance, several Gaussians in a state, or counts "
        "(data.encode.scale: none)",
    )
    components: int = Field(2, ge=1, le=64, description="Gaussians in each state of gaussian_mixture")
    learner: Literal["em", "gradient", "tags"] = Field(
        "em", description="Baum–Welch; Adam on the likelihood, without priors; or counting of tagged data"
    )
    learning_rate: float = Field(0.05, gt=0, le=10, description="of learner gradient")
    restarts: int = Field(1, ge=1, le=64, description="starts tried by EM, the likeliest of which goes on")
    trial_epochs: int = Field(5, ge=1, le=1000, description="epochs after which the likeliest start goes on")
    pseudo_count: float = Field(
        0.01, ge=0, le=1000, description="added to every expected count, so that nothing becomes impossible"
    )
    emission_pseudo_count: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="the same of emissions, of numbers in steps like all data; default alike",
    )
    stickiness: float = Field(0.0, ge=0, le=1e6, description="more expected counts of staying in a state")
    smallest_variance: float = Field(
        1e-3, ge=0, le=1, description="of a channel in a state, relative to that of all data"
    )
    concentration: float = Field(
        1.0, ge=0.1, le=1e6, description="of the Dirichlet that draws the first rows: large is near uniform"
    )
    structure: Literal["full", "left_right"] = Field(
        "full", description="every move is allowed, or from the first state upwards only"
    )
    jump: int = Field(1, ge=1, le=1024, description="left_right: most states that one move goes up")
    tie: int = Field(
        1, ge=1, le=64, description="neighbouring states that share an emission: durations with a shape"
    )
    order: Literal["none", "stationary", "mean"] = Field(
        "none",
        description="states in an order that compares between runs: frequent first, or small mean first",
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="of the recursions; float32 is about twice as fast, 1e-6 relative"
    )


class HiddenMarkovModel(GenerativeModel):
    """p(x) over sequences, with one distribution over what is seen per hidden state."""

    kinds = ("tokens", "roll", "series")
    likelihood = "exact"
    measure = "mass"  # of Gaussian emissions "density"
    paper = "Rabiner 1989, A tutorial on hidden Markov models and selected applications in speech recognition"
    reports = ("loss",)

    def __init__(self, spec: Any, config: Config, *, seed: int = 0) -> None:
        super().__init__(spec, config, seed=seed)
        states = inputs.states_of(spec, config)
        emission = inputs.emission_of(spec, config, states // config.tie)
        self.chain = programs.Chain(states, emission, config.tie, config.precision)
        self.measure = emission.measure
        self.seed = seed
        self.starts_at, self.moves_to = structure.allowed(states, config.structure, config.jump)
        random = np.random.default_rng(seed)
        self.candidates = [
            Candidate(self, f"_{number}" if number else "", random) for number in range(config.restarts)
        ]
        best = self.candidates[0]
        self.initial, self.transition, self.emission = best.parameters[:3]
        number = {"trainable": False, "dtype": "float64", "initializer": "zeros"}
        if emission.begins:
            self.begun = self.add_weight(name="begun", shape=(), aggregation="only_first_replica", **number)
        if config.emission == "full_gaussian":
            whole = {**number, "dtype": "int64", "aggregation": "sum"}
            self.partial = self.add_weight(name="partial", shape=(), **whole)
        self.restarts = None
        if config.restarts > 1:
            self.restarts = Restarts(self, self.candidates, config.trial_epochs)
        if config.learner == "gradient":
            self.adam = keras.optimizers.Adam(config.learning_rate)
            self.adam.build(self.trainable_variables)
        self.built = True

    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """See GenerativeModel.optimizers."""
        return [self.adam] if self.config.learner == "gradient" else []

    # -- learning --------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Any]:
        """Adds the batch's expected counts, or takes a gradient step. `loss` is in nats per step of a sequence;
        of tags, per tagged symbol with its tag."""
        x, mask, length = inputs.sequences(
            self.chain.emission, batch["x"], batch.get("length"), batch.get("mask")
        )
        steps = tf.cast(tf.reduce_sum(length), tf.float64)
        if self.config.emission == "full_gaussian":
            self.partial.value.assign_add(inputs.partial_steps(self.chain.emission, mask))
        if self.config.learner == "tags":
            total = self._count_tags(x, batch["tags"], length)
        else:
            total = self._expect(x, mask, length)
        if self.config.learner == "gradient":
            self.candidates[0].climb(self.adam, steps)
        return self.track({"loss": tf.math.divide_no_nan(-total, steps)}, weight=steps)

    def _expect(self, x: Any, mask: Any, length: Any) -> Any:
        """The E-step of every start that is tried; the log-likelihood of the first."""
        totals = []
        for number, candidate in enumerate(self.candidates):
            if self.chain.emission.begins:
                candidate.begin(self.begun, x, mask, length, (self.seed, number))
            values = candidate.values()

            def expected(values: Any = values) -> tuple[Any, ...]:
                found, *counts = programs.expected_counts(self.chain, values, x, mask, length)
                return tf.reduce_sum(found), *counts

            if self.restarts and number:
                total, *counts = tf.cond(self.restarts.trying(), expected, candidate.nothing)
            else:
                total, *counts = expected()
            candidate.add(counts)
            totals.append(total)
        if self.chain.emission.begins:
            self.begun.assign(1.0)
        if self.restarts:
            self.restarts.add(totals)
        return totals[0]

    def _count_tags(self, x: Any, tags: Any, length: Any) -> Any:
        counts = counts_of_tags(x, tags, length, self.chain.states, self.spec.vocabulary)
        self.candidates[0].add(counts)
        return self.candidates[0].log_of(counts)

    def end_epoch(self) -> None:
        """M-step: counts become parameters. While starts are tried, the likeliest comes first.

        Raises:
            ValueError: emission full_gaussian met steps of which some channels are missing.
        """
        if self.config.emission == "full_gaussian" and int(self.partial):
            raise ValueError(inputs.PARTIAL)
        if self.config.learner == "gradient":
            return
        restarts = self.restarts if self.restarts and bool(self.restarts.trying()) else None
        for candidate in self.candidates if restarts else self.candidates[:1]:
            candidate.maximise()
        if restarts:
            restarts.compare()
        if self.config.order != "none":
            self.canonicalize(self.config.order)

    def restart_log_likelihoods(self) -> np.ndarray:
        """Of each start its log p of the training data in the last epoch that tried it `[restarts]`, highest
        first: their spread says whether more starts would help. Zeros before the first epoch.

        Raises:
            TypeError: there is one start.
        """
        if not self.restarts:
            raise TypeError("this model had one start: set restarts to compare several")
        return self.restarts.log_likelihoods()

    def canonicalize(self, order: str = "stationary") -> None:
        """Puts the states in an order that compares between runs: the most frequent in the long run first
        ("stationary"), or the one of smallest mean ("mean"). The likelihood stays.

        Raises:
            ValueError: the order means something already (left_right, tags), or an optimizer holds it.
        """
        if order not in ("stationary", "mean"):
            raise ValueError(f"states are ordered by 'stationary' or 'mean', not '{order}'")
        if self.config.structure != "full" or self.config.learner != "em":
            raise ValueError(
                "states are reordered of structure 'full' and learner 'em' only: elsewhere their order means "
                "something"
            )
        best = self.candidates[0]
        best.assign(structure.reordered(best.arrays(), self.chain.emission, self.chain.tie, order))

    # -- using -----------------------------------------------------------------------------------------

    def log_prob(self, x: Any, length: Any = None, mask: Any = None) -> Any:
        """log p of the first `length` steps of each row of `x` `[B, T, ...]`, in nats, float64 `[B]`. Entries
        where `mask` is 0 are missing and summed over.

        −inf where a sequence is impossible, NaN where it is not finite. Differentiate it inside one
        `tf.function(jit_compile=True)`.

        Raises:
            ValueError: shapes that do not fit, a length that is not in 1..T, or of full_gaussian steps of which
                only some channels are missing.
        """
        return self._run(programs.log_likelihood, x, length, mask)

    def decode_states(self, x: Any, length: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """The likeliest state path, int32 `[B, T]` (−1 behind the end), and log p(x, path) `[B]`, in nats.
        Raises as log_prob."""
        return self._run(programs.viterbi, x, length, mask)

    def filter_states(self, x: Any, length: Any = None, mask: Any = None) -> Any:
        """p(state_t | x_1..x_t) `[B, T, K]`; behind the end that of the last step. Raises as log_prob."""
        return self._run(programs.filter_states, x, length, mask)

    def smooth_states(self, x: Any, length: Any = None, mask: Any = None) -> Any:
        """p(state_t | x) `[B, T, K]`; 0 behind the end and where x is impossible. Raises as log_prob."""
        return self._run(programs.smooth_states, x, length, mask)

    def tag(self, x: Any, length: Any = None) -> np.ndarray:
        """The tags of the likeliest path, int32 `[B, T]`, 0 behind the end. Raises as log_prob.

        Raises:
            TypeError: the model did not learn from tags.
        """
        if self.config.learner != "tags":
            raise TypeError("this model did not learn from tags: set model.config.learner to 'tags'")
        return np.maximum(self.decode_states(x, length)[0], 0)

    def draw(self, n: int, condition: Any, seed: tf.Tensor) -> tf.Tensor:
        """See GenerativeModel.draw."""
        belief = tf.tile(tf.convert_to_tensor(self.initial)[None], (n, 1))
        return self._onward(belief, self.spec.shape[0], seed)

    def forecast(
        self, history: Any, steps: int, *, samples: int = 100, seed: int = 0, covariates: Any = None
    ) -> np.ndarray:
        """What may follow `history` `[n, t, channels]`, NaN where it is missing: float32
        `[samples, n, steps, channels]`. Covariates say nothing to this family.

        Raises:
            TypeError: the model did not learn series.
            ValueError: `history` is no such array, or `steps` or `samples` is below 1.
        """
        if self.spec.kind != "series":
            raise TypeError(f"this model learnt '{self.spec.kind}' data: only series are forecast")
        history, mask = inputs.past(history, self.spec.shape[1], steps, samples)
        belief = self.filter_states(np.nan_to_num(history), mask=mask)[:, -1]
        belief = tf.matmul(belief, tf.convert_to_tensor(self.transition))
        drawn = self._onward(tf.repeat(belief, samples, axis=0), steps, tf.constant([seed, 7], tf.int32))
        return np.asarray(tf.transpose(tf.reshape(drawn, (len(history), samples, steps, -1)), (1, 0, 2, 3)))

    def as_tfp(self) -> Any:
        """The same distribution over sequences of the spec's full length, as a `tfd.Distribution`."""
        import tensorflow_probability as tfp

        initial, transition, *rest = self.candidates[0].values()
        rows = self.chain.emission.distribution(tuple(tf.repeat(one, self.chain.tie, axis=0) for one in rest))
        categorical = tfp.distributions.Categorical
        return tfp.distributions.HiddenMarkovModel(
            categorical(probs=initial), categorical(probs=transition), rows, self.spec.shape[0]
        )

    def _onward(self, belief: Any, steps: int, seed: tf.Tensor) -> tf.Tensor:
        """x `[n, steps, ...]` drawn from where the first state has distribution `belief` `[n, K]`."""
        _, transition, *rest = self.candidates[0].values()
        seeds = tf.random.split(seed)
        rows = walked(transition, belief, steps, seeds[0]) // self.chain.tie
        return self.chain.emission.draw(tuple(rest), rows, seeds[1])

    def _run(self, program: Any, x: Any, length: Any, mask: Any) -> Any:
        x, mask, length = inputs.checked(self.chain.emission, x, length, mask)
        return program(self.chain, self.candidates[0].values(), x, mask, length)
