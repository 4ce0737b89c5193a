"""The judge: the same samples give the same numbers, wherever and however they are looked at; what cannot be
measured is refused or marked."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from components.errors import DataError
from components.evaluate import evaluate
from components.feature_pass import InBeam
from components.judge import Judge
from components.settings import (
    BeamSettings,
    EvaluateSettings,
    GateSettings,
    ModelSettings,
    TrainSettings,
)
from components.train import train
from tests.judging import (
    Generator,
    digit_judge,
    digits,
    examples_of,
    failures,
    rows,
    seen_on,
    verdict,
)

SPLITS = ("validation", "test")


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Of digits: 120 in the validation split, 120 in the test split."""
    made = digit_judge(tmp_path_factory.mktemp("digits") / "examples", 1200)
    return seen_on(made, **{split: rows(made.data[split], slice(120)) for split in SPLITS})


@pytest.fixture(scope="module")
def unseen():
    """178 real images that are in neither."""
    return digits()["x"][1320:1498]


@pytest.fixture(scope="module")
def known(judge, unseen):
    """What the judge measures of them."""
    return measured(judge, unseen)


def measured(judge, images):
    return judge.measure(Generator(images), images)


def numbers(found):
    """All that was found; repr tells floats apart to the last bit, and NaN is NaN."""
    return repr((found.splits, found.slices, found.notes, found.facts, found.collapsed))


# -- the same numbers --------------------------------------------------------------------------------


def test_the_same_samples_give_the_same_bits(judge, unseen, known):
    assert numbers(measured(judge, unseen)) == numbers(known)
    assert numbers(measured(seen_on(judge), unseen.copy())) == numbers(known)


def test_what_was_measured_before_does_not_matter(judge, unseen, known):
    fresh = seen_on(judge)
    measured(fresh, unseen[:50])
    fresh.reference(60)
    assert numbers(measured(fresh, unseen)) == numbers(known)


def test_samples_that_change_in_place_are_looked_at_again(judge, unseen):
    fresh, images = seen_on(judge), unseen.copy()
    measured(fresh, images)
    images[:] = images[::-1]
    images[0] = 0
    assert numbers(measured(fresh, images)) == numbers(measured(seen_on(judge), images))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_beam_gives_the_numbers_of_this_process(judge, unseen, tmp_path, workers, monkeypatch):
    """Features, classes, pairs and copies, in blocks of 64 images: three of samples, two of real ones."""
    monkeypatch.setattr("components.feature_pass.IMAGES_AT_ONCE", 64)
    known, there = measured(seen_on(judge), unseen), seen_on(judge)
    there.yardstick.work = InBeam(tmp_path / "work", BeamSettings(workers=workers))
    assert numbers(measured(there, unseen)) == numbers(known)
    left = {path.name for path in (tmp_path / "work").iterdir()}
    assert left >= {"000-samples", "001-validation", "002-test"}
    assert not list((tmp_path / "work").glob("*/images-*.npy"))
    del there
    gc.collect()
    assert not (tmp_path / "work").exists()  # also of an evaluation that did not come to its end


def test_only_the_validation_split_tells_a_collapse(judge):
    """The test split's numbers are published; a gate does not look at them."""
    zeros = rows(digits(), digits()["label"] == 0)
    assert "collapse" in measured(judge, zeros["x"][100:]).collapsed
    alone = seen_on(judge, validation=rows(zeros, slice(100)))
    assert measured(alone, zeros["x"][100:]).collapsed == ""


def test_every_number_says_what_it_was_measured_on(judge, known):
    for split in SPLITS:
        for name, one in known.splits[split].items():
            assert one.extra["split"] == split, name
            assert one.extra["checkpoint"] == "final", name
            assert one.extra["n"] in (120, 178), name
    distance = known.splits["test"]["classifier_fid"].extra
    assert distance["features"] == judge.yardstick.network.name
    assert (distance["n"], distance["real"]) == (178, 120)


def test_training_examples_in_place_of_samples_are_no_copies(judge):
    found = judge.reference(10_000)  # all there are
    assert found.splits["test"]["classifier_fid"].extra["n"] == 1200
    assert not any(name.startswith("copy_") for name in found.splits["test"])


# -- what cannot be measured -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("place", [3, 170])  # beyond the 120 real ones: in the moments and classes only
def test_a_value_that_is_not_finite_is_told_and_refused(judge, unseen, value, place):
    images = unseen.copy()
    images[place, 2, 2] = value
    found = measured(judge, images)
    for split in SPLITS:
        one = found.splits[split]["classifier_fid"]
        assert math.isnan(one.value)
        assert one.why == "a feature is not finite"
        assert math.isnan(found.splits[split]["copy_excess"].value)
        assert "classes_covered" not in found.splits[split]  # no class is made of it
    said = failures(verdict(judge, found, limits={"classes_covered": {"min": 1}}))
    assert any(one.startswith("failed: classifier_fid is nan") for one in said)
    assert "failed: classes_covered has a limit and was not measured on the validation split." in said


def test_samples_that_are_all_nan_are_refused(judge, unseen):
    assert not verdict(judge, measured(judge, np.full_like(unseen, np.nan)))["blessed"]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few_samples_are_refused_with_the_remedy(judge, unseen, n):
    with pytest.raises(DataError, match=r"samples" if n else r"needs samples"):
        measured(judge, unseen[:n])


def test_sixteen_samples_carry_no_interval_and_are_never_blessed(judge, unseen):
    """Real ones: the verdict is open, and not against them by chance."""
    found = measured(judge, unseen[:16])
    one = found.splits["validation"]["classifier_fid"]
    assert not one.estimable
    assert one.why == "16 samples for 48 features: fewer than 2.3 a feature"
    decided = verdict(judge, found, limits={"classifier_fid": {"max": 1e6}, "classes_covered": {"min": 10}})
    assert decided["outcome"] == "inconclusive"


def test_too_few_real_examples_carry_no_interval(judge, unseen):
    small = seen_on(judge, validation=rows(judge.data["validation"], slice(50)))
    one = measured(small, unseen).splits["validation"]["classifier_fid"]
    assert one.why == "50 real examples for 48 features: fewer than 2.3 a feature"


def test_a_class_without_real_examples_is_left_out_of_its_numbers(judge, unseen):
    held = judge.data["validation"]
    found = measured(seen_on(judge, validation=rows(held, held["label"] != 3)), unseen)
    assert found.splits["validation"]["classes_covered"].value == 9
    assert set(found.slices["validation"]["class 3"]) == {"precision"}  # of the samples that look like it
    assert found.facts["validation"]["class_shares"]["3"]["real"]["value"] == 0
    assert all(math.isfinite(one.value) for one in found.splits["validation"].values())


def test_images_of_another_size_are_refused(judge):
    with pytest.raises(DataError, match="192 features cannot be compared with rows of 64"):
        measured(judge, np.zeros((20, 8, 8, 3), np.float32))


def test_labels_of_one_class_are_refused(tmp_path):
    data = rows(digits(), slice(90))
    data["label"] = np.zeros_like(data["label"])
    examples = examples_of(dict.fromkeys(("train", *SPLITS), data), tmp_path / "examples", 2)
    with pytest.raises(DataError, match="two classes or more, and these are of one"):
        Judge(examples, EvaluateSettings())


def test_a_network_that_is_not_trusted_measures_no_distance(tmp_path):
    data = digits()
    data["label"] = np.random.default_rng(0).permutation(data["label"])
    cut = {"train": slice(400), "validation": slice(400, 500), "test": slice(500, 600)}
    examples = examples_of({split: rows(data, part) for split, part in cut.items()}, tmp_path / "examples")
    judge = Judge(examples, EvaluateSettings(classifier_epochs=2))
    assert not judge.yardstick.features()["trusted"]
    found = measured(judge, data["x"][600:700])
    assert set(found.splits["validation"]) == {"copy_rate", "copy_excess", "authentic_share"}
    said = failures(verdict(judge, found))
    assert said == [
        "failed: classifier_fid, the metric that matters, was not measured on the validation split."
    ]


# -- more samples ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Examples of digits, and a full normal that learnt them."""
    folder = tmp_path_factory.mktemp("trained")
    data = digits()
    cut = {"train": slice(800), "validation": slice(800, 1300), "test": slice(1300, 1400)}
    examples_of({split: rows(data, part) for split, part in cut.items()}, folder / "examples")
    model = ModelSettings(family="normal", config={"covariance": "full"})
    train(folder / "examples", folder / "model", model, TrainSettings(epochs=1), {})
    return folder


def evaluated(trained, out, limit, samples, most):
    gates = GateSettings.parse({"limits": {"classifier_fid": {"max": limit}}, "metric": "classifier_fid"})
    settings = EvaluateSettings(samples=samples, most_samples=most, classifier_epochs=10)
    return evaluate(trained / "examples", trained / "model", out, settings, gates)


def test_an_open_verdict_draws_more_samples_up_to_the_budget(trained, tmp_path):
    """60 samples carry no interval of the distance; 128 do, and decide, unless the limit is the very
    distance, which no number of samples decides: then the model is not blessed."""
    passed = evaluated(trained, tmp_path / "passed", 1e6, 60, 128)
    assert (passed["samples"], passed["verdict"]["outcome"]) == (128, "pass")
    value = passed["validation"]["classifier_fid"]["value"]
    near = evaluated(trained, tmp_path / "near", value, 60, 128)
    assert near["samples"] == 128
    assert near["validation"]["classifier_fid"]["value"] == value
    assert (near["verdict"]["outcome"], near["verdict"]["blessed"]) == ("inconclusive", False)
    (said,) = [one for one in near["verdict"]["reasons"] if one.startswith("inconclusive:")]
    assert said.endswith("more samples (evaluate.most_samples) or more data would tell.")


def test_a_verdict_that_is_clear_draws_no_more(trained, tmp_path):
    found = evaluated(trained, tmp_path / "failed", 0.0, 120, 10_000)
    assert (found["samples"], found["verdict"]["outcome"]) == (120, "fail")
