"""The commands about versions and who is champion: `history`, `promote`, `rollback`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from pipelines.tables import show, table

Name = Annotated[str, typer.Argument(help="one of `mozart models`")]
DECIMAL = re.compile(r"(?<![\w.])(?<!\w-)(\d+\.\d+)(?:e[-+]?\d+)?(?!\w|\.\d)")
DIGITS = 5  # of a number, that say anything to who reads a list
COLOURS = {"published": "green", "refused": "yellow", "failed": "red"}


def history(
    name: Annotated[str, typer.Argument(help="of a recipe: what its runs publish under")],
    last: Annotated[int, typer.Option(min=1, help="how many lines, the newest")] = 30,
) -> None:
    """Lists how each run of a name ended, published or refused, and every move of the champion.

    Examples:
      mozart history digits-dcgan
      mozart history nightly --last 100
    """
    from rich.text import Text

    from components.errors import RegistryError
    from components.home import home

    found = lines_of(name)
    if not found:
        raise RegistryError(f"nothing is known of '{name}' in {home()}: `mozart models` lists what there is")
    rows = table("time (UTC)", "run", "verdict", "version", "why")
    for one in found[-last:]:
        verdict = Text(one["verdict"], style=COLOURS.get(one["verdict"], ""))
        rows.add_row(one["time"], one["run"], verdict, one["version"], Text(one["why"]))
    show(rows)


def promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="its number")],
    because: Annotated[str, typer.Option("--because", help="the reason, for the record")],
) -> None:
    """Makes a version champion by a person's decision, whose reason is on record.

    Examples:
      mozart promote digits-dcgan 3 --because "the new camera's pictures matter more"
    """
    from components.errors import ConfigError, RegistryError
    from components.home import home
    from components.registry import Registry

    if not because.strip():
        raise ConfigError("--because is empty: say why, for whoever reads the history")
    registry = Registry(home())
    chosen = registry.resolve(f"{name}:{version}")
    current = registry.champion(name)
    if current and current.version == version:
        typer.echo(f"Version {version} of {name} is the champion already.")
        return
    if not registry.promote(chosen, current.version if current else None, f"by a person: {because.strip()}"):
        raise RegistryError(f"the champion of '{name}' changed at this very moment: look, and ask again")
    was = f"; it was version {current.version}" if current else ""
    typer.echo(f"The champion of {name} is version {version}{was}.")


def rollback(
    name: Name, because: Annotated[str, typer.Option("--because", help="the reason, for the record")] = ""
) -> None:
    """Makes the champion before this one champion again.

    Examples:
      mozart rollback digits-dcgan
      mozart rollback digits-dcgan --because "it draws no sevens"
    """
    from components.home import home
    from components.registry import Registry

    version = Registry(home()).rollback(name, because.strip())
    typer.echo(f"The champion of {version.name} is version {version.version} again.")


def lines_of(name: str) -> list[dict[str, Any]]:
    """`time`, `run`, `verdict`, `version` and `why` of each run and each move of the champion, by time."""
    from components.history import History
    from components.home import home
    from components.registry import Registry, check_name

    check_name(name)
    runs = [
        {
            "time": _minute(entry["time"]),
            "order": entry["time"],
            "run": entry["run"] or "—",
            "verdict": entry["verdict"],
            "version": str(entry["version"] or ""),
            "why": _why(entry),
        }
        for entry in History(home()).entries(name)
    ]
    moves = [
        {
            "time": _minute(move["time"]),
            "order": move["time"],
            "run": "",
            "verdict": "champion" if move["kind"] == "promotion" else "rollback",
            "version": str(move["to"]),
            "why": _short(move["reason"]),
        }
        for move in Registry(home()).promotions.entries(name)
    ]
    return sorted([*runs, *moves], key=lambda line: line["order"])


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _why(entry: dict[str, Any]) -> str:
    """What decided: of a refused run only what was not passed, of a published one its first sentence; and
    what else is odd about it."""
    reasons = entry["reasons"]
    if entry["verdict"] == "published":
        said = reasons[:1]
    else:
        said = [one for one in reasons if not one.startswith(("passed:", "noted:"))]
    if entry.get("drift"):
        said = [*said, f"drifted since the champion: {'; '.join(entry['drift'])}"]
    if entry.get("start", "").startswith(("cold start: ", "warm start")):
        said = [*said, entry["start"]]
    return _short("\n".join(said))


def _short(said: str) -> str:
    """A sentence with its numbers at five digits that count; on record they keep them all."""
    return DECIMAL.sub(_rounded, said)


def _rounded(found: re.Match[str]) -> str:
    if len(found[1].replace(".", "").lstrip("0")) <= DIGITS:
        return found[0]
    value = float(found[0])
    return f"{value:.{DIGITS}g}" if value < 10**DIGITS else f"{value:.0f}"
