"""The command line: light to start, an example for each command, one sentence for each error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.artifacts import seal, sha256_of, write_json
from components.bundle import FILES, MANIFEST, SIGNATURE
from components.errors import MozartError, NothingToDo, RegistryError
from components.home import home
from components.registry import Registry
from keras_models import families
from pipelines import cli
from pipelines.recipe import bundled_recipes

HEAVY = (
    "tensorflow",
    "keras",
    "tensorflow_probability",
    "apache_beam",
    "kfp",
    "mlflow",
    "sklearn",
    "matplotlib",
)
COMMANDS = sorted(command.name or command.callback.__name__ for command in cli.app.registered_commands)


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    """A home of its own, and a screen wide enough that no table breaks its words."""
    monkeypatch.setenv("MOZART_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments):
    """A command in this process; MozartError comes back as `result.exception`."""
    return CliRunner().invoke(cli.app, list(arguments))


def mozart(*arguments, **environment):
    """A command as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        cwd=Path(cli.__file__).parent.parent,
    )


# -- help, and what it costs ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"mozart {command}" in result.output.replace(f"Usage: mozart {command}", "")


def test_help_lists_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(f" {command} " in result.output for command in COMMANDS)
    assert {"recipes", "families", "describe", "doctor", "models", "rollback"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["recipes"], ["families"], ["describe", "vae"], ["describe", "nothing"], ["models"]],
)
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        f"sys.argv = ['mozart', *{arguments}]\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


def test_starting_imports_neither_pydantic_nor_numpy():
    code = "import sys, pipelines.cli; print({'pydantic', 'numpy', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- lists ---------------------------------------------------------------------------------------------


def test_recipes_lists_every_recipe_with_family_and_data():
    output = invoke("recipes").output
    rows = {line.split()[0]: line for line in output.splitlines() if line.split()}
    assert set(bundled_recipes()) <= set(rows)
    assert rows["digits-vae"].split()[1:3] == ["vae", "digits"]
    assert "text:FILE" in rows["text-hmm"]


def test_families_lists_every_family_with_its_facts():
    rows = {line.split()[0]: line for line in invoke("families").output.splitlines() if line.split()}
    assert set(families()) <= set(rows)
    normal = rows["normal"]
    assert all(word in normal for word in ("classical", "image", "exact", "sample, log_prob", "Fisher 1922"))


def test_describe_shows_type_default_bounds_and_meaning_of_each_setting():
    output = invoke("describe", "normal").output
    rows = {line.split()[0]: " ".join(line.split()) for line in output.splitlines() if line.split()}
    assert rows["covariance"] == "covariance 'diagonal' | 'full' 'full' what the covariance may be"
    assert "number 0.0001 > 0, ≤ 1 added to every variance" in rows["ridge"]
    assert "Fisher 1922, On the mathematical foundations" in output


@pytest.mark.parametrize("family", sorted(families()))
def test_describe_works_for_every_family(family):
    result = invoke("describe", family)
    assert result.exit_code == 0
    assert family in result.output


# -- errors --------------------------------------------------------------------------------------------


def test_an_error_is_one_sentence_on_standard_error_and_its_exit_code():
    done = mozart("describe", "dcgam")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "unknown family 'dcgam' — did you mean 'dcgan'?\n"


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback(place):
    arguments = ["describe", "va"]
    arguments.insert(place, "--debug")
    done = mozart(*arguments)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "ConfigError: unknown family 'va'" in done.stderr


def test_an_unknown_command_gets_the_nearest():
    done = mozart("recipe")
    assert done.returncode == 2
    assert "recipes" in done.stderr


def test_a_name_cannot_steer_the_terminal():
    done = mozart("describe", "\x1b[31mred\x9b")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "\\x1b[31mred\\x9b" in done.stderr


def run_main(monkeypatch, capsys, error):
    """`main` with a command that raises `error`: exit code and standard error."""

    def failing(arguments):
        raise error

    monkeypatch.setattr(cli, "app", failing)
    monkeypatch.setattr(sys, "argv", ["mozart", "anything"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, *capsys.readouterr()


@pytest.mark.parametrize("kind", MozartError.__subclasses__())
def test_main_gives_each_error_its_exit_code(monkeypatch, capsys, kind):
    """Nothing to do is no fault: a clock that runs this every night has nothing to complain of."""
    code, out, err = run_main(monkeypatch, capsys, kind("one clear sentence"))
    assert code == kind.exit_code
    said = "one clear sentence\n"
    assert (out, err) == ((said, "") if kind is NothingToDo else ("", said))


def test_main_gives_an_interrupt_130_and_a_fault_of_ours_one_line(monkeypatch, capsys):
    assert run_main(monkeypatch, capsys, KeyboardInterrupt()) == (130, "", "")
    code, _, said = run_main(monkeypatch, capsys, IndexError("list index out of range"))
    assert code == 1
    assert said == "IndexError: list index out of range (a fault in Mozart; --debug shows where)\n"


# -- home, models, rollback ----------------------------------------------------------------------------


def test_home_is_an_absolute_folder_of_the_environment_or_here(monkeypatch, tmp_path):
    assert home() == tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOZART_HOME", "there")
    assert home() == tmp_path / "there"
    monkeypatch.delenv("MOZART_HOME")
    assert home() == tmp_path / ".mozart"


def test_models_of_an_empty_home_says_how_to_make_one(tmp_path):
    result = invoke("models")
    assert result.exit_code == 0
    assert "mozart run digits-dcgan" in result.output
    assert not (tmp_path / "home").exists()


def test_rollback_of_what_is_not_there_is_refused():
    assert isinstance(invoke("rollback", "digits-dcgan").exception, RegistryError)
    assert mozart("rollback", "../etc").returncode == 2


def published(registry, digest, value):
    """A version whose bundle holds no more than the registry looks at."""
    folder = registry.home / f"new-{digest}"
    folder.mkdir(parents=True)
    for name in FILES - {MANIFEST, SIGNATURE}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(folder / name, {"digest": digest * 64, "family": "normal"})
    seal(folder, {})
    bundle = registry.bundles / sha256_of(folder / MANIFEST)
    bundle.parent.mkdir(exist_ok=True)
    folder.rename(bundle)
    measured = {"nats": {"value": value, "n": 10}}
    evaluation = {"metric": "nats", "validation": measured, "test": measured, "protocol": {}}
    provenance = {"data_fingerprint": "f" * 16, "recipe": {"name": "small"}}
    return registry.register("small", bundle, evaluation, provenance, f"key-{digest}")


def test_models_lists_versions_and_rollback_moves_the_champion():
    registry = Registry(home())
    first, second = published(registry, "a", 12.5), published(registry, "b", 11.25)
    assert registry.promote(first, None, "the first")
    assert registry.promote(second, 1, "better")
    rows = [
        line.split() for line in invoke("models").output.splitlines() if line.startswith((" small", "small"))
    ]
    assert [row[:2] for row in rows] == [["small", "1"], ["small", "2"]]
    assert "champion" not in rows[0]
    assert "champion" in rows[1]
    assert "12.5" in rows[0]
    assert "11.25" in rows[1]
    assert "version 1 again" in invoke("rollback", "small").output
    assert registry.champion("small").version == 1
    assert isinstance(invoke("rollback", "small").exception, RegistryError)
