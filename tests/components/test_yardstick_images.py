"""The yardstick of images: what it asks of samples and of models, and what it notes where it cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.metrics.intervals import wilson
from components.yardsticks.images import PATHS
from tests.judging import Generator, digit_judge, digits, rows, seen_on

METRICS = {
    "classifier_fid", "classifier_kid", "precision", "recall", "f1", "density", "coverage", "duplicate_rate",
    "two_sample_accuracy", "class_histogram_distance", "classes_covered", "smallest_class_share",
    "largest_class_share", "classifier_score", "diversity", "copy_rate", "copy_excess", "authentic_share",
}  # fmt: skip


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Of digits: 150 in the validation split, 120 in the test split."""
    made = digit_judge(tmp_path_factory.mktemp("digits") / "examples", 1200)
    cut = {"validation": rows(made.data["validation"], slice(150))}
    return seen_on(made, **cut, test=rows(made.data["test"], slice(120)))


@pytest.fixture(scope="module")
def yardstick(judge):
    return judge.yardstick


@pytest.fixture(scope="module")
def unseen():
    """148 digits that are in no split of the judge."""
    return rows(digits(), slice(1350, 1498))


def test_all_metrics_of_labelled_images_are_measured(yardstick, unseen):
    found = yardstick.judge(unseen["x"], "validation")
    assert set(found.metrics) == METRICS
    assert yardstick.main == "classifier_fid"
    assert found.notes == {}
    assert found.collapsed == ""


def test_neighbours_are_counted_among_as_many_samples_as_real_images(yardstick, unseen):
    """Precision changes with the counts; the distance takes all samples."""
    found = yardstick.judge(unseen["x"], "test").metrics
    assert (found["precision"].extra["n"], found["precision"].extra["real"]) == (120, 120)
    assert "n" not in found["classifier_fid"].extra  # the judge adds how many samples there are
    assert found["classifier_fid"].extra["real"] == 120
    few = yardstick.judge(unseen["x"][:60], "test").metrics
    assert few["recall"].extra["real"] == 60


def test_a_class_is_covered_for_sure_where_its_interval_says_so(yardstick, unseen):
    """Two of 100 samples are less than a quarter of a tenth, and could be more."""
    order = np.argsort(unseen["label"] == 7, kind="stable")  # those of class 7 last
    others = (unseen["label"] != 7).sum()
    x = unseen["x"][order]
    covered = yardstick.judge(np.concatenate([x[:98], x[others : others + 2]]), "validation")
    one = covered.metrics["classes_covered"]
    assert one.low < one.high == 10
    assert one.low <= one.value <= one.high
    assert yardstick.judge(x[:others], "validation").metrics["classes_covered"].value == 9


def test_each_class_is_a_slice(yardstick, unseen):
    found = yardstick.judge(unseen["x"], "validation")
    assert set(found.slices) == {f"class {c}" for c in range(10)}
    held = yardstick.data["validation"]["label"][:148]
    total = sum(one["recall"].value * (held == c).sum() for c, one in enumerate(found.slices.values()))
    assert total / 148 == pytest.approx(found.metrics["recall"].value)
    shares = found.facts["class_shares"]
    assert sum(one["samples"]["value"] for one in shares.values()) == pytest.approx(1)
    assert sum(one["real"]["value"] for one in shares.values()) == pytest.approx(1)
    parts = yardstick.slices_of("validation")
    assert sorted(np.concatenate(list(parts.values()))) == list(range(150))


def test_a_class_that_others_are_taken_for_is_lost(yardstick):
    """Every image of class 7 is gone, and noise that the classifier takes for it stands in its place."""
    train, held = (rows(yardstick.data[split], slice(400)) for split in ("train", "validation"))
    kept = train["x"][train["label"] != 7]
    noise = np.random.default_rng(0).random((4000, 8, 8, 1)).astype(np.float32)
    taken = noise[yardstick.network.predict(noise) == 7][:5]
    # Too many for the rule of classes that are simply missing.
    assert len(taken) > 0.1 * len(kept) * (held["label"] == 7).mean()
    found = yardstick.judge(np.concatenate([kept, taken]), "validation")
    assert found.collapsed.startswith("Mode collapse: class 7 has")
    assert "of its images" in found.collapsed
    whole = yardstick.judge(np.concatenate([train["x"], taken]), "validation")
    assert whole.collapsed == ""


@pytest.mark.parametrize("fault", ["few", "same"])
def test_few_images_again_and_again_are_a_collapse(yardstick, unseen, fault):
    index = np.arange(140) % (1 if fault == "same" else 12)
    found = yardstick.judge(unseen["x"][index], "validation")
    assert "repeats" in found.collapsed or "coverage" in found.collapsed


def test_a_network_that_is_not_trusted_leaves_copies_and_no_more(yardstick, unseen, judge):
    doubtful = seen_on(judge).yardstick
    doubtful.facts = {**yardstick.facts, "trusted": False}
    assert set(doubtful.judge(unseen["x"], "validation").metrics) == {
        "copy_rate", "copy_excess", "authentic_share"
    }  # fmt: skip


def test_copies_are_looked_for_among_training_images_in_pixels(yardstick, unseen):
    memory = yardstick.data["train"]["x"][:100]
    found = yardstick.judge(memory, "validation").metrics
    assert found["copy_rate"].value == 1
    assert found["copy_rate"].extra["features"] == "pixels"
    assert yardstick.judge(unseen["x"], "validation").metrics["copy_excess"].value < 0.05


@pytest.mark.parametrize("mode", ["prdc", "torch-fidelity"])
def test_other_tools_numbers_stand_beside_ours(judge, unseen, mode):
    beside = seen_on(judge).yardstick
    beside.settings = judge.settings.model_copy(update={"compatibility": mode})
    found = beside.judge(unseen["x"], "validation")
    assert set(found.metrics) - METRICS == {
        f"{name}@{mode}" for name in ("precision", "recall", "f1", "density", "coverage", "duplicate_rate")
    } | ({f"classifier_fid@{mode}"} if mode == "torch-fidelity" else set())
    assert all(not one.estimable for name, one in found.metrics.items() if "_fid@" in name)
    assert ("classifier_kid@torch-fidelity" in found.notes) == (mode == "torch-fidelity")  # 1,000 images


# -- what is asked of the model ----------------------------------------------------------------------


class Rebuilding(Generator):
    def reconstruct(self, x):
        return np.clip(x + np.float32(0.1), 0, 1)


class Asked(Generator):
    """Draws what it is asked for: digits of that class, but 1 for every 4."""

    condition_on = "label"

    def __init__(self, data):
        super().__init__(data["x"])
        self.label = np.where(data["label"] == 4, -1, data["label"])

    def sample(self, n, condition=None, seed=0):
        if condition is None:
            return super().sample(n, seed)
        wanted = np.where(condition == 4, 1, condition)
        return np.stack([self.images[np.flatnonzero(self.label == c)[i % 5]] for i, c in enumerate(wanted)])


class Latent(Generator):
    def latents(self, n, seed=0):
        return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)

    def decode(self, z):
        plane = np.outer(np.linspace(0, 1, 8), np.ones(8)).astype(np.float32)
        return np.clip(0.5 + z[:, :1, None, None] * plane[None, ..., None], 0, 1)


def test_reconstructions_are_compared_with_the_images(yardstick, unseen):
    found = yardstick.of_model(Rebuilding(unseen["x"]), "validation").metrics
    assert 20 < found["reconstruction_psnr"].value < 30
    assert found["reconstruction_ssim"].value < 1
    assert found["reconstruction_psnr"].extra["n"] == 150


def test_samples_are_of_the_class_that_was_asked_for(yardstick, unseen):
    found = yardstick.of_model(Asked(unseen), "validation")
    assert found.metrics["label_agreement"].value == pytest.approx(0.9, abs=0.05)
    assert found.metrics["label_agreement"].extra["worst"] == "4"
    assert found.slices["class 4"]["label_agreement"].value < 0.2
    assert found.slices["class 5"]["label_agreement"].low > wilson(50, 100).high


def test_paths_are_measured_between_latents(yardstick, unseen):
    found = yardstick.of_model(Latent(unseen["x"]), "validation")
    assert found.metrics["path_length"].value > 0
    assert found.metrics["path_length"].extra["n"] == PATHS


def test_a_path_that_is_not_finite_is_noted(yardstick, unseen):
    model = Latent(unseen["x"])
    model.decode = lambda z: np.full((len(z), 8, 8, 1), np.nan, np.float32)
    found = yardstick.of_model(model, "validation")
    assert "path_length" not in found.metrics
    assert found.notes["path_length"]


def test_a_plain_generator_is_asked_for_nothing(yardstick, unseen):
    assert dataclasses.asdict(yardstick.of_model(Generator(unseen["x"]), "validation")) == {
        "metrics": {}, "slices": {}, "notes": {}, "collapsed": "", "facts": {}
    }  # fmt: skip
