"""Gate 2: each rule passes and fails, and says why."""

import math

import pytest

from components.errors import ConfigError
from components.gates import decide
from components.settings import GateSettings


def values(**numbers):
    return {"validation": {name: {"value": number} for name, number in numbers.items()}}


def evaluation(metric="classifier_fid", floors=None, champion=None, **numbers):
    return {"metric": metric, **values(**numbers), "floors": floors or {}, "champion": champion}


def champion(comparable=True, why_not="", **numbers):
    return {"version": 3, **values(**numbers), "comparable": comparable, "why_not": why_not}


def failures(verdict):
    return [reason for reason in verdict["reasons"] if reason.startswith("failed:")]


def judge(measured, **settings):
    verdict = decide(measured, GateSettings.parse(settings))
    assert verdict["blessed"] is (not failures(verdict))
    assert all(reason.startswith(("passed: ", "failed: ")) for reason in verdict["reasons"])
    assert all(reason.endswith(".") for reason in verdict["reasons"])
    return verdict


def test_a_first_good_model_passes_and_each_rule_says_so():
    floors = {"normal": values(classifier_fid=20.0), "hmm": values(nats=3.0)}
    verdict = judge(
        evaluation(classifier_fid=5.0, recall=0.6, floors=floors),
        limits={"classifier_fid": {"max": 10.0}, "recall": {"min": 0.5, "max": 1.0}},
        floor_ratio=0.5,
    )
    assert verdict["blessed"]
    assert verdict["reasons"] == [
        "passed: classifier_fid is 5 on the validation split.",
        "passed: classifier_fid is 5, at most its maximum 10.",
        "passed: recall is 0.6, at least its minimum 0.5.",
        "passed: recall is 0.6, at most its maximum 1.",
        "passed: classifier_fid is 5, better than 20 of the floor normal.",
        "passed: classifier_fid is 5, at most 0.5 of the best floor's 20.",
        "passed: there is no champion yet to be compared with.",
    ]


@pytest.mark.parametrize(
    ("limit", "value", "passes"),
    [
        ({"max": 2.0}, 2.0, True),
        ({"max": 2.0}, 2.1, False),
        ({"min": 2.0}, 2.0, True),
        ({"min": 2.0}, 1.9, False),
    ],
)
def test_limits_are_inclusive(limit, value, passes):
    assert judge(evaluation(classifier_fid=1.0, recall=value), limits={"recall": limit})["blessed"] is passes


@pytest.mark.parametrize("measured", [{}, {"recall": None}, {"recall": math.nan}])
def test_a_limit_on_what_was_not_measured_fails_with_its_name(measured):
    verdict = judge(evaluation(classifier_fid=1.0, **measured), limits={"recall": {"min": 0.5}})
    assert any(reason.startswith("failed: recall has a limit and") for reason in failures(verdict))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_the_metric_that_matters_must_be_a_number(value):
    verdict = judge(evaluation(classifier_fid=value, floors={"normal": values(classifier_fid=math.inf)}))
    assert not verdict["blessed"]
    assert "classifier_fid" in failures(verdict)[0]


def test_a_metric_never_mentioned_fails():
    assert "was not measured" in failures(judge(evaluation(recall=0.5)))[0]


def test_nan_in_a_metric_that_nobody_asked_about_refuses():
    verdict = judge(evaluation(classifier_fid=1.0, precision=math.nan))
    assert failures(verdict) == [
        "failed: precision is nan on the validation split, which is not a finite number."
    ]


def test_a_metric_that_was_left_out_refuses_nothing():
    assert judge(evaluation(classifier_fid=1.0, precision=None))["blessed"]


def test_every_floor_must_be_beaten_strictly():
    floors = {"diagonal": values(classifier_fid=60.0), "full": values(classifier_fid=20.0)}
    assert judge(evaluation(classifier_fid=19.9, floors=floors))["blessed"]
    assert failures(judge(evaluation(classifier_fid=20.0, floors=floors))) == [
        "failed: classifier_fid is 20, not better than 20 of the floor full."
    ]
    assert len(failures(judge(evaluation(classifier_fid=70.0, floors=floors)))) == 2
    assert judge(evaluation(classifier_fid=70.0, floors=floors), beat_floors=False)["blessed"]


def test_a_floor_that_is_nan_is_not_beaten():
    floors = {"full": values(classifier_fid=math.nan)}
    assert not judge(evaluation(classifier_fid=1.0, floors=floors))["blessed"]


def test_where_higher_is_better_floors_and_champion_turn_round():
    measured = evaluation("recall", recall=0.5, floors={"full": values(recall=0.4)})
    assert judge(measured)["blessed"]
    assert not judge(measured | {"floors": {"full": values(recall=0.6)}})["blessed"]
    assert judge(measured | {"champion": champion(recall=0.52)})["blessed"]
    assert not judge(measured | {"champion": champion(recall=0.6)})["blessed"]


def test_the_floor_ratio_is_of_the_best_floor():
    floors = {"diagonal": values(classifier_fid=60.0), "full": values(classifier_fid=20.0)}
    assert judge(evaluation(classifier_fid=10.0, floors=floors), floor_ratio=0.5)["blessed"]
    assert failures(judge(evaluation(classifier_fid=10.1, floors=floors), floor_ratio=0.5)) == [
        "failed: classifier_fid is 10.1, more than 0.5 of the best floor's 20."
    ]


def test_a_floor_ratio_means_nothing_for_a_likelihood():
    """Half of -3 nats is worse than -3 nats."""
    measured = evaluation("nats", nats=-4.0, floors={"normal": values(nats=-3.0)})
    assert "works with distances only" in failures(judge(measured, floor_ratio=0.5))[0]
    assert judge(measured)["blessed"]


def test_no_floor_measured_it():
    verdict = judge(evaluation(classifier_fid=1.0, floors={"hmm": values(nats=1.0)}))
    assert "passed: classifier_fid was measured of no floor, so there is none to beat." in verdict["reasons"]


@pytest.mark.parametrize(
    ("value", "best", "passes"),
    [
        (10.0, 10.0, True),  # a tie is no worse
        (10.5, 10.0, True),  # at the margin
        (10.51, 10.0, False),
        (3.0, 10.0, True),
        (0.0, 0.0, True),  # zero has no margin
        (0.001, 0.0, False),
        (-9.6, -10.0, True),  # negative nats: the margin is of the size, not towards better
        (-9.4, -10.0, False),
        (-11.0, -10.0, True),
    ],
)
def test_the_champion_may_be_missed_by_the_margin(value, best, passes):
    verdict = judge(evaluation("nats", nats=value, champion=champion(nats=best)), champion_margin=0.05)
    assert verdict["blessed"] is passes
    assert "(version 3)" in verdict["reasons"][-1]


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (
            champion(comparable=False, why_not="another feature network", classifier_fid=9.0),
            "feature network",
        ),
        (champion(comparable=False, classifier_fid=9.0), "its evaluation differs"),
        (champion(recall=0.5), "it has no classifier_fid"),
        (champion(classifier_fid=None), "it has no classifier_fid"),
        (champion(classifier_fid=math.nan), "its classifier_fid is nan"),
    ],
)
def test_a_champion_that_cannot_be_compared_with_refuses_and_names_the_remedy(held, why):
    measured = evaluation(classifier_fid=5.0, champion=held)
    reason = failures(judge(measured))[0]
    assert why in reason
    assert "--set gates.champion=false" in reason
    assert "another name" in reason
    assert judge(measured, champion=False)["blessed"]


def test_a_collapsed_model_is_refused():
    measured = evaluation(classifier_fid=1.0) | {"collapsed": "900 of 1000 samples are the same"}
    assert failures(judge(measured)) == [
        "failed: the model has collapsed (900 of 1000 samples are the same)."
    ]


def test_the_recipe_may_choose_another_metric():
    measured = evaluation("nats", nats=100.0, recall=0.5, floors={"normal": values(nats=50.0, recall=0.4)})
    assert not judge(measured)["blessed"]
    assert judge(measured, metric="recall")["blessed"]


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"'clasifier_fid' is no metric.*did you mean 'classifier_fid'"):
        judge(evaluation(classifier_fid=1.0), metric="clasifier_fid")
