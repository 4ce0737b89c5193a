"""Generated series against real ones: real data told from broken data, copies found, gaps left out."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics import windows
from components.metrics.series import ABOUT, series_metrics, wasserstein

small = settings(max_examples=20, deadline=None, derandomize=True)
DATA = os.environ.get("MOZART_TEST_DATA")


def waves(seed, n=60, steps=32, c=2, memory=0.8):
    """Autoregressive windows whose channels share half of their noise."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(n, steps + 50, c)) + random.normal(size=(n, steps + 50, 1))
    x = np.zeros_like(noise)
    for t in range(1, steps + 50):
        x[:, t] = memory * x[:, t - 1] + noise[:, t]
    return x[:, 50:]


def everywhere(x):
    return np.ones(x.shape, bool)


# -- what a window shows -------------------------------------------------------------------------------


@small
@given(st.integers(0, 999), st.integers(4, 40), st.floats(0, 0.5))
def test_autocorrelation_by_its_definition_with_gaps(seed, steps, lost):
    random = np.random.default_rng(seed)
    x, seen = random.normal(size=(2, steps, 1)), random.random((2, steps, 1)) >= lost
    found = windows.autocorrelation(x, seen, steps // 2)
    for i in range(2):
        there = seen[i, :, 0]
        z = np.where(there, x[i, :, 0] - x[i, there, 0].mean() if there.any() else 0, 0)
        for lag in range(1, steps // 2 + 1):
            pairs = int((there[lag:] & there[:-lag]).sum())
            if pairs < max(2, steps / 8) or not np.square(z).sum() > 0:
                assert np.isnan(found[i, lag - 1, 0])
                continue
            product = (z[lag:] * z[:-lag]).sum() / pairs
            assert found[i, lag - 1, 0] == pytest.approx(product / np.square(z[there]).mean(), abs=1e-9)


@small
@given(st.integers(0, 999), st.floats(0.1, 1000), st.floats(-10, 10))
def test_shape_does_not_depend_on_units(seed, scale, shift):
    x = waves(seed, 3, 16)
    for show in (
        lambda x: windows.autocorrelation(x, everywhere(x), 8),
        lambda x: windows.spectrum(x, everywhere(x)),
        lambda x: windows.channel_correlation(x, everywhere(x)),
    ):
        assert show(scale * x + shift) == pytest.approx(show(x), abs=1e-7)


def test_a_sine_has_its_power_in_one_frequency_and_its_memory_at_its_period():
    t = np.arange(48)
    x = np.sin(2 * np.pi * t / 12)[None, :, None] + 5
    shares = windows.spectrum(x, everywhere(x))[0, :, 0]
    assert shares.argmax() == 3  # four waves in 48 steps
    assert shares[3] == pytest.approx(1)
    memory = windows.autocorrelation(x, everywhere(x), 12)[0, :, 0]
    assert memory[11] == pytest.approx(1, abs=1e-9)
    assert memory[5] == pytest.approx(-1, abs=0.05)


def test_windows_that_do_not_change_show_nothing():
    x = np.full((2, 16, 2), 0.1)
    assert np.isnan(windows.autocorrelation(x, everywhere(x), 4)).all()
    assert np.isnan(windows.spectrum(x, everywhere(x))).all()
    assert np.isnan(windows.channel_correlation(x, everywhere(x))).all()
    assert np.isfinite(windows.features(x, everywhere(x))).all()


def test_correlation_of_channels_is_numpys():
    x = waves(1, 4, 20, 3)
    oracle = [np.corrcoef(one.T)[np.triu_indices(3, 1)] for one in x]
    assert windows.channel_correlation(x, everywhere(x)) == pytest.approx(np.array(oracle), abs=1e-12)


@small
@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 30))
def test_wasserstein_is_scipys(seed, n, m):
    from scipy.stats import wasserstein_distance

    random = np.random.default_rng(seed)
    a, b = random.normal(size=n), random.normal(size=m) + 1
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b), abs=1e-12)


# -- the suite -----------------------------------------------------------------------------------------


def test_windows_of_the_same_process_are_alike_and_of_another_are_not():
    real = waves(1, 200)
    same, other = series_metrics(waves(2, 200), real), series_metrics(waves(3, 200, memory=0.3), real)
    for name in ("autocorrelation_distance", "spectrum_distance"):
        assert same[name].low == 0
        assert other[name].low > same[name].high, name
    assert same["classifier_accuracy"].extra["p"] > 0.05
    assert other["classifier_accuracy"].low > 0.8
    assert other["two_sample_accuracy"].low > 0.6


def test_each_distance_sees_its_own_fault():
    real, samples = waves(4, 100), waves(5, 100)
    parted = samples.copy()
    parted[..., 1] = waves(6, 100)[..., 1]  # channels of other windows
    faults = {
        "channel_correlation_distance": parted,
        "marginal_ks": samples + 1.5,
        "marginal_wasserstein": samples * 1.8,
        "autocorrelation_distance": np.random.default_rng(0).permuted(samples, axis=1),
    }
    fine = series_metrics(samples, real)
    for name, broken in faults.items():
        found = series_metrics(broken, real)[name]
        assert found.low > 0, name
        assert found.value > 3 * fine[name].value, name
    shifted = series_metrics(real + 2 * real.std(axis=(0, 1)), real)["marginal_wasserstein"]
    assert shifted.value == pytest.approx(2, abs=1e-9)  # standard deviations


def test_the_order_of_windows_does_not_matter_and_equal_sets_are_at_zero():
    real, samples = waves(7), waves(8)
    first = series_metrics(samples, real)
    second = series_metrics(samples[::-1], real[np.random.default_rng(0).permutation(60)])
    for name in ABOUT:
        if name != "classifier_accuracy":  # whose folds are drawn by place
            assert second[name].value == pytest.approx(first[name].value, abs=1e-9), name
    equal = series_metrics(real, real)
    for name in ("autocorrelation_distance", "spectrum_distance", "marginal_ks", "marginal_wasserstein"):
        assert (equal[name].value, equal[name].low) == (0, 0), name


def test_the_same_windows_give_the_same_bits():
    real, samples, training = waves(9), waves(10), waves(11)
    assert series_metrics(samples, real, training) == series_metrics(samples, real, training)


def test_gaps_are_left_out_and_counted():
    real, samples = waves(12, 200), waves(13, 200)
    mask = np.ones(real.shape, np.uint8)
    mask[:150, 20:] = 0  # padded
    mask[5, :, 1] = 0
    wild = np.where(mask, real, 1e9)
    found, whole = series_metrics(samples, wild, mask=mask), series_metrics(samples, real)
    assert found["autocorrelation_distance"].extra["real_left_out"] == 0
    assert found["spectrum_distance"].extra["real_left_out"] == 150
    for name in ("autocorrelation_distance", "marginal_ks", "channel_correlation_distance"):
        assert found[name].value == pytest.approx(whole[name].value, abs=0.03), name
        assert found[name].low == 0, name  # samples are judged with the same gaps
    assert found["classifier_accuracy"].low < 0.5
    missing = series_metrics(samples, np.where(mask, real, np.nan))
    assert {name: missing[name].value for name in ABOUT} == {name: found[name].value for name in ABOUT}


def test_a_model_that_repeats_one_value_is_marked_and_told_apart():
    found = series_metrics(np.zeros((60, 32, 2)), waves(14))
    assert np.isnan(found["autocorrelation_distance"].value)
    assert "60 of 60 samples" in found["autocorrelation_distance"].why
    assert found["marginal_ks"].low > 0.2
    assert found["classifier_accuracy"].low > 0.9


def test_whole_series_or_blocks_of_windows_are_drawn():
    random = np.random.default_rng(0)
    level = np.repeat(random.normal(size=(12, 1, 1)) * 5, 10, axis=0)  # twelve series, ten windows each
    real, samples = waves(15, 120) + level, waves(16, 120)
    width = {}
    for name, options in {
        "windows": {},
        "series": {"series": np.repeat(np.arange(12), 10)},
        "blocks": {"block": 10},
    }.items():
        found = series_metrics(samples, real, **options)["marginal_wasserstein"]
        width[name] = found.high - found.low
        assert name in found.method
    assert width["series"] > 1.5 * width["windows"]
    assert width["blocks"] > 1.3 * width["windows"]
    few = series_metrics(samples, real, block=60)["marginal_wasserstein"]
    assert few.why == "2 blocks of 60 windows are fewer than 5"
    assert np.isnan(few.low)


def test_bad_input_is_refused_or_marked():
    real, samples = waves(17), waves(18)
    samples[4, 3, 0] = np.nan
    found = series_metrics(samples, real, real)
    assert {"copy_rate", *ABOUT} < set(found)
    assert all(np.isnan(one.value) and "1 of 60 samples" in one.why for one in found.values())
    with pytest.raises(DataError, match="windows of the same steps and channels"):
        series_metrics(waves(1, steps=16), real)
    with pytest.raises(DataError, match="have lags up to 31"):
        series_metrics(waves(1), real, lags=32)
    with pytest.raises(DataError, match="is infinite"):
        series_metrics(waves(1), np.where(real > 2, np.inf, real))
    few = series_metrics(waves(1, 4), real)
    assert "draw more" in few["classifier_accuracy"].why
    assert few["marginal_ks"].why == "4 windows are fewer than 5"


def test_one_channel_and_one_step_are_said():
    one = series_metrics(waves(1, c=1), waves(2, c=1))
    assert one["channel_correlation_distance"].why == "there is one channel"
    step = series_metrics(waves(1, steps=1), waves(2, steps=1))
    assert step["autocorrelation_distance"].why == "windows of 1 steps are too short"
    assert step["marginal_ks"].estimable


# -- copies --------------------------------------------------------------------------------------------


def test_five_percent_of_copied_windows_are_found_as_five():
    training, real, samples = waves(20, 1500), waves(21, 1500), waves(22, 1000)
    samples[:50] = training[100:150] + 0.01 * np.random.default_rng(0).normal(size=(50, 32, 2))
    found = series_metrics(samples, real, training)
    assert found["copy_excess"].value == pytest.approx(0.05, abs=0.015)
    assert found["copy_excess"].low > 0.02
    pairs = found["copy_rate"].extra["pairs"]
    assert pairs
    assert all(one["training"] == one["sample"] + 100 for one in pairs)
    honest = series_metrics(waves(23, 1000), real, training)["copy_excess"]
    assert honest.low <= 0 <= honest.high


# -- real data -----------------------------------------------------------------------------------------


def real_windows(name, columns, length, most):
    path = Path(DATA or "", "timeseries", name)
    if not DATA or not path.is_file():
        pytest.skip("MOZART_TEST_DATA is not set")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    x = np.array([[np.nan if row[k] == "NA" else float(row[k]) for k in columns] for row in rows])
    x = (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)
    return x[: min(len(x) // length, most) * length].reshape(-1, length, len(columns))


@pytest.mark.parametrize(
    ("name", "columns", "length"),
    [("pollution.csv", (5, 6, 7, 8), 48), ("monthly-sunspots.csv", (1,), 36)],
)
def test_on_real_series_the_autocorrelation_ranks_what_is_broken(name, columns, length):
    """Real against real, then with random phases, with pieces of six steps swapped, shuffled altogether."""
    x = real_windows(name, columns, length, 450)
    training, real, samples = x[0::3], x[1::3], x[2::3]
    samples = samples[np.isfinite(samples).all(axis=(1, 2))]
    random = np.random.default_rng(0)
    waves_ = np.fft.rfft(samples, axis=1)
    turn = np.exp(2j * np.pi * random.random(waves_.shape))
    turn[:, [0, -1]] = 1
    pieces = samples.reshape(len(samples), length // 6, 6, -1)
    broken = {
        "phases": np.fft.irfft(waves_ * turn, length, axis=1),
        "pieces": np.stack([one[random.permutation(length // 6)] for one in pieces]).reshape(samples.shape),
        "shuffled": np.stack([one[random.permutation(length)] for one in samples]),
    }
    fine = series_metrics(samples, real, training)
    assert fine["autocorrelation_distance"].low == 0
    assert fine["autocorrelation_distance"].value < 1.5 * fine["autocorrelation_distance"].extra["floor"]
    assert fine["classifier_accuracy"].extra["p"] > 0.05
    last = 2 * fine["autocorrelation_distance"].value
    for fault, changed in broken.items():
        found = series_metrics(changed, real)
        assert found["autocorrelation_distance"].value > last, fault
        assert found["autocorrelation_distance"].low > 0, fault
        assert found["classifier_accuracy"].extra["p"] < 0.05, fault
        last = found["autocorrelation_distance"].value
    # Random phases keep every spectrum as it was: only what looks at more can tell.
    same = series_metrics(broken["phases"], real)["spectrum_distance"].value
    assert same == pytest.approx(fine["spectrum_distance"].value, abs=1e-9)


def test_on_real_series_five_percent_of_copies_are_found_as_five():
    x = real_windows("pollution.csv", (6, 7, 8), 24, 1800)
    training, real, samples = x[0::3], x[1::3], x[2::3].copy()
    samples[:30] = training[200:230] + 0.001 * np.random.default_rng(0).normal(size=(30, 24, 3))
    found = series_metrics(samples, real, training)
    assert found["copy_excess"].value == pytest.approx(30 / 600, abs=0.015)


@pytest.mark.slow
def test_bounds_of_distances_hold_also_where_there_is_no_difference():
    """At no difference the interval has 0 in it; at one it holds the value of very many windows."""
    far = {memory: series_metrics(waves(1, 4000, memory=memory), waves(2, 4000)) for memory in (0.8, 0.6)}
    names = ("autocorrelation_distance", "spectrum_distance", "marginal_ks", "marginal_wasserstein")
    for memory, truth in far.items():
        held = dict.fromkeys(names, 0)
        for seed in range(60):
            found = series_metrics(waves(100 + seed, 80, memory=memory), waves(500 + seed, 80))
            for name in names:
                goal = 0 if memory == 0.8 else truth[name].value
                held[name] += found[name].low <= goal <= found[name].high
        assert min(held.values()) >= 54, (memory, held)
