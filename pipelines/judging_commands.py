"""The commands that measure what is there: `evaluate` one model or folder of samples, `compare` several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.tables import show, table

SPLITS = ("validation", "test")

Data = Annotated[
    str, typer.Option("--data", help="the real data: a source; by default those that the model learnt from")
]
Out = Annotated[str, typer.Option("--out", "-o", help="the folder to write (made anew)")]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE of the blocks data and evaluate; may be repeated."),
]


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="a published model, or a folder or file of samples")
    ],
    against: Annotated[str, typer.Option("--against", help="another one, to be compared with")] = "",
    data: Data = "",
    out: Out = "",
    change: Change = None,
) -> None:
    """Measures a published model, or samples made by anyone, by every metric of its kind of data.

    Examples:
      mozart evaluate digits-dcgan
      mozart evaluate digits-dcgan:2 --against digits-dcgan:1
      mozart evaluate my-samples/ --data images:real-images --set data.read.resize=32
      mozart evaluate tunes/ --data music:real-tunes --out judged
    """
    names = [model, against] if against else [model]
    result, folder = _compared(names, data, out, "", change)
    rows = table("metric", "", *(f"{one['name']} {split}" for one in result["entrants"] for split in SPLITS))
    from components.metrics import METRICS

    ordered = sorted(
        {name for one in result["entrants"] for split in SPLITS for name in one[split]},
        key=lambda name: (name != result["metric"], [*METRICS, name].index(name)),
    )
    for name in ordered:
        better = METRICS[name].better if name in METRICS else ""
        cells = [_told(one[split].get(name)) for one in result["entrants"] for split in SPLITS]
        rows.add_row(name, {"lower": "↓", "higher": "↑"}.get(better, ""), *cells)
    show(rows)
    _end(result, folder)


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="published models, folders or files of samples")
    ],
    data: Data = "",
    metric: Annotated[str, typer.Option("--metric", help="what to rank by; by default what all have")] = "",
    out: Out = "",
    change: Change = None,
) -> None:
    """Ranks models of any families, and samples made by anyone, on the same data: with intervals.

    Examples:
      mozart compare digits-dcgan digits-gan digits-wgan
      mozart compare digits-dcgan my-samples/ --metric recall
      mozart compare a-folder/ another/ --data images:real-images
    """
    result, folder = _compared(models, data, out, metric, change)
    named = result["metric"]
    rows = table("", "model", "family", "likelihood", f"{named}, test", "95 %", "validation", "samples")
    for place, one in enumerate(result["entrants"], 1):
        test, validation = one["test"].get(named), one["validation"].get(named)
        rows.add_row(
            str(place),
            one["name"],
            one["family"],
            one["likelihood"],
            _value(test),
            _interval(test),
            _value(validation),
            f"{one['samples']:,}",
        )
    show(rows)
    _end(result, folder)


def _compared(
    names: list[str], data: str, out: str, metric: str, changes: list[str] | None
) -> tuple[dict[str, Any], Path]:
    from pydantic import ValidationError
    from rich.console import Console

    from components.compare import compare
    from components.errors import ConfigError
    from components.home import home
    from components.settings import DataSettings
    from pipelines.problems import problems_of
    from pipelines.recipe import blocks_of
    from pipelines.sampling import without_native_noise

    blocks, settings = blocks_of(changes or ())
    slug = "-".join("".join(c if c.isalnum() else "-" for c in name).strip("-") for name in names)[:80]
    folder = Path(out) if out else home() / "compared" / slug
    try:
        with Console().status("looking up") as status, without_native_noise():
            result = compare(names, folder, settings, data, blocks, metric, status.update)
    except ValidationError as error:
        raise ConfigError("\n".join(problems_of(DataSettings, error, "data."))) from error
    return result, folder


def _end(result: dict[str, Any], folder: Path) -> None:
    for one in result["entrants"]:
        if one["set_aside"]:
            typer.echo(f"{one['name']}: {one['set_aside']} files could not be read and were left out")
        if one["collapsed"]:
            typer.secho(f"{one['name']}: {one['collapsed']}", fg=typer.colors.RED)
    for one in result["differences"]:
        told = "" if one["low"] is None else f", {_interval(one)}"
        said = "" if one["low"] is None or not one["low"] <= 0 <= one["high"] else ": no difference is shown"
        typer.echo(f"{one['of']} less {one['from']}: {_value(one)} {result['metric']}{told}{said}")
    typer.echo(f"page     {(folder / 'index.html').absolute()}")


def _value(entry: dict[str, Any] | None) -> str:
    return "" if not entry or entry["value"] is None else f"{entry['value']:.4g}"


def _interval(entry: dict[str, Any] | None) -> str:
    if not entry or entry.get("low") is None or entry["low"] == entry["high"]:
        return ""
    return f"{entry['low']:.4g} to {entry['high']:.4g}"


def _told(entry: dict[str, Any] | None) -> str:
    interval = _interval(entry)
    return f"{_value(entry)} ({interval})" if interval else _value(entry)
