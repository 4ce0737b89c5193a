"""The seven steps as Kubeflow Pipelines sees them, and two that a cluster runs around them (`look`, `finish`).

No logic: each is one import and one call.

Settings travel as JSON text, because dict parameters turn integers into floats. Each step gets only
the blocks of the recipe it depends on, so that its cache entry holds as long as they do.
"""

import os
from importlib.metadata import version
from typing import NamedTuple

from kfp import dsl

IMAGE = os.environ.get("MOZART_IMAGE") or f"mozart-python:{version('mozart')}"
step = dsl.component(base_image=IMAGE, install_kfp_package=False)


@step
def ingest(data: str, source_state: str, code_version: str, records: dsl.Output[dsl.Dataset]):
    """Source to records. `source_state` and `code_version` are there for the cache."""
    from components.step import ingest

    ingest(data, records.path)


@step
def statistics(data: str, records: dsl.Input[dsl.Dataset], statistics: dsl.Output[dsl.Artifact]):
    """Records to statistics."""
    import components.step

    components.step.statistics(data, records.path, statistics.path)


@step
def validate(
    name: str,
    data: str,
    model: str,
    train: str,
    gates: str,
    schema: str,
    champion: str,
    records: dsl.Input[dsl.Dataset],
    statistics: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Gate 1: `pass` or `fail`."""
    from components.step import validate

    return validate(
        name, data, model, train, gates, schema, champion, records.path, statistics.path, report.path
    )


@step
def transform(
    name: str,
    data: str,
    fine_tuned: str,
    records: dsl.Input[dsl.Dataset],
    statistics: dsl.Input[dsl.Artifact],
    examples: dsl.Output[dsl.Dataset],
):
    """Records to examples."""
    from components.step import transform

    transform(name, data, fine_tuned, records.path, statistics.path, examples.path)


@step
def train(
    name: str,
    data: str,
    model: str,
    train: str,
    begin: str,
    examples: dsl.Input[dsl.Dataset],
    trained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Examples to a model."""
    import components.step

    values = components.step.train(name, data, model, train, begin, examples.path, trained.path, metrics.path)
    for key, value in values.items():
        metrics.log_metric(key, value)


@step
def evaluate(
    name: str,
    evaluate: str,
    gates: str,
    champion: str,
    examples: dsl.Input[dsl.Dataset],
    statistics: dsl.Input[dsl.Artifact],
    report: dsl.Input[dsl.Artifact],
    trained: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Gate 2: `pass` or `fail`, with the page of the run."""
    import components.step

    verdict, values = components.step.evaluate(
        name, evaluate, gates, champion, examples.path, trained.path, evaluation.path, metrics.path
    )
    for key, value in values.items():
        metrics.log_metric(key, value)
    components.step.report(
        name,
        page.path,
        statistics=statistics.path,
        validation=report.path,
        model=trained.path,
        evaluation=evaluation.path,
    )
    return verdict


@step
def publish(
    name: str,
    line: str,
    trained: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    release: dsl.Output[dsl.Artifact],
):
    """A blessed model becomes the next version of `name`."""
    from components.step import publish

    publish(name, line, trained.path, evaluation.path, release.path)


@step
def look(
    name: str,
    data: str,
    model: str,
    train: str,
    evaluate: str,
    gates: str,
    schema: str,
) -> NamedTuple(  # type: ignore[valid-type]
    "Found",
    [
        ("data", str),
        ("champion", str),
        ("fine_tuned", str),
        ("begin", str),
        ("source_state", str),
        ("code_version", str),
        ("line", str),
        ("Output", str),  # yes, or why not: the local runner finds conditions under no other name
    ],
):
    """What a run sets out with: what is known here before the first step."""
    from components.step import look

    return look(name, data, model, train, evaluate, gates, schema)


@step
def finish(
    name: str, notify: str, status: dsl.PipelineTaskFinalStatus, verdict: dsl.Output[dsl.Artifact]
) -> str:
    """The run's verdict, wherever it ended."""
    from components.step import finish

    return finish(name, notify, status.state, status.error_message, verdict.path)
