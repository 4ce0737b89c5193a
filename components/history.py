"""The history of a name: how each of its runs ended, published or not, and why.

    <home>/registry/history.jsonl    one line a run

A refused challenger stays findable by it: its folder (`model`), the reasons, when and in which run. And by
it a nightly run knows whether these data were learnt from before.

    {"time", "name", "run", "verdict", "reasons": [...], "version": 3 | null, "champion": true | false,
     "data": fingerprint of the records, "rejected": how many, "asked": fingerprint of the recipe but for its source's window,
     "spans": "2026-11-01..2026-11-07", "start": "warm start from ...", "drift": [...], "model": folder}

Verdicts: published (a new version, champion or not), refused (by a gate), failed (anything else that went
wrong), nothing-to-do (nothing new, or too few spans).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.journal import append_line, read_lines
from components.patience import held
from components.provenance import now

JUDGED = ("published", "refused")


class History:
    """The history in one home folder."""

    def __init__(self, home: Path) -> None:
        self.file = home / "registry" / "history.jsonl"

    def append(self, entry: dict[str, Any]) -> None:
        """Adds how a run ended; several runs may at once."""
        with held(self.file.with_suffix(".lock")):
            append_line(self.file, {"time": now(), **entry})

    def entries(self, name: str) -> list[dict[str, Any]]:
        """The runs of `name`, oldest first."""
        return read_lines(self.file, name)

    def judged(self, name: str, data: str, asked: str) -> dict[str, Any] | None:
        """The last run of `name` that learnt, or was not let learn, from these very data with this very
        recipe; None where there was none.

        A model that was registered and not promoted, because the champion changed meanwhile, does not
        count: running again is what its message asks for.
        """
        for entry in reversed(self.entries(name)):
            same = entry.get("data") == data and entry.get("asked") == asked
            if same and entry["verdict"] in JUDGED and (entry["verdict"] == "refused" or entry["champion"]):
                return entry
        return None
