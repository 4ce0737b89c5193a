"""What can be wrong with a recipe beyond the types of its settings: sources, families and metrics by name."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from components.errors import ConfigError, did_you_mean
from components.settings import DataSettings, GateSettings, ModelSettings, Settings, TrainSettings
from pipelines.problems import problems_of


def data_problems(data: DataSettings) -> tuple[list[str], str | None]:
    """Problems, and the kind of data where the source is known."""
    from components.modalities import modality_of
    from components.spans import problems as span_problems

    try:
        modality = modality_of(data.source)
    except ConfigError as error:
        return [str(error)], None
    problems = span_problems(data)
    given = {"Read": data.read, "Encode": data.encode, "Augment": data.augment}
    parsed: dict[str, Any] = {}
    for name, values in given.items():
        options = getattr(modality, name, Settings)
        try:
            parsed[name] = options.parse(values)
        except ValidationError as error:
            problems += problems_of(options, error, f"data.{name.lower()}.")
    if "Encode" not in parsed or not hasattr(modality, "kind_of"):
        return problems, modality.KIND
    return problems, modality.kind_of(parsed["Encode"])


def family_problems(where: str, model: ModelSettings, kind: str | None) -> list[str]:
    """Problems of a family and its config, under the key `where`, for data of this kind (None: not known)."""
    from keras_models import describe, families

    if model.family not in families():
        return [f"{where}.family: unknown family '{model.family}'{did_you_mean(model.family, families())}"]
    description = describe(model.family)
    problems = []
    if kind is not None and kind not in description.kinds:
        learns = " and ".join(description.kinds)
        problems.append(
            f"{where}.family: '{model.family}' learns {learns} data, and data.source gives {kind}"
        )
    try:
        description.config.parse(model.config)
    except ValidationError as error:
        problems += problems_of(description.config, error, f"{where}.config.")
    return problems


def precision_problems(model: ModelSettings, train: TrainSettings | None) -> list[str]:
    """A precision at which the family does not learn."""
    from keras_models import families, precision_problem

    if train is None or model.family not in families():
        return []
    problem = precision_problem(model.family, train.precision)
    return [problem] if problem else []


def gate_problems(gates: GateSettings, model: ModelSettings | None, data: DataSettings | None) -> list[str]:
    """Metrics that there are not, that are never measured of this family or data, limits that exclude all."""
    from components.metrics import METRICS
    from keras_models import describe, families

    problems = []
    modality = _modality(data)
    asked = [("gates.metric", gates.metric), *((f"gates.limits.{name}", name) for name in gates.limits)]
    for where, metric in ((where, METRICS.get(name or "")) for where, name in asked):
        if metric is None or model is None or model.family not in families():
            continue
        if metric.likelihood and describe(model.family).likelihood == "none":
            problems.append(f"{where}: family '{model.family}' has no likelihood, so this is never measured")
        elif modality and metric.modalities and modality not in metric.modalities:
            problems.append(
                f"{where}: it is measured on {' and '.join(metric.modalities)}, and these are {modality}"
            )
    if gates.metric is not None and gates.metric not in METRICS:
        hint = did_you_mean(gates.metric, METRICS)
        problems.append(f"gates.metric: unknown metric '{gates.metric}'{hint}")
    for name, limit in gates.limits.items():
        if name not in METRICS:
            problems.append(f"gates.limits: unknown metric '{name}'{did_you_mean(name, METRICS)}")
        if limit.min is not None and limit.max is not None and limit.min > limit.max:
            problems.append(f"gates.limits.{name}: no value is at least {limit.min} and at most {limit.max}")
    return problems


def _modality(data: DataSettings | None) -> str:
    """The kind of data that a source holds; empty where that is not known."""
    from components.modalities import modality_of, name_of

    try:
        return name_of(modality_of(data.source)) if data else ""
    except ConfigError:  # told among the problems of the data
        return ""
