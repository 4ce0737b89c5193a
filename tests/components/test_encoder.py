"""The encoder of unlabelled images on scikit-learn's digits: it completes, and its distances rank right."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from components.encoder import Encoder, _averaged, _cover, train_encoder
from components.errors import DataError, IntegrityError
from components.feature_networks import load_feature_network, perceptual_distances
from components.metrics.frechet import Moments, frechet_distance


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.data / 16).astype(np.float32).reshape(-1, 8, 8, 1)[order]
    return {"train": x[:1078], "test": x[1078:], "label": data.target[order][:1078]}


@pytest.fixture(scope="module")
def encoder(digits):
    return train_encoder(digits["train"], seed=0)


def test_it_completes_unseen_digits_and_no_noise(encoder, digits):
    unseen = encoder.completion(digits["test"])
    assert 0.3 < unseen < 0.6
    assert encoder.completion(digits["train"]) - unseen < 0.1  # it did not learn them by heart
    noise = np.random.default_rng(0).random((300, 8, 8, 1))
    assert encoder.completion(noise) < 0
    assert train_encoder(noise, steps=100).completion(np.random.default_rng(1).random((300, 8, 8, 1))) < 0.05
    assert np.isnan(encoder.completion(digits["test"][:1]))


def ranked(encoder, digits):
    """Fréchet distances to the unseen digits, of the training digits whole, noisy and without classes."""
    reference = Moments.of(encoder.features(digits["test"]))
    x, label = digits["train"], digits["label"]
    random = np.random.default_rng(0)

    def distance(images):
        return frechet_distance(Moments.of(encoder.features(images)), reference)

    noisy = [np.clip(x + random.normal(0, level, x.shape), 0, 1) for level in (0.05, 0.1, 0.2, 0.4)]
    lost = [x[~np.isin(label, gone)] for gone in ([3], [3, 5, 8], [1, 3, 5, 7, 8])]
    return (
        distance(x),
        [distance(each) for each in noisy],
        [distance(each) for each in (*lost, x[label == 3])],
    )


def check_ranks(whole, noisy, lost):
    assert whole < noisy[0] < noisy[1] < noisy[2] < noisy[3]
    assert 1.5 * whole < lost[0] < lost[1] < lost[2] < lost[3]
    assert noisy[2] > 2 * whole


def test_distances_rank_noise_and_lost_classes(encoder, digits):
    check_ranks(*ranked(encoder, digits))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_they_do_for_other_seeds(digits, seed):
    check_ranks(*ranked(train_encoder(digits["train"], seed=seed), digits))


def test_features_are_the_same_bits_in_whatever_batches(encoder, digits):
    x = digits["train"][:600]
    whole = encoder.features(x)
    assert whole.shape == (600, 48)
    assert whole.dtype == np.float64
    for parts in (2, 7, 600):
        pieces = [encoder.features(part) for part in np.array_split(x, parts)]
        assert np.array_equal(np.concatenate(pieces), whole)
    shuffled = np.random.default_rng(0).permutation(600)
    assert np.array_equal(encoder.features(x[shuffled]), whole[shuffled])


def test_maps_and_the_distance_between_them(encoder, digits):
    x = digits["test"][:5]
    maps = encoder.maps(x)
    assert len(maps) == len(encoder.layers)
    assert [m.shape for m in maps] == [(5, 8, 8, 32), (5, 4, 4, 64)]
    assert perceptual_distances(maps, maps).tolist() == [0.0] * 5
    shades = [perceptual_distances(maps, encoder.maps(x * (1 - by))) for by in (0.1, 0.5, 0.9)]
    assert (shades[0] < shades[1]).all()
    assert (shades[1] < shades[2]).all()
    assert encoder.probabilities(x) is None


def test_an_image_that_is_not_finite_gives_nan_and_spares_its_neighbours(encoder, digits):
    x = digits["test"][:3].copy()
    expected = encoder.features(x)
    x[1, 2, 2, 0] = np.inf
    found = encoder.features(x)
    assert np.isnan(found[1]).all()
    assert np.array_equal(found[[0, 2]], expected[[0, 2]])


def test_the_same_seed_gives_the_same_network_and_another_another(digits):
    names = [train_encoder(digits["train"][:200], seed, steps=5).name for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("encoder@")


def test_it_is_the_same_in_a_new_process(encoder, digits, tmp_path):
    encoder.save(tmp_path / "encoder")
    np.save(tmp_path / "x.npy", digits["test"][:50])
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from components.feature_networks import load_feature_network\n"
        "folder = Path(sys.argv[1]); loaded = load_feature_network(folder / 'encoder')\n"
        "np.save(folder / 'features.npy', loaded.features(np.load(folder / 'x.npy'))); print(loaded.name)"
    )
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == encoder.name, done.stderr
    assert np.array_equal(np.load(tmp_path / "features.npy"), encoder.features(digits["test"][:50]))


def test_damaged_weights_and_an_empty_folder_are_refused(encoder, tmp_path):
    encoder.save(tmp_path)
    weights = tmp_path / "encoder.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IntegrityError, match="does not hold the tensors"):
        load_feature_network(tmp_path)
    with pytest.raises(DataError, match="no feature network"):
        load_feature_network(tmp_path / "none")


@pytest.mark.parametrize("shape", [(9, 13, 1), (32, 8, 3), (70, 64, 3)])
def test_it_takes_any_size_and_colours(shape):
    x = np.random.default_rng(0).random((20, *shape)).astype(np.float32)
    made = train_encoder(x, steps=2)
    assert made.shape == shape
    assert made.features(x).shape == (20, 48)


def test_what_is_hidden_is_a_third_of_each_side():
    x = np.random.default_rng(0).random((50, 9, 12, 1)).astype(np.float32)
    covered, hidden = _cover(x, np.random.default_rng(0))
    assert (hidden.sum(axis=(1, 2, 3)) == 4 * 5).all()
    assert np.array_equal(covered[~hidden], x[~hidden])
    assert hidden.any(axis=0).all()  # every place is hidden at some time


def test_large_images_are_averaged_down():
    x = np.arange(66 * 64, dtype=float).reshape(1, 66, 64, 1)
    small = _averaged(x)
    assert small.shape == (1, 22, 21, 1)
    assert small[0, 0, 0, 0] == x[0, :3, :3].mean()


def test_what_it_cannot_learn_is_refused_in_one_sentence(digits):
    with pytest.raises(DataError, match="of at least 8x8"):
        train_encoder(digits["train"][:, :7])
    with pytest.raises(DataError, match="these 5 are all the same"):
        train_encoder(np.ones((5, 8, 8, 1)))
    with pytest.raises(DataError, match="these 0 are all the same"):
        train_encoder(np.ones((0, 8, 8, 1)))


def test_images_of_another_shape_are_refused(encoder):
    with pytest.raises(DataError, match=r"encoder@.* takes images \[8, 8, 1\], and was given \[3, 9, 9, 1\]"):
        encoder.features(np.zeros((3, 9, 9, 1)))
    assert isinstance(encoder, Encoder)
