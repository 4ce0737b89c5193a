"""Training takes every step it says, and stops on bad numbers and on data that a family cannot learn."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import ConfigError, DataError
from components.examples import Examples
from components.settings import ModelSettings, TrainSettings
from components.snapshot import Snapshots
from keras_models.spec import Spec
from tests.components.training_examples import image_examples, token_examples


@pytest.fixture(scope="module")
def recorder_class() -> Any:
    """A family that learns nothing and counts how often it was shown each example."""
    import tensorflow as tf

    from keras_models.base import GenerativeModel
    from keras_models.config import FamilyConfig

    class Recorder(GenerativeModel):
        kinds = ("tokens",)

        def __init__(self, spec: Spec, growth: float = 1.0, spoilt_after: int = 1_000_000) -> None:
            super().__init__(spec, FamilyConfig())
            self.growth, self.spoilt_after = growth, spoilt_after
            self.seen = self.add_weight(shape=(spec.vocabulary,), initializer="zeros", name="seen")
            self.told = self.add_weight(shape=(), initializer="ones", name="told")
            self.steps = self.add_weight(shape=(), initializer="zeros", name="steps")
            self.silent = self.add_weight(shape=(), initializer="zeros", name="silent")
            self.epochs: list[np.ndarray] = []
            self.built = True

        def train_step(self, batch: Any) -> Any:
            shown = tf.one_hot(batch["x"][:, 0], self.spec.vocabulary)
            self.seen.assign_add(tf.reduce_sum(shown, axis=0))
            self.steps.assign_add(1.0)
            self.silent.assign(tf.where(self.steps > self.spoilt_after, float("nan"), 0.0))
            return self.track({"loss": self.told})

        def end_epoch(self) -> None:
            self.epochs.append(self.seen.numpy())
            self.seen.assign(tf.zeros_like(self.seen))
            self.told.assign(self.told * self.growth)

    return Recorder


# -- every step is taken -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "batch_size", "snapshot_steps"),
    [(29, 4, 500), (33, 3, 500), (64, 1, 500), (37, 1, 500), (24, 2, 5), (9, 9, 1)],
)
def test_each_epoch_shows_whole_batches_of_different_examples(
    tmp_path: Path, recorder_class: Any, count: int, batch_size: int, snapshot_steps: int
) -> None:
    from components.training import STEPS_AT_ONCE, fit

    examples = Examples(token_examples(tmp_path / "examples", count, vocabulary=count))
    model = recorder_class(examples.spec)
    settings = TrainSettings(epochs=3, batch_size=batch_size, snapshot_steps=snapshot_steps)
    snapshots = Snapshots(tmp_path / "snapshots")
    rows = fit(model, examples, settings, snapshots)
    steps = count // batch_size
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert steps % model.steps_per_execution == 0
    assert model.steps_per_execution <= min(STEPS_AT_ONCE, snapshot_steps)
    assert float(model.steps) == 3 * steps
    assert len(model.epochs) == 3
    for seen in model.epochs:
        assert seen.max() == 1
        assert seen.sum() == steps * batch_size
    if count % batch_size:
        assert any((a != b).any() for a, b in itertools.pairwise(model.epochs))


def test_no_step_at_all_is_an_error(tmp_path: Path, recorder_class: Any) -> None:
    from components.training import fit

    examples = Examples(token_examples(tmp_path / "examples", 7, vocabulary=7))
    with pytest.raises(
        DataError, match=r"holds 7 examples, fewer than one batch of 8: set train\.batch_size"
    ):
        fit(recorder_class(examples.spec), examples, TrainSettings(batch_size=8))


@pytest.mark.filterwarnings("ignore:.*ran out of data.*")
def test_fewer_steps_than_promised_are_an_error(tmp_path: Path, recorder_class: Any) -> None:
    from components.training import fit

    class Short(Examples):
        def stream(self, *args: Any) -> Any:
            return super().stream(*args).take(6)

    examples = Short(token_examples(tmp_path / "examples", 8, vocabulary=8))
    with pytest.raises(DataError, match="training stopped at step 6 of 8"):
        fit(recorder_class(examples.spec), examples, TrainSettings(batch_size=2, epochs=2, snapshot_steps=2))


# -- bad numbers ---------------------------------------------------------------------------------------


def vae_of(examples: Examples) -> Any:
    from components.train import make

    config = {"latent": 2, "hidden": [4], "decoder": "gaussian"}
    return make(ModelSettings(family="vae", config=config), examples, seed=0)


def test_a_nan_in_the_data_stops_the_call_that_meets_it(tmp_path: Path) -> None:
    from components.examples import Plan
    from components.training import fit

    x = np.random.default_rng(0).uniform(0, 255, (40, 4, 4, 1)).astype(np.float32)
    bad = 17
    x[bad, 2, 2, 0] = np.nan
    examples = Examples(image_examples(tmp_path / "examples", "none", x))
    settings = TrainSettings(epochs=2, batch_size=2, snapshot_steps=4)  # 20 steps an epoch, 4 a call
    plan = Plan(40, 2, settings.seed, None)
    meets = next(step for step in range(20) if bad in plan.rows(0, step))
    call_ends = (meets // 4 + 1) * 4
    model = vae_of(examples)
    snapshots = Snapshots(tmp_path / "snapshots")
    with pytest.raises(DataError) as error:
        fit(model, examples, settings, snapshots)
    assert f"training stopped at step {call_ends}: kl, loss, reconstruction is not finite" in str(error.value)
    assert "the first bad tensor is 'encoder/" in str(error.value)
    step, _ = snapshots.restore(vae_of(examples))
    assert step == call_ends - 4  # no snapshot of what is spoilt


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_stops_the_first_call(tmp_path: Path, number: float) -> None:
    from components.training import first_not_finite, fit

    x = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 1), np.uint8)
    examples = Examples(image_examples(tmp_path / "examples", "none", x))
    model = vae_of(examples)
    assert first_not_finite(model) is None
    kernel = model.decoder.layers[-1].kernel
    value = kernel.numpy()
    value[0, 0] = number
    kernel.assign(value)
    assert first_not_finite(model) == kernel.path
    with pytest.raises(
        DataError, match=r"stopped at step 4: .*not finite; the first bad tensor is '\w+coder/"
    ):
        fit(model, examples, TrainSettings(epochs=3, batch_size=2, snapshot_steps=4))


def test_a_silent_nan_is_found_before_a_snapshot_and_at_the_end(tmp_path: Path, recorder_class: Any) -> None:
    """A tensor that no reported number depends on, as a moving average is."""
    from components.training import fit

    examples = Examples(token_examples(tmp_path / "examples", 20, vocabulary=20))
    settings = TrainSettings(epochs=2, batch_size=2, snapshot_steps=2)
    snapshots = Snapshots(tmp_path / "snapshots")
    with pytest.raises(DataError, match="stopped at step 6: the tensor 'test_training/silent' is not finite"):
        fit(recorder_class(examples.spec, spoilt_after=4), examples, settings, snapshots)
    assert sorted(int(file.stem) for file in snapshots.folder.iterdir()) == [2, 4]
    with pytest.raises(
        DataError, match="after training 'test_training/silent' is not finite: nothing is kept"
    ):
        fit(recorder_class(examples.spec, spoilt_after=4), examples, settings)


def test_what_a_family_cannot_solve_is_an_error_of_the_data(tmp_path: Path, recorder_class: Any) -> None:
    from components.training import fit

    class Unlucky(recorder_class):
        def end_epoch(self) -> None:
            super().end_epoch()
            if len(self.epochs) == 2:
                raise ValueError("symbol 3 is always followed by itself")

    examples = Examples(token_examples(tmp_path / "examples", 8, vocabulary=8))
    with pytest.raises(
        DataError,
        match=r"family 'test_training' cannot learn from these data: symbol 3 is always followed by itself",
    ):
        fit(Unlucky(examples.spec), examples, TrainSettings(epochs=4, batch_size=2))


def test_a_curve_that_leaves_the_first_epoch_s_size_has_diverged(tmp_path: Path, recorder_class: Any) -> None:
    from components.training import fit

    examples = Examples(token_examples(tmp_path / "examples", 8, vocabulary=8))
    settings = TrainSettings(epochs=4, batch_size=2)
    rows = fit(recorder_class(examples.spec, growth=12.0), examples, settings)
    assert rows[-1]["loss"] == 12**3  # below a thousand times (1 + 1)
    with pytest.raises(
        DataError, match=r"training diverged: loss is 2\.2e\+03 in epoch 4 and was 1 in the first"
    ):
        fit(recorder_class(examples.spec, growth=13.0), examples, settings)


def test_a_family_that_cannot_learn_these_data_is_a_config_error(tmp_path: Path) -> None:
    from components.train import make

    examples = Examples(image_examples(tmp_path / "examples", "none"))
    with pytest.raises(ConfigError, match="model 'hmm': family 'hmm' learns tokens and roll and series data"):
        make(ModelSettings(family="hmm"), examples, 0)
    with pytest.raises(ConfigError, match=r"data\.encode\.binarise"):
        make(ModelSettings(family="vae"), examples, 0)
