"""Forecast metrics against golden values, closed forms, brute force and simulation."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics import calibration, forecasts
from components.metrics.dependent import Units, ratio_over
from components.metrics.forecasts import (
    ABOUT,
    crps,
    energy_score,
    forecast_metrics,
    naive_error,
    pinball,
    smape,
)

GOLDEN = Path(__file__).parent / "golden"
CRPS = json.loads((GOLDEN / "crps.json").read_text())
HAND = json.loads((GOLDEN / "forecasts.json").read_text())
small = settings(max_examples=30, deadline=None, derandomize=True)


def exact(text):
    return float(Fraction(text))


def forecast(seed, n=40, h=6, c=2, s=50, bias=0.0, spread=1.0, steps=30):
    """Truth and members drawn alike, but for a bias and a factor on the members' spread."""
    random = np.random.default_rng(seed)
    centre = random.normal(size=(n, h, c)) * 2
    truth = centre + random.normal(size=(n, h, c))
    members = centre + bias + spread * random.normal(size=(s, n, h, c))
    return truth, members, random.normal(size=(n, steps, c)).cumsum(axis=1)


# -- golden values and closed forms --------------------------------------------------------------------


@pytest.mark.parametrize("case", CRPS["cases"], ids=lambda case: f"{case['kind']}-{case['members']}")
def test_crps_is_that_of_properscoring(case):
    random = np.random.RandomState(case["seed"])
    truth = random.standard_normal(case["n"])
    members = random.standard_normal((case["members"], case["n"])) * 1.3 + 0.2
    change = {"normal": np.asarray, "rounded": np.round, "skewed": np.exp}[case["kind"]]
    found = crps(change(truth), change(members))
    assert found.mean() == pytest.approx(case["mean"], abs=1e-12)
    assert found[:5] == pytest.approx(case["first"], abs=1e-12)


def test_crps_of_many_members_is_that_of_the_normal_they_are_drawn_from():
    from scipy.special import ndtri

    normal = CRPS["gaussian"]
    members = normal["mean"] + normal["std"] * ndtri((np.arange(100_000) + 0.5) / 100_000)
    assert crps(np.array(normal["y"]), members) == pytest.approx(normal["crps"], abs=1e-8)


def test_by_hand():
    truth, point, history = (np.array(HAND[name], float) for name in ("truth", "point", "history"))
    terms = [exact(term) for term in HAND["smape_terms"]]
    assert smape(truth, point) == pytest.approx(terms, abs=1e-12)
    ensemble = HAND["ensemble"]
    members, y = np.array(ensemble["members"], float), np.array(float(ensemble["truth"]))
    assert crps(y, members) == pytest.approx(exact(ensemble["crps"]), abs=1e-15)
    assert crps(y, members, fair=True) == pytest.approx(exact(ensemble["fair_crps"]), abs=1e-15)
    for season, mase in HAND["mase"].items():
        found = forecast_metrics(
            truth[None, :, None], point[None, None, :, None], history[None, :, None], int(season)
        )
        assert found["smape"].value == pytest.approx(exact(HAND["smape"]), abs=1e-12)
        assert found["mase"].value == pytest.approx(exact(mase), abs=1e-12)


@small
@given(st.integers(0, 999), st.integers(1, 9), st.booleans())
def test_crps_is_the_mean_distance_less_half_the_mean_among_members(seed, s, ties):
    random = np.random.default_rng(seed)
    truth, members = random.normal(size=5) * 2, random.normal(size=(s, 5)) * 2
    if ties:
        truth, members = np.round(truth), np.round(members)
    reach = np.abs(members - truth).mean(axis=0)
    pairs = np.abs(members[:, None] - members).sum(axis=(0, 1)) / 2
    assert crps(truth, members) == pytest.approx(reach - pairs / s**2, abs=1e-12)
    assert (crps(truth, members) >= 0).all()
    if s > 1:
        assert crps(truth, members, fair=True) == pytest.approx(reach - pairs / (s * (s - 1)), abs=1e-12)


@small
@given(st.integers(0, 999), st.integers(1, 8), st.integers(1, 4))
def test_the_energy_score_by_brute_force_and_in_one_dimension_the_crps(seed, s, d):
    random = np.random.default_rng(seed)
    truth, members = random.normal(size=(3, d)), random.normal(size=(s, 3, d))
    reach = np.linalg.norm(members - truth, axis=2).mean(axis=0)
    pairs = np.linalg.norm(members[:, None] - members, axis=3).mean(axis=(0, 1)) / 2
    assert energy_score(truth, members) == pytest.approx(reach - pairs, abs=1e-12)
    assert energy_score(truth[:, :1], members[:, :, :1]) == pytest.approx(
        crps(truth[:, 0], members[..., 0]), abs=1e-12
    )


def test_the_pinball_loss_of_nine_quantiles_is_near_the_crps_and_not_it():
    random = np.random.default_rng(0)
    truth, members = random.normal(size=4000), random.normal(size=(400, 4000))
    assert pinball(truth, members).mean() == pytest.approx(crps(truth, members).mean() * 1.09, rel=0.02)


# -- laws ----------------------------------------------------------------------------------------------


@small
@given(st.integers(0, 999), st.floats(0.01, 100), st.floats(-50, 50))
def test_scale_and_shift_laws(seed, scale, shift):
    random = np.random.default_rng(seed)
    truth, members = random.normal(size=4), random.normal(size=(7, 4))
    moved = crps(scale * truth + shift, scale * members + shift)
    assert moved == pytest.approx(scale * crps(truth, members), rel=1e-9, abs=1e-10 * (scale + 50))
    assert smape(scale * truth, scale * members[0]) == pytest.approx(smape(truth, members[0]), rel=1e-12)
    history = random.normal(size=(2, 9, 1))
    assert naive_error(scale * history, 2) == pytest.approx(scale * naive_error(history, 2), rel=1e-12)


@small
@given(st.integers(0, 999), st.integers(1, 9))
def test_the_crps_of_a_point_is_its_absolute_error(seed, s):
    random = np.random.default_rng(seed)
    truth, point = random.normal(size=6), random.normal(size=6)
    members = np.repeat(point[None], s, axis=0)
    assert crps(truth, members) == pytest.approx(np.abs(truth - point), abs=1e-15)
    assert energy_score(truth[:, None], members[..., None]) == pytest.approx(np.abs(truth - point), abs=1e-15)


def test_the_order_of_series_and_of_members_does_not_matter():
    truth, members, history = forecast(3)
    rows, order = np.random.default_rng(0).permutation(len(truth)), np.random.default_rng(1).permutation(50)
    first = forecast_metrics(truth, members, history, 4)
    second = forecast_metrics(truth[rows], members[order][:, rows], history[rows], 4)
    for name in ABOUT:
        assert second[name].value == pytest.approx(first[name].value, rel=1e-9), name


def test_windows_taken_at_once_do_not_change_a_bit(monkeypatch):
    truth, members, history = forecast(4, n=13, h=1, c=1)
    whole = forecast_metrics(truth, members, history)
    monkeypatch.setattr(forecasts, "BLOCK", 1)
    assert forecast_metrics(truth, members, history) == whole


# -- what is right and what is not ---------------------------------------------------------------------


def test_the_true_distribution_beats_biased_narrow_and_wide_ones():
    proper = ("crps", "fair_crps", "energy_score", "weighted_quantile_loss")
    true = forecast_metrics(*forecast(5, n=200))
    for wrong in ({"bias": 0.5}, {"spread": 0.4}, {"spread": 2.5}):
        found = forecast_metrics(*forecast(5, n=200, **wrong))
        for name in proper:
            assert found[name].value > true[name].value * 1.02, (name, wrong)
        assert found["calibration_error"].low > true["calibration_error"].high, wrong
        assert found["rank_chi2"].extra["p"] < 1e-6, wrong


@pytest.mark.parametrize("members", [39, 60, 200])
def test_intervals_of_a_calibrated_ensemble_hold_their_share(members):
    found = forecast_metrics(*forecast(6, n=300, s=members))
    for level in (50, 80, 95):
        coverage = found[f"interval_coverage_{level}"]
        assert coverage.low <= level / 100 <= coverage.high, level
    assert found["calibration_error"].low == 0
    assert found["rank_chi2"].extra["p"] > 0.01
    widths = [found[f"interval_width_{level}"].value for level in (50, 80, 95)]
    assert widths == pytest.approx([1.349, 2.563, 3.92], rel=0.1)  # few members: a little wider


def test_too_few_members_reach_no_95_percent_interval():
    found = forecast_metrics(*forecast(7, s=10))
    assert np.isnan(found["interval_coverage_95"].value)
    assert "10 members reach no 95 % interval: 39 would" in found["interval_width_95"].why
    assert found["interval_coverage_80"].estimable


def test_all_hits_have_an_interval_below_one():
    truth, members, history = forecast(8, spread=50)
    found = forecast_metrics(truth, members, history)["interval_coverage_95"]
    assert (found.value, found.high) == (1, 1)
    assert 0.85 < found.low < 0.95  # 40 series and not 480 steps


# -- bad input -----------------------------------------------------------------------------------------


def test_a_history_that_is_constant_or_too_short_is_set_aside_and_counted():
    truth, members, history = forecast(9, c=1)
    constant, short = history.copy(), history.copy()
    constant[:3] = 0.1
    short[0, :-2] = np.nan
    for changed, lost in ((constant, 3), (short, 1)):
        found = forecast_metrics(truth, members, changed, season=4)["mase"]
        rest = forecast_metrics(truth[lost:], members[:, lost:], history[lost:], season=4)["mase"]
        assert found.value == pytest.approx(rest.value, rel=1e-12)
        assert (found.extra["set_aside"], found.extra["of"]) == (lost, 40)
    nothing = forecast_metrics(truth, members, history[:, :3], season=4)["mase"]
    assert np.isnan(nothing.value)
    assert nothing.extra["set_aside"] == 40
    season = np.tile(np.sin(np.arange(4)), 5)[None, :, None] * 0.1 + 1e-17
    assert np.isnan(naive_error(season + 0.3, 4)).all()  # repeats itself up to rounding


def test_steps_that_were_not_observed_do_not_count():
    truth, members, history = forecast(10)
    hidden = np.random.default_rng(0).random(truth.shape) < 0.3
    mask = (~hidden).astype(np.uint8)
    wild = np.where(hidden, 1e6, truth)
    masked = forecast_metrics(wild, members, history, mask=mask)
    assert masked == forecast_metrics(np.where(hidden, np.nan, truth), members, history)
    assert masked["crps"].value == pytest.approx(crps(truth, members)[~hidden].mean(), rel=1e-12)


def test_what_is_not_finite_is_marked_and_never_a_number():
    truth, members, history = forecast(11)
    members[0, 3, 1, 0] = np.inf
    members[2, 7, 0, 0] = np.nan
    found = forecast_metrics(truth, members, history)
    assert all(np.isnan(one.value) and "2 of 40 windows" in one.why for one in found.values())
    assert np.isnan(crps(np.zeros(2), np.array([[1.0, np.nan], [2.0, 1.0]]))[1])


def test_wrong_shapes_are_refused():
    truth, members, history = forecast(12)
    with pytest.raises(DataError, match="do not belong together"):
        forecast_metrics(truth, members[:, 1:], history)
    with pytest.raises(DataError, match="give \\[members, windows, steps, channels\\]"):
        forecast_metrics(truth, members[0], history)
    with pytest.raises(DataError, match="a season has at least 1 step"):
        forecast_metrics(truth, members, history, 0)
    with pytest.raises(DataError, match="no step of the truth"):
        forecast_metrics(truth * np.nan, members, history)
    with pytest.raises(DataError, match="which they are"):
        forecast_metrics(truth, members, history, series=np.zeros(3))


# -- intervals -----------------------------------------------------------------------------------------


def test_windows_of_one_series_are_drawn_together():
    """Thirty windows of each of eight series whose level of error differs: the series decide, not the windows."""
    truth, members, history = forecast(13, n=240, c=1)
    numbers = np.repeat(np.arange(8), 30)
    members = members + np.linspace(-3, 3, 8)[numbers][:, None, None]
    alone = forecast_metrics(truth, members, history)["crps"]
    together = forecast_metrics(truth, members, history, series=numbers)["crps"]
    assert together.method == "bootstrap over 8 series"
    assert together.value == pytest.approx(alone.value, rel=1e-12)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    one = forecast_metrics(truth, members, history, series=np.zeros(240))["crps"]
    assert one.method == "bootstrap over 240 blocks of 6 steps"


def test_one_window_has_blocks_of_steps_for_means_and_no_interval_for_its_energy():
    found = forecast_metrics(*forecast(14, n=1, h=24))
    assert found["crps"].method == "bootstrap over 8 blocks of 3 steps"
    assert found["energy_score"].why == "1 windows are fewer than 5"
    assert "cannot be tested" in found["rank_chi2"].why


@pytest.mark.parametrize(("units", "least"), [(6, 0.88), (12, 0.9), (60, 0.92)])
def test_intervals_cover_also_for_few_series_with_skewed_errors(units, least):
    """The mean of half-normal errors over so many series; 250 replicates have a standard error of 1.4 %."""
    covered, one = 0, Units(np.repeat(np.arange(units), 2), units, 1, "series")
    for seed in range(250):
        error = np.abs(np.random.default_rng(seed).normal(size=2 * units))
        found = ratio_over(error, np.ones(2 * units), one)
        covered += found.low <= np.sqrt(2 / np.pi) <= found.high
    assert least <= covered / 250 <= 0.99


def test_the_rank_test_keeps_its_level_where_steps_depend_on_one_another():
    """Truth shares one shift over each window's six steps: counted as if independent, χ² is far too large."""
    alarms, plain = 0, 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        n, h, s = 80, 6, 19
        shift = random.normal(size=(s + 1, n, 1, 1))
        drawn = 2 * shift + random.normal(size=(s + 1, n, h, 1))
        rank = calibration.ranks(drawn[0], drawn[1:], random)
        units = Units(np.repeat(np.arange(n), h), n, 1, "series")
        extra = calibration.chi_squared(rank.ravel(), s, units).extra
        alarms += extra["p"] < 0.05
        plain += calibration._survival(n * h * np.sum((np.array(extra["shares"]) - 0.1) ** 2 / 0.1), 9) < 0.05
    assert alarms / 200 <= 0.09
    assert plain / 200 > 0.3


@pytest.mark.parametrize("degrees", [1, 2, 5, 8, 9])
def test_the_tail_of_chi_squared_is_scipys(degrees):
    from scipy.stats import chi2

    for value in (0.01, 1.0, 6.5, 40.0, 300.0):
        assert calibration._survival(value, degrees) == pytest.approx(chi2.sf(value, degrees), rel=1e-10)


@pytest.mark.parametrize(("windows", "steps"), [(60, 8), (1, 48)])
def test_blocks_of_steps_cover_where_errors_remember_each_other(windows, steps):
    """Absolute errors of an AR(1), of 0.7 and 0.5; drawing single steps covers 75 and 89 %."""
    held, memory = 0, 0.7 if windows > 1 else 0.5
    units = forecasts._units((windows, steps), np.zeros(windows), None)
    for seed in range(150):
        noise = np.random.default_rng(seed).normal(size=windows * steps + 50) * np.sqrt(1 - memory**2)
        error = np.zeros(len(noise))
        for t in range(1, len(error)):
            error[t] = memory * error[t - 1] + noise[t]
        found = ratio_over(np.abs(error[50:]).reshape(windows, steps), np.ones((windows, steps)), units)
        held += found.low <= np.sqrt(2 / np.pi) <= found.high
    assert held / 150 >= 0.88
