"""Imports point down only: pipelines, components, keras_models; and the light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABOVE = {
    "keras_models": {"components", "pipelines", "tests"},
    "components": {"pipelines", "tests"},
    "pipelines": {"tests"},
}
LIGHT = (
    "keras_models",
    "keras_models.spec",
    "keras_models.config",
    "components.errors",
    "components.artifacts",
    "components.settings",
    "components.ingest",
    "components.statistics",
    "components.validate",
    "components.publish",
)


def imported_packages(source: str) -> set[str]:
    """The top-level names that a module imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute: a relative one could climb a floor unseen"
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            first = node.args[0]
            text = first.values[0] if isinstance(first, ast.JoinedStr) else first
            if isinstance(text, ast.Constant):
                found.add(str(text.value).split(".")[0])
    return found


@pytest.mark.parametrize("floor", ABOVE)
def test_no_floor_imports_one_above(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for file in files:
        climbed = imported_packages(file.read_text("utf-8")) & ABOVE[floor]
        assert not climbed, f"{file.relative_to(ROOT)} imports {sorted(climbed)}, a floor above it"


@pytest.mark.parametrize(
    "source",
    [
        "import components",
        "def f():\n    from components.metrics import METRICS",
        "import numpy, components.errors as e",
        "import importlib\nimportlib.import_module(f'components.{name}')",
    ],
)
def test_a_climbing_import_is_seen(source):
    assert "components" in imported_packages(source)


def test_light_modules_import_neither_tensorflow_nor_beam_nor_mlflow():
    code = (
        f"import importlib, sys\nfor name in {LIGHT!r}: importlib.import_module(name)\n"
        "print(sorted({'tensorflow', 'keras', 'apache_beam', 'mlflow', 'kfp'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
