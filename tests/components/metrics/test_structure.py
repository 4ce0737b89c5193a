"""PSNR, SSIM and MS-SSIM: TensorFlow (golden and here), closed forms, and diversity of planted collapses."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.structure import diversity, ms_ssim, psnr, reconstruction, scales_of, ssim

GOLDEN = json.loads((Path(__file__).parent / "golden" / "ssim.json").read_text())


def noisy(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """As the golden file's recipe says."""
    random = np.random.RandomState(seed)
    images = random.rand(*shape)
    other = np.clip(images + 0.2 * random.randn(*shape), 0, 1)
    return images.astype(np.float32), other.astype(np.float32)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["shape"]))
def test_the_golden_values_of_tensorflow(case: dict) -> None:
    images, other = noisy(case["seed"], case["shape"])
    similarity, _ = ms_ssim(images, other, data_range=1)
    np.testing.assert_allclose(psnr(images, other, data_range=1), case["psnr_float32"], rtol=1e-6)
    np.testing.assert_allclose(ssim(images, other, data_range=1), case["ssim"], rtol=1e-12)
    np.testing.assert_allclose(similarity, case["ms_ssim"], rtol=1e-12)
    # As published, in float32: TensorFlow's means over windows are off by up to 3e-6 where there are many,
    # and its product over scales by up to 1.1e-5.
    near = 1e-6 if case["shape"][1] <= 64 else 1e-5
    np.testing.assert_allclose(ssim(images, other, data_range=1), case["ssim_float32"], atol=near)
    np.testing.assert_allclose(similarity, case["ms_ssim_float32"], atol=2e-5)


def test_tensorflow_itself() -> None:
    import tensorflow as tf

    images, other = (2 * part - 1 for part in noisy(9, (4, 48, 40, 3)))
    for own, theirs in ((ssim, tf.image.ssim), (psnr, tf.image.psnr)):
        np.testing.assert_allclose(
            own(images, other, data_range=2), theirs(images, other, 2.0).numpy(), rtol=1e-6
        )


def test_smooth_images_window_by_window() -> None:
    """Variances that are small against means, from centred windows: here a float32 loses five digits."""
    rows, columns = np.mgrid[0:24, 0:20] / 7
    one = np.sin(rows) + 10 + 0 * columns
    other = 0.7 * one + 0.01 * np.cos(columns)
    weights = np.exp(-np.square(np.arange(11) - 5) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    a, b = (np.lib.stride_tricks.sliding_window_view(image, (11, 11)) for image in (one, other))
    mean_a, mean_b = (np.sum(weights * part, axis=(2, 3), keepdims=True) for part in (a, b))
    spread = np.sum(weights * ((a - mean_a) ** 2 + (b - mean_b) ** 2), axis=(2, 3))
    shared = np.sum(weights * (a - mean_a) * (b - mean_b), axis=(2, 3))
    mean_a, mean_b = mean_a[..., 0, 0], mean_b[..., 0, 0]
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    expected = np.mean(luminance * (2 * shared + 9e-4) / (spread + 9e-4))
    found = ssim(one[None, ..., None], other[None, ..., None], data_range=1)
    assert found[0] == pytest.approx(expected, abs=1e-10)


def test_psnr_of_a_known_error() -> None:
    images = np.zeros((3, 4, 4, 1))
    other = np.stack([np.full((4, 4, 1), value) for value in (0.0, 0.1, 1.0)])
    assert psnr(images, other, data_range=1).tolist() == [math.inf, pytest.approx(20), 0]
    assert psnr(images, other, data_range=10)[2] == pytest.approx(20)


def test_bytes_do_not_wrap_around() -> None:
    black, white = np.zeros((1, 8, 8, 1), np.uint8), np.full((1, 8, 8, 1), 255, np.uint8)
    assert psnr(black, white, data_range=255)[0] == 0
    assert psnr(white, black, data_range=255)[0] == 0


def test_ssim_of_two_flat_images_is_its_luminance_term() -> None:
    one, other = np.full((1, 16, 16, 1), 0.2), np.full((1, 16, 16, 1), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(one, other, data_range=1)[0] == pytest.approx(expected, abs=1e-9)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.integers(3, 40), st.sampled_from([1, 3]))
def test_similarity_is_symmetric_and_one_of_itself(seed: int, height: int, width: int, channels: int) -> None:
    one, other = noisy(seed, (2, height, width, channels))
    for measure in (ssim, lambda *pair, data_range: ms_ssim(*pair, data_range=data_range)[0]):
        assert measure(one, one, data_range=1) == pytest.approx(1)
        found = measure(one, other, data_range=1)
        assert found == pytest.approx(measure(other, one, data_range=1), abs=1e-12)
        assert (found <= 1).all()


def test_units_do_not_matter() -> None:
    one, other = noisy(3, (2, 40, 40, 1))
    whole = np.float64(255)
    np.testing.assert_allclose(
        ssim(one * whole, other * whole, data_range=255), ssim(one, other, data_range=1), rtol=1e-10
    )


@pytest.mark.parametrize("shape", [(40, 28, 28, 1), (40, 64, 64, 3)])
def test_the_same_bits_in_any_number_of_pieces(shape: tuple[int, ...]) -> None:
    one, other = noisy(4, shape)
    for measure in (psnr, ssim, lambda *pair, data_range: ms_ssim(*pair, data_range=data_range)[0]):
        whole = measure(one, other, data_range=1)
        parts = [measure(one[k : k + 7], other[k : k + 7], data_range=1) for k in range(0, 40, 7)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("side", "count", "window", "name"),
    [
        (176, 5, 11, "ms_ssim"),
        (161, 5, 11, "ms_ssim"),
        (160, 4, 11, "ms_ssim_4_scales"),
        (64, 3, 11, "ms_ssim_3_scales"),
        (32, 2, 11, "ms_ssim_2_scales"),
        (28, 2, 11, "ms_ssim_2_scales"),
        (11, 1, 11, "ms_ssim_1_scale"),
        (10, 1, 9, "ms_ssim_1_scale_window_9"),
        (8, 1, 7, "ms_ssim_1_scale_window_7"),
    ],
)
def test_small_images_get_fewer_scales_and_another_name(
    side: int, count: int, window: int, name: str
) -> None:
    scales = scales_of(side, side + 50)
    assert (len(scales.weights), scales.window, scales.name) == (count, window, name)
    assert sum(scales.weights) == pytest.approx(1, abs=1e-3)
    assert ms_ssim(*noisy(0, (1, side, side, 1)), data_range=1)[1] == name


def test_reconstruction_states_means_with_intervals_and_a_small_window() -> None:
    one, other = noisy(5, (30, 8, 8, 1))
    found = reconstruction(one, other, data_range=1)
    assert found["psnr"].value == pytest.approx(psnr(one, other, data_range=1).mean())
    assert found["psnr"].low < found["psnr"].value < found["psnr"].high
    assert found["ssim"].extra["window"] == 7
    assert "window" not in reconstruction(*noisy(5, (30, 16, 16, 1)), data_range=1)["ssim"].extra


def test_a_pixel_that_is_no_number_shows() -> None:
    one, other = noisy(6, (3, 28, 28, 1))
    other[1, 5, 5] = np.nan
    for value in (psnr(one, other, data_range=1), ssim(one, other, data_range=1)):
        assert np.isnan(value).tolist() == [False, True, False]
    assert np.isnan(ms_ssim(one, other, data_range=1)[0]).tolist() == [False, True, False]
    found = reconstruction(one, other, data_range=1)["ssim"]
    assert math.isnan(found.value)
    assert found.why


@pytest.mark.parametrize(
    ("one", "other", "data_range", "what"),
    [
        (np.zeros((2, 8, 8, 1)), np.zeros((3, 8, 8, 1)), 1, "one by one"),
        (np.zeros((0, 8, 8, 1)), np.zeros((0, 8, 8, 1)), 1, "n > 0"),
        (np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8, 1)), 0, "above 0"),
        (np.zeros((1, 2, 8, 1)), np.zeros((1, 2, 8, 1)), 1, "3 pixels"),
        (np.zeros((8, 8)), np.zeros((8, 8)), 1, "channels"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    one: np.ndarray, other: np.ndarray, data_range: float, what: str
) -> None:
    with pytest.raises(DataError, match=what):
        ssim(one, other, data_range=data_range)


def blobs(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Blurred spots at random places, two classes by their size."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[0:28, 0:28]
    labels = np.arange(n) % 2
    places, sizes = random.uniform(8, 20, (n, 2)), np.where(labels, 12.0, 40.0)
    squares = (rows - places[:, :1, None]) ** 2 + (columns - places[:, 1:, None]) ** 2
    return np.exp(-squares / sizes[:, None, None])[..., None], labels


def test_diversity_of_real_like_samples_is_that_of_real_ones() -> None:
    real, real_labels = blobs(0, 400)
    samples, labels = blobs(1, 400)
    found = diversity(samples, real, data_range=1, labels=labels, real_labels=real_labels)
    assert found.low < found.extra["real"] < found.high
    assert found.extra["of_real"] == pytest.approx(1, abs=0.1)
    assert found.extra["measure"] == "ms_ssim_2_scales"
    assert found.extra["pairs"] == 200  # no image is in two pairs
    assert found == diversity(samples, real, data_range=1, labels=labels, real_labels=real_labels)


def test_a_collapse_within_classes_shows_although_every_class_is_there() -> None:
    real, real_labels = blobs(0, 200)
    collapsed = real[:2][real_labels] + 1e-3 * np.random.RandomState(2).randn(200, 28, 28, 1)
    found = diversity(collapsed, real, data_range=1, labels=real_labels, real_labels=real_labels)
    assert found.extra["of_real"] < 0.1
    assert found.high < found.extra["real_low"]
    # Without labels, pairs across the two classes would hide it.
    assert diversity(collapsed, real, data_range=1).value > 3 * found.value


def test_each_class_has_as_many_pairs_and_one_without_pairs_is_counted() -> None:
    real, labels = blobs(0, 100)
    own = np.where(np.arange(100) < 99, 0, 1)  # a single sample of the second class
    found = diversity(real, real, data_range=1, labels=own, real_labels=labels, pairs=10)
    assert found.extra["pairs"] == 10
    assert found.extra["classes_without_pairs"] == 1


def test_diversity_needs_pairs_and_labels_on_both_sides() -> None:
    real, labels = blobs(0, 10)
    with pytest.raises(DataError, match="two samples"):
        diversity(real[:1], real, data_range=1)
    with pytest.raises(DataError, match="labels"):
        diversity(real, real, data_range=1, labels=labels)
