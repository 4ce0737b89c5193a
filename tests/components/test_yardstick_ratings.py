"""The yardstick of ratings: errors of predictions, and recommendations that leave out what a user knows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.examples import Examples
from components.judge import Judge
from components.metrics.ratings import ABOUT, NOTHING
from components.settings import EvaluateSettings
from components.yardsticks import ratings
from components.yardsticks.ratings import PLACES, Yardstick
from tests.components.tiny_examples import examples_of, splits_of

USERS, ITEMS, STRANGERS = 60, 40, 30
SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2}
_RANDOM = np.random.default_rng(0)
TASTE = _RANDOM.normal(size=(USERS, 2)) @ _RANDOM.normal(size=(2, ITEMS))  # of each user for each item


def rating_of(user: int, item: int) -> float:
    """In half steps from 0.5 to 5."""
    return float(np.clip(np.round(2 * (3 + TASTE[user, item])) / 2, 0.5, 5))


def write(path: Path, users: int = USERS, items: int = ITEMS) -> Path:
    """Every user rates about half of the items; strangers rate one item once, so that some are held out."""
    random = np.random.default_rng(1)
    lines = ["user,item,rating"]
    for user in range(users):
        for item in range(items):
            if random.random() < 0.5:
                lines.append(f"u{user:02},i{item:02},{rating_of(user, item)}")
    lines += [f"stranger {one},i{one % items:02},3" for one in range(STRANGERS)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    root = tmp_path_factory.mktemp("ratings")
    return examples_of(f"ratings:{write(root / 'r.csv')}", root, split=SPLIT)


@pytest.fixture(scope="module")
def yardstick(made: Examples) -> Yardstick:
    return Yardstick(made, splits_of(made), EvaluateSettings())


class Knowing:
    """Predicts what users would say, by their names; 3 of strangers. `error` is added to it."""

    likelihood, family = "none", "knowing"

    def __init__(self, examples: Examples, error: float = 0.0, sign: int = 1) -> None:
        self.error, self.asked = error, 0
        self.table = np.full((examples.spec.users, examples.spec.items), 3.0)
        for row, user in enumerate(examples.encoding["users"], 1):
            for column, item in enumerate(examples.encoding["items"], 1):
                if user.startswith("u"):
                    taste = rating_of(int(user[1:]), int(item[1:]))
                    self.table[row, column] = 3 + sign * (taste - 3)

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        return np.zeros((n, 3), np.float32)

    def predict_rating(self, x: np.ndarray) -> np.ndarray:
        assert x.dtype == np.int32
        assert x.ndim == 2
        self.asked = max(self.asked, len(x))
        return self.table[x[:, 0], x[:, 1]] + self.error


class Constant:
    likelihood, family = "none", "constant"

    def predict_rating(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), 3.0)


def lists_of(yardstick: Yardstick, model: Any, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Recommended items `[u, places]` and the users `[u]` they are for."""
    known = yardstick.examples.arrays("train")["x"]
    found = yardstick._recommendations(model, known, yardstick.data[split]["x"][:, 0])
    return found["recommended"], found["recommended_to"]


# -- predictions ---------------------------------------------------------------------------------------


def test_all_metrics_of_ratings_are_measured(yardstick: Yardstick, made: Examples) -> None:
    found = yardstick.of_model(Knowing(made), "test")
    assert set(found.metrics) == set(ABOUT)
    assert found.notes == {}
    assert yardstick.main in found.metrics
    held = yardstick.data["test"]
    assert {(one.extra["n"], one.extra["places"]) for one in found.metrics.values()} == {
        (len(held["x"]), PLACES)
    }
    assert (held["x"][:, 0] == 0).any()
    for name in set(ABOUT) - {"rmse_unknown_item"}:
        one = found.metrics[name]
        assert one.low <= one.value <= one.high, name
    assert found.metrics["rmse_unknown_item"].why == "no held-out rating is of an unknown item"


def test_a_model_that_knows_makes_no_error(yardstick: Yardstick, made: Examples) -> None:
    right = yardstick.of_model(Knowing(made), "test").metrics
    assert right["rmse"].value == pytest.approx(0, abs=1e-6)
    assert right["rated_ndcg"].value == pytest.approx(1)
    shifted = yardstick.of_model(Knowing(made, error=0.25), "test").metrics
    assert shifted["rmse"].value == pytest.approx(0.25)
    assert shifted["mae"].value == pytest.approx(0.25)
    assert shifted["rated_ndcg"].value == pytest.approx(1)  # the order is the same


def test_order_tells_what_errors_do_not(yardstick: Yardstick, made: Examples) -> None:
    right, constant, wrong = (
        yardstick.of_model(model, "test").metrics
        for model in (Knowing(made), Constant(), Knowing(made, sign=-1))
    )
    assert wrong["rmse"].value > constant["rmse"].value > right["rmse"].value
    for name in ("rated_ndcg", "ndcg", "ranking_recall"):
        assert wrong[name].value < constant[name].value < right[name].value, name
    held = yardstick.data["test"]["rating"]
    assert constant["rmse"].value == pytest.approx(np.sqrt(np.mean((held - 3) ** 2)))
    assert constant["item_coverage"].value < right["item_coverage"].value
    assert constant["item_gini"].value > right["item_gini"].value


def test_ratings_of_strangers_are_told_apart(yardstick: Yardstick, made: Examples) -> None:
    """They all say 3: who predicts 3.5 is off by a half there, and by nothing elsewhere."""

    class Off(Knowing):
        def predict_rating(self, x: np.ndarray) -> np.ndarray:
            return super().predict_rating(x) + np.where(x[:, 0] == 0, 0.5, 0.0)

    found = yardstick.of_model(Off(made), "test").metrics
    assert found["rmse_unknown_user"].value == pytest.approx(0.5)
    assert found["rmse_known"].value == pytest.approx(0, abs=1e-6)
    strange = (yardstick.data["test"]["x"][:, 0] == 0).sum()
    assert found["rmse_unknown_user"].extra["ratings"] == strange


def test_predictions_that_are_not_finite_are_told(yardstick: Yardstick, made: Examples) -> None:
    model = Knowing(made)
    model.table[-1] = np.nan
    found = yardstick.of_model(model, "test").metrics
    assert math.isnan(found["rmse"].value)
    assert "predictions are not finite" in found["rmse"].why
    recommended, to = lists_of(yardstick, model)
    assert (recommended[to == made.spec.users - 1] == NOTHING).all()


# -- recommendations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_a_user_rated_in_training_is_never_recommended(
    yardstick: Yardstick, made: Examples, split: str
) -> None:
    known = {tuple(pair) for pair in made.arrays("train")["x"].tolist()}
    recommended, to = lists_of(yardstick, Knowing(made), split)
    assert recommended.shape == (len(to), PLACES)
    best = Knowing(made).table
    for user, items in zip(to.tolist(), recommended.tolist(), strict=True):
        assert not any((user, item) in known for item in items)
        assert 0 not in items  # the unknown item
        assert len(set(items)) == PLACES
        left = [item for item in range(1, made.spec.items) if (user, item) not in known]
        assert best[user, items].tolist() == sorted(best[user, left], reverse=True)[:PLACES]


def test_strangers_are_recommended_nothing(yardstick: Yardstick, made: Examples) -> None:
    _, to = lists_of(yardstick, Knowing(made))
    assert to.tolist() == sorted({user for user in yardstick.data["test"]["x"][:, 0].tolist() if user})


def test_all_training_ratings_are_known_though_few_are_looked_at(made: Examples) -> None:
    """The judge looks at the first training examples only: what a user knows is all of them."""
    data = splits_of(made)
    whole = Yardstick(made, data, EvaluateSettings()).of_model(Knowing(made), "test")
    cut = {**data, "train": {name: array[:20] for name, array in data["train"].items()}}
    part = Yardstick(made, cut, EvaluateSettings()).of_model(Knowing(made), "test")
    assert repr(part.metrics) == repr(whole.metrics)


@pytest.mark.parametrize("at_once", [1, 100, 700])
def test_users_in_batches_are_users_one_by_one(
    yardstick: Yardstick, made: Examples, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole, to = lists_of(yardstick, Knowing(made))
    monkeypatch.setattr(ratings, "PAIRS_AT_ONCE", at_once)
    model = Knowing(made)
    again, same = lists_of(yardstick, model)
    assert model.asked == max(1, at_once // made.spec.items) * made.spec.items
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(same, to)


def test_an_item_is_worth_recommending_high_on_the_scale_of_training(
    yardstick: Yardstick, made: Examples
) -> None:
    """From 0.5 to 5 that is 3.65 and above."""
    assert (made.encoding["lowest"], made.encoding["highest"]) == (0.5, 5.0)
    held = yardstick.data["test"]
    recommended, to = lists_of(yardstick, Knowing(made))
    recall = []
    for user, items in zip(to.tolist(), recommended.tolist(), strict=True):
        mine = (held["x"][:, 0] == user) & (held["rating"][:, 0] >= 3.65) & (held["x"][:, 1] > 0)
        wanted = set(held["x"][mine, 1].tolist())
        if wanted:
            recall.append(len(wanted & set(items)) / min(len(wanted), PLACES))
    found = yardstick.of_model(Knowing(made), "test").metrics["ranking_recall"]
    assert found.value == pytest.approx(np.mean(recall))


# -- what cannot be measured ---------------------------------------------------------------------------


def test_as_few_items_as_places_are_no_ranking(tmp_path: Path) -> None:
    source = f"ratings:{write(tmp_path / 'r.csv', 30, PLACES)}"
    examples = examples_of(source, tmp_path, split=SPLIT)
    found = Yardstick(examples, splits_of(examples), EvaluateSettings()).of_model(Knowing(examples), "test")
    assert math.isfinite(found.metrics["rmse"].value)
    assert "ndcg" not in found.metrics
    assert f"more than {PLACES} items" in found.notes["ndcg"]
    assert found.notes["ndcg"].endswith(f"and {PLACES} items")


def test_a_model_that_predicts_no_ratings_is_noted(yardstick: Yardstick) -> None:
    class Other:
        family = "lda"

    found = yardstick.of_model(Other(), "test")
    assert found.metrics == {}
    assert found.notes == {"rmse": "family 'lda' predicts no ratings"}


def test_the_judge_measures_both_splits_and_notes_what_there_is_none_of(made: Examples) -> None:
    judge = Judge(made, EvaluateSettings())
    model: Any = Knowing(made)
    found = judge.measure(model, judge.samples(model, 100))
    for split in ("validation", "test"):
        assert found.splits[split]["rmse"].value == pytest.approx(0, abs=1e-6)
        assert "rmse_unknown_item" not in found.splits[split]
    assert found.notes["rmse_unknown_item"] == "no held-out rating is of an unknown item"
    assert judge.main_metric(model) == "rmse"
