"""How ratings are judged: what a model predicts of held-out ones, and what it would recommend."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.metrics.ratings import rating_metrics, top_items
from components.yardsticks import Base, Judged
from components.yardsticks.protocols import measured_on

USERS = 1_000  # most users whose recommendations are looked at
PLACES = 10  # of a ranking that count
PAIRS_AT_ONCE = 250_000  # of a user and an item, whose ratings are predicted in one call
LIKED = 0.7  # of the way up the scale: from here on a rating says that an item was worth recommending


class Yardstick(Base):
    """See components.yardsticks."""

    main = "rmse"

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks: a sampled rating says nothing by itself."""
        return Judged()

    def of_model(self, model: Any, split: str) -> Judged:
        """See components.yardsticks."""
        if not hasattr(model, "predict_rating"):
            return Judged(notes={"rmse": f"family '{model.family}' predicts no ratings"})
        known = self.examples.arrays("train")["x"]  # all of it, or what a user knows would be recommended
        held = self.data[split]
        user, item = held["x"].T
        found = rating_metrics(
            user,
            item,
            held["rating"][:, 0],
            np.asarray(model.predict_rating(held["x"])),
            relevant=self.encoding["lowest"] + LIKED * (self.encoding["highest"] - self.encoding["lowest"]),
            k=PLACES,
            **self._recommendations(model, known, user),
            seed=self.settings.seed,
        )
        judged = Judged(measured_on(found, n=len(held["x"]), places=PLACES))
        if "ndcg" not in found:
            judged.notes["ndcg"] = (
                f"a ranking needs users that training has and more than {PLACES} items, and there are "
                f"{len(np.unique(user[user > 0]))} users and {self.spec.items - 1} items"
            )
        return judged

    def _recommendations(self, model: Any, known: np.ndarray, user: np.ndarray) -> dict[str, Any]:
        """Items in order for the first known users, without those that they rated in training."""
        to = np.unique(user[user > 0])[:USERS]
        items = self.spec.items
        if not len(to) or items - 1 <= PLACES:  # number 0 is the unknown item
            return {}
        rated = known[np.argsort(known[:, 0], kind="stable")]
        lists = []
        each = max(1, PAIRS_AT_ONCE // items)
        for some in (to[start : start + each] for start in range(0, len(to), each)):
            pairs = np.stack([np.repeat(some, items), np.tile(np.arange(items), len(some))], axis=1)
            scores = np.asarray(model.predict_rating(pairs.astype(np.int32)), np.float64)
            lists.append(top_items(scores.reshape(len(some), items), _seen(rated, some, items), PLACES))
        popularity = np.bincount(known[:, 1], minlength=items)
        return {"recommended": np.concatenate(lists), "recommended_to": to, "popularity": popularity}


def _seen(rated: np.ndarray, users: np.ndarray, items: int) -> np.ndarray:
    """Which items each of `users` rated, bool `[users, items]`; `rated` `[n, 2]` is in order of users."""
    first, last = (np.searchsorted(rated[:, 0], users, side) for side in ("left", "right"))
    seen = np.zeros((len(users), items), bool)
    for row, start, end in zip(seen, first, last, strict=True):
        row[rated[start:end, 1]] = True
    return seen
