"""What the judge decides of generators whose worth is known: real images, and real images with a fault.

The judge of digits learns its classifier once (800 images); the other 997 are cut anew for every trial. Only
the validation split is measured: the test split decides nothing. All together: about 2 minutes of processor.
"""

from __future__ import annotations

import numpy as np
import pytest

from components.comparisons import against_champion
from components.metrics.intervals import difference
from components.settings import GateSettings
from tests.judging import Generator, digit_judge, failures, held_out, rows, seen_on, verdict

pytestmark = pytest.mark.slow
NULL = 200  # random splits of real images
COVERED = {"classes_covered": {"min": 10}}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """The judge of digits, of which only the validation split is asked."""
    made = digit_judge(tmp_path_factory.mktemp("digits") / "examples")
    assert made.yardstick.features()["trusted"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.judge.DECISION_SPLITS", ("validation",))
        yield made


def measured(judge, images):
    return judge.measure(Generator(images), images)


def trial(judge, seed, size=500):
    """A judge that sees `size` held-out images, the other held-out images, and a random generator."""
    images, random = held_out(judge), np.random.default_rng([1, seed])
    order = random.permutation(len(images["x"]))
    return seen_on(judge, validation=rows(images, order[:size])), rows(images, order[size:]), random


def noisy(images, spread, random):
    return np.clip(images + random.normal(0, spread, images.shape), 0, 1).astype(np.float32)


def judged(judge, images):
    """What was measured of images, and the gate's sentences that say no."""
    found = measured(judge, images)
    return found.splits["validation"], verdict(judge, found, limits=COVERED)


# -- real images against real images -----------------------------------------------------------------


@pytest.fixture(scope="module")
def null(judge):
    """Of random splits of real images into validation, challenger and champion: what was measured of the
    challenger, how far it is from the champion, the slices, and the verdict."""
    found = []
    for seed in range(NULL):
        seen, others, _ = trial(judge, seed, 332)
        challenger, champion = (measured(seen, others["x"][part]) for part in (slice(332), slice(332, 664)))
        own, other = (one.splits["validation"]["classifier_fid"] for one in (challenger, champion))
        slices = against_champion(challenger, champion, "classifier_fid", GateSettings())["slices"]
        decided = verdict(seen, challenger, champion)
        found.append((challenger.splits["validation"], difference(own, other), slices, decided))
    return found


def test_equals_are_refused_at_most_7_times_in_100(null):
    """All rules together: copies, collapse, the champion, 30 slices. Six classifiers and cuts: 2 of 1,200,
    of these 1 by a slice."""
    assert sum(decided["outcome"] == "fail" for *_, decided in null) <= 0.07 * NULL


def test_the_slices_of_equals_are_refused_at_most_7_times_in_100(null):
    assert sum(any(one["worse"] for one in slices) for _, _, slices, _ in null) <= 0.07 * NULL


def test_the_difference_of_equals_is_zero_as_often_as_is_said(null):
    assert sum(apart.low <= 0 <= apart.high for _, apart, _, _ in null) >= 0.90 * NULL


@pytest.mark.parametrize(
    ("metric", "truth"),
    [
        ("classifier_fid", 0.0),
        ("classifier_kid", 0.0),
        ("two_sample_accuracy", 0.5),
        ("class_histogram_distance", 0.0),
        ("copy_excess", 0.0),
    ],
)
def test_a_limit_at_the_true_value_is_failed_at_most_7_times_in_100(null, metric, truth):
    """Six classifiers and cuts, of 1,200 each: 2, 0, 32, 47 and 25."""
    assert sum(found[metric].low > truth for found, *_ in null) <= 0.07 * NULL


# -- generators that are good, bad and in between ----------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_unseen_real_images_pass(judge, seed):
    seen, unseen, _ = trial(judge, seed)
    _, decided = judged(seen, unseen["x"])
    assert decided["blessed"], decided["reasons"]


@pytest.mark.parametrize("size", [300, 430])
@pytest.mark.parametrize("left_out", range(10))
def test_a_generator_without_one_of_ten_classes_is_refused(judge, left_out, size):
    """Each image is real and unseen: only the class tells. Five classifiers and cuts: 100 of 100; of 200
    samples 99 of 100."""
    seen, unseen, _ = trial(judge, left_out + 10 * size)
    found, decided = judged(seen, unseen["x"][unseen["label"] != left_out][:size])
    said = " ".join(failures(decided))
    assert f"the model has collapsed (Mode collapse: class {left_out} has" in said
    # A few images of other classes may be taken for it, so that the count alone does not tell.
    assert found["classes_covered"].low <= 9
    assert found["copy_excess"].value < 0.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_a_memoriser_is_refused_for_its_copies_alone(judge, seed, spread):
    """Training images, as they are and with noise of 5 grey levels of 255."""
    seen, _, random = trial(judge, seed)
    memory = judge.data["train"]["x"][random.permutation(800)[:500]]
    found, decided = judged(seen, noisy(memory, spread, random))
    assert found["classifier_fid"].low < 0  # nothing else is wrong with them
    (said,) = failures(decided)
    assert said.startswith("failed: copy_excess is 0.9")


def test_five_planted_percent_of_copies_are_found(judge):
    """Six classifiers and cuts: means of 4.7 to 5.2 %, spreads of 0.4 to 1.0; 115 of 120 within 1.5."""
    found = []
    for seed in range(20):
        seen, unseen, random = trial(judge, seed)
        copied = judge.data["train"]["x"][random.permutation(800)[:24]]  # of 480
        images = np.concatenate([copied, unseen["x"][:456]])
        found.append(measured(seen, images).splits["validation"]["copy_excess"])
    values = np.array([one.value for one in found])
    assert abs(values.mean() - 0.05) < 0.005
    assert (abs(values - 0.05) <= 0.015).mean() >= 0.85
    assert np.mean([one.low <= 0.05 <= one.high for one in found]) >= 0.9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_a_generator_of_twenty_images_is_refused_as_collapsed(judge, seed, spread):
    seen, unseen, random = trial(judge, seed)
    few = unseen["x"][random.integers(0, 20, 500)]
    _, decided = judged(seen, noisy(few, spread, random))
    assert any("the model has collapsed" in said for said in failures(decided))


@pytest.mark.parametrize("only", range(0, 10, 3))
def test_a_generator_of_one_class_is_refused_as_collapsed(judge, only):
    seen, unseen, _ = trial(judge, only, 250)
    _, decided = judged(seen, unseen["x"][unseen["label"] == only])
    assert any("the model has collapsed" in said for said in failures(decided))


@pytest.mark.parametrize("seed", range(3))
def test_a_half_good_generator_is_ranked_between(judge, seed):
    """Real images, with noise, with more of it, and noise alone: every number agrees on the order."""
    seen, unseen, random = trial(judge, seed)
    sets = [unseen["x"], noisy(unseen["x"], 0.2, random), noisy(unseen["x"], 0.5, random)]
    sets.append(random.random(unseen["x"].shape, np.float32))
    found = [measured(seen, images) for images in sets]
    numbers = [one.splits["validation"] for one in found]
    for metric, sign in (("classifier_fid", 1), ("two_sample_accuracy", 1), ("coverage", -1)):
        values = [sign * one[metric].value for one in numbers]
        assert values == sorted(values), metric
    good, half = found[0], found[2]
    assert any("the champion" in said for said in failures(verdict(seen, half, champion=good)))
    assert verdict(seen, good, champion=half)["blessed"]


@pytest.mark.parametrize("worse", range(10))
def test_a_challenger_that_is_worse_in_one_class_is_refused_for_it(judge, worse):
    """Three images of that class again and again. The distance of all classes together hardly shows it:
    three classifiers and cuts: 30 of 30 by the slice, 1 of 30 by the distance."""
    seen, others, random = trial(judge, worse, 332)
    champion = measured(seen, others["x"][:332])
    own = rows(others, slice(332, 664))
    place = np.flatnonzero(own["label"] == worse)
    own["x"] = own["x"].copy()
    own["x"][place] = noisy(own["x"][place[random.integers(0, 3, len(place))]], 0.05, random)
    challenger = measured(seen, own["x"])
    said = [one for one in failures(verdict(seen, challenger, champion)) if " of class " in one]
    assert said, "no slice was refused"
    assert all(f" of class {worse} is " in one for one in said), said
    assert not any(" of class " in one for one in failures(verdict(seen, challenger, champion, slices=False)))
