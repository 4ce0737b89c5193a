"""The commands for what no number says: `study` writes blind pairs for people, `study-results` reads them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.tables import number, show, table


def study(
    models: Annotated[
        list[str],
        typer.Argument(metavar="A B...", help="published models, folders of samples, or `real` (examples)"),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="the folder to write; it must be new")] = "study",
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="how many different pairs a judge sees")] = 50,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31 - 1, help="the same seed, the same study")
    ] = 0,
    question: Annotated[str, typer.Option("--question", help="what judges are asked")] = "",
) -> None:
    """Writes a web page on which people say, blind, which of two samples is better.

    Examples:
      mozart study digits-dcgan digits-vae
      mozart study digits-dcgan:1 digits-dcgan:2 real --question "Which digit looks handwritten?"
      mozart study chorales-hmm my-midi-files/ --pairs 20 --out listening
    """
    from rich.console import Console

    from components.study import study as write_study
    from pipelines.sampling import without_native_noise

    with Console(stderr=True).status("drawing samples"), without_native_noise():
        made = write_study(models, Path(out), pairs, seed, question)
    for note in made.notes:
        typer.secho(note, fg=typer.colors.YELLOW)
    typer.echo(
        f"{made.pairs} pairs of {', '.join(made.names[:-1])} and {made.names[-1]}; {made.repeats} of them come again, sides swapped"
    )
    typer.echo(f"send     {made.page.absolute()}   (this file alone: it works without a network)")
    typer.echo(
        f"keep     {made.key.absolute()}   (it says who made which side: whoever judges must not see it)"
    )
    typer.echo(f"then     mozart study-results {out} answers-*.json")


def study_results(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY", help="the folder that `study` wrote, or its key.json")
    ],
    answers: Annotated[
        list[str] | None,
        typer.Argument(metavar="ANSWERS...", help="files that judges sent back; by default those in STUDY"),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", "-o", help="the page to write; by default STUDY/results.html")
    ] = "",
) -> None:
    """Reads the answers to a study: who is preferred to whom, with intervals, and how judges went about it.

    Examples:
      mozart study-results study
      mozart study-results study answers-*.json --out results.html
    """
    from components.study_results import study_results as results_of

    results, page = results_of(folder, answers or [], Path(out) if out else None)
    rows = table(
        "preferred", "to", "wins", "losses", "ties", "share, no ties", "95 %", "ties half", "p", "difference"
    )
    for one in results["pairs"]:
        rows.add_row(
            one["of"],
            one["against"],
            *(str(one[name]) for name in ("wins", "losses", "ties")),
            _percent(one["value"]),
            _interval(one, _percent),
            _percent(one["half"]),
            f"{one['p']:.2g}",
            "shown" if one["holds"] else "not shown",
        )
    ranked = table("model", "log strength", "95 %", "to an average one")
    for one in results["strengths"]:
        ranked.add_row(one["model"], number(one["value"]), _interval(one, number), _percent(one["chance"]))
    show(rows, ranked)
    _judges(results)
    typer.echo(f"page     {page.absolute()}\nnumbers  {page.with_suffix('.json').absolute()}")


def _judges(results: dict[str, Any]) -> None:
    """Who answered how, and what did not count."""
    consistency, left = results["consistency"], results["left"]
    said = f"{results['answers']:,} answers of {len(results['judges'])} judges"
    if consistency:
        said += f"; of {consistency['n']} pairs shown again {_percent(consistency['value'])} were answered the same"
    if left:
        said += f"; the first was preferred in {_percent(left['value'])} ({_interval(left, _percent)})"
    typer.echo(said)
    why = next((one["no_interval"] for one in results["strengths"] if "no_interval" in one), "")
    if why:
        typer.secho(f"No interval of strengths: {why}", fg=typer.colors.YELLOW)
    if results["unknown_answers"]:
        typer.secho(
            f"{results['unknown_answers']} answers are to questions that the study does not have",
            fg=typer.colors.YELLOW,
        )
    for one in results["set_aside"]:
        typer.secho(f"set aside {one['file']}: {one['why']}", fg=typer.colors.YELLOW)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _interval(entry: dict[str, Any], told: Any) -> str:
    return "" if entry["low"] is None else f"{told(entry['low'])} to {told(entry['high'])}"
