"""What a request is told does not depend on who else was there."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from components.serving.asking import LogProbRequest, Refused, SampleRequest, question_of, wish_of
from components.serving.batching import Batcher, Busy, Question, Wish
from components.serving.current import Served
from keras_models.spec import Spec
from tests.components.serving.serving import batcher_of, fitted

IMAGE = Spec(kind="image", shape=(3, 3, 1), levels=2, classes=("zero", "one"))


@pytest.fixture(scope="module")
def served() -> Served:
    return fitted("naive_bayes", IMAGE)


class Gate:
    """Lets the model's thread pass when it is opened, and says that it has come."""

    def __init__(self, served: Served) -> None:
        self.served, self.came, self.open = served, threading.Event(), threading.Event()

    def __call__(self) -> Served:
        self.came.set()
        assert self.open.wait(60)
        return self.served


def test_who_waits_is_answered_together_and_as_if_alone(served: Served) -> None:
    gate, sizes = Gate(served), []
    batcher = Batcher(gate)
    batcher.told = sizes.append
    random = np.random.default_rng(0)
    first = batcher.ask(Wish(1, seed=0))
    assert gate.came.wait(60)
    wishes = [Wish(count, seed) for count, seed in random.integers(1, 200, (12, 2)).tolist()]
    wishes += [Wish(3, 5, np.array([1, 0, 1], np.int32)), Wish(150, 5)]
    questions = [Question({"x": random.integers(0, 2, (n, 3, 3, 1)).astype(np.float32)}) for n in (1, 40, 7)]
    answers = [batcher.ask(one) for one in (*wishes, *questions)]
    gate.open.set()
    for wish, answer in zip(wishes, answers, strict=False):
        drawn = answer.result(60)
        own = served.model.sample(wish.count, condition=wish.condition, seed=wish.seed)
        np.testing.assert_array_equal(drawn.samples, own)
    for question, answer in zip(questions, answers[len(wishes) :], strict=True):
        together = answer.result(60)[1]
        alone = batcher.ask(question).result(60)[1]
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_allclose(together, served.model.log_prob(question.inputs["x"]), rtol=1e-12)
    batcher.close()
    assert first.result(60).seed == 0
    assert sizes == [1, len(answers), 1, 1, 1]


def test_places_without_a_seed_are_given_away_once(served: Served) -> None:
    with batcher_of(served) as batcher:
        drawn = [batcher.ask(Wish(count)).result(60) for count in (1, 5, 300, 1, 122)]
    assert len({one.seed for one in drawn}) == 1
    assert [one.first for one in drawn] == [0, 1, 6, 306, 307]
    whole = served.model.sample(429, seed=drawn[0].seed)
    np.testing.assert_array_equal(np.concatenate([one.samples for one in drawn]), whole)


def test_more_than_may_wait_are_sent_away(served: Served) -> None:
    gate = Gate(served)
    batcher = Batcher(gate, waiting=2)
    kept = [batcher.ask(Wish(1))]
    assert gate.came.wait(60)
    kept += [batcher.ask(Wish(1)) for _ in range(2)]
    assert batcher.waiting == 2
    with pytest.raises(Busy):
        batcher.ask(Wish(1))
    gate.open.set()
    assert [len(one.result(60).samples) for one in kept] == [1, 1, 1]
    batcher.close()


def test_what_the_model_raises_reaches_who_asked_and_nobody_else(served: Served) -> None:
    with batcher_of(served) as batcher:
        wrong = batcher.ask(Question({"x": np.zeros((1, 5), np.float32)}))
        right = batcher.ask(Wish(2, seed=1))
        assert len(right.result(60).samples) == 2
        assert isinstance(wrong.exception(60), Exception)


def test_who_has_gone_is_not_computed_for(served: Served) -> None:
    gate = Gate(served)
    batcher = Batcher(gate)
    batcher.ask(Wish(1))
    assert gate.came.wait(60)
    gone = batcher.ask(Wish(1, seed=2))
    assert gone.cancel()
    gate.open.set()
    batcher.close()
    assert gone.cancelled()


@pytest.mark.parametrize("asked", [1, "one", [1, 1], ["one", 1]])
def test_a_class_is_asked_for_by_name_or_number(served: Served, asked: object) -> None:
    request = SampleRequest.model_validate({"count": 2, "condition": asked})
    wish = wish_of(request, served, chosen=9)
    assert (wish.seed, wish.condition.tolist()) == (9, [1, 1])


@pytest.mark.parametrize(
    ("asked", "said"),
    [(2, "none of the 2 classes: zero, one"), ("two", "none of the 2"), ([0], "2 samples need as many")],
)
def test_an_unknown_class_is_refused(served: Served, asked: object, said: str) -> None:
    request = SampleRequest.model_validate({"count": 2, "condition": asked})
    with pytest.raises(Refused, match=said):
        wish_of(request, served, chosen=9)


def test_sequences_may_leave_out_their_length() -> None:
    served = fitted("markov_chain", Spec(kind="tokens", shape=(4,), vocabulary=3))
    question = question_of(LogProbRequest(x=[[0, 1, 2, 0], [2, 2, 2, 2]]), served)
    assert question.inputs["length"].tolist() == [4, 4]
    for wrong, said in [
        ({"x": [[0, 1, 2, 3]]}, r"every symbol is in 0\.\.2"),
        ({"x": [[0, 1, 2, 0.5]]}, "whole numbers"),
        ({"x": [[0, 1, 2, 0]], "length": [5]}, r"every length is in 1\.\.4"),
        ({"x": [[0, 1, 2, 0]], "length": [2, 2]}, r"'length' is no array of whole numbers \[1\]"),
    ]:
        with pytest.raises(Refused, match=said):
            question_of(LogProbRequest.model_validate(wrong), served)
