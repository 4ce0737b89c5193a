"""The log of every move of the alias `champion`: one JSON line each, synced before the alias moves.

Because the line comes first, a process killed between the two leaves a line that never came true.
Such a line is known by what follows: the next move starts elsewhere, or the champion is another.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from components.journal import append_line, read_lines


class Promotions:
    """The log in one file. Whoever writes holds the registry's lock."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(
        self, name: str, kind: Literal["promotion", "rollback"], old: int | None, new: int, because: str
    ) -> None:
        """Adds one move of `name` from version `old` to `new` and syncs it to the disk."""
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "name": name, "kind": kind}
        append_line(self.file, entry | {"from": old, "to": new, "reason": because})

    def entries(self, name: str) -> list[dict[str, Any]]:
        """The moves of `name`, oldest first; half-written lines are left out."""
        return read_lines(self.file, name)

    def rolled_back(self, name: str, version: int) -> bool:
        """Whether a person has taken the champion away from this version."""
        return any(e["kind"] == "rollback" and e["from"] == version for e in self.entries(name))

    def previous(self, name: str, champion: int) -> int | None:
        """The version that was champion before `champion` got there, or None.

        Promotions pile up and a rollback takes the last one off, so that rolling back twice goes
        two champions back.
        """
        entries = self.entries(name)
        ends = [entry["from"] for entry in entries[1:]] + [champion]
        pile: list[int] = []
        for entry, end in zip(entries, ends):
            if entry["to"] != end:
                continue  # never came true, or someone moved the alias without this log
            if entry["kind"] == "rollback":
                del pile[-1:]
            elif entry["from"] is not None and pile[-1:] != [entry["from"]]:
                pile += [entry["from"], entry["to"]]
            else:
                pile.append(entry["to"])
        return pile[-2] if len(pile) > 1 and pile[-1] == champion else None
