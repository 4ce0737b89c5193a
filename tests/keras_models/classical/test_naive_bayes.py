"""Naive Bayes: the battery, counting by hand, samples of the class that was asked for."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.naive_bayes import BernoulliNB

import keras_models
from keras_models.spec import Spec
from tests.contract import Contract

CLASSES = ("a", "b")


class TestNaiveBayes(Contract):
    family = "naive_bayes"
    spec = Spec(kind="image", shape=(4, 4, 1), levels=2, classes=CLASSES)
    resume_needs = ("count", "sums")
    tiny = Spec(kind="image", shape=(2, 3, 1), levels=2, classes=CLASSES)


def digits():
    """Binary digits and their labels: 1,500 to learn from, 297 unseen."""
    found = load_digits()
    x = (found.images[..., None] > 8).astype(np.float32)
    return (x[:1500], found.target[:1500].astype(np.int32)), (x[1500:], found.target[1500:])


def learnt(x, label, pseudo_count=1.0):
    spec = Spec(kind="image", shape=x.shape[1:], levels=2, classes=tuple("0123456789"))
    config = keras_models.describe("naive_bayes").config(pseudo_count=pseudo_count)
    model = keras_models.build("naive_bayes", spec, config)
    model.compile()
    model.fit(tf.data.Dataset.from_tensor_slices({"x": x, "label": label}).batch(100), epochs=1, verbose=0)
    return model


def test_it_is_scikit_learns_by_counting():
    (x, label), (unseen, _) = digits()
    model = learnt(x, label)
    oracle = BernoulliNB(alpha=1.0).fit(x.reshape(-1, 64), label)
    np.testing.assert_allclose(np.log(model.means), oracle.feature_log_prob_, rtol=1e-12)
    agree = (np.asarray(model.encode(unseen)).argmax(1) == oracle.predict(unseen.reshape(-1, 64))).mean()
    assert agree > 0.99  # the oracle's proportions have no pseudo-count


def test_samples_are_of_the_class_that_was_asked_for():
    (x, label), _ = digits()
    model = learnt(x, label)
    wanted = np.arange(500) % 10
    drawn = model.sample(500, condition=wanted, seed=3)
    right = (np.asarray(model.encode(drawn)).argmax(1) == wanted).mean()
    assert right > 0.85  # 0.91 to 0.94 for seeds 0 to 4
    shuffled = np.random.default_rng(0).permutation(wanted)
    assert (np.asarray(model.encode(drawn)).argmax(1) == shuffled).mean() < 0.2
    np.testing.assert_array_equal(drawn[:100], model.sample(100, condition=wanted[:100], seed=3))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ([0, 10], "from 0 to 9"),
        ([0.0, 1.0], "whole numbers"),
        ([1], "as many conditions"),
        ([-1, 0], "from 0"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(condition, said):
    (x, label), _ = digits()
    with pytest.raises(ValueError, match=said):
        learnt(x[:100], label[:100]).sample(2, condition=np.array(condition))


def test_unlabelled_images_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="a folder a class"):
        keras_models.build("naive_bayes", Spec(kind="image", shape=(2, 2, 1), levels=2))
