"""Evaluate: gate 2. The model, its floors and the champion, measured alike; then the verdict.

evaluation/
  evaluation.json     metrics by split with their protocols, floors, reference, champion, verdict
  samples.png|txt     the first samples; real.png|txt: as many real examples
  pictures.npz        samples, real examples and the training examples nearest to the samples
  classifier/         the feature network behind the distances (images with labels)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import fingerprint_of, read_json, reading, write_json, writing
from components.examples import Examples
from components.floors import default_floors
from components.gates import decide
from components.home import home
from components.settings import EvaluateSettings, FloorSettings, GateSettings

SHOWN = 64  # samples in the picture


def evaluate(
    examples: Path,
    model: Path,
    out: Path,
    settings: EvaluateSettings,
    gates: GateSettings,
    champion: str = "",
) -> dict[str, Any]:
    """Measures the model in the folder `model` and writes numbers and verdict into `out`.

    Args:
        champion: `NAME:VERSION` of the version to be no worse than; empty where there is none.
    """
    from components.judge import Judge, main_metric
    from keras_models.saving import load

    trained = reading(model)
    data = Examples(examples)
    judge = Judge(data, settings)
    learner = load(model)
    samples = judge.samples(learner)
    floors = settings.floors
    if not floors and gates.beat_floors:
        floors = default_floors(learner.family, data.spec, data.count("train"))
    found: dict[str, Any] = {
        "family": learner.family,
        "model_digest": read_json(model / "model.json")["digest"],
        "metric": gates.metric or main_metric(learner),
        **judge.measure(learner, samples),
        "floors": dict(_floor(floor, data, judge) for floor in floors),
        "reference": judge.reference(),
        "features": judge.features(),
        "collapsed": judge.collapse(samples),
        "champion": _champion(champion, data, judge) if champion and gates.champion else None,
        "settings": settings.model_dump(mode="json"),
        "gates": gates.model_dump(mode="json"),
    }
    _same_measure(found)
    found["verdict"] = decide(found, gates)
    if found["features"] and not found["features"]["trusted"]:
        found["verdict"]["reasons"].append(
            f"noted: the feature network's accuracy on the validation split is "
            f"{judge.accuracy['validation']:.3f}, below "
            f"{settings.classifier_accuracy} (evaluate.classifier_accuracy): nothing that rests on it was measured."
        )
    with writing(out, "evaluate") as (folder, manifest):
        _pictures(folder, data, judge, samples)
        if judge.classifier is not None:
            judge.classifier.save(folder / "classifier")
        write_json(folder / "evaluation.json", _finite(found))
        manifest["fingerprint"] = fingerprint_of(
            trained["fingerprint"], settings.model_dump(), gates.model_dump(), champion
        )
    return found


def _floor(floor: FloorSettings, data: Examples, judge: Any) -> tuple[str, dict[str, Any]]:
    """A floor's label and its numbers: trained on the same split, measured by the same judge."""
    from components.train import make
    from components.training import fit

    model = make(floor, data, floor.train.seed)
    fit(model, data, floor.train)
    told = ", ".join(f"{name} {value}" for name, value in floor.config.items())
    return f"{floor.family} ({told})" if told else floor.family, judge.measure(model, judge.samples(model))


def _champion(reference: str, data: Examples, judge: Any) -> dict[str, Any]:
    """The champion, measured on these splits, or the reason why it cannot be."""
    from components.bundle import load_bundle
    from components.registry import Registry

    version = Registry(home()).resolve(reference)
    facts = {
        "version": version.version,
        "bundle": version.bundle_path.name,
        "comparable": True,
        "why_not": "",
    }
    model = load_bundle(version.bundle_path)
    if read_json(version.bundle_path / "encoding.json") != data.encoding or model.spec != data.spec:
        why = "its examples are encoded in another way (another size, vocabulary, set of classes or binarisation)"
        return {**facts, "comparable": False, "why_not": why, "validation": {}}
    return {**facts, **judge.measure(model, judge.samples(model))}


def _same_measure(found: dict[str, Any]) -> None:
    """A log-density and a log-mass do not compare: takes the other kind out of floors and champion."""
    own = found["validation"].get("nats", {}).get("measure")
    for other in [*found["floors"].values(), *([found["champion"]] if found["champion"] else [])]:
        for split in ("validation", "test"):
            if own and other.get(split, {}).get("nats", {}).get("measure", own) != own:
                for name in ("nats", "bits_per_dim"):
                    other[split].pop(name, None)


def _pictures(folder: Path, data: Examples, judge: Any, samples: np.ndarray) -> None:
    test = judge.data["test"]
    whole = test["length"] == data.spec.shape[0] if "length" in test else slice(None)
    real = test["x"][whole][:SHOWN]  # padded sequences would show their padding
    modality = data.modality
    modality.write_samples(samples[:SHOWN], data.encoding, folder / "samples")
    modality.write_samples(real, data.encoding, folder / "real")
    arrays = {"samples": samples[:SHOWN], "real": real}
    if data.spec.kind == "image":
        from components.metrics.neighbours import nearest

        train = judge.data["train"]["x"]
        index, _ = nearest(samples[:16].reshape(16, -1), train.reshape(len(train), -1))
        arrays["nearest"] = train[index]
    np.savez(folder / "pictures.npz", **arrays)


def _finite(found: Any) -> Any:
    """NaN and infinity as None: JSON has neither, and no gate passes on None."""
    return json.loads(json.dumps(found, default=float), parse_constant=lambda _: None)
