"""Recipe: one experiment as a person writes it, checked before anything runs.

A recipe is a YAML file (`pipelines/recipes/*.yaml` or one's own) and changes from the command line
(`--set train.epochs=5`). All its problems are told at once, each with its place and what would do.
Checking imports no TensorFlow, Beam, KFP or MLflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator

from components.errors import ConfigError, did_you_mean
from components.notify import NotifySettings
from components.resources import ResourceSettings
from components.settings import (
    DataSettings,
    EvaluateSettings,
    GateSettings,
    ModelSettings,
    Settings,
    TrainSettings,
)
from components.strict_yaml import MAX_BYTES, YamlError, parse_yaml
from pipelines.checks import data_problems, family_problems, gate_problems, precision_problems
from pipelines.problems import problems_of

RECIPES = Path(__file__).parent / "recipes"
SHOWN_PROBLEMS = 20
_NAME = "small letters, digits, '.', '_' and '-'; at most 63, the first a letter or a digit, no '..'"


class Recipe(Settings):
    """All that one run needs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description=_NAME)
    about: str = Field(min_length=1, max_length=200, description="what it makes, in one line")
    data: DataSettings = Field(description="where the data come from, e.g. {source: digits}")
    model: ModelSettings = Field(description="which family, e.g. {family: vae}")
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    gates: GateSettings = GateSettings()
    resources: ResourceSettings = ResourceSettings()
    notify: NotifySettings = NotifySettings()

    @field_validator("name")
    @classmethod
    def _stays_in_its_folder(cls, name: str) -> str:
        if ".." in name:
            raise ValueError(f"'{name}' is not allowed: {_NAME}")
        return name

    def as_json(self) -> str:
        """Canonical JSON text: equal recipes give equal text, and `Recipe.parse` reads it back."""
        values = self.model_dump(mode="json")
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def modality(self) -> ModuleType:
        """The kind of data that its source has (`components.modalities`)."""
        from components.modalities import modality_of

        return modality_of(self.data.source)

    def preflight(self) -> Self:
        """Looks whether the data are there; returns the recipe.

        Raises:
            ConfigError: the recipe leaves the file or folder to its user, who has not named it.
            DataError: no such file or folder. NothingToDo: too few spans have arrived.
        """
        from components.modalities import location
        from components.spans import sources

        source, modality = self.data.source, self.modality()
        if location(source) in ("FILE", "FOLDER"):
            scheme = source.split(":", 1)[0]
            raise ConfigError(
                f"recipe '{self.name}': it needs your own {location(source).lower()}: "
                f"add e.g. --set data.source={scheme}:path/to/my/{location(source).lower()}"
            )
        for _, one in sources(self.data):
            modality.preflight(one, modality.Read.parse(self.data.read))
        return self


def bundled_recipes() -> dict[str, Path]:
    """Name → file of every recipe that comes with Mozart."""
    return {file.stem: file for file in sorted(RECIPES.glob("*.yaml"))}


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that `reference` names: a bundled one, or the path of a .yaml file.

    `overrides` are changes such as `train.epochs=5`, the value read as YAML; the last one wins.

    Raises:
        ConfigError: no such recipe, YAML that is refused, or settings that cannot be meant: all their
            problems, one a line.
    """
    values = _read(_file_of(reference))
    for override in overrides:
        _change(values, override)
    problems, recipe = _check(values)
    if recipe is None:
        lines = [f"recipe '{reference}': {problem}" for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"and {len(problems) - SHOWN_PROBLEMS} problems more")
        raise ConfigError("\n".join(lines))
    return recipe


def data_of(source: str, overrides: Sequence[str] = ()) -> DataSettings:
    """The data block of a source without a recipe; `overrides` such as `data.read.resize=32` change it.

    Raises:
        ConfigError: settings that cannot be meant. DataError: no such file or folder.
    """
    values: dict[str, Any] = {"data": {"source": source}}
    for override in overrides:
        _change(values, override)
    try:
        data = DataSettings.parse(values["data"])
        problems = [f"unknown block '{name}': there is only data here" for name in values if name != "data"]
        problems += data_problems(data)[0]
    except ValidationError as error:
        problems = problems_of(DataSettings, error, "data.")
    if problems:
        raise ConfigError("\n".join(problems))
    from components.modalities import modality_of
    from components.spans import sources

    modality = modality_of(data.source)
    for _, one in sources(data):
        modality.preflight(one, modality.Read.parse(data.read))
    return data


def blocks_of(overrides: Sequence[str]) -> tuple[dict[str, Any], EvaluateSettings]:
    """Changes of the data block as they stand, and the evaluate block: for commands without a recipe.

    Raises:
        ConfigError: settings that cannot be meant, or of another block.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        _change(values, override)
    try:
        settings = EvaluateSettings.parse(values.get("evaluate", {}))
        problems = [
            f"unknown block '{name}': there are data and evaluate here"
            for name in values
            if name not in ("data", "evaluate")
        ]
    except ValidationError as error:
        problems = problems_of(EvaluateSettings, error, "evaluate.")
    if problems:
        raise ConfigError("\n".join(problems))
    return values.get("data", {}), settings


# -- from text to values -------------------------------------------------------------------------------


def _file_of(reference: str) -> Path:
    bundled = bundled_recipes()
    if reference in bundled:
        return bundled[reference]
    if not reference.endswith((".yaml", ".yml")):
        hint = did_you_mean(reference, bundled)
        raise ConfigError(f"unknown recipe '{reference}'{hint} (or give the path of a .yaml file)")
    file = Path(reference)
    try:
        if file.is_file():
            return file
    except (OSError, ValueError) as error:
        raise ConfigError(f"'{reference[:100]}' is not a path: {error}") from error
    raise ConfigError(f"there is no recipe file '{reference}' (seen from {Path.cwd()})")


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 4)  # no more of a huge file than shows that it is one
        values = parse_yaml(data.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"the recipe file '{file}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8 text (byte {error.start})") from error
    except YamlError as error:
        raise ConfigError(f"{file}:{error.line}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}:1: a recipe is a group of settings (name: ..., data: ...), this is not")
    return values


def _change(values: dict[str, Any], override: str) -> None:
    """Sets one value in place: `train.epochs=5`."""
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override[:100]}: write it as key=value, e.g. --set train.epochs=5")
    try:
        value = parse_yaml(text) if text.strip() else None
    except YamlError as error:
        raise ConfigError(f"--set {override[:100]}: {error}") from error
    if re.search(r"(^|\s)#", text) and not (isinstance(value, str) and "#" in value):
        raise ConfigError(f"--set {override[:100]}: YAML drops what follows a #; put the value in quotes")
    group: Any = values
    for i, part in enumerate(parts[:-1]):
        if isinstance(group, dict) and group.get(part) is None:
            group[part] = {}
        group = group[part]
        if not isinstance(group, dict):
            inside = ".".join(parts[: i + 1])
            raise ConfigError(
                f"--set {override[:100]}: '{inside}' is no group of settings; set it as a whole"
            )
    group[parts[-1]] = value


# -- from values to a recipe ---------------------------------------------------------------------------


def _check(values: dict[str, Any]) -> tuple[list[str], Recipe | None]:
    """The problems, and the recipe where there are none."""
    problems: list[str] = []
    wrong: set[str | int] = set()
    recipe = None
    try:
        recipe = Recipe.parse(values)
    except ValidationError as error:
        problems = problems_of(Recipe, error)
        wrong = {one["loc"][0] for one in error.errors() if one["loc"]}
    sound = {
        name: field.annotation.parse(values[name])  # type: ignore[union-attr]
        for name, field in Recipe.model_fields.items()
        if name in values and name not in wrong and name not in ("name", "about")
    }
    kind = None
    if "data" in sound:
        found, kind = data_problems(sound["data"])
        problems += found
    if "model" in sound:
        problems += family_problems("model", sound["model"], kind)
        problems += precision_problems(sound["model"], sound.get("train"))
    if "evaluate" in sound:
        for i, floor in enumerate(sound["evaluate"].floors):
            problems += family_problems(f"evaluate.floors.{i}", floor, kind)
    if "gates" in sound:
        problems += gate_problems(sound["gates"], sound.get("model"), sound.get("data"))
    return problems, None if problems else recipe
