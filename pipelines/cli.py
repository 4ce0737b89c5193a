"""`mozart …`: everything that a person types.

Starting is cheap: this module imports only Typer, and each command imports what it needs.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from components.errors import ConfigError, MozartError, NothingToDo, did_you_mean
from pipelines import (
    cluster_commands,
    data_commands,
    judging_commands,
    language_commands,
    schedule_commands,
    serving_commands,
    study_commands,
    task_commands,
    version_commands,
)
from pipelines.tables import number, show, table

app = typer.Typer(
    name="mozart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """The entry point: an error that a person can mend is one red sentence and an exit code."""
    debug = "--debug" in sys.argv
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # without TensorFlow's notes about itself
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except KeyboardInterrupt:
        sys.exit(130)
    except NothingToDo as error:
        typer.echo(str(error))
        sys.exit(error.exit_code)
    except MozartError as error:
        if debug:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        _complain(f"{type(error).__name__}: {error} (a fault in Mozart; --debug shows where)")
        sys.exit(1)


def _complain(message: str) -> None:
    """In red on standard error; a name from a file cannot steer the terminal."""
    safe = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message
    )
    typer.secho(safe, fg=typer.colors.RED, err=True)


@app.callback()
def mozart(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (anywhere in the line).")
    ] = False,
) -> None:
    """Mozart: raw data in, a published generative model out.

    Examples:
      mozart run digits-dcgan
      mozart recipes
      mozart describe vae
    """


# -- what there is -------------------------------------------------------------------------------------


@app.command()
def recipes() -> None:
    """Lists the recipes that come with Mozart.

    Examples:
      mozart recipes
    """
    from pipelines.recipe import bundled_recipes, load_recipe

    rows = table("recipe", "family", "data", "about")
    for name in bundled_recipes():
        recipe = load_recipe(name)
        rows.add_row(name, recipe.model.family, recipe.data.source, recipe.about)
    show(rows)


@app.command()
def families() -> None:
    """Lists the families of models: what they learn, what they can do, whose idea they are.

    Examples:
      mozart families
    """
    from keras_models import describe as facts_of
    from keras_models import families as known

    rows = table("family", "school", "kinds", "likelihood", "tasks", "paper")
    for facts in map(facts_of, sorted(known())):
        kinds, tasks = ", ".join(facts.kinds), ", ".join(facts.tasks)
        paper = re.sub(r"(?<=\d{4}),.*", "", facts.paper)  # the title is shown by `describe`
        rows.add_row(facts.name, facts.school, kinds, facts.likelihood, tasks, paper)
    show(rows)


app.command()(data_commands.sources)


@app.command()
def describe(family: Annotated[str, typer.Argument(help="one of `mozart families`")]) -> None:
    """Says what a family is and lists its settings (`model.config`) with bounds and meanings.

    Examples:
      mozart describe vae
    """
    from keras_models import describe as facts_of
    from keras_models import families as known
    from pipelines.fields import fields_of

    if family not in known():
        raise ConfigError(f"unknown family '{family}'{did_you_mean(family, known())}")
    facts = facts_of(family)
    likelihood = f"{facts.likelihood}, a {facts.measure}" if facts.measure else facts.likelihood
    head = table("", "")
    head.show_header = False
    for what, said in (
        ("paper", facts.paper),
        ("learns", ", ".join(facts.kinds)),
        ("likelihood", likelihood),
        ("tasks", ", ".join(facts.tasks)),
        ("precision", _precisions(mixed=facts.mixed_precision)),
    ):
        head.add_row(what, said)
    rows = table("model.config.", "type", "default", "bounds", "meaning")
    for field in fields_of(facts.config):
        rows.add_row(field.name, field.kind, field.default, field.bounds, field.meaning)
    show(f"{facts.name} ({facts.school}). {facts.summary}.", head, rows)


def _precisions(*, mixed: bool) -> str:
    """What `train.precision` may be."""
    from components.settings import TrainSettings
    from pipelines.fields import fields_of

    if not mixed:
        return "float32"
    kinds = next(field.kind for field in fields_of(TrainSettings) if field.name == "precision")
    return kinds.replace("'", "").replace(" | ", ", ") + " (train.precision)"


@app.command()
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the devices (TensorFlow, seconds).")
    ] = False,
) -> None:
    """Looks whether this machine can run Mozart; the exit code is not 0 where it cannot.

    Examples:
      mozart doctor
      mozart doctor --quick
    """
    from rich.text import Text

    from components.home import home
    from pipelines.doctor import findings

    rows = table("", "what", "found")
    rows.show_header = False
    colours = {"ok": "green", "note": "yellow", "wrong": "red"}
    found = list(findings(home(), quick=quick))
    for one in found:
        rows.add_row(Text(one.state, style=colours[one.state]), one.what, one.said)
    show(rows)
    errors = [one.error for one in found if one.error]
    if errors:
        raise errors[0]


# -- what has been published ---------------------------------------------------------------------------


@app.command()
def models() -> None:
    """Lists the published models: versions, aliases and the metric that matters.

    Examples:
      mozart models
      MOZART_HOME=/shared/mozart mozart models
    """
    from components.home import home
    from components.registry import Registry

    versions = Registry(home()).models()
    if not versions:
        typer.echo(f"No model is published in {home()} yet: `mozart run digits-dcgan` makes one.")
        return
    rows = table("model", "version", "alias", "family", "metric", "validation", "test", "published")
    for version in versions:
        metric = version.tags.get("mozart.metric", "")
        rows.add_row(
            version.name,
            str(version.version),
            ", ".join(version.aliases),
            version.tags.get("mozart.family", ""),
            metric,
            number(version.metrics.get(f"validation.{metric}")),
            number(version.metrics.get(f"test.{metric}")),
            f"{version.created.astimezone():%Y-%m-%d %H:%M}",
        )
    show(rows)


app.command()(version_commands.history)
app.command()(version_commands.promote)
app.command()(version_commands.rollback)


# -- the main job --------------------------------------------------------------------------------------

Recipe = Annotated[str, typer.Argument(help="one of `mozart recipes`, or a path of your own .yaml")]

app.command()(data_commands.inspect)
app.command()(data_commands.schema)


@app.command()
def run(
    recipe: Recipe = "digits-dcgan",
    change: data_commands.Change = None,
    spans: Annotated[
        str, typer.Option("--spans", help="FIRST..LAST in place of the recipe's window of spans.")
    ] = "",
) -> None:
    """Runs a recipe: ingest, check, train, evaluate and, where the gates let it, publish.

    Broken off (Ctrl-C, a kill, a full disk), the same command goes on where it stopped. The exit code is 10
    where a source of spans brought nothing new, or too little: then nothing is trained.

    Examples:
      mozart run
      mozart run digits-vae
      mozart run my-recipe.yaml
      mozart run digits-dcgan --set train.epochs=5 --set model.config.width=32
      mozart run my-days.yaml --spans 2026-11-01..2026-11-07
    """
    from rich.console import Console

    from pipelines.doctor import require_kfp
    from pipelines.local import run_here
    from pipelines.recipe import load_recipe

    explicit = [f'data.spans.only="{spans}"'] if spans else []
    loaded = load_recipe(recipe, [*(change or ()), *explicit])
    require_kfp()
    console = Console(file=sys.stdout, markup=True, highlight=False)
    console.print(f"[bold]{loaded.name}[/]: {loaded.about}", soft_wrap=True)
    done = run_here(loaded, console)
    release = done.release or {}
    console.print(f"\nreport   {done.report}\nbundle   {release.get('bundle')}", soft_wrap=True, markup=False)
    console.print(f"sample   mozart sample {loaded.name} --count 64 --seed 7", soft_wrap=True, markup=False)


app.command()(cluster_commands.compile)
app.command()(cluster_commands.submit)
app.command()(cluster_commands.upload)
app.command()(cluster_commands.runs)
app.command()(cluster_commands.logs)
app.command()(schedule_commands.schedule)
app.command()(serving_commands.sample)
app.command()(task_commands.forecast)
app.command()(language_commands.complete)
app.command()(language_commands.translate)
app.command()(language_commands.fill)
app.command()(language_commands.tag)
app.command()(judging_commands.evaluate)
app.command()(judging_commands.compare)
app.command()(study_commands.study)
app.command(name="study-results")(study_commands.study_results)
app.command()(serving_commands.pull)
app.command()(serving_commands.serve)
app.command()(serving_commands.export)
app.command()(serving_commands.key)


if __name__ == "__main__":
    main()
