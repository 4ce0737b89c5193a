"""A span: one piece of a source that arrives in pieces; a day (2026-11-01, or 20261101) or a number (7, 007)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

HOW = "a day (2026-11-01) or a whole number"
PATTERN = r"\d{4}-\d{2}-\d{2}|\d{1,18}"


@dataclass(frozen=True, order=True)
class Span:
    """Its place on the line of days or numbers, and how it is written."""

    place: int
    text: str
    is_day: bool

    @classmethod
    def parse(cls, text: str) -> Span:
        """The span that is written so.

        Raises:
            ValueError: it is neither a day nor a number.
        """
        if re.fullmatch(PATTERN, text, re.ASCII) is None:
            raise ValueError(f"'{text}' is no span: it is {HOW}")
        if "-" in text or len(text) == 8:
            try:
                return cls(date.fromisoformat(text).toordinal(), text, True)
            except ValueError as error:
                if "-" in text:
                    raise ValueError(f"'{text}' is no day: {error}") from error
        return cls(int(text), text, False)

    def earlier(self, steps: int) -> Span:
        """The span so many days or numbers before."""
        if self.is_day:
            place = max(self.place - steps, 1)
            return Span(place, date.fromordinal(place).isoformat(), True)
        place = max(self.place - steps, 0)
        return Span(place, str(place), False)


def span_range(text: str) -> tuple[Span, Span]:
    """The ends of `A..B`, both inclusive, or of `A` alone.

    Raises:
        ValueError: it is no such range.
    """
    parts = text.split("..")
    if len(parts) > 2:
        raise ValueError(f"'{text}' is no range of spans: write FIRST..LAST, e.g. 2026-11-01..2026-11-07")
    low, high = Span.parse(parts[0]), Span.parse(parts[-1])
    if low.is_day != high.is_day:
        raise ValueError(f"'{text}': one end is a day and the other a number")
    if low.place > high.place:
        raise ValueError(f"'{text}' ends before it begins: write {high.text}..{low.text}")
    return low, high
