"""The Inception network against torch-fidelity's, both with the same random weights (double precision there)."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import DataError, IntegrityError
from components.feature_networks import load_feature_network
from components.inception import SIDE, Inception, make_inception
from components.weights import file_digest
from tests.components.torch_files import write_torch

GOLDEN = json.loads((Path(__file__).parent / "golden" / "inception.json").read_text())


@pytest.fixture(scope="module")
def weights():
    """As the golden file's recipe draws them: in the order of their names."""
    random = np.random.RandomState(0)
    made = {}
    for name, shape in GOLDEN["shapes"].items():
        if name.endswith(("bn.weight", "running_var")):
            array = random.random_sample(shape) + 0.5
        elif name.endswith((".bias", "running_mean")):
            array = random.standard_normal(shape) * 0.1
        else:
            array = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        made[name] = array.astype(np.float32)
    return made


@pytest.fixture(scope="module")
def network(weights):
    return Inception(weights, "0" * 64)


@pytest.fixture(scope="module")
def images():
    random = np.random.RandomState(1)
    return [random.randint(0, 256, shape) / 255 for shape in ((1, 32, 32, 3), (1, 320, 400, 3))]


@pytest.mark.parametrize("which", [0, 1], ids=["enlarged", "reduced"])
def test_it_agrees_with_torch_fidelity(network, images, which):
    expected = GOLDEN["images"][which]
    features = network.features(images[which])
    assert features.shape == (1, 2048)
    assert features.dtype == np.float64
    scale = expected["pool_3_norm"] / np.sqrt(2048)
    np.testing.assert_allclose(features[0, ::32], expected["pool_3"], rtol=1e-4, atol=1e-5 * scale)
    assert np.linalg.norm(features) == pytest.approx(expected["pool_3_norm"], rel=1e-5)
    shares = network.probabilities(images[which])
    assert shares.sum() == pytest.approx(1)
    logits = np.array(expected["logits"])
    # Only differences of outputs are left in a softmax.
    found = np.log(np.maximum(shares[0, ::16], 1e-300))
    kept = found > -600
    assert kept.sum() > 20
    np.testing.assert_allclose(
        (found - found[kept][0])[kept], (logits - logits[kept][0])[kept], atol=1e-4 * expected["logits_norm"]
    )


def test_its_maps_agree_too(network, images):
    maps = network.maps(images[0])
    assert [m.shape for m in maps] == [(1, 73, 73, 64), (1, 35, 35, 192), (1, 17, 17, 768), (1, 8, 8, 2048)]
    assert network.layers[2] == "Mixed_6e"
    for map_, name in zip(maps, ("64", "192", "768")):
        expected = GOLDEN["images"][0][f"mean_of_map_{name}"]
        np.testing.assert_allclose(map_.mean(axis=(0, 1, 2))[::16], expected, rtol=1e-4, atol=1e-5)


def test_the_same_bits_alone_and_in_company(network):
    random = np.random.RandomState(2)
    x = random.random_sample((3, 8, 8, 3))
    together = network.features(x)
    assert np.array_equal(network.features(x[2:]), together[2:])
    x[1, 0, 0, 0] = np.nan
    unknown = network.features(x)
    assert np.isnan(unknown[1]).all()
    assert np.array_equal(unknown[[0, 2]], together[[0, 2]])


def test_images_are_rounded_to_8_bits_and_grey_is_repeated(network):
    eight_bits = np.random.RandomState(3).randint(0, 256, (1, 8, 8, 1))
    near = (eight_bits + 0.3) / 255
    found = network.features(
        np.concatenate([np.repeat(eight_bits / 255, 3, axis=3), np.repeat(near, 3, axis=3)])
    )
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(network.features(near), found[:1])


def test_what_it_does_not_take_is_refused(network):
    with pytest.raises(DataError, match="was given 4 channels"):
        network.features(np.zeros((2, 8, 8, 4)))
    with pytest.raises(DataError, match=r"takes images \[any, any, any\]"):
        network.features(np.zeros((8, 8, 3)))


@pytest.mark.slow
def test_resizing_as_clean_fid_proposes_is_another_network(network, weights, images):
    other = Inception(weights, "0" * 64, resize="pillow")
    assert other.digest != network.digest
    eight_bits = np.rint(images[1][0] * 255).astype(np.float32)
    by_hand = np.stack(
        [
            np.asarray(Image.fromarray(eight_bits[..., c]).resize((SIDE, SIDE), Image.BICUBIC))
            for c in range(3)
        ],
        -1,
    )
    # At 299x299 nothing is left to resize, but 8 bits are rounded to: so the two differ by that alone.
    whole = np.rint(np.clip(by_hand, 0, 255)) / 255
    near, far = other.features(images[1]), network.features(images[1])
    reference = network.features(whole[None])
    assert np.linalg.norm(near - reference) < 0.1 * np.linalg.norm(far - reference)


@pytest.mark.slow
def test_from_a_file_saved_and_loaded(network, weights, tmp_path):
    path = tmp_path / "weights.pth"
    write_torch(path, weights)
    made = make_inception(path, file_digest(path))
    made.save(tmp_path / "saved")
    loaded = load_feature_network(tmp_path / "saved")
    assert loaded.name == made.name == f"inception@{made.digest[:8]}"
    x = np.random.RandomState(4).random_sample((1, 8, 8, 3))
    assert np.array_equal(loaded.features(x), network.features(x))
    assert (
        sum(file.stat().st_size for file in (tmp_path / "saved").iterdir()) < 1000
    )  # weights are not copied
    facts = json.loads((tmp_path / "saved" / "inception.json").read_text())
    (tmp_path / "saved" / "inception.json").write_text(json.dumps(facts | {"digest": "0" * 64}))
    with pytest.raises(IntegrityError, match="another digest"):
        load_feature_network(tmp_path / "saved")


def test_weights_of_another_network_are_refused(weights, tmp_path):
    path = tmp_path / "weights.pth"
    write_torch(path, {"conv1.weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(DataError, match=r"not the Inception network of FID: it has no tensor Conv2d_1a_3x3"):
        make_inception(path, file_digest(path))
    write_torch(path, weights | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    with pytest.raises(DataError, match=r"its fc.weight is \[1000, 2048\]"):
        make_inception(path, file_digest(path))
