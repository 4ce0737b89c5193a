"""A schema as a file: YAML with comments for the person who curates it, read as strictly as a recipe."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.errors import ConfigError, did_you_mean
from components.schema import FeatureRules, Schema
from components.strict_yaml import MAX_BYTES, YamlError, parse_yaml

HEAD = """\
# What these data must look like: gate 1 holds every run against it.
#
# Inferred from {about}.
# Correct it, then name this file in the recipe:
#     data:
#       schema_file: {file}
#
# records       the least number of records of each split
# severity      error stops the run, warning is told, off leaves the feature alone
# max_missing   the largest share of values that may be missing or not a number
# numeric       min and max: the range, with some slack; null is no bound
# categorical   values: all that there may be (null: anything); max_unknown: the largest share of others;
#               in_every_split: whether each of the values must occur in each split
# new_features  what a feature that is not listed here is
"""


def to_yaml(schema: Schema, file: str, about: str) -> str:
    """The schema as text for a person to curate. What says nothing is left out."""
    import yaml

    values = {
        "modality": schema.modality,
        "records": schema.records,
        "new_features": schema.new_features,
        "features": {
            name: rules.model_dump(mode="json", exclude_none=True, exclude=_silent(rules))
            for name, rules in schema.features.items()
        },
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    return HEAD.format(about=about, file=file) + "\n" + text


def _silent(rules: FeatureRules) -> set[str]:
    return set() if rules.values is not None else {"max_unknown", "in_every_split"}


def read_schema(file: Path) -> Schema:
    """The schema in a file.

    Raises:
        ConfigError: no such file, YAML that is refused, or what is no schema, with the line or the place.
    """
    try:
        with file.open("rb") as stream:
            values = parse_yaml(stream.read(MAX_BYTES + 4).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"data.schema_file '{file}': there is no such file (seen from {Path.cwd()}); "
            "`mozart schema RECIPE --out FILE` writes one"
        ) from None
    except OSError as error:
        raise ConfigError(f"data.schema_file '{file}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"data.schema_file '{file}': not UTF-8 text (byte {error.start})") from error
    except YamlError as error:
        raise ConfigError(f"{file}:{error.line}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}:1: a schema is a group of settings (modality, records, features)")
    try:
        return Schema.parse(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{file}: {said}" for said in _problems(error)[:20])) from error


def _problems(error: ValidationError) -> list[str]:
    told = []
    for one in error.errors(include_url=False):
        where = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            known = (FeatureRules if one["loc"][0] == "features" else Schema).model_fields
            told.append(f"unknown key '{where}'{did_you_mean(str(one['loc'][-1]), known)}")
        else:
            message = one["msg"].removeprefix("Value error, ")
            told.append(f"{where}: {message[:1].lower()}{message[1:]}")
    return told
