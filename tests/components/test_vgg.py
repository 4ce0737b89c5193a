"""VGG16 and LPIPS against torchvision's and torch-fidelity's, all with the same random weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.errors import ConfigError, DataError
from components.feature_networks import load_feature_network
from components.vgg import VGG16, make_vgg
from components.weights import file_digest
from tests.components.torch_files import write_torch

GOLDEN = json.loads((Path(__file__).parent / "golden" / "vgg.json").read_text())


def drawn(names):
    """The network's tensors as the golden file's recipe draws them, those of `names` only: the rest is zero."""
    random = np.random.RandomState(0)
    made = {}
    for name, shape in GOLDEN["shapes"].items():
        if not name.startswith(names):
            made[name] = np.zeros(shape, np.float32)
            continue
        scale = 0.1 if name.endswith("bias") else np.sqrt(2 / np.prod(shape[1:]))
        made[name] = (random.standard_normal(shape) * scale).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def weights():
    """The convolutions, and LPIPS's weights of their maps."""
    random = np.random.RandomState(2)
    linear = {
        f"lin{i}.model.1.weight": random.random_sample((1, channels, 1, 1)).astype(np.float32)
        for i, channels in enumerate((64, 128, 256, 512, 512))
    }
    return drawn(("features",)), linear


@pytest.fixture(scope="module")
def network(weights):
    return VGG16(*weights)


@pytest.fixture(scope="module")
def pairs():
    """Unlike, nearly alike, equal."""
    random = np.random.RandomState(1)
    a, b = (random.randint(0, 256, (3, 32, 40, 3)) for _ in range(2))
    b[1] = np.clip(a[1] + random.randint(-9, 10, a[1].shape), 0, 255)
    b[2] = a[2]
    return a / 255, b / 255


def test_lpips_agrees_with_torch_fidelity(network, pairs):
    found = network.lpips(*pairs)
    np.testing.assert_allclose(found, GOLDEN["lpips"], rtol=1e-5)
    assert found[2] == 0


def test_the_maps_agree_with_torchvision(network, pairs):
    maps = network.maps(pairs[0][:1])
    assert [m.shape[1:] for m in maps] == [
        (32, 40, 64),
        (16, 20, 128),
        (8, 10, 256),
        (4, 5, 512),
        (2, 2, 512),
    ]
    for map_, expected in zip(maps, GOLDEN["mean_of_maps"], strict=True):
        np.testing.assert_allclose(map_.mean(axis=(0, 1, 2))[::16], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_features_agree_with_torch_fidelity(pairs):
    network = VGG16(drawn(("features", "classifier")))
    found = network.features(pairs[0])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[:, ::64], GOLDEN["fc2"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), GOLDEN["fc2_norm"], rtol=1e-5)
    assert np.array_equal(network.features(pairs[0][1:2]), found[1:2])


def test_the_same_bits_alone_and_in_company(network):
    a, b = np.random.RandomState(2).random_sample((2, 11, 16, 16, 3))
    together = network.lpips(a, b)
    alone = np.concatenate([network.lpips(a[i : i + 1], b[i : i + 1]) for i in range(11)])
    assert np.array_equal(together, alone)
    np.testing.assert_allclose(network.lpips(b, a), together, rtol=1e-12)  # it is symmetric


def test_what_it_cannot_compare_is_refused(network, weights):
    x = np.zeros((2, 16, 16, 1))
    assert network.lpips(x, x).tolist() == [0, 0]
    with pytest.raises(DataError, match="pairs of equal size"):
        network.lpips(x, x[:1])
    with pytest.raises(DataError, match="16x16 or more"):
        network.lpips(x[:, :15], x[:, :15])
    with pytest.raises(ConfigError, match=r"fetch https://.*vgg\.pth"):
        VGG16(weights[0]).lpips(x, x)


@pytest.mark.slow
def test_from_files_saved_and_loaded(network, weights, pairs, tmp_path):
    paths = [tmp_path / name for name in ("vgg16.pth", "vgg.pth")]
    for path, arrays in zip(paths, weights, strict=True):
        write_torch(path, arrays)
    digests = [file_digest(path) for path in paths]
    made = make_vgg(paths[0], digests[0], paths[1], digests[1])
    made.save(tmp_path / "saved")
    loaded = load_feature_network(tmp_path / "saved")
    assert loaded.name == made.name
    assert np.array_equal(loaded.lpips(*pairs), network.lpips(*pairs))
    without = make_vgg(paths[0], digests[0], None)
    assert without.digest != made.digest
    without.save(tmp_path / "without")
    assert load_feature_network(tmp_path / "without").name == without.name


def test_weights_of_another_network_are_refused(weights, tmp_path):
    path = tmp_path / "weights.pth"
    write_torch(path, {"conv1.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(DataError, match=r"not VGG16.*it has no tensor features\.0\.weight"):
        make_vgg(path, file_digest(path), None)
    with pytest.raises(KeyError, match="should have"):
        VGG16(weights[0], {f"lin{i}.model.1.weight": np.ones(3, np.float32) for i in range(5)})
