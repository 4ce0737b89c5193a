"""Metrics of ratings and recommendations against sklearn, brute force and answers known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.metrics.ratings import ABOUT, NOTHING, gini, rating_metrics, top_items

small = settings(max_examples=30, deadline=None, derandomize=True)


def held_out(seed, users=60, items=40, each=8, noise=0.5):
    """Ratings of users with tastes of their own, and predictions that are off by `noise`."""
    random = np.random.default_rng(seed)
    user = np.repeat(np.arange(1, users + 1), each)
    item = np.concatenate([random.permutation(items)[:each] + 1 for _ in range(users)])
    taste = random.normal(size=users + 1)
    rating = np.clip(np.round(3 + taste[user] + random.normal(size=len(user))), 1, 5)
    return user, item, rating, rating + noise * random.normal(size=len(user))


def metrics(user, item, rating, predicted, **options):
    return rating_metrics(user, item, rating, predicted, **{"relevant": 4, **options})


# -- errors --------------------------------------------------------------------------------------------


def test_errors_by_their_definition_and_with_their_interval():
    user, item, rating, predicted = held_out(0, users=200, noise=0.7)
    found = metrics(user, item, rating, predicted)
    assert found["rmse"].value == pytest.approx(math.sqrt(np.square(predicted - rating).mean()), rel=1e-12)
    assert found["mae"].value == pytest.approx(np.abs(predicted - rating).mean(), rel=1e-12)
    assert found["rmse"].low < 0.7 < found["rmse"].high
    assert found["mae"].low < 0.7 * math.sqrt(2 / math.pi) < found["mae"].high


def test_users_are_drawn_and_not_ratings():
    user, item, rating, _ = held_out(1, users=30, each=30)
    off = np.random.default_rng(0).normal(size=31)[user]  # each user's ratings are off by the same
    found = metrics(user, item, rating, rating + off)["rmse"]
    apart = metrics(np.arange(1, len(user) + 1), item, rating, rating + off)["rmse"]
    assert found.value == pytest.approx(apart.value)
    assert found.high - found.low > 3 * (apart.high - apart.low)
    assert found.method == "bootstrap over 30 users"


@small
@given(st.integers(0, 999), st.floats(0.01, 100))
def test_errors_scale_with_the_scale_and_do_not_depend_on_the_order(seed, scale):
    user, item, rating, predicted = held_out(seed, users=8)
    first = metrics(user, item, rating, predicted)
    scaled = metrics(user, item, scale * rating, scale * predicted, relevant=4 * scale)
    order = np.random.default_rng(seed).permutation(len(user))
    mixed = metrics(user[order], item[order], rating[order], predicted[order])
    for name in ("rmse", "mae"):
        assert scaled[name].value == pytest.approx(scale * first[name].value, rel=1e-9)
        assert mixed[name].value == pytest.approx(first[name].value, rel=1e-12)
    assert mixed["rated_ndcg"].value == pytest.approx(first["rated_ndcg"].value, rel=1e-12)
    assert first["mae"].value <= first["rmse"].value


def test_unknown_users_and_items_are_slices_of_their_own():
    user, item, rating, predicted = held_out(2)
    user[:80], item[40:120] = 0, 0
    predicted[:80] += 3
    found = metrics(user, item, rating, predicted)
    known = (user > 0) & (item > 0)
    for name, those in {"known": known, "unknown_user": user == 0, "unknown_item": item == 0}.items():
        error = (predicted - rating)[those]
        assert found[f"rmse_{name}"].value == pytest.approx(math.sqrt(np.square(error).mean()), rel=1e-12)
        assert found[f"rmse_{name}"].extra["ratings"] == those.sum()
    assert found["rmse_unknown_user"].low > found["rmse_known"].high
    assert found["rmse_unknown_user"].method == "bootstrap over 80 users"  # whose they are is not known
    whole = metrics(*held_out(2))["rmse_unknown_item"]
    assert (math.isnan(whole.value), whole.why) == (True, "no held-out rating is of an unknown item")


# -- rankings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "ties"), [(3, False), (10, False), (5, True)])
def test_ndcg_of_held_out_ratings_is_that_of_sklearn(k, ties):
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    user, item, rating, predicted = held_out(3)
    predicted = np.round(predicted) if ties else predicted
    oracle = []
    for who in range(1, 61):
        wanted = (rating[user == who] >= 4).astype(float)
        if 0 < wanted.sum() < len(wanted):
            oracle.append(ndcg_score([wanted], [predicted[user == who]], k=k))
    found = metrics(user, item, rating, predicted, k=k)["rated_ndcg"]
    assert found.value == pytest.approx(np.mean(oracle), abs=1e-12)
    assert found.extra == {"k": k, "users": 60, "left_out": 60 - len(oracle)}
    assert 60 > len(oracle) > 30


def test_users_who_tell_nothing_are_counted_and_not_averaged_in():
    user, item = np.array([1, 1, 2, 2, 3, 3]), np.arange(1, 7)
    rating = np.array([5.0, 1, 1, 1, 5, 5])  # user 2 liked nothing, user 3 everything
    found = metrics(user, item, rating, np.array([2.0, 4, 3, 3, 3, 3]))["rated_ndcg"]
    assert found.value == pytest.approx(1 / math.log2(3))
    assert (found.extra["users"], found.extra["left_out"]) == (3, 2)
    none = metrics(user[2:4], item[2:4], rating[2:4], rating[2:4])["rated_ndcg"]
    assert none.why == "none of 1 users has held-out items to tell it by"


def test_a_constant_model_gains_nothing_by_the_order_of_the_file():
    user, item = np.repeat([1, 2], 4), np.tile([1, 2, 3, 4], 2)
    best_first = np.tile([5.0, 1, 1, 1], 2)
    values = [
        metrics(user, item, rating, np.full(8, 3.0), k=2)["rated_ndcg"].value
        for rating in (best_first, best_first[::-1])
    ]
    assert values[0] == values[1] == pytest.approx((1 + 1 / math.log2(3)) / 4)


def test_recommendations_by_hand():
    """User 1 wants items 2 and 3 and gets 2 in the second place; user 2 wants 1 and gets it; user 3 wants none."""
    user, item = np.array([1, 1, 2, 3]), np.array([2, 3, 1, 4])
    lists = np.array([[5, 2, 4], [1, 2, 3], [1, 2, NOTHING], [4, 4 + 1, 1]])
    found = metrics(
        user,
        item,
        np.array([5.0, 4, 5, 1]),
        np.full(4, 3.0),
        k=3,
        recommended=lists,
        recommended_to=np.array([1, 2, 3, 9]),
        popularity=np.array([99, 50, 40, 1, 2, 3]),
    )
    second, ideal = 1 / math.log2(3), 1 + 1 / math.log2(3)
    assert found["ndcg"].value == pytest.approx((second / ideal + 1) / 2)
    assert found["ndcg"].extra == {"k": 3, "users": 3, "left_out": 1}  # nothing of user 9 is held out
    assert found["ranking_recall"].value == pytest.approx((1 / 2 + 1) / 2)
    assert found["item_coverage"].value == 1  # items 1 to 5; 0 is the unknown one
    assert found["tail_share"].value == pytest.approx(8 / 11)  # item 1 is the head
    assert found["tail_coverage"].value == 1
    assert found["item_gini"].value == pytest.approx(gini([3, 3, 1, 2, 2]))
    assert set(found) == set(ABOUT)


def test_a_model_of_the_popular_recommends_few_items_and_no_tail():
    user, item, rating, predicted = held_out(4)
    random = np.random.default_rng(0)
    popularity = np.concatenate([[0], np.sort(random.integers(1, 1000, 40))[::-1]])
    popular = top_items(np.repeat(popularity[None], 60, axis=0), None, 5)
    taste = top_items(random.normal(size=(60, 41)), None, 5)
    options = {"recommended_to": np.arange(1, 61), "popularity": popularity, "k": 5}
    same = metrics(user, item, rating, predicted, recommended=popular, **options)
    broad = metrics(user, item, rating, predicted, recommended=taste, **options)
    assert (same["item_coverage"].value, same["tail_share"].value, same["tail_coverage"].value) == (
        5 / 40,
        0,
        0,
    )
    assert same["item_gini"].value == pytest.approx(1 - 5 / 40)
    assert broad["item_coverage"].value > 0.95
    assert broad["tail_share"].low < 0.8 < broad["tail_share"].high
    assert broad["item_gini"].value < 0.4


def test_knowing_what_users_want_beats_chance():
    user, item, rating, predicted = held_out(5, users=100)
    random = np.random.default_rng(0)
    scores = random.normal(size=(100, 41))
    told = scores.copy()
    told[user - 1, item] += 2 * (rating >= 4)
    options = {"recommended_to": np.arange(1, 101), "popularity": np.ones(41)}
    chance, better = (
        metrics(user, item, rating, predicted, recommended=top_items(one, None, 10), **options)
        for one in (scores, told)
    )
    for name in ("ndcg", "ranking_recall"):
        assert better[name].low > chance[name].high


@small
@given(st.integers(0, 999), st.integers(1, 12), st.booleans())
def test_top_items_are_the_best_unseen_ones(seed, k, ties):
    random = np.random.default_rng(seed)
    scores, seen = random.normal(size=(4, 9)), random.random((4, 9)) < 0.4
    scores = np.round(scores) if ties else scores
    scores[0, 3] = np.nan
    for row, values, known in zip(top_items(scores, seen, k), scores, seen, strict=True):
        free = [i for i in range(1, 9) if not known[i] and np.isfinite(values[i])]
        best = sorted(free, key=lambda i: (-values[i], i))[:k]
        assert row.tolist() == best + [NOTHING] * (k - len(best))


@small
@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts):
    x = np.array(counts, float)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x).mean() / (2 * x.mean()), abs=1e-12)
    assert gini(7 * x) == pytest.approx(gini(x), abs=1e-12)


# -- bad input -----------------------------------------------------------------------------------------


def test_predictions_that_are_not_finite_are_marked():
    user, item, rating, predicted = held_out(6)
    predicted[3] = np.nan
    found = metrics(user, item, rating, predicted)
    assert all(math.isnan(one.value) and "1 of 480 predictions" in one.why for one in found.values())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"predicted": np.zeros(3)}, "3 predictions: give one of each"),
        ({"rating": np.full(480, np.nan)}, "480 held-out ratings are not finite"),
        ({"k": 0}, "at least 1 place"),
        ({"recommended": np.ones((60, 10), int)}, "with the users they are for"),
        ({"recommended": np.ones((60, 3), int), **{"recommended_to": np.arange(60), "popularity": np.ones(9)}},
         "at least 10 places"),
        ({"recommended": np.full((60, 10), 9), "recommended_to": np.arange(60), "popularity": np.ones(9)},
         "popularity knows 9"),
        ({"recommended": np.full((60, 10), 3), "recommended_to": np.arange(60), "popularity": np.ones(9)},
         "recommended twice"),
        ({"recommended": np.full((60, 10), 3), "recommended_to": np.zeros(60), "popularity": np.ones(9)},
         "two lists"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changed, message):
    names = ("user", "item", "rating", "predicted")
    given_ = {**dict(zip(names, held_out(7), strict=True)), **changed}
    with pytest.raises(DataError, match=message):
        metrics(**given_)


def test_few_users_have_no_interval():
    user, item, rating, predicted = held_out(8, users=4)
    found = metrics(user, item, rating, predicted)["rmse"]
    assert found.why == "4 users are fewer than 5"
    assert math.isnan(found.low)
