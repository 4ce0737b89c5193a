"""How ratings are judged: what a model predicts of held-out ones, and what it would recommend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from components.metrics.ratings import rating_metrics, top_items
from components.yardsticks import Base, Judged

USERS = 1_000  # most users whose recommendations are looked at
PLACES = 10  # of a ranking that count
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
        train, held = self.data["train"], self.data[split]
        user, item = held["x"].T
        found = rating_metrics(
            user,
            item,
            held["rating"][:, 0],
            np.asarray(model.predict_rating(held["x"])),
            relevant=self.encoding["lowest"] + LIKED * (self.encoding["highest"] - self.encoding["lowest"]),
            k=PLACES,
            **self._recommendations(model, train["x"], user),
            seed=self.settings.seed,
        )
        protocol = {"n": len(held["x"]), "places": PLACES}
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def _recommendations(self, model: Any, known: np.ndarray, user: np.ndarray) -> dict[str, Any]:
        """Items in order for the first known users, without those that they rated in training."""
        to = np.unique(user[user > 0])[:USERS]
        items = self.spec.items
        if not len(to) or items <= PLACES:
            return {}
        lists = []
        for one in to:
            pairs = np.stack([np.full(items, one), np.arange(items)], axis=1).astype(np.int32)
            scores = np.asarray(model.predict_rating(pairs), np.float64).reshape(1, items)
            seen = np.zeros((1, items), bool)
            seen[0, known[known[:, 0] == one, 1]] = True
            seen[0, 0] = True  # the unknown item
            lists.append(top_items(scores, seen, PLACES)[0])
        popularity = np.bincount(known[:, 1], minlength=items)
        return {"recommended": np.array(lists), "recommended_to": to, "popularity": popularity}
