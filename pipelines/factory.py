"""The one pipeline: seven steps and two gates, run here and compiled for Kubeflow from this source.

source -ingest-> records -statistics-> statistics -validate-> report      gate 1
records -transform-> examples -train-> model -evaluate-> evaluation       gate 2
model, evaluation -publish-> release

On a cluster a step looks first at what there is (source, code, champion), anew in every run, and another
writes the verdict at the end. Here the runner does both.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.line import begin_with, departure
from components.resources import STEPS as STEPS
from components.resources import ResourceSettings
from pipelines.recipe import Recipe

Dress = Callable[[Any, str], Any]


def pipeline(name: str) -> Any:
    """The pipeline under the name of a recipe, as it runs here."""
    from kfp import dsl

    @dsl.pipeline(name=name, description="Mozart: raw data in, a published generative model out")
    def mozart(
        name: str,
        data: str,
        model: str,
        train: str,
        evaluate: str,
        gates: str,
        schema: str,
        champion: str,
        fine_tuned: str,
        begin: str,
        source_state: str,
        code_version: str,
        line: str,
    ) -> None:
        blocks = {"name": name, "data": data, "model": model, "train": train}
        blocks |= {"evaluate": evaluate, "gates": gates, "schema": schema}
        found = {"champion": champion, "fine_tuned": fine_tuned, "begin": begin, "source_state": source_state}
        _line(blocks, {**found, "code_version": code_version, "line": line}, lambda task, step: task)

    return mozart


def cluster_pipeline(name: str, resources: ResourceSettings, caching: bool = True) -> Any:
    """The same for a cluster: pods as `resources` asks, a look before and a verdict after.

    Without `caching` every step works anew. That is said to each task: what the client sets for a run
    reaches the outermost tasks only, and nothing of an uploaded pipeline (kubeflow/pipelines #14253).
    """
    from kfp import dsl

    from pipelines import steps
    from pipelines.pods import dress

    @dsl.pipeline(
        name=name,
        description="Mozart: raw data in, a published generative model out",
        pipeline_root=resources.workspace.root or None,
    )
    def mozart(
        name: str,
        data: str,
        model: str,
        train: str,
        evaluate: str,
        gates: str,
        schema: str,
        notify: str,
    ) -> None:
        blocks = {"name": name, "data": data, "model": model, "train": train}
        blocks |= {"evaluate": evaluate, "gates": gates, "schema": schema}

        def pod(task: Any, step: str) -> Any:
            dress(task, step, resources)
            return task if caching else task.set_caching_options(False)

        ending = dress(steps.finish(name=name, notify=notify), "finish", resources)
        ending.set_caching_options(False)
        with dsl.ExitHandler(ending, name="watched"):
            found = dress(steps.look(**blocks), "look", resources)
            found.set_caching_options(False)  # or a nightly run would be served yesterday's source state
            with dsl.If(found.outputs["Output"] == "yes", name="something-to-do"):
                _line({**blocks, "data": found.outputs["data"]}, found.outputs, pod)

    return mozart


def _line(blocks: dict[str, Any], found: Any, dress: Dress) -> None:
    """Joins the steps. `blocks` are the recipe's, `found` is what was looked up; `dress` has each task."""
    from kfp import dsl

    from pipelines import steps

    name, data, champion = blocks["name"], blocks["data"], found["champion"]
    states = {key: found[key] for key in ("source_state", "code_version")}
    read = dress(steps.ingest(data=data, **states), "ingest")
    records = read.outputs["records"]
    summed = dress(steps.statistics(data=data, records=records), "statistics")
    statistics = summed.outputs["statistics"]
    asked = {key: blocks[key] for key in ("name", "data", "model", "train", "gates", "schema")}
    checked = steps.validate(**asked, champion=champion, records=records, statistics=statistics)
    dress(checked, "validate")
    with dsl.If(checked.outputs["Output"] == "pass", name="data-fit"):
        tuned = found["fine_tuned"]
        encoded = steps.transform(
            name=name, data=data, fine_tuned=tuned, records=records, statistics=statistics
        )
        examples = dress(encoded, "transform").outputs["examples"]
        given = {key: blocks[key] for key in ("name", "data", "model", "train")}
        learnt = steps.train(**given, begin=found["begin"], examples=examples)
        trained = dress(learnt, "train").outputs["trained"]
        judged = steps.evaluate(
            name=name,
            evaluate=blocks["evaluate"],
            gates=blocks["gates"],
            champion=champion,
            examples=examples,
            statistics=statistics,
            report=checked.outputs["report"],
            trained=trained,
        )
        dress(judged, "evaluate")
        with dsl.If(judged.outputs["Output"] == "pass", name="model-good"):
            evaluation = judged.outputs["evaluation"]
            released = steps.publish(name=name, line=found["line"], trained=trained, evaluation=evaluation)
            dress(released, "publish")
            released.set_caching_options(False)  # the registry may have changed: it looks itself


def blocks_of(recipe: Recipe) -> dict[str, str]:
    """The parameters that the recipe alone decides. The schema travels by its content, so that every
    worker has it and a change of the file is seen.

    Raises:
        ConfigError: `data.schema_file` is not there or is no schema.
    """
    return {
        "name": recipe.name,
        "data": recipe.data.model_dump_json(),
        "model": recipe.model.model_dump_json(),
        "train": recipe.train.model_dump_json(),
        "evaluate": recipe.evaluate.model_dump_json(),
        "gates": recipe.gates.model_dump_json(),
        "schema": _schema(recipe.data.schema_file),
    }


def arguments(recipe: Recipe, champion: str = "") -> dict[str, str]:
    """All parameters of a run here: `champion` is the version to be no worse than.

    Raises:
        ConfigError: `data.schema_file` is not there or is no schema, or see components.line.fine_tuned.
    """
    given = blocks_of(recipe)
    found = departure(given)
    begin = begin_with(recipe.name, recipe.train, champion, found["fine_tuned"])
    return {**given, "champion": champion, "begin": begin, **found}


def _schema(file: str) -> str:
    """The content of a schema file as JSON text, empty where there is none."""
    from components.schema_file import read_schema

    return read_schema(Path(file)).model_dump_json() if file else ""


def compile_to(recipe: Recipe, path: Path, caching: bool = True) -> None:
    """Writes the pipeline for a cluster as Kubeflow's IR YAML, with the recipe as its default parameters.

    The data need not be there yet: the pods look for them.

    Raises:
        ConfigError: a file name without `.yaml`; a recipe that still lacks its file or folder, or names one
            by a path that means nothing in a pod; an image that moves.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out {path}: a pipeline is written as YAML: name the file *.yaml")
    check_reachable(recipe)
    from kfp import compiler

    try:
        made = cluster_pipeline(recipe.name, recipe.resources, caching)
    except ValueError as error:
        raise ConfigError(f"MOZART_IMAGE: {error}") from error
    given = {**blocks_of(recipe), "notify": recipe.notify.model_dump_json()}
    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(made, str(path), pipeline_parameters=given)


def check_reachable(recipe: Recipe) -> None:
    """Refuses a source that a pod cannot find: a placeholder, or a path from the folder one stands in.

    Raises:
        ConfigError: what to set instead.
    """
    from components.modalities import location
    from components.storage import is_remote

    place = location(recipe.data.source)
    if place in ("FILE", "FOLDER"):
        recipe.preflight()
    if place and not is_remote(place) and not place.startswith("/"):
        scheme = recipe.data.source.split(":", 1)[0]
        raise ConfigError(
            f"data.source={recipe.data.source}: a pod does not stand in your folder: give the path it has there, "
            f"e.g. {scheme}:{recipe.resources.workspace.path}/data/{Path(place).name}, or s3://…"
        )
