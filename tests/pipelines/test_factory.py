"""One pipeline from one source: what is compiled is what runs here, and the steps hold no logic."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format

from components.errors import ConfigError
from pipelines import steps
from pipelines.factory import STEPS, arguments, blocks_of, compile_to, pipeline
from pipelines.recipe import load_recipe
from tests.pipelines.line import ROOT

SECRET = "hunter2-canary"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The IR of `digits-dcgan` as text, written while the environment held a secret."""
    file = tmp_path_factory.mktemp("compiled") / "new" / "pipeline.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        patch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{SECRET}@registry.example")
        compile_to(load_recipe("digits-dcgan"), file)
    return file.read_text("utf-8")


def spec_of(text: str) -> dict:
    return next(yaml.safe_load_all(text))


def tasks_of(spec: dict) -> dict[str, dict]:
    """Every task of the pipeline and of the groups under its conditions."""
    groups = [spec["root"], *spec["components"].values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def test_the_compiled_pipeline_has_the_seven_steps_and_the_two_gates(compiled):
    spec = spec_of(compiled)
    assert spec["pipelineInfo"]["name"] == "digits-dcgan"
    tasks = tasks_of(spec)
    assert set(STEPS) <= set(tasks)
    policies = [task["triggerPolicy"] for task in tasks.values() if "triggerPolicy" in task]
    conditions = [policy["condition"] for policy in policies if "condition" in policy]
    assert len(conditions) == 3
    assert sum("== 'pass'" in condition for condition in conditions) == 2
    for what in ("validate-Output", "evaluate-Output", "look-Output"):
        assert any(what in condition for condition in conditions)
    uncached = {
        name
        for name in ("look", *STEPS, "finish")
        if not tasks[name].get("cachingOptions", {}).get("enableCache")
    }
    assert uncached == {"look", "publish", "finish"}, "what may have changed outside is looked at anew"


def test_publishing_stands_under_both_conditions(compiled):
    spec = spec_of(compiled)
    inside = [
        name for name, part in spec["components"].items() if "publish" in part.get("dag", {}).get("tasks", {})
    ]
    (group,) = inside
    (around,) = [part for part in spec["components"].values() if group in groups_called_by(part)]
    assert {"transform", "train", "evaluate"} <= set(around["dag"]["tasks"])
    assert "publish" not in spec["root"]["dag"]["tasks"]


def groups_called_by(part: dict) -> list[str]:
    return [task["componentRef"]["name"] for task in part.get("dag", {}).get("tasks", {}).values()]


def test_what_is_compiled_is_what_runs_here(compiled):
    here = json_format.MessageToDict(pipeline("digits-dcgan").pipeline_spec)
    there = spec_of(compiled)
    for step in STEPS:
        assert there["components"][f"comp-{step}"] == here["components"][f"comp-{step}"]
        ours, theirs = (
            spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"] for spec in (here, there)
        )
        assert (theirs["command"], theirs["args"]) == (ours["command"], ours["args"])
        ours, theirs = (tasks_of(spec)[step] for spec in (here, there))
        assert set(theirs["inputs"]["parameters"]) == set(ours["inputs"]["parameters"])
        assert theirs["inputs"].get("artifacts") == ours["inputs"].get("artifacts")
        assert theirs.get("cachingOptions") == ours.get("cachingOptions")


def test_what_may_have_changed_is_looked_at_by_the_run_itself(compiled):
    tasks = tasks_of(spec_of(compiled))
    for step, found in (
        ("ingest", "data"),
        ("ingest", "source_state"),
        ("ingest", "code_version"),
        ("transform", "data"),
        ("validate", "champion"),
        ("evaluate", "champion"),
        ("publish", "line"),
    ):
        given = tasks[step]["inputs"]["parameters"][found]
        assert given == {"componentInputParameter": f"pipelinechannel--look-{found}"}


def test_the_verdict_is_written_wherever_the_run_ends(compiled):
    spec = spec_of(compiled)
    ending = spec["root"]["dag"]["tasks"]["finish"]
    assert ending["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert set(spec["root"]["dag"]["tasks"]) == {"finish", "exit-handler-1"}
    assert "taskFinalStatus" in ending["inputs"]["parameters"]["status"]


def test_the_recipe_travels_as_default_parameters(compiled):
    parameters = spec_of(compiled)["root"]["inputDefinitions"]["parameters"]
    recipe = load_recipe("digits-dcgan")
    given = {**blocks_of(recipe), "notify": recipe.notify.model_dump_json()}
    assert {name: parameter["defaultValue"] for name, parameter in parameters.items()} == given


def test_it_holds_no_secret_and_no_path_of_this_machine(compiled):
    assert SECRET not in compiled
    for place in (ROOT, Path.home(), Path.cwd(), "/tmp", "/work/"):
        assert f"{place}" not in compiled


def test_compiling_refuses_what_it_cannot_mean(tmp_path):
    with pytest.raises(ConfigError, match=r"name the file \*.yaml"):
        compile_to(load_recipe("digits-vae"), tmp_path / "pipeline.json")
    with pytest.raises(ConfigError, match="needs your own file"):
        compile_to(load_recipe("text-hmm"), tmp_path / "pipeline.yaml")
    with pytest.raises(ConfigError, match=r"not stand in your folder: .* text:/mozart/data/my\.txt"):
        compile_to(load_recipe("text-hmm", ["data.source=text:here/my.txt"]), tmp_path / "pipeline.yaml")
    assert not list(tmp_path.iterdir())


def test_a_schema_travels_by_its_content(tmp_path):
    file = tmp_path / "schema.yaml"
    given = []
    for least in (1, 2):
        file.write_text(f"modality: images\nrecords: {{train: {least}}}\nfeatures: {{}}\n", "utf-8")
        given.append(arguments(load_recipe("digits-vae", [f"data.schema_file={file}"])))
    assert '"train":1' in given[0]["schema"]
    assert {name for name in given[0] if given[0][name] != given[1][name]} == {"schema", "line"}
    file.unlink()
    with pytest.raises(ConfigError, match="there is no such file"):
        arguments(load_recipe("digits-vae", [f"data.schema_file={file}"]))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("train.seed=1", {"data", "model", "evaluate", "gates"}),
        ("gates.champion=false", {"data", "model", "train", "evaluate"}),
    ],
)
def test_a_change_reaches_only_its_own_block(change, same):
    before, after = (arguments(load_recipe("digits-vae", changed)) for changed in ([], [change]))
    assert {
        name for name in ("data", "model", "train", "evaluate", "gates") if before[name] == after[name]
    } == same
    assert before["line"] != after["line"]


# -- steps.py ------------------------------------------------------------------------------------------


def functions() -> list[ast.FunctionDef]:
    tree = ast.parse(Path(steps.__file__).read_text("utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_there_is_a_function_for_each_step():
    assert [function.name for function in functions()] == [*STEPS, "look", "finish"]


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.name)
def test_a_step_is_an_import_a_call_and_the_logging_of_metrics(function):
    docstring, imported, *rest = function.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assert isinstance(imported, ast.Import | ast.ImportFrom)
    assert (
        imported.names[0].name if isinstance(imported, ast.Import) else imported.module
    ) == "components.step"
    called = set()
    for node in rest:
        if isinstance(node, ast.For):
            assert ast.unparse(node.body) == "metrics.log_metric(key, value)"
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
            assert node.value.id == "verdict"
        else:
            assert isinstance(node, ast.Expr | ast.Assign | ast.Return), ast.unparse(node)
            assert isinstance(node.value, ast.Call), ast.unparse(node)
            called.add(ast.unparse(node.value.func).removeprefix("components.step."))
    assert called - {"report"} == {function.name}
    logic = (ast.If, ast.IfExp, ast.While, ast.Try, ast.BinOp, ast.Compare, ast.comprehension, ast.Lambda)
    assert not [node for node in ast.walk(function) if isinstance(node, logic)]
