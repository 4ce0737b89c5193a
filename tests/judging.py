"""What tests of the judge share: digits as examples without the data steps, and generators that are plain objects.

The judge is the real one. Its classifier learns once from the training split; `seen_on` then shows it other
images to measure against, so that a simulation of hundreds of splits takes a minute.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import write_json, writing
from components.comparisons import against_champion
from components.examples import Examples
from components.gates import decide
from components.judge import Judge, Measures
from components.settings import EvaluateSettings, GateSettings
from keras_models.spec import Spec

Arrays = dict[str, np.ndarray]


class Generator:
    """Draws from given images `[n, H, W, C]`, each at most once, in an order that `seed` decides."""

    likelihood = "none"

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """`[n, H, W, C]`."""
        order = np.random.default_rng(seed).permutation(len(self.images))
        assert n <= len(order), f"{n} samples were asked for, and there are {len(order)} images"
        return self.images[order[:n]]


def digits(seed: int = 0) -> Arrays:
    """All 1,797 digits of scikit-learn as `x` float32 `[n, 8, 8, 1]` in [0, 1] and `label`, shuffled."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    x = np.round(found.images[order] * (255 / 16)).astype(np.float32) / np.float32(255)
    return {"x": x[..., None], "label": found.target[order].astype(np.int32)}


def rows(data: Arrays, which: Any) -> Arrays:
    """Some rows of every field."""
    return {name: array[which] for name, array in data.items()}


def examples_of(splits: dict[str, Arrays], folder: Path, classes: int = 10) -> Examples:
    """Examples in `folder`, as transform writes them, of images in [0, 1] and, for `classes`, their labels."""
    size = list(splits["train"]["x"].shape[1:])
    names = tuple(str(number) for number in range(classes))
    spec = Spec(kind="image", shape=tuple(size), levels=256, classes=names)
    encoding = {"binarise": "none", "classes": list(names), "modality": "images", "size": size}
    with writing(folder, "transform") as (out, manifest):
        for split, data in splits.items():
            for name, array in data.items():
                stored = np.round(array * 255).astype(np.uint8) if name == "x" else array
                np.save(out / f"{split}-00000.{name}.npy", stored, allow_pickle=False)
        write_json(out / "encoding.json", encoding)
        write_json(out / "statistics.json", {})
        (out / "spec.json").write_text(spec.model_dump_json(), "utf-8")
        manifest["counts"] = {split: len(data["x"]) for split, data in splits.items()}
        manifest["data_fingerprint"] = manifest["fingerprint"] = "0" * 16
    return Examples(folder)


def digit_judge(folder: Path, train: int = 800, **settings: Any) -> Judge:
    """The judge of digits: `train` of them to learn from, the others as halves validation and test."""
    data = digits()
    middle = (train + len(data["x"])) // 2
    splits = {
        "train": rows(data, slice(train)),
        "validation": rows(data, slice(train, middle)),
        "test": rows(data, slice(middle, None)),
    }
    return Judge(examples_of(splits, folder), EvaluateSettings.parse(settings))


def seen_on(judge: Judge, **splits: Arrays) -> Judge:
    """The same judge, with its network as it is, and other images in these splits."""
    other, yardstick = copy.copy(judge), copy.copy(judge.yardstick)
    other.data = yardstick.data = {**judge.data, **splits}
    yardstick.known, yardstick.last = {}, None  # features of the images before
    other.yardstick = yardstick
    return other


def held_out(judge: Judge) -> Arrays:
    """All images that the network did not learn from."""
    validation, test = (judge.data[split] for split in ("validation", "test"))
    return {name: np.concatenate([validation[name], test[name]]) for name in validation}


def verdict(judge: Judge, own: Measures, champion: Measures | None = None, **gates: Any) -> dict[str, Any]:
    """Gate 2 on what was measured, as the step evaluate puts it together."""
    settings = GateSettings.parse(gates)
    metric = settings.metric or judge.yardstick.main
    against: dict[str, Any] | None = None
    if champion is not None:
        facts = {"version": 1, "comparable": True, "why_not": ""}
        against = {**facts, **champion.told(), **against_champion(own, champion, metric, settings)}
    found = {"metric": metric, **own.told(), "floors": {}, "champion": against, "collapsed": own.collapsed}
    return decide(found, settings)


def failures(decided: dict[str, Any]) -> list[str]:
    """The sentences that say no."""
    return [said for said in decided["reasons"] if said.startswith("failed:")]
