"""Negative controls: what gate 2 exists to refuse is refused, and by the number that claims to see it.

The positive control beside them: unseen real images, handed in as if a model had drawn them, pass.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.learning.line import Line, failures, spoilt, value


@pytest.fixture(scope="module")
def digits(line):
    """The main recipe on its own data."""
    return line("digits-dcgan")


@pytest.fixture(scope="module")
def unseen(digits):
    """Real images of the test split; the gate decides by the validation split."""
    return digits.judge.data["test"]["x"]


def refused(digits, evaluation, saying):
    """Whether the gate refuses, and one of its sentences begins so."""
    said = failures(digits.verdict(evaluation))
    assert any(sentence.startswith(f"failed: {saying}") for sentence in said), said


def test_unseen_real_images_pass(digits, unseen):
    verdict = digits.verdict(digits.evaluation(digits.untrained(), unseen))
    assert verdict["blessed"], verdict["reasons"]


def test_an_untrained_model_is_refused(digits):
    found = digits.evaluation(digits.untrained())
    refused(digits, found, "classifier_fid is")
    refused(digits, found, "classes_covered is")


def test_a_generator_of_one_image_is_refused_as_collapsed(digits):
    model = digits.untrained()
    kernel = model.generator_ema.layers[0].kernel
    kernel.assign(np.zeros(kernel.shape))  # every z gives the same image
    refused(digits, digits.evaluation(model), "the model has collapsed (only 1 of 1000 samples are distinct)")


def test_a_generator_of_half_of_the_classes_is_refused(digits, unseen):
    """Each image is perfect and none is a copy: only the classes tell."""
    half = unseen[digits.judge.data["test"]["label"] < 5]
    refused(digits, digits.evaluation(digits.untrained(), half), "classes_covered is 5")


def test_a_generator_of_training_images_is_refused_as_copying(digits):
    memory = digits.judge.data["train"]["x"][:1000]
    said = failures(digits.verdict(digits.evaluation(digits.untrained(), memory)))
    assert [sentence.split()[1] for sentence in said] == ["copy_excess"], said  # all that a copy gets wrong


def test_a_classifier_of_shuffled_labels_judges_nothing(digits, unseen, tmp_path):
    """The images that pass with the real labels: the only difference is what the classifier learnt."""
    shuffle = np.random.default_rng(0).permutation
    spoilt_line = Line(digits.recipe, spoilt(digits.examples, tmp_path / "examples", "label", shuffle))
    judge = spoilt_line.judge
    for split in ("validation", "test"):
        spoilt_accuracy, accuracy = (
            one.yardstick.features()[f"{split}_accuracy"] for one in (judge, digits.judge)
        )
        assert spoilt_accuracy < 0.3 < 0.9 < accuracy
    assert not judge.yardstick.features()["trusted"]
    found = spoilt_line.evaluation(digits.untrained(), unseen)
    assert "classifier_fid" not in found["test"]
    refused(digits, found, "classifier_fid, the metric that matters, was not measured")
    refused(digits, found, "classes_covered has a limit and was not measured")


def test_a_model_of_shuffled_pixels_is_told_apart_by_nats(line, tmp_path):
    """Worse on real digits than pixels by themselves; the same training on the real pixels is better."""
    binary = line(
        "digits-vae",
        "model={family: mixture}",  # learns in a second, and its likelihood is exact
        "train.epochs=15",
        "evaluate.classifier_epochs=1",
        "evaluate.floors=[{family: mixture, config: {components: 1}, train: {epochs: 2}}]",
    )
    shuffle = np.random.default_rng(0).permuted

    def each_image(x):
        return shuffle(x.reshape(len(x), -1), axis=1).reshape(x.shape)

    noise = Line(binary.recipe, spoilt(binary.examples, tmp_path / "examples", "x", each_image))
    found, spoilt_found = (binary.evaluation(model) for model, _ in (binary.learn(0), noise.learn(0)))
    floor = found["floors"]["mixture (components 1)"]
    assert value(found, "test", "nats") < value(floor, "test", "nats")
    assert value(spoilt_found, "test", "nats") > 1.5 * value(floor, "test", "nats")
    refused(binary, spoilt_found, "nats is")
