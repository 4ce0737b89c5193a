"""Path length of generators whose path length is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.path_length import feature_distance, lerp, path_length, slerp

RANDOM = np.random.RandomState(0)
WEIGHTS = RANDOM.randn(6, 12)


def latents(seed: int, n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    return random.randn(n, d), random.randn(n, d)


def linear(z: np.ndarray) -> np.ndarray:
    return z @ WEIGHTS


def same(images: np.ndarray) -> np.ndarray:
    return images


def trimmed(values: np.ndarray) -> float:
    """StyleGAN's cut, by ranks: of 400 the ranks 3 (lower) and 396 (higher) are the last that stay."""
    assert len(values) == 400
    return float(np.sort(values)[3:397].mean())


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_a_linear_generator_along_lines_has_the_length_of_its_steps(sampling: str) -> None:
    a, b = latents(1)
    found = path_length(linear, same, a, b, method="lerp", sampling=sampling)
    expected = trimmed(np.square((b - a) @ WEIGHTS).sum(axis=1))
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.extra["ratio"] == pytest.approx(1, abs=1e-6)
    assert found.low < found.value < found.high


def test_a_quadratic_generator_from_the_end_has_its_derivative_and_the_next_term() -> None:
    """f(z) = z²: f(a + ε δ) - f(a) = ε (2 a δ + ε δ²)."""
    a, b = latents(2)
    epsilon = 1e-3
    found = path_length(np.square, same, a, b, method="lerp", sampling="end", epsilon=epsilon)
    step = b - a
    assert found.value == pytest.approx(
        trimmed(np.square(2 * a * step + epsilon * step**2).sum(axis=1)), rel=1e-9
    )


def test_the_arc_turns_evenly_and_its_length_is_the_angle() -> None:
    """On unit vectors ‖dz/dt‖ is the angle; in general r(t)² angle² + (|b| - |a|)²."""
    a, b = latents(3)
    norms = [np.linalg.norm(part, axis=1, keepdims=True) for part in (a, b)]
    angle = np.arccos(np.sum(a * b, axis=1) / norms[0][:, 0] / norms[1][:, 0])
    unit = path_length(same, same, a / norms[0], b / norms[1])
    assert unit.value == pytest.approx(trimmed(angle**2), rel=1e-6)
    found = path_length(same, same, a, b, sampling="end")
    squares = (norms[0][:, 0] * angle) ** 2 + (norms[1] - norms[0])[:, 0] ** 2
    assert found.value == pytest.approx(trimmed(squares), rel=1e-3)


@settings(derandomize=True, max_examples=50)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from([np.float32, np.float64]))
def test_paths_go_from_one_end_to_the_other(seed: int, t: float, kind: type) -> None:
    a, b = (part.astype(kind) for part in latents(seed, 3))
    for between in (lerp, slerp):
        near = 1e-5 if kind is np.float32 else 1e-12
        np.testing.assert_allclose(between(a, b, np.zeros(3)), a, atol=near)
        np.testing.assert_allclose(between(a, b, np.ones(3)), b, atol=near)
        middle = between(a, b, np.full(3, t))
        assert middle.dtype == kind
        np.testing.assert_allclose(between(b, a, np.full(3, 1 - t)), middle, atol=near)
    lengths = np.linalg.norm(slerp(a, b, np.full(3, t)), axis=1)
    ends = np.sort([np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)], axis=0)
    assert (lengths >= ends[0] - 1e-4).all()
    assert (lengths <= ends[1] + 1e-4).all()


def test_the_arc_between_parallel_and_zero_latents_is_finite() -> None:
    a = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[2.0, 4.0], [1.0, 1.0], [1.0, 1e-12]])
    middle = slerp(a, b, np.full(3, 0.5))
    np.testing.assert_allclose(middle[0], [1.5, 3.0])
    assert np.isfinite(middle).all()


def test_grey_levels_as_floats_are_found_out_and_bytes_refused() -> None:
    a, b = latents(4)

    def rounded(z: np.ndarray) -> np.ndarray:
        return np.round(255 / (1 + np.exp(-linear(z)))) / 255

    found = path_length(rounded, same, a, b)
    assert math.isnan(found.value)
    assert not found.estimable
    assert "ten times" in found.why
    assert found.extra["ratio"] > 5
    assert path_length(lambda z: 1 / (1 + np.exp(-linear(z))), same, a, b).value > 0
    with pytest.raises(DataError, match="uint8"):
        path_length(lambda z: rounded(z).astype(np.uint8), same, a, b)


def test_half_precision_needs_a_larger_step() -> None:
    a, b = latents(5)

    def half(z: np.ndarray) -> np.ndarray:
        return np.tanh(linear(z).astype(np.float16) / np.float16(4))

    exact = path_length(lambda z: np.tanh(linear(z) / 4), same, a, b, method="lerp").value
    assert math.isnan(path_length(half, same, a, b, method="lerp").value)
    coarse = path_length(half, same, a, b, method="lerp", epsilon=2e-2)
    assert coarse.value == pytest.approx(exact, rel=0.1)


def test_a_constant_decoder_has_no_length() -> None:
    a, b = latents(6)
    found = path_length(lambda z: np.zeros((len(z), 3)), same, a, b)
    assert (found.value, found.extra["ratio"]) == (0, 1)


def test_scale_laws_and_pieces() -> None:
    a, b = latents(7, 100)
    whole = path_length(np.tanh, same, a, b)
    assert path_length(lambda z: 3 * np.tanh(z), same, a, b).value == pytest.approx(9 * whole.value)
    assert path_length(np.tanh, same, a, b, batch=7) == whole
    assert path_length(np.tanh, same, a, b, seed=1) != whole


def test_maps_are_compared_by_direction_over_channels() -> None:
    """Two maps: one turns by a right angle in half of its places (2 · ½), one only grows (0)."""
    one = np.zeros((1, 2, 2, 2))
    one[..., 0] = 5
    other = one.copy()
    other[0, 0] = [0, 3]
    grown = RANDOM.rand(1, 3, 3, 4) + 0.1
    assert feature_distance([one, grown], [other, 2 * grown]) == pytest.approx([1.0])
    assert feature_distance(one, other) == pytest.approx([1.0])
    silent = np.zeros((1, 2, 2, 2))
    assert feature_distance([silent], [silent]) == [0]
    assert feature_distance(np.zeros((2, 3)), np.ones((2, 3))).tolist() == [3, 3]


def test_intervals_cover() -> None:
    """Of 200 sets of 200 pairs, 95 % intervals hold the number of 100,000 pairs nearly as often."""
    expected = path_length(linear, same, *latents(10**6, 100_000), method="lerp", batch=100_000).value
    found = [path_length(linear, same, *latents(k, 200), method="lerp", batch=200) for k in range(200)]
    assert np.mean([one.low <= expected <= one.high for one in found]) >= 0.9


def test_no_number_where_a_feature_is_none_and_no_interval_for_few() -> None:
    a, b = latents(8, 30)
    few = path_length(linear, same, a, b)
    assert math.isfinite(few.value)
    assert "30 pairs" in few.why
    a[3] = np.nan
    spoilt = path_length(linear, same, a, b)
    assert math.isnan(spoilt.value)
    assert "not finite" in spoilt.why


@pytest.mark.parametrize(
    ("shapes", "options", "what"),
    [
        (((3, 4), (4, 4)), {}, "pairs of latents"),
        (((0, 4), (0, 4)), {}, "pairs of latents"),
        (((3, 1), (3, 1)), {}, "lerp"),
        (((3, 4), (3, 4)), {"method": "cubic"}, "cubic"),
        (((3, 4), (3, 4)), {"epsilon": 0.0}, "epsilon"),
    ],
)
def test_what_is_refused(shapes: tuple, options: dict, what: str) -> None:
    with pytest.raises(DataError, match=what):
        path_length(same, same, *(np.ones(shape) for shape in shapes), **options)
