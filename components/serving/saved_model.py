"""A model as a TensorFlow SavedModel, which runs where Mozart is not installed.

Its signatures are the family's own methods:

    sample(count, seed) → samples                 the samples that `GenerativeModel.sample` draws
    sample_given(condition, seed) → samples       of families that can be asked for a label
    log_prob(x, ...) → log_prob                   nats, and so encode, reconstruct, decode_states ...
    decode(z) → samples

Sequences and rolls come with their `length`, series also with `mask` (and `covariates`, `series`). A
program whose shapes have to be known gets its rows in blocks of ROWS, the last one filled up.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_models.base import BLOCK, GenerativeModel
from keras_models.spec import Spec

ROWS = 16
ANSWERS = {
    "decode_states": ("states", "log_prob"),
    "decode": ("samples",),
    "reconstruct": ("reconstruction",),
}
OF_EXAMPLES = ("log_prob", "encode", "reconstruct", "decode_states", "smooth_states", "tag")
SEARCHES = {"forecast": "series", "translate": "tokens", "complete": "tokens", "predict_rating": "ratings"}


def save(model: GenerativeModel, folder: Path) -> dict[str, Any]:
    """Writes the SavedModel of `model` and returns its signatures, and what the family has that it has not.

    Returns `{"signatures": {name: {"inputs": ..., "outputs": ...}}, "left_out": {name: reason}}`.
    """
    programs, left_out = _programs(model)
    carrier = tf.Module()
    carrier.weights = [variable.value for variable in model.variables]
    carrier.programs = programs
    tf.saved_model.save(carrier, str(folder), signatures=programs)
    return {
        "signatures": {
            name: {
                "inputs": _told(_inputs(program)),
                "outputs": _told(program.structured_outputs),
            }
            for name, program in programs.items()
        },
        "left_out": left_out,
    }


def _programs(model: GenerativeModel) -> tuple[dict[str, Any], dict[str, str]]:
    """Signature → concrete function, and method → why there is none."""
    whole = tf.TensorSpec((), tf.int32)
    programs = {"sample": _traced(_sample(model), {"count": whole, "seed": whole})}
    if model.condition_on == "label":
        condition = tf.TensorSpec((None,), tf.int32, name="condition")
        programs["sample_given"] = _traced(_sample_given(model), {"condition": condition, "seed": whole})
    left_out = {
        name: "it is done in Python, not in TensorFlow"
        for name, kind in SEARCHES.items()
        if kind == model.spec.kind and _has(model, name)
    }
    for name in OF_EXAMPLES:
        if _has(model, name):
            try:
                programs[name] = _of_examples(model, name)
            except (TypeError, ValueError, NotImplementedError) as error:
                left_out[name] = str(error).strip().splitlines()[-1]
    if _has(model, "decode"):
        z = tf.TensorSpec((None, model.config.latent), tf.float32, name="z")
        programs["decode"] = _traced(_named(model.decode, "decode"), {"z": z})
    return programs, left_out


def _has(model: GenerativeModel, name: str) -> bool:
    if name == "log_prob":
        return model.likelihood != "none"
    return callable(getattr(model, name, None))


def _sample(model: GenerativeModel) -> Callable[..., dict[str, Any]]:
    """As GenerativeModel.sample: blocks of a fixed size, each with a seed of its own."""

    def sample(count: Any, seed: Any) -> dict[str, Any]:
        def drawn(block: Any) -> Any:
            return _whole(model, model.draw(BLOCK, None, tf.stack([seed, block])))

        return {"samples": _in_blocks(drawn, count, BLOCK)}

    return sample


def _sample_given(model: GenerativeModel) -> Callable[..., dict[str, Any]]:
    def sample_given(condition: Any, seed: Any) -> dict[str, Any]:
        count = tf.shape(condition)[0]

        def drawn(block: Any) -> Any:
            given = tf.gather(condition, (block * BLOCK + tf.range(BLOCK)) % count)
            return _whole(model, model.draw(BLOCK, given, tf.stack([seed, block])))

        return {"samples": _in_blocks(drawn, count, BLOCK)}

    return sample_given


def _whole(model: GenerativeModel, samples: Any) -> Any:
    """A block of samples, whose shape TensorFlow may have lost."""
    return tf.ensure_shape(samples, (BLOCK, *model.spec.shape))


def _of_examples(model: GenerativeModel, name: str) -> Any:
    """The program of a method of examples: for any number of rows where its shapes allow that."""
    method = getattr(model, name)
    specs = _example(model.spec, inspect.signature(method).parameters)
    answer = _named(method, name)
    try:
        return _traced(answer, specs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        return _traced(_padded(answer), specs)


def _padded(answer: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Calls a program of ROWS rows as often as needed."""

    def whole(**given: Any) -> dict[str, Any]:
        count = tf.shape(next(iter(given.values())))[0]

        def part(block: Any) -> dict[str, Any]:
            rows = (block * ROWS + tf.range(ROWS)) % count
            return answer(
                **{
                    name: tf.ensure_shape(tf.gather(value, rows), (ROWS, *value.shape[1:]))
                    for name, value in given.items()
                }
            )

        return _in_blocks(part, count, ROWS)

    return whole


def _in_blocks(part: Callable[[Any], Any], count: Any, size: int) -> Any:
    """`part` of 0, 1, ... one behind another, cut to `count` rows."""
    blocks = tf.range((count + size - 1) // size)
    shape = tf.nest.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
        tf.function(part, autograph=False)
        .get_concrete_function(tf.TensorSpec((), tf.int32))
        .structured_outputs,
    )
    found = tf.map_fn(part, blocks, fn_output_signature=shape, parallel_iterations=1)
    return tf.nest.map_structure(
        lambda tensor: tf.reshape(tensor, (-1, *tensor.shape[2:]))[:count], found, expand_composites=True
    )


def _named(method: Callable[..., Any], name: str) -> Callable[..., dict[str, Any]]:
    """A method whose answer is a dictionary of tensors."""
    keys = ANSWERS.get(name, (name,))

    def answer(**given: Any) -> dict[str, Any]:
        first = "z" if name == "decode" else "x"
        found = method(given[first], **{key: value for key, value in given.items() if key != first})
        return dict(zip(keys, found if isinstance(found, tuple) else (found,), strict=True))

    return answer


def _traced(function: Callable[..., Any], specs: dict[str, tf.TensorSpec]) -> Any:
    named = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in specs.items()}
    return tf.function(function, autograph=False).get_concrete_function(**named)


def _example(spec: Spec, wanted: Any) -> dict[str, tf.TensorSpec]:
    """What a method is given of each example: x, and of the rest what the data have and it asks for."""
    kind = tf.int32 if spec.kind in ("tokens", "ratings") else tf.float32
    found = {"x": tf.TensorSpec((None, *spec.shape), kind)}
    if spec.kind in ("tokens", "roll", "series"):
        found["length"] = tf.TensorSpec((None,), tf.int32)
    if spec.kind == "series":
        found["mask"] = tf.TensorSpec((None, *spec.shape), tf.float32)
        if spec.covariates:
            found["covariates"] = tf.TensorSpec((None, spec.shape[0], spec.covariates), tf.float32)
        if spec.series:
            found["series"] = tf.TensorSpec((None,), tf.int32)
    return {name: spec for name, spec in found.items() if name == "x" or name in wanted}


def _inputs(program: Any) -> dict[str, tf.TensorSpec]:
    by_place, by_name = program.structured_input_signature
    return {spec.name: spec for spec in by_place} | by_name


def _told(tensors: dict[str, Any]) -> dict[str, Any]:
    """Name → dtype and shape, None for any number, as JSON."""
    return {
        name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
        for name, tensor in sorted(tensors.items())
    }
