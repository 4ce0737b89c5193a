"""The contract battery: what every family keeps, inherited by a test class with a few attributes.

    class TestHMM(Contract):
        family = "hmm"
        spec = Spec(kind="tokens", shape=(6,), vocabulary=3)
        settings = {"states": 2}
        tiny = Spec(kind="tokens", shape=(3,), vocabulary=3)

A family with two optimizers says what shows that it learns and what a resume may not lose:

    class TestDCGAN(Contract):
        family = "dcgan"
        spec = Spec(kind="image", shape=(8, 8, 1))
        settings = {"width": 4}
        learns = "samples"
        resume_needs = ("seed_generator", "adam", "generator_ema")

What is special to a family is tested beside the battery, against a closed form or another library.
"""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, get_args

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

import keras_models
from keras_models import saving
from keras_models.base import GenerativeModel, assign
from keras_models.spec import Kind, Spec
from tests.contract_checks import (
    Restore,
    Snapshot,
    arrays_of,
    distance_of_means,
    follows_density,
    follows_mass,
    share_noise,
)
from tests.tiny_data import Arrays, tiny_data

ROOT = Path(__file__).parent.parent
BEFORE = 2  # batches of the second epoch that are done when the snapshot is taken


class Contract:
    """The battery. Attributes without a value are the family's to give; the others have defaults."""

    family: ClassVar[str]
    spec: ClassVar[Spec]
    settings: ClassVar[dict[str, Any]] = {}  # a tiny config
    epochs: ClassVar[int] = 3
    batch_size: ClassVar[int] = 8
    learns: ClassVar[str] = "loss"  # what gets better: "loss" (first of `reports`), "log_prob", "samples"
    resume_needs: ClassVar[tuple[str, ...]] = ()  # parts of variable paths that a resume may not lose
    tiny: ClassVar[Spec | None] = None  # few enough values to enumerate (mass), or 1x2x1 (density)
    jit_tolerance: ClassVar[float] = 1e-3  # of each variable after one step, relative to its largest entry
    tfp_tolerance: ClassVar[float] = 1e-9  # relative, of log_prob

    # -- what a family may replace -----------------------------------------------------------------

    @classmethod
    def data(cls, spec: Spec) -> Arrays:
        """32 examples in two clusters, in a fixed order."""
        return tiny_data(spec)

    @classmethod
    def score(cls, model: GenerativeModel, arrays: Arrays) -> np.ndarray:
        """log p of each example, given its length and mask where it has one and the family takes it."""
        taken = inspect.signature(model.log_prob).parameters
        extra = {name: arrays[name] for name in ("length", "mask") if name in arrays and name in taken}
        return np.asarray(model.log_prob(arrays["x"], **extra))

    # -- tools -------------------------------------------------------------------------------------

    @classmethod
    def build(cls, spec: Spec | None = None, seed: int = 0) -> GenerativeModel:
        config = keras_models.describe(cls.family).config.parse(cls.settings)
        return keras_models.build(cls.family, spec or cls.spec, config, seed=seed)

    @classmethod
    def stream(cls, spec: Spec | None = None) -> tf.data.Dataset:
        """The batches of one epoch, always in the same order."""
        return tf.data.Dataset.from_tensor_slices(cls.data(spec or cls.spec)).batch(cls.batch_size)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls) -> SimpleNamespace:
        """A model fitted once for the whole class, and its state in the middle of the second epoch."""
        model = cls.build()
        arrays = cls.data(cls.spec)
        before = SimpleNamespace(score=None, distance=distance_of_means(model, arrays))
        if model.likelihood != "none":
            before.score = cls.score(model, arrays).mean()
        model.compile()
        snapshot = Snapshot(step=len(cls.stream()) + BEFORE)
        history = model.fit(cls.stream(), epochs=cls.epochs, verbose=0, callbacks=[snapshot])
        return SimpleNamespace(model=model, history=history.history, snapshot=snapshot.state, before=before)

    # -- the config --------------------------------------------------------------------------------

    def test_config_round_trip(self):
        config_class = keras_models.describe(self.family).config
        for config in (config_class(), config_class.parse(self.settings)):
            assert config_class.parse(config.model_dump(mode="json")) == config

    def test_every_setting_has_a_description_a_default_and_bounds(self):
        config_class = keras_models.describe(self.family).config
        for name, entry in config_class.model_json_schema()["properties"].items():
            assert len(entry.get("description", "")) > 5, name
            assert not config_class.model_fields[name].is_required(), name
            if entry.get("type") in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} & entry.keys(), name

    def test_unknown_setting_is_refused(self):
        with pytest.raises(pydantic.ValidationError, match="no_such_setting"):
            keras_models.describe(self.family).config.parse({"no_such_setting": 1})

    def test_description_agrees_with_the_real_module(self):
        said, model_class = keras_models.describe(self.family), keras_models.family(self.family)
        module = sys.modules[model_class.__module__]
        assert issubclass(model_class, GenerativeModel)
        assert getattr(module, model_class.__name__) is model_class
        assert said.config.model_json_schema() == module.Config.model_json_schema()
        for fact in ("kinds", "likelihood", "measure", "paper"):
            assert getattr(said, fact) == getattr(model_class, fact), fact
        assert said.kinds
        assert set(said.kinds) <= set(get_args(Kind))
        assert said.likelihood in ("exact", "bound", "none")
        assert said.measure in (("", "mass", "density") if said.likelihood == "none" else ("mass", "density"))
        assert len(said.paper) > 5
        assert len(said.summary) > 5

    def test_other_kinds_of_data_are_refused_by_name(self):
        for kind in set(get_args(Kind)) - set(keras_models.describe(self.family).kinds):
            other = self.spec.model_copy(update={"kind": kind, "vocabulary": 4})
            with pytest.raises(ValueError, match=rf"'{self.family}' learns .* '{kind}'"):
                self.build(other)

    # -- samples -----------------------------------------------------------------------------------

    def test_samples_are_what_the_spec_says(self, fitted):
        x = fitted.model.sample(9, seed=3)
        assert isinstance(x, np.ndarray)
        assert x.shape == (9, *self.spec.shape)
        assert x.dtype == (np.int32 if self.spec.kind == "tokens" else np.float32)
        assert np.isfinite(x).all()
        if self.spec.kind != "series":  # they have no bounds
            assert x.min() >= 0
            assert x.max() < self.spec.vocabulary if self.spec.kind == "tokens" else x.max() <= 1
        if self.spec.kind == "image" and fitted.model.measure == "mass":
            steps = x * (self.spec.levels - 1)
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)

    def test_the_seed_decides_the_samples(self, fitted):
        few, again = fitted.model.sample(4, seed=5), fitted.model.sample(4, seed=5)
        many, other = fitted.model.sample(130, seed=5), fitted.model.sample(130, seed=6)
        assert few.tobytes() == again.tobytes()
        assert few.tobytes() == many[:4].tobytes(), "the first of many are not the few"
        assert many.tobytes() != other.tobytes()
        assert many[:2].tobytes() != many[128:].tobytes(), "two blocks share their randomness"

    # -- learning ----------------------------------------------------------------------------------

    def test_it_learns_a_tiny_set(self, fitted):
        reports = fitted.model.reports
        assert set(fitted.history) == set(reports)
        assert all(np.isfinite(curve).all() for curve in fitted.history.values())
        if self.learns == "loss":
            assert fitted.history[reports[0]][-1] < fitted.history[reports[0]][0]
        if self.learns != "samples" and fitted.model.likelihood != "none":
            after = self.score(fitted.model, self.data(self.spec)).mean()
            assert after > fitted.before.score, "learning did not raise log p of the training set"
        if self.learns == "samples":
            assert distance_of_means(fitted.model, self.data(self.spec)) < fitted.before.distance

    def test_the_same_seed_learns_the_same(self, fitted):
        again = self.build()
        again.compile()
        again.fit(self.stream(), epochs=self.epochs, verbose=0)
        for variable, expected in zip(again.training_state(), arrays_of(fitted.model), strict=True):
            assert np.asarray(variable).tobytes() == expected.tobytes(), variable.path

    def test_jit_and_eager_agree(self, monkeypatch, without_determinism):
        share_noise(monkeypatch)
        states = []
        for how in ({"jit_compile": True}, {"jit_compile": False, "run_eagerly": True}):
            model = self.build()
            model.compile(**how)
            assert model.jit_compile is how["jit_compile"]
            model.fit(self.stream().take(1), epochs=1, verbose=0)
            states.append(arrays_of(model))
        # Adam divides by the gradient's size: one that is zero but for rounding moves its weight by a
        # whole step to either side. So weights may differ by two steps; the moments, which are linear
        # in the gradient, hold the comparison.
        rates = [float(optimizer.learning_rate) for optimizer in model.optimizers()]
        weights = {id(variable) for variable in model.variables}
        for variable, compiled, eager in zip(model.training_state(), *states, strict=True):
            two_steps = 2.1 * max(rates, default=0) if id(variable) in weights else 0
            tolerance = 1e-6 + two_steps + self.jit_tolerance * np.abs(eager).max()
            np.testing.assert_allclose(compiled, eager, rtol=0, atol=tolerance, err_msg=variable.path)

    # -- keeping -----------------------------------------------------------------------------------

    def test_saved_model_gives_the_same_samples_in_a_new_process(self, fitted, tmp_path):
        saving.save(fitted.model, tmp_path)
        command = [sys.executable, "-m", "tests.sample_in_new_process", str(tmp_path), "5", "11"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        expected = hashlib.sha256(fitted.model.sample(5, seed=11).tobytes()).hexdigest()
        assert done.stdout.split()[-1] == expected

    def test_keras_file_round_trip(self, fitted, tmp_path):
        fitted.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded) is type(fitted.model)
        assert loaded.spec == fitted.model.spec
        assert loaded.config == fitted.model.config
        assert loaded.sample(5, seed=11).tobytes() == fitted.model.sample(5, seed=11).tobytes()

    # -- exact resume ------------------------------------------------------------------------------

    def test_resume_in_mid_epoch_is_exact(self, fitted):
        resumed = self.build(seed=1)  # another seed: all must come from the state
        resumed.compile()
        self.learn_on(resumed, fitted.snapshot)
        for variable, expected in zip(resumed.training_state(), arrays_of(fitted.model), strict=True):
            assert np.asarray(variable).tobytes() == expected.tobytes(), variable.path

    def test_a_piece_lost_in_a_resume_is_noticed(self, fitted):
        model = self.build(seed=1)
        model.compile()
        fresh, expected = arrays_of(model), arrays_of(fitted.model)
        names = [variable.path for variable in model.training_state()]
        for piece in self.resume_needs:
            assert any(piece in name for name in names), f"'{piece}' is in none of {names}"
            assign(model.training_state(), fresh)
            self.learn_on(model, fitted.snapshot, without=piece)
            same = [a.tobytes() == b.tobytes() for a, b in zip(arrays_of(model), expected, strict=True)]
            assert not all(same), f"the resume is the same without '{piece}'"

    @classmethod
    def learn_on(cls, model: GenerativeModel, state: list[np.ndarray], without: str | None = None) -> None:
        """Takes the snapshot, or all but one piece of it, and learns to the end."""
        model.fit(cls.stream().skip(BEFORE), verbose=0, callbacks=[Restore(state, without)])
        if cls.epochs > 2:
            model.fit(cls.stream(), epochs=cls.epochs - 2, verbose=0)

    # -- likelihood --------------------------------------------------------------------------------

    def test_log_prob_is_one_number_per_example_or_refused(self, fitted):
        arrays = self.data(self.spec)
        if fitted.model.likelihood == "none":
            with pytest.raises(TypeError, match="no likelihood"):
                fitted.model.log_prob(arrays["x"])
        else:
            found = self.score(fitted.model, arrays)
            assert found.shape == (len(arrays["x"]),)
            assert np.isfinite(found).all()

    def test_exact_probabilities_add_up_and_samples_follow_them(self):
        said = keras_models.describe(self.family)
        if said.likelihood != "exact":
            pytest.skip("the family's likelihood is not exact")
        assert self.tiny is not None, "a family with an exact likelihood names a `tiny` spec"
        model = self.build(self.tiny)
        model.compile()
        model.fit(self.stream(self.tiny), epochs=2, verbose=0)
        check = follows_mass if said.measure == "mass" else follows_density
        check(model, self.tiny, self.score)

    def test_log_prob_is_that_of_as_tfp(self, fitted):
        said = keras_models.describe(self.family)
        if "as_tfp" not in said.tasks or said.likelihood != "exact":
            pytest.skip("no distribution over x to compare with")
        arrays = self.data(self.spec)
        if "length" in arrays:
            whole = arrays["length"] == self.spec.shape[0]
            arrays = {name: array[whole] for name, array in arrays.items()}
        distribution = fitted.model.as_tfp()
        x = arrays["x"].reshape(-1, *distribution.event_shape)
        expected = self.score(fitted.model, arrays)
        found = np.asarray(distribution.log_prob(tf.cast(x, distribution.dtype)))
        np.testing.assert_allclose(found, expected, rtol=self.tfp_tolerance)
