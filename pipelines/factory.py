"""The one pipeline: seven steps and two gates, run here and compiled for Kubeflow from this source.

source -ingest-> records -statistics-> statistics -validate-> report      gate 1
records -transform-> examples -train-> model -evaluate-> evaluation       gate 2
model, evaluation -publish-> release
"""

from pathlib import Path
from typing import Any

from components.artifacts import fingerprint_of
from components.errors import ConfigError
from components.ingest import source_fingerprint
from components.provenance import code_version
from pipelines.recipe import Recipe

STEPS = ("ingest", "statistics", "validate", "transform", "train", "evaluate", "publish")


def pipeline(name: str) -> Any:
    """The pipeline under the name of a recipe."""
    from kfp import dsl

    from pipelines import steps

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
        source_state: str,
        code_version: str,
        line: str,
    ) -> None:
        read = steps.ingest(data=data, source_state=source_state, code_version=code_version)
        records = read.outputs["records"]
        summed = steps.statistics(data=data, records=records)
        statistics = summed.outputs["statistics"]
        checked = steps.validate(
            name=name,
            data=data,
            model=model,
            train=train,
            gates=gates,
            schema=schema,
            champion=champion,
            records=records,
            statistics=statistics,
        )
        with dsl.If(checked.outputs["Output"] == "pass", name="data-fit"):
            encoded = steps.transform(data=data, records=records, statistics=statistics)
            examples = encoded.outputs["examples"]
            learnt = steps.train(name=name, data=data, model=model, train=train, examples=examples)
            trained = learnt.outputs["trained"]
            judged = steps.evaluate(
                name=name,
                evaluate=evaluate,
                gates=gates,
                champion=champion,
                examples=examples,
                statistics=statistics,
                report=checked.outputs["report"],
                trained=trained,
            )
            with dsl.If(judged.outputs["Output"] == "pass", name="model-good"):
                published = steps.publish(
                    name=name,
                    line=line,
                    trained=trained,
                    evaluation=judged.outputs["evaluation"],
                )
                published.set_caching_options(False)  # the registry may have changed: it looks itself

    return mozart


def arguments(recipe: Recipe, champion: str = "") -> dict[str, str]:
    """The pipeline's parameters for a recipe.

    `champion` is the version to be no worse than; `line` is the fingerprint of all the others, by
    which a repeated run knows that nothing has changed. The schema travels by its content, so that
    every worker has it and a change of the file is seen.

    Raises:
        ConfigError: `data.schema_file` is not there or is no schema.
    """
    given = {
        "name": recipe.name,
        "data": recipe.data.model_dump_json(),
        "model": recipe.model.model_dump_json(),
        "train": recipe.train.model_dump_json(),
        "evaluate": recipe.evaluate.model_dump_json(),
        "gates": recipe.gates.model_dump_json(),
        "schema": _schema(recipe.data.schema_file),
        "source_state": source_fingerprint(recipe.data),
        "code_version": code_version(),
    }
    return {**given, "champion": champion, "line": fingerprint_of(given)}


def _schema(file: str) -> str:
    """The content of a schema file as JSON text, empty where there is none."""
    from components.schema_file import read_schema

    return read_schema(Path(file)).model_dump_json() if file else ""


def compile_to(recipe: Recipe, path: Path) -> None:
    """Writes the pipeline as Kubeflow's IR YAML, with the recipe as its default parameters.

    Raises:
        ConfigError: a file name without `.yaml`, or a recipe that still lacks its file or folder.
        DataError: the data are not there; their state becomes part of the pipeline's parameters.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out {path}: a pipeline is written as YAML: name the file *.yaml")
    recipe.preflight()
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline(recipe.name), str(path), pipeline_parameters=arguments(recipe))
