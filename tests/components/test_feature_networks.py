"""What all feature networks share: blocks of fixed size, the classifier in that shape, the choices of other tools."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from components.classifier import train_classifier
from components.errors import ConfigError
from components.feature_networks import (
    COMPATIBILITY,
    compatibility,
    in_blocks,
    load_feature_network,
    perceptual_distances,
)
from components.weights import PUBLISHED


def test_a_network_always_sees_blocks_of_the_same_size():
    seen = []

    def apply(block):
        seen.append(block.shape)
        return [block.sum(axis=(1, 2, 3)), block[:, 0]]

    x = np.arange(10 * 4, dtype=float).reshape(10, 2, 2, 1)
    sums, rows = in_blocks(apply, x, 4)
    assert seen == [(4, 2, 2, 1)] * 3
    assert np.array_equal(sums, x.sum(axis=(1, 2, 3)))
    assert np.array_equal(rows, x[:, 0])


def test_an_unknown_pixel_makes_all_outputs_of_its_image_unknown():
    x = np.ones((5, 2, 2, 1))
    x[1, 0, 0, 0], x[4, 1, 1, 0] = np.nan, -np.inf
    (largest,) = in_blocks(lambda block: [np.nanmax(block, axis=(1, 2, 3))], x, 2)
    assert np.isnan(largest).tolist() == [False, True, False, False, True]


def test_perceptual_distances_by_hand():
    """Two channels at one place: (3, 4) and (0, 5) have the directions (.6, .8) and (0, 1)."""
    a, b = (np.array(pair, np.float32).reshape(1, 1, 1, 2) for pair in ((3, 4), (0, 5)))
    assert perceptual_distances([a], [b]) == pytest.approx(0.6**2 + 0.2**2)
    assert perceptual_distances([a, a], [b, b]) == pytest.approx(2 * 0.4)
    assert perceptual_distances([a], [b], [np.array([10, 0])]) == pytest.approx(3.6)
    assert perceptual_distances([a], [7 * a]) == pytest.approx(0)  # brightness alone is not seen


def test_the_classifier_has_the_same_shape(tmp_path):
    data = load_digits()
    x = (data.data / 16).astype(np.float32).reshape(-1, 8, 8, 1)[:700]
    network = train_classifier(x, data.target[:700], 10, epochs=3)
    whole, shares = network.features(x), network.probabilities(x)
    assert shares.shape == (700, 10)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert np.array_equal(shares.argmax(axis=1), network.predict(x))
    for parts in (2, 7):
        pieces = np.array_split(x, parts)
        assert np.array_equal(np.concatenate([network.features(p) for p in pieces]), whole)
        assert np.array_equal(np.concatenate([network.probabilities(p) for p in pieces]), shares)
    assert [m.shape for m in network.maps(x[:2])] == [(2, 8, 8, 32), (2, 4, 4, 64)]
    network.save(tmp_path)
    loaded = load_feature_network(tmp_path)
    assert loaded.name == network.name
    assert np.array_equal(loaded.features(x), whole)


def test_every_mode_tells_its_choices():
    for mode, choices in COMPATIBILITY.items():
        told = json.loads(json.dumps(compatibility(mode).told()))
        assert told == choices.told()
        assert told["tool"].startswith(mode)
    assert compatibility("torch-fidelity").weights_sha256 == PUBLISHED["inception"].sha256
    assert (compatibility("torch-fidelity").inside, compatibility("prdc").inside) == ("<=", "<")
    with pytest.raises(ConfigError, match="did you mean 'clean-fid'"):
        compatibility("cleanfid")
