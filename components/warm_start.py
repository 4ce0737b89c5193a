"""Warm start: a training begins with the weights of a published model, and where they fit its optimizers'.

`load_weights` is the plain part: the tensors of a bundle into a model of the same family and shapes.
`warm_start` is what a retraining asks for, where spec, config and encoding must agree too; where they do
not, the training starts cold, and the reason is on record in the model's provenance and card. `fine_tune` is
what a person asks for, on other data: there shapes must agree, and where they do not, nothing is trained.

A family without an optimizer (closed form, EM) solves for its weights anew in each training, from its own
first pass over the data: it starts cold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.artifacts import read_json
from components.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    import numpy as np

    from keras_models.base import GenerativeModel

OPTIMIZERS = "optimizers.safetensors"  # beside the weights, where a recipe starts from its champion


@dataclass(frozen=True)
class Start:
    """How a training started: from which version, with what of it; `reason` says what is not taken and why."""

    source: str
    weights: bool = False
    optimizers: bool = False
    reason: str = ""

    def told(self) -> dict[str, Any]:
        """As JSON, with the sentence."""
        return {**asdict(self), "said": self.sentence()}

    def sentence(self) -> str:
        """For the log and the model card."""
        if not self.weights:
            return f"cold start: {self.reason}"
        if not self.optimizers:
            return f"warm start from {self.source}, the weights only: {self.reason}"
        return f"warm start from {self.source}, weights and optimizers"


def load_weights(model: GenerativeModel, bundle: Path) -> None:
    """Sets every weight of `model` to that of the published model in the folder `bundle`, checked first.

    Raises:
        IntegrityError: the bundle is not what was published.
        ConfigError: it is of another family, or a tensor has another shape; the model is as it was.
    """
    from components.bundle import check_bundle
    from keras_models.saving import MODEL, WEIGHTS, digest

    check_bundle(bundle)
    facts, arrays = read_json(bundle / MODEL), _arrays(bundle / WEIGHTS)
    if digest(arrays) != facts["digest"]:
        raise IntegrityError(f"{bundle / WEIGHTS} does not hold the tensors that {MODEL} names")
    if facts["family"] != model.family:
        raise ConfigError(f"the weights in {bundle} are of a {facts['family']}, and this is a {model.family}")
    _set(model.variables, arrays, f"the weights in {bundle}")


def warm_start(model: GenerativeModel, encoding: dict[str, Any], bundle: Path, source: str) -> Start:
    """Sets weights and optimizers to those of the published model in `bundle`, as far as they fit.

    Args:
        encoding: that of the examples to learn from: symbol 7 must mean the same to both.
        source: what the published model is called, `NAME:VERSION`.

    Raises:
        IntegrityError: the bundle is not what was published.
    """
    from components.bundle import check_bundle

    check_bundle(bundle)
    why_cold = _difference(model, encoding, bundle)
    if not why_cold and not model.optimizers():
        why_cold = f"family '{model.family}' has no optimizer and solves for its weights anew each time"
    if why_cold:
        return Start(source, reason=why_cold)
    try:
        load_weights(model, bundle)
    except ConfigError as error:  # another version of the family's code
        return Start(source, reason=str(error))
    if not (bundle / OPTIMIZERS).is_file():
        return Start(source, weights=True, reason=f"{source} was published without its optimizers' state")
    try:
        _set(_optimizer_variables(model), _arrays(bundle / OPTIMIZERS), f"the optimizers in {bundle}")
    except ConfigError as error:
        return Start(source, weights=True, reason=str(error))
    return Start(source, weights=True, optimizers=True)


def fine_tune(model: GenerativeModel, bundle: Path, source: str) -> Start:
    """Sets the weights to those of the published model in `bundle`; optimizers begin anew.

    Args:
        source: what the published model is called, `NAME:VERSION`.

    Raises:
        IntegrityError: the bundle is not what was published.
        ConfigError: the weights do not fit, or no training would begin with them.
    """
    if not model.optimizers():
        raise ConfigError(
            f"train.fine_tune: family '{model.family}' has no optimizer and solves for its weights anew: leave it out"
        )
    try:
        load_weights(model, bundle)
    except ConfigError as error:
        raise ConfigError(
            f"train.fine_tune: {source} has another shape, set model.config as it has: {error}"
        ) from error
    return Start(source, weights=True, reason="a fine-tuning has a schedule of its own")


def save_optimizers(model: GenerativeModel, folder: Path) -> None:
    """Writes the state of all optimizers of `model` into `folder`; nothing where there is none."""
    from safetensors.numpy import save_file

    from keras_models.saving import arrays_of

    if variables := _optimizer_variables(model):
        save_file(arrays_of(variables), folder / OPTIMIZERS)


def _difference(model: GenerativeModel, encoding: dict[str, Any], bundle: Path) -> str:
    """Why the published model is not the same kind of model for the same kind of data; empty if it is."""
    facts, own = read_json(bundle / "model.json"), model.get_config()
    if facts["family"] != model.family:
        return f"the champion is a {facts['family']} and the recipe asks for a {model.family}"
    for what in ("spec", "config"):
        if changed := _changed(facts[what], own[what]):
            return f"the {what} differs from the champion's in {changed}"
    before = read_json(bundle / "encoding.json")
    names = sorted(name for name in before.keys() | encoding.keys() if before.get(name) != encoding.get(name))
    if names:
        return f"examples are encoded in another way than the champion's ({', '.join(names)})"
    return ""


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    """`width (8 before, 16 now)` for each key that differs; long values are not shown."""
    told = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old != new:
            values = f" ({old} before, {new} now)"
            told.append(name + (values if len(values) < 60 else ""))
    return ", ".join(told)


def _optimizer_variables(model: GenerativeModel) -> list[Any]:
    return [variable for optimizer in model.optimizers() for variable in optimizer.variables]


def _arrays(file: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise IntegrityError(f"{file} does not hold tensors: {error}") from error


def _set(variables: list[Any], arrays: dict[str, np.ndarray], what: str) -> None:
    """Sets all variables or, where one does not fit, none."""
    from keras_models.base import assign

    values = [arrays[name] for name in sorted(arrays)]
    if len(values) != len(variables):
        raise ConfigError(f"{what} are {len(values)} tensors, and this model has {len(variables)}")
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape or str(variable.dtype) != str(value.dtype):
            raise ConfigError(
                f"{what} do not fit: '{variable.path}' is {variable.dtype}{tuple(variable.shape)}, and the "
                f"published one is {value.dtype}{value.shape}"
            )
    assign(variables, values)
