"""The families of generative models. The file name is the registry.

`families()` lists them, `describe(name)` reads a family's facts and config from its source without
importing TensorFlow (the command line stays fast and a recipe is checked before anything runs),
`family(name)` imports it, `build(...)` makes a model.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_models.config import FamilyConfig
from keras_models.spec import Spec

if TYPE_CHECKING:
    from keras_models.base import GenerativeModel

ROOT = Path(__file__).parent
TASKS = (
    "sample",
    "log_prob",
    "encode",
    "decode",
    "reconstruct",
    "decode_states",
    "forecast",
    "complete",
    "fill",
    "tag",
    "translate",
    "predict_rating",
    "as_tfp",
)


@dataclass(frozen=True)
class Description:
    """What a family says of itself: read from its source, so it costs no import."""

    name: str
    school: str
    summary: str
    kinds: tuple[str, ...]
    likelihood: str
    measure: str
    paper: str
    mixed_precision: bool
    tasks: tuple[str, ...]
    config: type[FamilyConfig]


@cache
def families() -> dict[str, Path]:
    """Name → file of every family: each module in a school's folder that defines a `Config`."""
    files = sorted(ROOT.glob("[a-z]*/[a-z]*.py"))
    return {file.stem: file for file in files if "class Config(" in file.read_text("utf-8")}


@cache
def describe(name: str) -> Description:
    """The facts and the config of family `name`, without importing TensorFlow.

    Raises:
        KeyError: no family of that name.
    """
    file = families()[name]
    tree = ast.parse(file.read_text("utf-8"))
    model = _model_class(tree)
    facts: dict[str, Any] = {
        "kinds": (),
        "likelihood": "none",
        "measure": "",
        "paper": "",
        "mixed_precision": False,
    }
    facts |= {key: value for key, value in _constants(model).items() if key in facts}
    methods = _methods(tree, model) | {"sample"}
    return Description(
        name=name,
        school=file.parent.name,
        summary=(ast.get_docstring(tree) or "").split("\n")[0].rstrip("."),
        tasks=tuple(task for task in TASKS if task in methods),
        config=_read_config(name, tree),
        **facts,
    )


def _methods(tree: ast.Module, model: ast.ClassDef) -> set[str]:
    """The methods of a class and of the bases that it shares with other families, by their sources."""
    found = {node.name for node in model.body if isinstance(node, ast.FunctionDef)}
    bases = {base.id for base in model.bases if isinstance(base, ast.Name)}
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module in (None, "keras_models.base"):
            continue
        shared = bases & {alias.name for alias in node.names}
        if shared and str(node.module).startswith("keras_models."):
            file = ROOT.parent / f"{str(node.module).replace('.', '/')}.py"
            other = ast.parse(file.read_text("utf-8"))
            for one in other.body:
                if isinstance(one, ast.ClassDef) and one.name in shared:
                    found |= _methods(other, one)
    return found


def family(name: str) -> type[GenerativeModel]:
    """The model class of family `name`. Imports TensorFlow."""
    file = families()[name]
    module = importlib.import_module(f"keras_models.{file.parent.name}.{name}")
    return getattr(module, _model_class(ast.parse(file.read_text("utf-8"))).name)


def build(
    name: str,
    spec: Spec,
    config: FamilyConfig | None = None,
    *,
    seed: int = 0,
    precision: str = "float32",
) -> GenerativeModel:
    """A new model of family `name`: the same seed gives the same initial weights.

    Args:
        precision: Keras' dtype policy of its layers. Weights are float32 under each.

    Raises:
        KeyError: no family of that name.
        ValueError: the family does not learn this kind of data, or not at this precision.
    """
    import keras

    if problem := precision_problem(name, precision):
        raise ValueError(problem)
    model_class = family(name)
    keras.utils.set_random_seed(seed)
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return model_class(spec, config or describe(name).config(), seed=seed)
    finally:
        keras.config.set_dtype_policy(former)


def precision_problem(name: str, precision: str) -> str:
    """Why family `name` does not learn at `precision`, in one sentence; empty where it does."""
    if precision == "float32" or describe(name).mixed_precision:
        return ""
    able = ", ".join(sorted(one for one in families() if describe(one).mixed_precision))
    return (
        f"train.precision {precision} is for networks that learn by gradients ({able}): family '{name}' adds up "
        "or solves, which needs all digits; leave it at float32"
    )


def _model_class(tree: ast.Module) -> ast.ClassDef:
    """The family's model: the public class that states the `kinds` of data it learns."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and "kinds" in _constants(node):
            return node
    raise ValueError("a family's module defines one class with a `kinds` attribute")


def _constants(node: ast.ClassDef) -> dict[str, Any]:
    found = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return found


def _read_config(name: str, tree: ast.Module) -> type[FamilyConfig]:
    """Runs only the `Config` class and the imports that it may use."""
    light = ("__future__", "typing", "pydantic", "keras_models.config")
    body: list[ast.stmt] = [
        node
        for node in tree.body
        if (isinstance(node, ast.ImportFrom) and node.module in light)
        or (isinstance(node, ast.ClassDef) and node.name == "Config")
    ]
    module = types.ModuleType(f"keras_models._read_{name}")
    sys.modules[module.__name__] = module  # pydantic resolves annotations by module name
    exec(compile(ast.Module(body, []), str(families()[name]), "exec"), module.__dict__)  # noqa: S102
    return module.Config
