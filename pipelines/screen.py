"""The run on screen: one line a finished step, a live bar for the running one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from components.artifacts import read_json

WIDTH = 11


class Screen:
    """Tells what happens. A terminal gets a moving bar, a log file only the finished lines."""

    def __init__(self, console: Console, steps: int) -> None:
        self.console, self.steps, self.number = console, steps, 0
        self.progress: Progress | None = None
        self.began = 0.0

    def start(self, step: str) -> None:
        """A step begins."""
        self.number += 1
        self.began = time.monotonic()
        room = self.console.width - WIDTH - 20  # beside number, name, spinner and clock
        bar = max(4, min(24, room))
        columns: list[ProgressColumn] = [
            TextColumn(f"  [cyan]{self.number}/{self.steps}[/] {step:<{WIDTH}}"),
            SpinnerColumn(),
            BarColumn(bar),
            TimeElapsedColumn(),
        ]
        if room - bar > 16:
            cut = Column(no_wrap=True, overflow="ellipsis", max_width=room - bar)
            columns.append(TextColumn("[dim]{task.fields[said]}", table_column=cut))
        self.progress = Progress(
            *columns,
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
            redirect_stdout=False,  # else what the local runner prints comes on screen
            redirect_stderr=False,
        )
        self.task = self.progress.add_task(step, total=None, said="")
        self.progress.start()

    def tell(self, line: dict[str, Any]) -> None:
        """Progress told by the step: `step`, `of` and the values of the learning curve."""
        if self.progress is not None:
            values = {key: value for key, value in line.items() if key not in ("step", "of")}
            said = "  ".join(f"{key} {value:.3f}" for key, value in list(values.items())[:3])
            self.progress.update(self.task, total=line["of"], completed=line["step"], said=said)

    def finish(self, step: str, headline: str, cached: bool) -> None:
        """A step is done."""
        self.stop()
        took = "cached" if cached else f"{time.monotonic() - self.began:.1f} s"
        self._line("[green]✓[/]", step, took, headline)

    def refuse(self, step: str, headline: str) -> None:
        """A gate said no."""
        self.stop()
        self._line("[yellow]✗[/]", step, f"{time.monotonic() - self.began:.1f} s", headline)

    def fail(self, step: str) -> None:
        """A step failed."""
        self.stop()
        self._line("[red]✗[/]", step, f"{time.monotonic() - self.began:.1f} s", "failed")

    def stop(self) -> None:
        """Takes the live bar away, if there is one."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _line(self, mark: str, step: str, took: str, headline: str) -> None:
        self.console.print(
            f"{mark} [cyan]{self.number}/{self.steps}[/] {step:<{WIDTH}} [dim]{took:>8}[/]  {headline}",
            highlight=False,
            soft_wrap=True,
        )


def headline(step: str, folder: Path) -> str:
    """What matters of a finished step, from the folder it wrote."""
    if step == "ingest":
        counts = read_json(folder / "manifest.json")["counts"]
        return f"{counts['read']:,} records read, {counts['rejected']:,} set aside"
    if step == "statistics":
        splits = read_json(folder / "statistics.json")["splits"]
        return ", ".join(f"{split} {found['records']:,}" for split, found in splits.items())
    if step == "validate":
        report = read_json(folder / "report.json")
        told = [one["message"] for one in report["anomalies"]]  # the errors first
        return told[0] if told else "no anomaly: the data pass gate 1"
    if step == "transform":
        shape = read_json(folder / "spec.json")
        counts = read_json(folder / "manifest.json")["counts"]
        return f"{counts['train']:,} training examples, {shape['kind']} {'x'.join(map(str, shape['shape']))}"
    if step == "train":
        last = (folder / "history.csv").read_text("utf-8").splitlines()
        names, values = last[0].split(","), last[-1].split(",")
        told = [f"{name} {float(value):.4g}" for name, value in zip(names, values, strict=True)]
        return "  ".join(told[:3])
    if step == "evaluate":
        return _evaluated(read_json(folder / "evaluation.json"))
    return read_json(folder / "release.json")["message"]


def _evaluated(found: dict[str, Any]) -> str:
    metric = found["metric"]
    value = (found["test"].get(metric) or {}).get("value")
    if value is None:
        return f"{metric} was not measured"
    floors = [
        floor["test"][metric]["value"]
        for floor in found["floors"].values()
        if metric in floor.get("test", {})
    ]
    said = f"{metric} {value:.4g} on the test split"
    return said + (f" (best floor {min(floors):.4g})" if floors else "")
