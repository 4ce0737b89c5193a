"""Ratings: how far predictions are off, and what a model recommends, to whom and of which items.

Users are drawn for intervals, never ratings: those of one user depend on one another. What cannot be told
of a user (no relevant item held out) is left out and counted, never averaged in.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics.dependent import Units, drawn, ratio_over, units_of
from components.metrics.intervals import Estimate, exactly

HEAD = 0.2  # of the items, the most rated in training: the rest are the long tail
UNKNOWN = 0  # number of a user or item that training does not have; no item to recommend is NOTHING
NOTHING = -1

ABOUT = {
    "rmse": ("lower", "root mean squared error of predicted ratings"),
    "mae": ("lower", "mean absolute error of predicted ratings"),
    "rmse_known": ("lower", "root mean squared error where training has the user and the item"),
    "rmse_unknown_user": ("lower", "root mean squared error of users that training does not have"),
    "rmse_unknown_item": ("lower", "root mean squared error of items that training does not have"),
    "rated_ndcg": ("higher", "NDCG@k of each user's held-out ratings in the order that is predicted"),
    "ndcg": ("higher", "NDCG@k of recommendations from all items a user has not rated in training"),
    "ranking_recall": ("higher", "share of a user's relevant held-out items among the k recommended, of k at most"),
    "item_coverage": ("higher", "share of all items that are recommended to anyone"),
    "item_gini": ("lower", "inequality of how often items are recommended: 0 all alike, 1 one item only"),
    "tail_share": ("higher", "share of recommendations outside the fifth of items that training rates most"),
    "tail_coverage": ("higher", "share of the items outside that fifth that are recommended to anyone"),
}  # fmt: skip


def rating_metrics(
    user: np.ndarray,
    item: np.ndarray,
    rating: np.ndarray,
    predicted: np.ndarray,
    *,
    relevant: float,
    k: int = 10,
    recommended: np.ndarray | None = None,
    recommended_to: np.ndarray | None = None,
    popularity: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All of `ABOUT` that the arguments allow, from n held-out ratings.

    Args:
        user: int `[n]`, 0 where training does not have the user; item: int `[n]` likewise.
        rating: `[n]`, what was given; predicted: `[n]`, what the model said, on the same scale.
        relevant: the rating from which an item was worth recommending.
        k: places of a ranking that count.
        recommended: int `[u, at least k]`, items in order, best first, NOTHING where there is none: see `top_items`.
        recommended_to: int `[u]`, the users they are for, each once; only those with held-out ratings count for
            ndcg and ranking_recall.
        popularity: int `[items]`, ratings of each item in training; place 0, the unknown item, does not count.
            Needed for whatever is said of recommended items.
        seed: of intervals.

    Raises:
        DataError: lengths that do not agree, no ratings, a rating that is not finite, an item out of range.
    """
    user, item = np.asarray(user).ravel(), np.asarray(item).ravel()
    rating, predicted = (np.asarray(part, np.float64).ravel() for part in (rating, predicted))
    _check(user, item, rating, predicted, k)
    found = _errors(user, item, rating, predicted, seed)
    found["rated_ndcg"] = found["rmse"]  # where that says why there is none
    if np.isfinite(predicted).all():
        found["rated_ndcg"] = _rated_ndcg(user, rating >= relevant, predicted, k, seed)
    if recommended is None:
        return found
    if recommended_to is None or popularity is None:
        raise DataError("recommendations are judged with the users they are for and the popularity of items")
    lists, to = np.asarray(recommended)[:, :k], np.asarray(recommended_to).ravel()
    popularity = np.asarray(popularity, np.float64).ravel()
    _check_lists(np.asarray(recommended), to, popularity, k)
    found |= _hits(user, item, rating >= relevant, lists, to, k, seed)
    return found | _items(lists, popularity, seed)


def top_items(scores: np.ndarray, seen: np.ndarray | None, k: int) -> np.ndarray:
    """The k best items `[u, k]` of `scores` `[u, items]` for each user, NOTHING where fewer are left.

    The unknown item, what was `seen` (bool `[u, items]`, rated in training) and scores that are not finite are
    never among them; of equal scores the item with the smaller number comes first.
    """
    scores = np.array(scores, np.float64)
    scores[:, UNKNOWN] = -np.inf
    scores[~np.isfinite(scores)] = -np.inf
    if seen is not None:
        scores[np.asarray(seen, bool)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    order = np.where(np.isfinite(np.take_along_axis(scores, order, axis=1)), order, NOTHING)
    return np.pad(order, ((0, 0), (0, k - order.shape[1])), constant_values=NOTHING)


def gini(counts: np.ndarray) -> float:
    """Σ (2 i - n - 1) x_i / (n Σ x) of sorted counts `[n]`: 0 where all are alike, 1 - 1/n where one has all."""
    x = np.sort(np.asarray(counts, np.float64))
    n = len(x)
    if not x.sum() > 0:
        return math.nan
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum()))


def _check(user: np.ndarray, item: np.ndarray, rating: np.ndarray, predicted: np.ndarray, k: int) -> None:
    sizes = [len(part) for part in (user, item, rating, predicted)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise DataError(
            f"there are {sizes[0]} users, {sizes[1]} items, {sizes[2]} ratings and {sizes[3]} predictions: give one "
            "of each for every rating, and at least one"
        )
    if not np.isfinite(rating).all():
        raise DataError(
            f"{int((~np.isfinite(rating)).sum())} held-out ratings are not finite: leave them out"
        )
    if k < 1:
        raise DataError(f"a ranking has at least 1 place, and {k} were asked for")


def _check_lists(lists: np.ndarray, to: np.ndarray, popularity: np.ndarray, k: int) -> None:
    if lists.ndim != 2 or len(lists) != len(to) or lists.shape[1] < k or not len(lists):
        raise DataError(
            f"recommendations {list(lists.shape)} for {len(to)} users: give at least {k} places for each user"
        )
    if len(np.unique(to)) != len(to):
        raise DataError("a user has two lists of recommendations: give one for each user")
    if lists.min() < NOTHING or lists.max() >= len(popularity):
        raise DataError(
            f"recommended items go from {lists.min()} to {lists.max()}, and popularity knows {len(popularity)}"
        )
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NOTHING)).any():
        raise DataError("an item is recommended twice to the same user: give each once")


# -- errors --------------------------------------------------------------------------------------------


def _users(user: np.ndarray) -> Units:
    """Ratings of one user are one unit; of users unknown to training it is not known which are of one."""
    strange = user == UNKNOWN
    return units_of(np.where(strange, user.max() + 1 + np.arange(len(user)), user), "users")


def _errors(
    user: np.ndarray, item: np.ndarray, rating: np.ndarray, predicted: np.ndarray, seed: int
) -> dict[str, Estimate]:
    names = ("rmse", "mae", "rmse_known", "rmse_unknown_user", "rmse_unknown_item")
    if not np.isfinite(predicted).all():
        bad = int((~np.isfinite(predicted)).sum())
        why = f"{bad} of {len(rating)} predictions are not finite"
        return {name: Estimate(math.nan, why=why) for name in names}
    error = predicted - rating
    found = {
        "rmse": _rmse(error, user, seed),
        "mae": ratio_over(np.abs(error), np.ones(len(error)), _users(user).merged(), seed=seed),
    }
    strange = {"user": user == UNKNOWN, "item": item == UNKNOWN}
    slices = {"known": ~strange["user"] & ~strange["item"]}
    slices |= {f"unknown_{name}": those for name, those in strange.items()}
    for name, those in slices.items():
        count = {"ratings": int(those.sum())}
        if those.any():
            found[f"rmse_{name}"] = replace(_rmse(error[those], user[those], seed), extra=count)
        else:
            why = (
                f"no held-out rating is of an {name.replace('_', ' ')}"
                if name != "known"
                else "all are unknown"
            )
            found[f"rmse_{name}"] = Estimate(math.nan, why=why, extra=count)
    return found


def _rmse(error: np.ndarray, user: np.ndarray, seed: int) -> Estimate:
    units = _users(user).merged()

    def root(sums: np.ndarray) -> np.ndarray:
        return np.sqrt(sums[..., 0] / sums[..., 1])

    found = drawn(units.sums(np.square(error), np.ones(len(error))), units, root, seed=seed)
    return replace(found, low=max(found.low, 0.0)) if found.estimable else found


# -- rankings ------------------------------------------------------------------------------------------


def _discount(places: int) -> np.ndarray:
    return 1 / np.log2(np.arange(2, places + 2))


def _rated_ndcg(user: np.ndarray, relevant: np.ndarray, predicted: np.ndarray, k: int, seed: int) -> Estimate:
    """Of each user the held-out ratings, in the order that is predicted; equal predictions share the mean of
    their places' discounts (McSherry & Najork 2008), so that a constant model gains nothing by the file's
    order. Users without a relevant item, and those all of whose items are, tell nothing."""
    values = []
    users = np.unique(user[user != UNKNOWN])
    order = np.argsort(user, kind="stable")
    starts = np.searchsorted(user[order], users)
    ends = np.searchsorted(user[order], users, "right")
    for start, end in zip(starts, ends, strict=True):
        rows = order[start:end]
        values.append(_ndcg_of(relevant[rows], predicted[rows], k))
    return _over_users(np.array(values), k, seed)


def _ndcg_of(relevant: np.ndarray, predicted: np.ndarray, k: int) -> float:
    count = int(relevant.sum())
    if count in (0, len(relevant)):
        return math.nan
    discount = np.zeros(len(relevant))
    discount[:k] = _discount(min(k, len(relevant)))
    _, tie = np.unique(-predicted, return_inverse=True)  # 0 for the highest
    size = np.bincount(tie)
    shared = np.add.reduceat(discount, np.cumsum(size) - size) / size
    return float(shared[tie][relevant].sum() / discount[:count].sum())


def _over_users(values: np.ndarray, k: int, seed: int) -> Estimate:
    """The mean over the users whose value is not NaN; `extra` says how many are left out."""
    told = np.isfinite(values)
    extra: dict[str, Any] = {"k": k, "users": len(values), "left_out": int((~told).sum())}
    if not told.any():
        why = f"none of {len(values)} users has held-out items to tell it by"
        return Estimate(math.nan, why=why, extra=extra)
    units = Units(np.arange(len(values)), len(values), 1, "users").merged()
    found = ratio_over(np.where(told, values, 0.0), told, units, seed=seed)
    if found.estimable:
        found = replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
    return replace(found, extra=extra)


def _hits(
    user: np.ndarray,
    item: np.ndarray,
    relevant: np.ndarray,
    lists: np.ndarray,
    to: np.ndarray,
    k: int,
    seed: int,
) -> dict[str, Estimate]:
    """NDCG@k and recall@k of lists `[u, k]`, each over the most that k places could hold."""
    wanted: dict[int, set[int]] = {}
    for who, what in zip(user[relevant].tolist(), item[relevant].tolist(), strict=True):
        if who != UNKNOWN and what != UNKNOWN:
            wanted.setdefault(who, set()).add(what)
    discount = _discount(k)
    judged = np.isin(to, user)
    gain, recall = [], []
    for who, row in zip(to[judged].tolist(), lists[judged].tolist(), strict=True):
        goal = wanted.get(who, set())
        hit = np.array([one in goal for one in row])
        most = min(len(goal), k)
        gain.append(discount[hit].sum() / discount[:most].sum() if most else math.nan)
        recall.append(hit.sum() / most if most else math.nan)
    return {
        "ndcg": _over_users(np.array(gain), k, seed),
        "ranking_recall": _over_users(np.array(recall), k, seed),
    }


# -- items ---------------------------------------------------------------------------------------------


def _items(lists: np.ndarray, popularity: np.ndarray, seed: int) -> dict[str, Estimate]:
    """Counted over these lists, of all items that training has; the share of the tail has an interval."""
    names = ("item_coverage", "item_gini", "tail_share", "tail_coverage")
    given = lists[lists > UNKNOWN]
    items = len(popularity) - 1
    if not given.size:
        return {name: Estimate(math.nan, why="nothing was recommended") for name in names}
    counts = np.bincount(given, minlength=len(popularity))[1:]
    order = np.argsort(-popularity[1:], kind="stable")
    tail = np.ones(items, bool)
    tail[order[: math.ceil(HEAD * items)]] = False
    outside = np.concatenate([[False], tail])[np.maximum(lists, 0)]
    units = Units(np.arange(len(lists)), len(lists), 1, "users").merged()
    rows = np.stack([outside.sum(axis=1), (lists > UNKNOWN).sum(axis=1)], axis=1)
    share = ratio_over(rows[:, 0], rows[:, 1], units, seed=seed)
    if share.estimable:
        share = replace(share, low=max(share.low, 0.0), high=min(share.high, 1.0))
    none = Estimate(math.nan, why=f"{items} items have no tail")
    about = {"items": items, "lists": len(lists)}
    found = {
        "item_coverage": exactly(float((counts > 0).mean())),
        "item_gini": exactly(gini(counts)),
        "tail_share": share if tail.any() else none,
        "tail_coverage": exactly(float((counts[tail] > 0).mean())) if tail.any() else none,
    }
    return {name: replace(one, extra=about) for name, one in found.items()}
