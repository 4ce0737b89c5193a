"""What a person may set, from a settings class: each field's type, default, bounds and meaning.

Everything is read from the class's JSON schema, which nests, so that a place such as
`evaluate.floors.0.train.epochs` is found in it by walking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "group of settings",
    "null": "null",
}
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


@dataclass(frozen=True)
class FieldFacts:
    """One row of `mozart describe`."""

    name: str
    kind: str
    default: str
    bounds: str
    meaning: str


def fields_of(settings: type[BaseModel]) -> list[FieldFacts]:
    """The facts of every field of `settings`, in the order of the class."""
    schema = settings.model_json_schema()
    required = schema.get("required", [])
    return [
        FieldFacts(
            name=name,
            kind=kind_of(field, schema),
            default="required" if name in required else shown(field.get("default")),
            bounds=bounds_of(field, schema),
            meaning=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def schema_at(root: Schema, place: Iterable[str | int]) -> Schema | None:
    """The schema of the setting at `place`, or None where the classes know no such place."""
    here: Schema | None = _resolved(root, root)
    for part in place:
        here = next((found for option in _options(here, root) if (found := _inside(option, part))), None)
        if here is None:
            return None
        here = _resolved(here, root)
    return here


def names_at(root: Schema, place: Iterable[str | int]) -> list[str]:
    """The keys that may stand at `place`."""
    here = schema_at(root, place)
    return [name for option in _options(here, root) for name in option.get("properties", {})] if here else []


def kind_of(schema: Schema, root: Schema) -> str:
    """`whole number`, `'none' | 'threshold'`, `list of number` ..."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return " | ".join(kind_of(option, root) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(shown(value) for value in schema["enum"])
    if "const" in schema:
        return shown(schema["const"])
    if schema.get("type") == "array":
        items = schema.get("items") or next(iter(schema.get("prefixItems", [])), None)
        return f"list of {kind_of(items, root)}" if items else "list"
    return _TYPES.get(schema.get("type", ""), "any value")


def bounds_of(schema: Schema, root: Schema) -> str:
    """`≥ 1, ≤ 100`, of a list's items too; empty where there are none."""
    found = []
    for option in _options(schema, root):
        found += [text.format(bound_shown(option[key])) for key, text in _BOUNDS.items() if key in option]
        items = option.get("items")
        inner = bounds_of(items, root) if items else ""
        found += [f"each {inner}"] if inner else []
    return ", ".join(found)


def shown(value: Any) -> str:
    """A value as a recipe spells it, short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 60 else f"'{value[:57]}...'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return _number(value)


def bound_shown(value: float) -> str:
    """A bound without the `.0` that pydantic adds."""
    return _number(int(value) if float(value).is_integer() else value)


def _number(value: float) -> str:
    """Thousands apart, and no more digits than were written: 100,000 · 0.001 · 1e-06."""
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _options(schema: Schema | None, root: Schema) -> list[Schema]:
    """The schema itself, or the members of a union."""
    if schema is None:
        return []
    schema = _resolved(schema, root)
    return [_resolved(option, root) for option in schema.get("anyOf", [schema])]


def _inside(schema: Schema, part: str | int) -> Schema | None:
    """The schema one step further in."""
    if isinstance(part, int):
        fixed = schema.get("prefixItems", [])
        return fixed[part] if part < len(fixed) else schema.get("items")
    if part in schema.get("properties", {}):
        return schema["properties"][part]
    extra = schema.get("additionalProperties")
    return extra if isinstance(extra, dict) else None
