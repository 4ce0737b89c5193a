"""What is wrong with settings, in sentences: where, what was given, what would do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from components.errors import did_you_mean
from pipelines.fields import Schema, bound_shown, bounds_of, kind_of, names_at, schema_at, shown

_BEYOND = {
    "greater_than_equal": "{value} is below the smallest value {ge}",
    "greater_than": "{value} is too small: it must be above {gt}",
    "less_than_equal": "{value} is above the largest value {le}",
    "less_than": "{value} is too large: it must be below {lt}",
}


def problems_of(settings: type[BaseModel], error: ValidationError, prefix: str = "") -> list[str]:
    """One sentence for each thing that `error` found in values meant for `settings`.

    `prefix` is where these settings stand, e.g. `model.config.`.
    """
    root = settings.model_json_schema()
    found = error.errors(include_url=False)
    sharper = {_known_place(one["loc"], root) for one in found if not _is_of_type(one)}
    kept = [one for one in found if not _is_of_type(one) or _known_place(one["loc"], root) not in sharper]
    # a union reports the same place once for each member: a bound says more than another type
    return list(dict.fromkeys(_sentence(one, root, prefix) for one in kept))


def _is_of_type(error: Any) -> bool:
    return error["type"].endswith(("_type", "int_from_float"))


def _sentence(error: Any, root: Schema, prefix: str) -> str:
    place = _known_place(error["loc"], root) if error["type"] != "extra_forbidden" else error["loc"]
    where = prefix + ".".join(map(str, place))
    said = f"{where}: " if where else ""
    value, context = error.get("input"), error.get("ctx", {})
    schema = schema_at(root, place) or {}
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key '{where}'{_hint(str(place[-1]), place[:-1], root)}"
        case "missing":
            meaning = schema.get("description")
            return f"{said}missing" + (f" ({meaning})" if meaning else "")
        case kind if kind in _BEYOND:
            bounds = {name: bound_shown(bound) for name, bound in context.items()}
            return said + _BEYOND[kind].format(value=shown(value), **bounds)
        case "literal_error":
            return f"{said}{_given(value)} is not allowed{did_you_mean(str(value), _choices(schema, root))}"
        case "value_error":
            return f"{said}{context['error']}"
        case "string_pattern_mismatch":
            return f"{said}{_given(value)} is not allowed: {schema.get('description') or schema['pattern']}"
        case _ if _is_of_type(error):
            limits = bounds_of(schema, root)
            wanted = kind_of(schema, root) + (f" ({limits})" if limits else "")
            return f"{said}{_given(value)} is given where the recipe needs: {wanted}"
    message = error["msg"]
    return f"{said}{message[:1].lower()}{message[1:]} (given: {shown(value)[:60]})"


def _known_place(place: tuple[str | int, ...], root: Schema) -> tuple[str | int, ...]:
    """`place` without what pydantic adds for the members of a union."""
    while place and schema_at(root, place) is None:
        place = place[:-1]
    return place


def _hint(given: str, group: tuple[str | int, ...], root: Schema) -> str:
    """The nearest key of the group; or the block in which such a key is known."""
    siblings = names_at(root, group)
    hint = did_you_mean(given, siblings)
    if "did you mean" in hint:
        return hint
    elsewhere = [f"{block}.{given}" for block in names_at(root, ()) if given in names_at(root, (block,))]
    return f" — did you mean '{elsewhere[0]}'?" if elsewhere else hint


def _choices(schema: Schema, root: Schema) -> list[str]:
    return [str(value) for value in schema.get("enum", [schema.get("const", "")])]


def _given(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {shown(value)}"
    if isinstance(value, dict):
        return "a group of settings"
    return "a list" if isinstance(value, list) else shown(value)
