"""`mozart schedule`: retraining without anyone watching, on a cluster's clock or on this machine's."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from components.errors import ConfigError
from pipelines.cluster_commands import Host, Namespace, Token, server_of
from pipelines.data_commands import Change
from pipelines.tables import show, table

What = Annotated[str, typer.Argument(help="a recipe; for --pause, --resume, --delete the name of one")]


def schedule(
    recipe: What = "",
    cron: Annotated[str, typer.Option(help="'0 3 * * *': five fields, or six with seconds first")] = "",
    list_: Annotated[bool, typer.Option("--list", help="what is scheduled")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="no further runs until --resume")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="after --pause")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="no further runs; past ones stay")] = False,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="also run for times that were missed")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="train even where nothing has changed")] = False,
    local: Annotated[bool, typer.Option("--local", help="on this machine, without a cluster")] = False,
    by: Annotated[
        Literal["crontab", "systemd"], typer.Option("--with", help="whose clock (--local)")
    ] = "crontab",
    install: Annotated[bool, typer.Option("--install", help="not only print it (--local)")] = False,
    once: Annotated[bool, typer.Option("--once", help="what the clock calls: run, unless one runs")] = False,
    change: Change = None,
    host: Host = "",
    namespace: Namespace = "",
    token: Token = "",
) -> None:
    """Retrains a recipe at set times, one run at a time; nothing missed is made up for unless asked.

    On a cluster it is a recurring run (its times are UTC unless the server says otherwise); with --local
    it is a line of crontab or a systemd timer, printed and, with --install, installed.

    Examples:
      mozart schedule my-recipe.yaml --cron "0 3 * * *"
      mozart schedule --list
      mozart schedule my-recipe --pause
      mozart schedule my-recipe.yaml --cron "0 3 * * *" --local --with systemd --install
    """
    actions = {
        "pause": pause,
        "resume": resume,
        "delete": delete,
        "list": list_,
        "once": once,
        "cron": bool(cron),
    }
    chosen = [name for name, given in actions.items() if given]
    if len(chosen) != 1:
        raise ConfigError(
            "mozart schedule does one thing: give --cron TIMES, --list, --pause, --resume or --delete"
        )
    action = chosen[0]
    if not recipe and action != "list":
        raise ConfigError(f"--{action}: of which recipe?")
    if (install or once or by != "crontab") and not local:
        raise ConfigError("--install, --once and --with belong to --local")
    if local:
        if catch_up or fresh:
            raise ConfigError("--catch-up and --fresh belong to a cluster: here a missed time stays missed")
        _here(action, recipe, cron, by, install, change or [])
        return
    _there(action, recipe, cron, catch_up, fresh, change or [], server_of(host, namespace, token))


# -- on a cluster --------------------------------------------------------------------------------------


def _there(
    action: str, recipe: str, cron: str, catch_up: bool, fresh: bool, change: list[str], server: Any
) -> None:
    from components.cron import Cron
    from pipelines import schedules
    from pipelines.cluster import connect
    from pipelines.recipe import load_recipe

    if action == "cron":
        times, loaded = Cron.parse(cron), load_recipe(recipe, change)
        schedules.create(connect(server), server, loaded, times, catch_up=catch_up, fresh=fresh)
        typer.echo(f"Scheduled {loaded.name} at {server.host}: {_next(times, datetime.now(UTC))}.")
    elif action == "list":
        _show(schedules.listed(connect(server), server), server)
    else:
        name = _name(recipe)
        schedules.change(connect(server), server, name, action)
        typer.echo({"pause": "Paused", "resume": "Resumed", "delete": "Deleted"}[action] + f" {name}.")


def _name(reference: str) -> str:
    """The name under which a recipe is scheduled: as given, or as its file says."""
    if not reference.endswith((".yaml", ".yml")):
        return reference
    from pipelines.recipe import load_recipe

    return load_recipe(reference).name


def _next(times: Any, now: datetime) -> str:
    coming = [f"{one:%Y-%m-%d %H:%M:%S %Z}" for one in times.next_times(now)]
    return f"next {', '.join(coming)}"


def _show(found: list[Any], server: Any) -> None:
    if not found:
        typer.echo(f"Nothing is scheduled at {server.host}.")
        return
    rows = table("name", "cron", "state", "catches up", "created")
    for one in found:
        written = one.trigger.cron_schedule.cron if one.trigger and one.trigger.cron_schedule else ""
        catches_up = "no" if one.no_catchup else "yes"
        rows.add_row(
            one.display_name, written, one.status or "", catches_up, f"{one.created_at:%Y-%m-%d %H:%M}"
        )
    show(rows)


# -- here ----------------------------------------------------------------------------------------------


def _here(action: str, recipe: str, cron: str, by: str, install: bool, change: list[str]) -> None:
    from components.timer import MARK, crontab, installed, remove_units, write_crontab

    match action:
        case "once":
            _once(recipe, change)
        case "cron":
            _set_up(recipe, cron, by, install, change)
        case "delete":
            name = _name(recipe)
            gone = remove_units(name) if by == "systemd" else write_crontab(name, None)
            if not gone:
                raise ConfigError(f"'{name}' is not scheduled here with {by}")
            typer.echo(f"Deleted {name}.")
        case "list":
            lines = installed() if by == "systemd" else [line for line in crontab() if MARK in line]
            typer.echo("\n".join(lines) or f"Nothing is scheduled here with {by}.")
        case _:
            raise ConfigError(f"--{action} is for a cluster: here, --delete it and schedule it again")


def _once(recipe: str, change: list[str]) -> None:
    from rich.console import Console

    from components.alone import alone
    from components.errors import GateRefused
    from components.home import home
    from pipelines.cli import run
    from pipelines.outcome import Run, tell_whom
    from pipelines.recipe import load_recipe

    loaded = load_recipe(recipe, change)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(home(), loaded.name))
        except GateRefused as error:  # a night that was left out is told like one that was refused
            tell_whom(Run(loaded, refused=True), error, Console(stderr=True))
            raise
        run(recipe, change)


def _set_up(recipe: str, cron: str, by: str, install: bool, change: list[str]) -> None:
    from components.cron import Cron
    from components.home import home
    from components.timer import Job, crontab_line, install_units, this_mozart, units, write_crontab
    from pipelines.recipe import load_recipe

    times, loaded = Cron.parse(cron), load_recipe(recipe, change)
    reference = str(Path(recipe).absolute()) if recipe.endswith((".yaml", ".yml")) else recipe
    changes = [word for one in change for word in ("--set", one)]
    command = (*this_mozart(), "schedule", reference, "--local", "--once", *changes)
    job = Job(loaded.name, command, Path.cwd(), home(), times)
    if by == "systemd":
        for name, text in units(job).items():
            typer.echo(f"# {name}\n{text}")
    else:
        typer.echo(crontab_line(job))
    if install and by == "systemd":
        for file in install_units(job):
            typer.echo(f"Installed {file}")
    elif install:
        home().mkdir(parents=True, exist_ok=True)
        write_crontab(job.name, crontab_line(job))
        typer.echo("Installed in crontab.")
    typer.echo(f"# {_next(times, datetime.now().astimezone())}")
