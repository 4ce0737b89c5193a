"""What the history of a name says of a run, and whether a run would learn what one before it learnt."""

from __future__ import annotations

from typing import Any

from components.artifacts import fingerprint_of, read_json
from components.errors import NothingToDo
from components.history import History
from components.home import home
from components.spans import has_spans
from pipelines.outcome import Run
from pipelines.recipe import Recipe

BESIDE = {"about", "resources", "notify"}  # blocks that change nothing of a model


def learnt_before(done: Run) -> NothingToDo | None:
    """Why there is nothing to learn, where a run of spans has read the records that one before it judged.

    The records decide and not their files: a file that was touched or came again brings nothing new, and
    neither does a new version of Mozart. Where more came that cannot be read than the recipe tolerates, gate 1
    has to say so.
    """
    if not has_spans(done.recipe.data):
        return None
    before = History(home()).judged(done.recipe.name, _records_of(done), asked(done.recipe))
    if before is None:
        return None
    counts = _counts_of(done)
    tolerated = max(before.get("rejected", 0), done.recipe.data.max_rejected * counts["read"])
    if counts["rejected"] > tolerated:
        return None
    what = f"published version {before['version']}" if before["verdict"] == "published" else "was refused"
    return NothingToDo(
        f"nothing was trained: the spans {_spans(done.recipe)} hold the records of run {before['run']}, which {what} "
        f"on {before['time'][:10]}; nothing new has come since"
    )


def asked(recipe: Recipe) -> str:
    """A fingerprint of what a recipe asks for, whatever its window is."""
    values = recipe.model_dump(mode="json", exclude=BESIDE)
    del values["data"]["spans"]
    return fingerprint_of(values)


def keep_record(done: Run, error: Exception | None) -> None:
    """Adds the run to the history.

    Raises:
        OSError: the disk is full or not writable.
    """
    if home().is_dir() or isinstance(error, NothingToDo):
        History(home()).append(entry_of(done, error))


def entry_of(done: Run, error: Exception | None) -> dict[str, Any]:
    """See `components.history`."""
    entry: dict[str, Any] = {
        "name": done.recipe.name,
        "run": done.folder.name if done.folder else "",
        "verdict": _verdict(done, error),
        "reasons": _reasons(done, error),
        "version": None,
        "champion": False,
        "asked": asked(done.recipe),
        "spans": _spans(done.recipe),
        "drift": _drift(done),
    }
    if "ingest" in done.artifacts:
        entry |= {"data": _records_of(done), "rejected": _counts_of(done)["rejected"]}
    if "train" in done.artifacts:
        provenance = read_json(done.artifacts["train"] / "provenance.json")
        entry["model"] = str(done.artifacts["train"])
        entry["start"] = (provenance["start"] or {}).get("said", "cold start, as the recipe asks")
    if error is None and done.release:
        entry |= {key: done.release[key] for key in ("version", "champion")}
    return entry


def _verdict(done: Run, error: Exception | None) -> str:
    if error is None:
        return "published"
    if isinstance(error, NothingToDo):
        return "nothing-to-do"
    return "refused" if done.refused else "failed"


def _reasons(done: Run, error: Exception | None) -> list[str]:
    """All that the gates said where they said it; else the error, or where the model was published."""
    if error is not None and not (done.refused and "evaluate" in done.artifacts):
        return [line.strip() for line in str(error).splitlines()]
    said: list[str] = read_json(done.artifacts["evaluate"] / "evaluation.json")["verdict"]["reasons"]
    return [done.release["message"], *said] if done.release else said


def _drift(done: Run) -> list[str]:
    """What has drifted since the champion, and how far."""
    if "validate" not in done.artifacts:
        return []
    found = read_json(done.artifacts["validate"] / "report.json")["drift"]
    return [
        f"{one['feature']} of {one['split']}: {one['distance']:.3f}, allowed {one['limit']:.3f}"
        for one in found
        if one["against"] == "champion" and one["drifted"]
    ]


def _records_of(done: Run) -> str:
    return read_json(done.artifacts["ingest"] / "manifest.json")["fingerprint"]


def _counts_of(done: Run) -> dict[str, int]:
    return read_json(done.artifacts["ingest"] / "manifest.json")["counts"]


def _spans(recipe: Recipe) -> str:
    return recipe.data.spans.only if recipe.data.spans else ""
