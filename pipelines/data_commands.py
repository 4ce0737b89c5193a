"""The commands that look at data before anything is trained: `sources`, `inspect`, `schema`.

The part that needs no model: the first three steps, run in this process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.tables import number, show, table

if TYPE_CHECKING:
    from components.modalities import Summary
    from components.settings import DataSettings
    from pipelines.recipe import Recipe

SHOWN_NAMES = 3
COLOURS = {"error": "red", "warning": "yellow"}

What = Annotated[
    str, typer.Argument(metavar="RECIPE|SOURCE", help="one of `mozart recipes`, a .yaml, or a source")
]
Change = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE changes the recipe; may be repeated.")
]


def sources() -> None:
    """Lists the sources that data can come from: what `data.source` may be.

    Examples:
      mozart sources
    """
    from components.modalities import modalities

    rows = table("source", "kind of data", "what it is")
    for name, module in modalities().items():
        for written in module.SOURCES.values():
            source, _, about = written.partition("  ")
            rows.add_row(source, name, about.strip())
    show(rows)


def inspect(
    what: What,
    out: Annotated[str, typer.Option("--out", "-o", help="the folder to write (made anew)")] = "",
    change: Change = None,
) -> None:
    """Reads data, summarises them and judges them, as the first steps of a run do; trains nothing.

    The exit code is not 0 where gate 1 would refuse the data.

    Examples:
      mozart inspect digits-dcgan
      mozart inspect images:photos --set data.read.resize=32
      mozart inspect my-recipe.yaml --out inspected
    """
    from rich.console import Console

    from components.errors import DataError
    from components.home import home
    from components.statistics_page import PAGE

    recipe, data = _meant(what, change or ())
    folder = Path(out) if out else home() / "inspected" / (recipe.name if recipe else _slug(data.source))
    summaries = _summaries(data, folder, Console(stderr=True))
    report = _judged(recipe, data, folder)
    show(_features(summaries), _anomalies(report))
    typer.echo(f"page     {(folder / 'statistics' / PAGE).absolute()}")
    if report["counts"]["rejected"]:
        typer.echo(f"rejected {(folder / 'records' / 'rejected' / 'rejected.jsonl').absolute()}")
    if report["verdict"] != "pass":
        raise typer.Exit(DataError.exit_code)


def schema(
    what: What,
    out: Annotated[str, typer.Option("--out", "-o", help="the file to write")] = "schema.yaml",
    change: Change = None,
) -> None:
    """Infers what the data must look like, into a file to curate and to name in `data.schema_file`.

    Examples:
      mozart schema digits-dcgan
      mozart schema text:book.txt --out book-schema.yaml
      mozart run my-recipe.yaml --set data.schema_file=schema.yaml
    """
    from rich.console import Console

    from components.errors import ConfigError
    from components.home import home
    from components.modalities import modality_of, name_of
    from components.schema import infer
    from components.schema_file import to_yaml

    file = Path(out)
    if file.exists():
        raise ConfigError(f"--out {out} is there already, perhaps curated: move it away or name another file")
    _, data = _meant(what, change or ())
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".schema-", dir=home()) as folder:
        summaries = _summaries(data, Path(folder), Console(stderr=True))
    inferred = infer(summaries, name_of(modality_of(data.source)))
    counted = sum(summary.records for summary in summaries.values())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_yaml(inferred, out, f"{counted:,} records of {data.source}"), "utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}") from error
    typer.echo(
        f"Wrote {out}: {len(inferred.features)} features. Correct it, then set data.schema_file={out}."
    )


# -- the work ------------------------------------------------------------------------------------------


def _meant(what: str, changes: list[str] | tuple[()]) -> tuple[Recipe | None, DataSettings]:
    """A recipe and its data, or the data of a source."""
    from components.modalities import sources as known
    from pipelines.recipe import bundled_recipes, data_of, load_recipe

    is_recipe = what in bundled_recipes() or what.endswith((".yaml", ".yml"))
    if not is_recipe and (":" in what or what in known()):
        data = data_of(what, changes)
        recipe = None
    else:
        recipe = load_recipe(what, changes).preflight()
        data = recipe.data
    return recipe, data


def _summaries(data: DataSettings, folder: Path, console: Any) -> dict[str, Summary]:
    """Records and statistics of the data, in `folder`."""
    from components.ingest import ingest
    from components.statistics import statistics, summaries_of

    with console.status(f"reading {data.source}"):
        ingest(data, folder / "records")
    with console.status("summarising"):
        return summaries_of(statistics(folder / "records", folder / "statistics", data.beam))


def _judged(recipe: Recipe | None, data: DataSettings, folder: Path) -> dict[str, Any]:
    """The report of gate 1: for a recipe as its run would have it, for a source without a model."""
    from components.schema_file import read_schema
    from components.settings import TrainSettings
    from components.validate import validate

    return validate(
        folder / "records",
        folder / "statistics",
        folder / "report",
        data,
        recipe.train if recipe else TrainSettings(batch_size=1),
        recipe.model if recipe else None,
        recipe.gates if recipe else None,
        schema=read_schema(Path(data.schema_file)) if data.schema_file else None,
        champion_statistics=_champion_statistics(recipe.name) if recipe else None,
    )


def _champion_statistics(name: str) -> Path | None:
    from components.bundle import STATISTICS
    from components.home import home
    from components.registry import Registry

    champion = Registry(home()).champion(name)
    file = champion.bundle_path / STATISTICS if champion else None
    return file if file and file.is_file() else None


def _slug(source: str) -> str:
    """A folder's name for a source: its scheme and the last part of its path."""
    scheme, _, place = source.partition(":")
    last = place.rstrip("/").rsplit("/", 1)[-1]
    return "".join(c if c.isalnum() else "-" for c in f"{scheme}-{last}").strip("-")[:60]


# -- what is shown -------------------------------------------------------------------------------------


def _features(summaries: dict[str, Summary]) -> Any:
    from components.accumulators import Numeric

    rows = table("feature", "split", "values", "missing", "min", "median", "max", "commonest")
    names = sorted({name for summary in summaries.values() for name in summary.features})
    for name in ("records", *names):
        for split, summary in summaries.items():
            first = name if split == next(iter(summaries)) else ""
            one = summary.features.get(name)
            if name == "records":
                rows.add_row(first, split, f"{summary.records:,}")
            elif isinstance(one, Numeric):
                absent = f"{one.total - one.count:,}"
                numbers = [number(value) for value in (one.min, one.quantile(0.5), one.max)]
                rows.add_row(first, split, f"{one.count:,}", absent, *(numbers if one.count else []))
            elif one is not None:
                common = ", ".join(
                    f"{value!r} {one.share(value):.1%}" for value, _ in one.ordered()[:SHOWN_NAMES]
                )
                more = f", … ({len(one.counts):,})" if len(one.counts) > SHOWN_NAMES else ""
                rows.add_row(first, split, f"{one.count:,}", f"{one.missing:,}", "", "", "", common + more)
    return rows


def _anomalies(report: dict[str, Any]) -> Any:
    from rich.text import Text

    if not report["anomalies"]:
        return Text("Gate 1 found nothing wrong with the data.", style="green")
    rows = table("", "rule", "what is wrong")
    rows.show_header = False
    for one in report["anomalies"]:
        rows.add_row(Text(one["severity"], style=COLOURS[one["severity"]]), one["rule"], one["message"])
    return rows
