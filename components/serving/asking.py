"""What a request may ask, and the arrays it becomes. Whatever cannot be is refused in one sentence."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.serving.batching import SEEDS, Question, Wish
from components.serving.current import Served

COUNT, EXAMPLES = 1024, 256  # most of one request
Format = Literal["png", "midi", "text", "csv", "json"]
Class = Annotated[int, Field(ge=0, le=2**31 - 1)] | Annotated[str, Field(max_length=200)]


class Refused(Exception):
    """A request that cannot be answered: the sentence for its sender (HTTP 400)."""


class SampleRequest(BaseModel):
    """How many samples, of what and in which form."""

    model_config = ConfigDict(extra="forbid", strict=True)

    count: int = Field(1, ge=1, le=COUNT, description="how many samples")
    seed: int | None = Field(
        None,
        ge=0,
        le=SEEDS,
        description="the same seed, the same samples; without one the answer names its own",
    )
    condition: Class | list[Class] | None = Field(
        None,
        description="a class (name or number) for all samples, or one for each; of families that take one",
    )
    format: Format | None = Field(None, description="by default the kind's own: png, midi, text or csv")


class LogProbRequest(BaseModel):
    """Examples in the model's own units (see `encoding.json` of the bundle)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    x: list[Any] = Field(min_length=1, max_length=EXAMPLES, description="[n, ...], as the spec says")
    length: list[int] | None = Field(None, description="[n], of sequences; by default all of it")
    mask: list[Any] | None = Field(None, description="like x, of series: 0 where a value is missing")
    covariates: list[Any] | None = Field(None, description="[n, length, k], of series that have them")
    series: list[int] | None = Field(None, description="[n], of panels: which series, 0 if unknown")


def wish_of(request: SampleRequest, served: Served, chosen: int) -> Wish:
    """The wish; conditioned samples need a seed, so `chosen` stands in where none was given.

    Raises:
        Refused: a condition that the family does not take, or the data do not know.
    """
    if request.condition is None:
        return Wish(request.count, request.seed)
    model, asked = served.model, request.condition
    if model.condition_on != "label":
        raise Refused(f"the family '{model.family}' takes no condition")
    each = asked if isinstance(asked, list) else [asked] * request.count
    if len(each) != request.count:
        raise Refused(f"{request.count} samples need as many conditions, and {len(each)} were given")
    classes = model.spec.classes
    numbers = []
    for one in each:
        number = one if isinstance(one, int) else (classes.index(one) if one in classes else -1)
        if not 0 <= number < len(classes):
            raise Refused(f"a condition is none of the {len(classes)} classes: {', '.join(classes[:50])}")
        numbers.append(number)
    seed = chosen if request.seed is None else request.seed
    return Wish(request.count, seed, np.asarray(numbers, np.int32))


def question_of(request: LogProbRequest, served: Served) -> Question:
    """The examples as arrays, complete: what was left out has its usual value.

    Raises:
        Refused: the family has no likelihood, or the examples are not what its spec says.
    """
    model, spec = served.model, served.model.spec
    if model.likelihood == "none":
        raise Refused(f"the family '{model.family}' has no likelihood")
    taken = inspect.signature(model.log_prob).parameters
    n, shape = len(request.x), tuple(spec.shape)
    found = {"x": _array("x", request.x, (n, *shape), whole=spec.kind in ("tokens", "ratings"))}
    _check_range(found["x"], spec)
    usual: dict[str, Any] = {}
    if spec.kind in ("tokens", "roll", "series"):
        usual["length"] = np.full(n, shape[0], np.int32)
    if spec.kind == "series":
        usual["mask"] = np.ones((n, *shape), np.float32)
        usual["series"] = np.zeros(n, np.int32)
        if spec.covariates:
            usual["covariates"] = None
    for name in ("length", "mask", "covariates", "series"):
        given = getattr(request, name)
        if name not in usual or name not in taken:
            if given is not None:
                raise Refused(f"'{name}' says nothing to the family '{model.family}' of {spec.kind} data")
            continue
        if given is None and usual[name] is None:
            raise Refused(f"'{name}' is needed: these series have covariates")
        expected = (n, shape[0], spec.covariates) if name == "covariates" else np.shape(usual[name])
        found[name] = (
            usual[name] if given is None else _array(name, given, expected, name in ("length", "series"))
        )
    if "length" in found and not ((found["length"] >= 1) & (found["length"] <= shape[0])).all():
        raise Refused(f"every length is in 1..{shape[0]}")
    if "mask" in found and not np.isin(found["mask"], (0, 1)).all():
        raise Refused("a mask is of 0 and 1")
    return Question(found)


def _array(name: str, given: list[Any], shape: tuple[int, ...], whole: bool) -> np.ndarray:
    told = ", ".join(map(str, shape))
    try:
        array = np.asarray(given)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"'{name}' is no array of numbers [{told}]") from error
    if array.shape != shape or array.dtype.kind not in ("iu" if whole else "iuf"):
        raise Refused(f"'{name}' is no array of {'whole ' * whole}numbers [{told}]")
    if array.dtype.kind != "f" and np.abs(array.astype(np.float64)).max() > 2**31 - 1:
        raise Refused(f"'{name}' holds numbers that are too large")
    with np.errstate(over="ignore"):
        array = array.astype(np.int32 if whole else np.float32)
    if not np.isfinite(array).all():
        raise Refused(f"'{name}' holds numbers that are not finite")
    return array


def _check_range(x: np.ndarray, spec: Any) -> None:
    """Symbols in the vocabulary, rolls of 0 and 1, images in [0, 1]."""
    if spec.kind == "tokens" and not ((x >= 0) & (x < spec.vocabulary)).all():
        raise Refused(f"every symbol is in 0..{spec.vocabulary - 1}")
    if spec.kind == "roll" and not np.isin(x, (0, 1)).all():
        raise Refused("a roll is of 0 and 1")
    if spec.kind == "image" and not ((x >= 0) & (x <= 1)).all():
        raise Refused("images are in [0, 1]")
