"""Tables and numbers as the listing commands show them. Rich is imported when one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def table(*columns: str) -> Table:
    """An empty table; its first column is never folded."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=i == 0)
    return made


def show(*parts: Any) -> None:
    """On standard output, brackets as they are."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:  # in a pipe or a log no line need be folded
        console.width = 160
    console.print(*parts, sep="\n")


def number(value: float | None) -> str:
    """Four digits that count; nothing for what was not measured."""
    return "" if value is None else f"{value:.4g}"
