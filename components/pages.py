"""How every page is made: its template, its numbers, names that cannot be seen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

SHOWN_AS = {" ": "␣", "\n": "↵", "\t": "⇥", "": "none"}  # names that cannot be seen


def number(value: Any) -> str:
    """Four significant digits, a true minus sign; a dash for what is not a finite number."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "—"
    whole = float(value).is_integer() or abs(value) >= 10_000
    return (f"{value:,.0f}" if whole and abs(value) < 1e12 else f"{value:.4g}").replace("-", "−")


def template(file: str) -> Any:
    """A page's template, beside this module; its filter `number` is the function above."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(file)


def visible(name: str) -> str:
    """A name from the data with a sign in place of what cannot be seen."""
    return SHOWN_AS.get(name, name if name.isprintable() else repr(name))
