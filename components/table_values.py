"""Rows of tables, and what their fields say: a number or a time, strictly, or that it is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})


@dataclass(frozen=True)
class Row:
    """A row: the line it begins on (the header's is 1) and its values by column."""

    number: int
    values: dict[str, str | None]


@dataclass(frozen=True)
class Bad:
    """A row that cannot be read: its line, by which rule, why and what would help."""

    number: int
    rule: str
    reason: str
    remedy: str


def number(text: str | None) -> float | None:
    """The number that a field holds; None where it is missing (empty, NA, NaN, null, none, - or ?).

    Raises:
        ValueError: no finite number.
    """
    if text is None or text.strip().lower() in MISSING:
        return None
    if "_" in text:  # which Python allows between digits
        raise ValueError(f"'{text[:40]}' is no number")
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"'{text[:40]}' is not finite")
    return value


def moment(text: str) -> datetime:
    """The time that a field holds, UTC where it names no zone: ISO 8601, YYYY-MM, YYYY, or seconds since
    1970 (nine to eleven digits; from twelve on, milliseconds).

    Raises:
        ValueError: none of these.
    """
    said = text.strip()
    try:
        if said.isdecimal() and len(said) >= 9:
            return datetime.fromtimestamp(int(said) / (1000 if len(said) >= 12 else 1), UTC)
        if said.isdecimal() and len(said) == 4:
            return datetime(int(said), 1, 1, tzinfo=UTC)
        if len(said) == 7 and said[4] in "-/" and (said[:4] + said[5:]).isdecimal():
            return datetime(int(said[:4]), int(said[5:]), 1, tzinfo=UTC)
        found = datetime.fromisoformat(said.replace("/", "-"))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"'{text[:40]}' is no time: write it as 2024-05-31 or 2024-05-31T12:30:00"
        ) from error
