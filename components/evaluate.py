"""Evaluate: gate 2. The model, its floors and the champion, measured alike; then the verdict.

evaluation/
  evaluation.json     metrics by split with their protocols, floors, reference, champion, verdict
  samples.png|txt     the first samples; real.png|txt: as many real examples
  pictures.npz        what the report shows of them (components.evaluation_pictures)
  classifier/         the feature network behind the distances (images with labels)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.artifacts import fingerprint_of, read_json, reading, write_json, writing
from components.evaluation_pictures import write_pictures
from components.examples import Examples
from components.floors import default_floors
from components.gates import decide, undecided
from components.high_water import mark_of
from components.home import home
from components.metrics import METRICS
from components.settings import EvaluateSettings, FloorSettings, GateSettings


def evaluate(
    examples: Path,
    model: Path,
    out: Path,
    settings: EvaluateSettings,
    gates: GateSettings,
    champion: str = "",
) -> dict[str, Any]:
    """Measures the model in the folder `model` and writes numbers and verdict into `out`.

    While the verdict is inconclusive, four times as many samples are drawn, of the model, its floors and
    the champion alike, up to `settings.most_samples`.

    Args:
        champion: `NAME:VERSION` of the version to be no worse than; empty where there is none.
    """
    from components.judge import Judge
    from keras_models.saving import load

    trained = reading(model)
    data = Examples(examples)
    judge = Judge(data, settings)
    learner = load(model)
    floors = settings.floors
    if not floors and gates.beat_floors:
        floors = default_floors(learner.family, data.spec, data.count("train"))
    rivals = {_label(floor): _floor(floor, data) for floor in floors}
    facts, held, before = _champion(champion, data) if champion and gates.champion else (None, None, None)
    metric = gates.metric or judge.main_metric(learner)
    count = settings.samples
    while True:
        samples = judge.samples(learner, count)
        own = judge.measure(learner, samples)
        found: dict[str, Any] = {
            "family": learner.family,
            "model_digest": read_json(model / "model.json")["digest"],
            "metric": metric,
            "samples": count,
            **own.told(),
            "floors": {
                label: _compared(judge, floor, count, own, metric, gates) for label, floor in rivals.items()
            },
            "champion": facts and _against(judge, facts, held, count, own, metric, gates),
            "collapsed": own.collapsed,
            "gates": gates.model_dump(mode="json"),
        }
        found["best"] = mark_of(found["champion"], before, metric, data.manifest.get("validation", ""))
        found["verdict"] = decide(found, gates)
        measured = own.splits["validation"]
        few = count < data.count("validation")  # else it is for lack of data that there is no interval
        waits = [  # for samples: not for data, of which there will be no more
            name
            for name in undecided(found["verdict"])
            if not METRICS[name].likelihood and name in measured and (measured[name].estimable or few)
        ]
        if found["verdict"]["outcome"] != "inconclusive" or not waits or count >= settings.most_samples:
            break
        count = min(4 * count, settings.most_samples)
    found |= {
        "reference": judge.reference(count).told(),
        "features": judge.yardstick.features(),
        "settings": settings.model_dump(mode="json"),
    }
    _note_features(found, settings)
    with writing(out, "evaluate") as (folder, manifest):
        write_pictures(folder, data, judge, learner, samples)
        judge.yardstick.save(folder)
        write_json(folder / "evaluation.json", _finite(found))
        manifest["fingerprint"] = fingerprint_of(
            trained["fingerprint"], settings.model_dump(), gates.model_dump(), champion
        )
    return found


def _note_features(found: dict[str, Any], settings: EvaluateSettings) -> None:
    """That a network was not trusted, and why."""
    features = found["features"]
    if not features or features["trusted"]:
        return
    for name, least in (
        ("accuracy", settings.classifier_accuracy),
        ("completion", settings.encoder_completion),
    ):
        if (value := features.get(f"validation_{name}")) is not None:
            whose = "classifier" if name == "accuracy" else "encoder"
            found["verdict"]["reasons"].append(
                f"noted: the feature network's {name} on the validation split is {value:.3f}, below {least} "
                f"(evaluate.{whose}_{name}): nothing that rests on it was measured."
            )


def _label(floor: FloorSettings) -> str:
    told = ", ".join(f"{name} {value}" for name, value in floor.config.items())
    return f"{floor.family} ({told})" if told else floor.family


def _floor(floor: FloorSettings, data: Examples) -> Any:
    """A floor, trained on the same split."""
    from components.train import make
    from components.training import fit

    model = make(floor, data, floor.train.seed)
    fit(model, data, floor.train)
    return model


def _compared(
    judge: Any, model: Any, count: int, own: Any, metric: str, gates: GateSettings
) -> dict[str, Any]:
    """A floor's numbers, and how far this model is from it."""
    from components.comparisons import against_floor, comparable

    measured = comparable(own, judge.measure(model, judge.samples(model, count)))
    return {**measured.told(), **against_floor(own, measured, metric, gates.floor_ratio)}


def _champion(reference: str, data: Examples) -> tuple[dict[str, Any], Any, dict[str, Any] | None]:
    """The champion's facts, its model, and the mark it was held against; or why it cannot be compared."""
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
        return {**facts, "comparable": False, "why_not": why, "validation": {}}, None, None
    return facts, model, read_json(version.bundle_path / "evaluation.json").get("best")


def _against(
    judge: Any,
    facts: dict[str, Any],
    champion: Any,
    count: int,
    own: Any,
    metric: str,
    gates: GateSettings,
) -> dict[str, Any]:
    """The champion's numbers on these splits, and how far this model is from it."""
    from components.comparisons import against_champion, comparable

    if champion is None:
        return facts
    measured = comparable(own, judge.measure(champion, judge.samples(champion, count)))
    return {**facts, **measured.told(), **against_champion(own, measured, metric, gates)}


def _finite(found: Any) -> Any:
    """NaN and infinity as None: JSON has neither, and no gate passes on None."""
    return json.loads(json.dumps(found, default=float), parse_constant=lambda _: None)
