"""Gate 2: each rule passes, fails or cannot tell, and says why."""

import math

import pytest

from components.errors import ConfigError
from components.gates import decide, undecided
from components.settings import GateSettings

WIDTH = 0.1  # of every interval here, on each side


def entry(value, width=WIDTH):
    if value is None or not math.isfinite(value):
        return {"value": value, "low": math.nan, "high": math.nan, "no_interval": "a value is not finite"}
    return {"value": value, "low": value - width, "high": value + width, "interval": "jackknife of 20 shards"}


def values(width=WIDTH, **numbers):
    return {"validation": {name: entry(number, width) for name, number in numbers.items()}}


def floor(own, other, metric="classifier_fid", width=WIDTH, ratio=1.0):
    found = values(**{metric: other})
    if other is None or not math.isfinite(other):
        return {**found, "difference": entry(math.nan)}
    return {**found, "difference": entry(own - other, width), "share": entry(own - ratio * other, width)}


def evaluation(metric="classifier_fid", floors=None, champion=None, width=WIDTH, **numbers):
    return {"metric": metric, **values(width, **numbers), "floors": floors or {}, "champion": champion}


def champion(own=5.0, comparable=True, why_not="", width=WIDTH, slices=(), **numbers):
    best = next(iter(numbers.values()), None)
    gap = own - best if best is not None and math.isfinite(best) else math.nan
    return {
        "version": 3, **values(**numbers), "comparable": comparable, "why_not": why_not,
        "difference": entry(gap, width), "slices": list(slices),
    }  # fmt: skip


def said(verdict, word):
    return [reason for reason in verdict["reasons"] if reason.startswith(f"{word}:")]


def judge(measured, **settings):
    verdict = decide(measured, GateSettings.parse(settings))
    failed, open_ = bool(said(verdict, "failed")), bool(said(verdict, "inconclusive"))
    assert verdict["outcome"] == ("fail" if failed else "inconclusive" if open_ else "pass")
    assert verdict["blessed"] is (verdict["outcome"] == "pass")
    assert all(reason.endswith(".") for reason in verdict["reasons"])
    return verdict


def test_a_first_good_model_passes_and_each_rule_says_so():
    floors = {"normal": floor(5.0, 20.0, ratio=0.5), "hmm": values(nats=3.0)}
    verdict = judge(
        evaluation(classifier_fid=5.0, recall=0.6, floors=floors),
        limits={"classifier_fid": {"max": 10.0}, "recall": {"min": 0.5, "max": 1.0}},
        floor_ratio=0.5,
    )
    assert verdict["reasons"] == [
        "passed: classifier_fid is 5 (4.9 to 5.1) on the validation split.",
        "passed: classifier_fid is 5 (4.9 to 5.1), and its maximum is 10.",
        "passed: recall is 0.6 (0.5 to 0.7), and its minimum is 0.5.",
        "passed: recall is 0.6 (0.5 to 0.7), and its maximum is 1.",
        "passed: classifier_fid is 5 (4.9 to 5.1), and 20 (19.9 to 20.1) of the floor normal.",
        "passed: classifier_fid is 5 (4.9 to 5.1), and 0.5 of the best floor's (normal) is asked for.",
        "passed: there is no champion yet to be compared with.",
    ]


@pytest.mark.parametrize(
    ("limit", "value", "outcome"),
    [
        ({"max": 2.0}, 1.9, "pass"),
        ({"max": 2.0}, 1.95, "inconclusive"),
        ({"max": 2.0}, 2.05, "inconclusive"),
        ({"max": 2.0}, 2.2, "fail"),
        ({"min": 2.0}, 2.1, "pass"),
        ({"min": 2.0}, 2.05, "inconclusive"),
        ({"min": 2.0}, 1.8, "fail"),
        ({"min": 1.0, "max": 3.0}, 2.0, "pass"),
        ({"min": 1.0, "max": 3.0}, math.inf, "fail"),
    ],
)
def test_the_whole_interval_must_meet_a_limit(limit, value, outcome):
    verdict = judge(evaluation(classifier_fid=1.0, recall=value), limits={"recall": limit})
    assert verdict["outcome"] == outcome
    assert undecided(verdict) == (["recall"] if outcome == "inconclusive" else [])


def test_what_has_no_interval_is_open_and_says_why():
    measured = evaluation(classifier_fid=1.0)
    measured["validation"]["recall"] = {"value": 0.9, "low": None, "high": None, "no_interval": "30 examples"}
    verdict = judge(measured, limits={"recall": {"min": 0.5}})
    assert said(verdict, "inconclusive") == [
        "inconclusive: recall is 0.9, and its minimum is 0.5, without an interval (30 examples): give more, "
        "or set gates.intervals=false."
    ]
    assert judge(measured, limits={"recall": {"min": 0.5}}, intervals=False)["blessed"]
    assert not judge(measured, limits={"recall": {"min": 0.91}}, intervals=False)["blessed"]


@pytest.mark.parametrize("measured", [{}, {"recall": None}, {"recall": math.nan}])
def test_a_limit_on_what_was_not_measured_fails(measured):
    verdict = judge(evaluation(classifier_fid=1.0, **measured), limits={"recall": {"min": 0.5}})
    assert "recall has a limit" in said(verdict, "failed")[-1]


def test_copies_are_limited_where_the_recipe_says_nothing():
    assert said(judge(evaluation(classifier_fid=1.0, copy_excess=0.3)), "failed") == [
        "failed: copy_excess is 0.3 (0.2 to 0.4), and its maximum is 0.05."
    ]
    own = {"copy_excess": {"max": 1.0}}
    assert judge(evaluation(classifier_fid=1.0, copy_excess=0.3), limits=own)["blessed"]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_the_metric_that_matters_must_be_a_number(value):
    verdict = judge(evaluation(classifier_fid=value, floors={"normal": floor(1.0, math.inf)}))
    assert len(said(verdict, "failed")) == 1
    assert "classifier_fid" in said(verdict, "failed")[0]


def test_no_other_number_may_be_nan():
    verdict = judge(evaluation(classifier_fid=1.0, precision=math.nan))
    assert "precision is nan" in said(verdict, "failed")[0]


def test_what_was_not_measured_is_no_fault():
    assert judge(evaluation(classifier_fid=1.0, precision=None))["blessed"]


def test_every_floor_is_to_be_beaten():
    def run(value, **settings):
        floors = {"diagonal": floor(value, 60.0), "full": floor(value, 20.0)}
        return judge(evaluation(classifier_fid=value, floors=floors), **settings)

    assert run(19.0)["blessed"]
    assert run(19.95)["outcome"] == "inconclusive"
    assert said(run(21.0), "failed") == [
        "failed: classifier_fid is 21 (20.9 to 21.1), and 20 (19.9 to 20.1) of the floor full."
    ]
    assert len(said(run(70.0), "failed")) == 2
    assert run(70.0, beat_floors=False)["blessed"]


def test_a_floor_itself_does_not_beat_itself():
    same = floor(20.0, 20.0, width=0.0)
    assert not judge(evaluation(classifier_fid=20.0, floors={"full": same}))["blessed"]


def test_a_floor_that_is_nan_is_not_beaten():
    floors = {"full": floor(1.0, math.nan)}
    assert not judge(evaluation(classifier_fid=1.0, floors=floors))["blessed"]


def test_more_is_better_where_the_metric_says_so():
    floors = {"hmm": floor(0.7, 0.5, "recall")}
    assert judge(evaluation("recall", recall=0.7, floors=floors))["blessed"]
    floors = {"hmm": floor(0.3, 0.5, "recall")}
    assert not judge(evaluation("recall", recall=0.3, floors=floors))["blessed"]


def test_the_floor_ratio_is_of_the_best_floor():
    def run(value):
        floors = {"diagonal": floor(value, 60.0, ratio=0.5), "full": floor(value, 20.0, ratio=0.5)}
        return judge(evaluation(classifier_fid=value, floors=floors), floor_ratio=0.5)

    assert run(9.8)["blessed"]
    assert "0.5 of the best floor's (full) is asked for" in said(run(11.0), "failed")[0]


def test_a_floor_ratio_means_nothing_for_a_likelihood():
    floors = {"normal": floor(-1.0, 5.0, "nats")}
    verdict = judge(evaluation("nats", nats=-1.0, floors=floors), floor_ratio=0.5)
    assert "works with distances only" in said(verdict, "failed")[0]


def test_floors_that_the_metric_cannot_judge_are_told():
    verdict = judge(evaluation(classifier_fid=1.0, floors={"hmm": values(nats=1.0)}))
    assert "passed: classifier_fid was measured of no floor, so there is none to beat." in verdict["reasons"]


@pytest.mark.parametrize(
    ("metric", "value", "best", "outcome"),
    [
        ("nats", 100.0, 100.0, "pass"),
        ("nats", 104.8, 100.0, "pass"),
        ("nats", 105.0, 100.0, "inconclusive"),
        ("nats", 105.2, 100.0, "fail"),
        ("nats", -100.0, -104.8, "pass"),
        ("nats", -100.0, -106.0, "fail"),
        ("recall", 10.0, 10.4, "pass"),
        ("recall", 9.0, 10.0, "fail"),
    ],
)
def test_no_worse_than_the_champion_but_for_the_margin(metric, value, best, outcome):
    held = champion(value, **{metric: best})
    assert judge(evaluation(metric, champion=held, **{metric: value}))["outcome"] == outcome


def test_a_champion_at_zero_can_be_followed():
    held = champion(0.01, width=0.01, classifier_fid=0.0)
    verdict = judge(evaluation(classifier_fid=0.01, champion=held))
    assert verdict["blessed"], verdict  # its own standard error (0.05 here) is tolerated


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (champion(comparable=False, why_not="another size", classifier_fid=9.0), "another size"),
        (champion(comparable=False, classifier_fid=9.0), "its evaluation differs"),
        (champion(recall=0.5), "it has no classifier_fid"),
        (champion(classifier_fid=None), "it has no classifier_fid"),
        (champion(classifier_fid=math.nan), "its classifier_fid is nan"),
    ],
)
def test_a_champion_that_cannot_be_compared_stops_the_line(held, why):
    measured = evaluation(classifier_fid=5.0, champion=held)
    assert why in said(judge(measured), "failed")[0]
    assert judge(measured, champion=False)["blessed"]


def test_a_slice_clearly_worse_than_the_champions_stops_the_line():
    one = {"slice": "class 3", "metric": "recall", "value": 0.1, "champion": 0.9, "regression": 0.8}
    fine = {"slice": "class 4", "metric": "recall", "value": 0.88, "champion": 0.9, "regression": 0.02}
    held = champion(classifier_fid=5.0, slices=[{**one, "worse": True}, {**fine, "worse": False}])
    measured = evaluation(classifier_fid=5.0, champion=held)
    assert "recall of class 3 is 0.1 and 0.9 for the champion" in said(judge(measured), "failed")[0]
    assert judge(measured, slices=False)["blessed"]
    held["slices"] = [{**fine, "worse": False}]
    assert "the largest regression is recall of class 4, 0.02." in judge(measured)["reasons"][-1]


def test_a_collapse_fails():
    measured = evaluation(classifier_fid=1.0) | {"collapsed": "900 of 1000 samples are the same"}
    assert said(judge(measured), "failed") == [
        "failed: the model has collapsed (900 of 1000 samples are the same)."
    ]


def test_an_unknown_metric_is_named_with_what_was_meant():
    with pytest.raises(ConfigError, match=r"'clasifier_fid' is no metric.*did you mean 'classifier_fid'"):
        judge(evaluation(classifier_fid=1.0), metric="clasifier_fid")
