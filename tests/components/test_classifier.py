"""The feature network on scikit-learn's digits: it learns, it is reproducible, it tells apart."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from components.classifier import FACTS, WEIGHTS, load_classifier, train_classifier
from components.errors import DataError, IntegrityError
from components.metrics.frechet import Moments, frechet_distance
from components.metrics.neighbours import neighbourhood


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.data / 16).astype(np.float32).reshape(-1, 8, 8, 1)[order]
    label = data.target[order]
    return {"train": (x[:1078], label[:1078]), "test": (x[1438:], label[1438:])}


@pytest.fixture(scope="module")
def classifier(digits):
    return train_classifier(*digits["train"], classes=10, epochs=30, seed=0)


@pytest.fixture(scope="module")
def normals(digits):
    """1000 samples of the full and of the diagonal normal fitted to the training split."""
    flat = digits["train"][0].reshape(-1, 64).astype(np.float64)
    random = np.random.default_rng(1)
    full = random.multivariate_normal(flat.mean(0), np.cov(flat.T) + 1e-4 * np.eye(64), 1000)
    diagonal = random.normal(flat.mean(0), flat.std(0) + 1e-2, (1000, 64))
    return {
        name: np.clip(x, 0, 1).reshape(-1, 8, 8, 1) for name, x in (("full", full), ("diagonal", diagonal))
    }


def test_it_reads_unseen_digits(classifier, digits):
    assert classifier.accuracy(*digits["test"]) >= 0.95
    assert classifier.predict(digits["test"][0]).shape == (359,)


def test_features_are_few_finite_and_float64(classifier, digits):
    features = classifier.features(digits["test"][0])
    assert features.dtype == np.float64
    assert 32 <= features.shape[1] <= 64
    assert len(features) >= 5 * features.shape[1]  # enough for a covariance
    assert np.isfinite(features).all()


def test_features_do_not_depend_on_the_batch(classifier, digits):
    x = digits["train"][0][:600]
    one_by_one = np.concatenate([classifier.features(part) for part in np.array_split(x, 7)])
    np.testing.assert_allclose(classifier.features(x), one_by_one, rtol=1e-4, atol=1e-4)


def test_the_distance_orders_real_full_and_diagonal_normal(classifier, digits, normals):
    reference = Moments.of(classifier.features(digits["test"][0]))
    distance = {
        name: frechet_distance(Moments.of(classifier.features(x)), reference)
        for name, x in (normals | {"real": digits["train"][0][:1000]}).items()
    }
    assert distance["full"] >= 5 * distance["real"]
    assert distance["diagonal"] >= 1.5 * distance["full"]


def test_a_lost_class_and_noise_are_seen(classifier, digits):
    x, label = digits["train"]
    reference = Moments.of(classifier.features(digits["test"][0]))
    noisy = np.clip(x + np.random.default_rng(0).normal(0, 0.2, x.shape), 0, 1)
    whole, lost, blurred = (
        frechet_distance(Moments.of(classifier.features(part)), reference)
        for part in (x, x[label != 3], noisy)
    )
    assert lost > 1.5 * whole
    assert blurred > 2 * whole


def test_a_collapsed_generator_is_seen(classifier, digits):
    real = classifier.features(digits["test"][0])
    one = classifier.features(np.repeat(digits["train"][0][:1], 359, axis=0))
    found = neighbourhood(real, one)
    precision, recall = found["precision"].value, found["recall"].value
    assert precision == 1.0
    assert recall < 0.05
    assert frechet_distance(Moments.of(one), Moments.of(real)) > 50


def test_shuffled_labels_leave_it_near_chance(digits):
    """Such a network judges nothing: it fails the accuracy that evaluation asks of it."""
    x, label = digits["train"]
    shuffled = np.random.default_rng(0).permutation(label)
    lost = train_classifier(x, shuffled, classes=10, epochs=10, seed=0)
    assert lost.accuracy(*digits["test"]) < 0.3


def test_the_same_seed_gives_the_same_network_and_another_another(digits):
    x, label = digits["train"][0][:200], digits["train"][1][:200]
    first, again, other = (train_classifier(x, label, 10, epochs=2, seed=s) for s in (0, 0, 1))
    assert first.name == again.name != other.name
    assert first.name == f"classifier@{first.digest[:8]}"


def test_training_leaves_the_callers_random_state_alone(digits):
    x, label = digits["train"][0][:64], digits["train"][1][:64]
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    train_classifier(x, label, 10, epochs=1, seed=0)
    assert np.random.random() == expected


def test_it_is_the_same_in_a_new_process(classifier, digits, tmp_path):
    classifier.save(tmp_path / "classifier")
    np.save(tmp_path / "x.npy", digits["test"][0][:50])
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from components.classifier import load_classifier\n"
        "folder = Path(sys.argv[1]); loaded = load_classifier(folder / 'classifier')\n"
        "np.save(folder / 'features.npy', loaded.features(np.load(folder / 'x.npy'))); print(loaded.name)"
    )
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == classifier.name, done.stderr
    expected = classifier.features(digits["test"][0][:50])
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), expected, rtol=1e-5, atol=1e-5)


def test_other_weights_than_the_named_ones_are_refused(classifier, tmp_path):
    classifier.save(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {WEIGHTS, FACTS}
    facts = json.loads((tmp_path / FACTS).read_text())
    (tmp_path / FACTS).write_text(json.dumps(facts | {"digest": "0" * 64}))
    with pytest.raises(IntegrityError, match="does not hold the tensors"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("shape", [(9, 13, 1), (32, 8, 3), (64, 70, 3)])
def test_it_takes_any_size_and_colours(shape):
    """Bright and dark images, told apart."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 48)
    x = (random.random((48, *shape)) * 0.5 + 0.5 * label[:, None, None, None]).astype(np.float32)
    made = train_classifier(x, label, classes=2, epochs=2, seed=0)
    assert made.shape == shape
    assert made.accuracy(x, label) > 0.9


def test_what_it_cannot_learn_is_refused_in_one_sentence(digits):
    x, label = digits["train"]
    with pytest.raises(DataError, match="of at least 8x8"):
        train_classifier(x[:, :7], label, 10)
    with pytest.raises(DataError, match="two classes or more"):
        train_classifier(x, np.zeros(len(x), int), 10)
    with pytest.raises(DataError, match="labels from 0 to 4"):
        train_classifier(x, label, 5)


@pytest.mark.slow
def test_it_reads_mnist():
    folder = os.environ.get("MOZART_TEST_DATA")
    if not folder:
        pytest.skip("MOZART_TEST_DATA is not set")

    def read(name, header):
        with gzip.open(Path(folder) / "mnist" / f"{name}.gz") as stream:
            return np.frombuffer(stream.read(), np.uint8, offset=header)

    def images(name):
        return (read(name, 16).reshape(-1, 28, 28, 1) / np.float32(255)).astype(np.float32)

    x, label = images("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte", 8)
    made = train_classifier(x[:50_000], label[:50_000], classes=10, epochs=30, seed=0)
    assert made.accuracy(images("t10k-images-idx3-ubyte"), read("t10k-labels-idx1-ubyte", 8)) >= 0.985


def test_images_of_another_shape_are_refused(classifier):
    with pytest.raises(DataError, match=r"takes images \[8, 8, 1\]"):
        classifier.features(np.zeros((3, 9, 9, 1)))
