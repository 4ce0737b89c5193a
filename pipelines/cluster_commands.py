"""`mozart compile`, `submit`, `upload`, `runs`, `logs`: a recipe's pipeline and a Kubeflow server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.data_commands import Change
from pipelines.tables import show, table

if TYPE_CHECKING:
    from pipelines.cluster import Server

Recipe = Annotated[str, typer.Argument(help="one of `mozart recipes`, or a path of your own .yaml")]
Host = Annotated[str, typer.Option(envvar="MOZART_KFP_HOST", help="where Kubeflow Pipelines answers")]
Namespace = Annotated[
    str, typer.Option(envvar="MOZART_KFP_NAMESPACE", help="yours; none where the server has but one")
]
Token = Annotated[
    str, typer.Option(envvar="MOZART_KFP_TOKEN", help="better in the environment: others see flags")
]


def server_of(host: str, namespace: str, token: str) -> Server:
    """The server that flags or the environment name."""
    from pipelines.cluster import Server

    return Server(host, namespace, token)


def compile(
    recipe: Recipe,
    out: Annotated[str, typer.Option("--out", "-o", help="the file to write")] = "pipeline.yaml",
    workers: Annotated[
        int, typer.Option(min=0, max=1024, help="also write a TFJob that trains on so many machines")
    ] = 0,
    change: Change = None,
) -> None:
    """Compiles a recipe's pipeline to Kubeflow's IR YAML, from the same source that runs here.

    Its `resources:` block says what the pods are given. The data need not be on this machine.

    Examples:
      mozart compile digits-dcgan -o pipeline.yaml
      mozart compile digits-dcgan --set resources.image=registry.example/mozart-python:1
      mozart compile my-recipe.yaml --workers 4
    """
    from pipelines.factory import compile_to
    from pipelines.recipe import load_recipe
    from pipelines.train_job import write_train_job

    loaded = load_recipe(recipe, change or ())
    compile_to(loaded, Path(out))
    typer.echo(f"Wrote {out}.")
    if workers:
        job = Path(out).with_name(f"{Path(out).stem}-train-job.yaml")
        write_train_job(loaded, workers, job)
        typer.echo(f"Wrote {job}.")
    for note in _notes(loaded.resources):
        typer.echo(note)


def _notes(resources: Any) -> list[str]:
    """What a person may not have meant."""
    from pipelines.pods import image_of

    image = image_of(resources)
    notes = (
        []
        if "@sha256:" in image
        else [f"The image {image} is named by its tag, which can be moved: a digest stays."]
    )
    if not resources.lasting():
        notes.append("resources.workspace.claim names no volume: what is published ends with its pod.")
    return notes


def submit(
    recipe: Recipe, change: Change = None, host: Host = "", namespace: Namespace = "", token: Token = ""
) -> None:
    """Runs a recipe on a Kubeflow cluster, once.

    Examples:
      MOZART_KFP_HOST=http://localhost:8080 mozart submit my-recipe.yaml
      mozart submit my-recipe.yaml --host https://kubeflow.example --namespace me
    """
    from pipelines.cluster import connect, submit
    from pipelines.recipe import load_recipe

    loaded, server = load_recipe(recipe, change or ()), server_of(host, namespace, token)
    started = submit(connect(server), server, loaded)
    typer.echo(f"Submitted {loaded.name}: run {started.run_id}")
    typer.echo(f"{server.host.rstrip('/')}/#/runs/details/{started.run_id}")


def upload(
    recipe: Recipe,
    name: Annotated[str, typer.Option(help="of the pipeline; by default the recipe's")] = "",
    version: Annotated[str, typer.Option(help="its name; by default a digest of the content")] = "",
    change: Change = None,
    host: Host = "",
    namespace: Namespace = "",
    token: Token = "",
) -> None:
    """Keeps a recipe's pipeline at a Kubeflow server, as a version of a named pipeline.

    Examples:
      mozart upload my-recipe.yaml
      mozart upload my-recipe.yaml --name faces --version 2026-11
    """
    from pipelines.cluster import connect, upload
    from pipelines.recipe import load_recipe

    loaded, server = load_recipe(recipe, change or ()), server_of(host, namespace, token)
    kept, new = upload(connect(server), server, loaded, name or loaded.name, version)
    said = "Uploaded" if new else "It is there already:"
    typer.echo(f"{said} version {kept.display_name} of pipeline {name or loaded.name}")
    typer.echo(
        f"{server.host.rstrip('/')}/#/pipelines/details/{kept.pipeline_id}/version/{kept.pipeline_version_id}"
    )


def runs(
    recipe: Annotated[str, typer.Argument(help="name of a recipe; by default all")] = "",
    count: Annotated[int, typer.Option(min=1, max=10_000, help="most that are listed")] = 20,
    host: Host = "",
    namespace: Namespace = "",
    token: Token = "",
) -> None:
    """Lists the runs on a cluster, the newest first.

    Examples:
      mozart runs
      mozart runs digits-dcgan --count 5
    """
    from pipelines.cluster import connect, runs

    server = server_of(host, namespace, token)
    found = runs(connect(server), server, count, recipe)
    if not found:
        typer.echo(f"There is no run at {server.host} yet: `mozart submit` starts one.")
        return
    rows = table("run", "name", "state", "created", "finished")
    for one in found:
        rows.add_row(
            one.run_id, one.display_name, one.state or "", moment(one.created_at), moment(one.finished_at)
        )
    show(rows)


def logs(
    run: Annotated[str, typer.Argument(help="one of `mozart runs`")],
    step: Annotated[str, typer.Argument(help="a step whose words are shown; by default the states")] = "",
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="most lines, from the end")] = 200,
    host: Host = "",
    namespace: Namespace = "",
    token: Token = "",
) -> None:
    """Shows how far each step of a run came, or what one of them said.

    States and errors come from Kubeflow; words come from the pod, by the credentials of kubectl.

    Examples:
      mozart logs 5e2c…
      mozart logs 5e2c… train --lines 50
    """
    from components.errors import ConfigError
    from pipelines.cluster import asking, connect
    from pipelines.pod_logs import pick, pod_of, steps_of, words

    server = server_of(host, namespace, token)
    client = connect(server)
    with asking(server):
        found = client.get_run(run)
    steps = steps_of(found)
    if step:
        pod = pod_of(pick(steps, step))
        if not pod:
            raise ConfigError(f"step '{step}' has no pod: it was served from the cache, or has not begun")
        typer.echo(words(pod, server.namespace or "kubeflow", lines), nl=False)
        return
    rows = table("step", "state", "started", "ended", "pod", "error")
    for name, one in steps.items():
        error = one.error.message if one.error else ""
        rows.add_row(
            name, one.state or "", moment(one.start_time), moment(one.end_time), pod_of(one), error or ""
        )
    show(f"{found.display_name}: {found.state}", rows)


def moment(time: Any) -> str:
    """A time of the server, here."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time and time.year > 1970 else ""
