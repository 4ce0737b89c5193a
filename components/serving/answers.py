"""Samples in the form that was asked for: a picture, music, text, a table or JSON, marked as generated."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from components.marking import facts_of, mark
from components.modalities import modalities
from components.serving.asking import Refused
from components.serving.batching import Drawn

SUFFIXES = {"png": ".png", "midi": ".mid", "text": ".txt", "csv": ".csv"}
TYPES = {
    "png": "image/png",
    "midi": "audio/midi",
    "text": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
OWN = {
    "images": ("png",),
    "music": ("midi", "png"),
    "text": ("text",),
    "series": ("csv", "png"),
    "ratings": ("csv",),
}


def form_of(wanted: str | None, modality: str) -> str:
    """The form of the answer: what was asked for, else the kind's own.

    Raises:
        Refused: samples of this kind have no such form.
    """
    offered = (*OWN.get(modality, ()), "json")
    form = wanted or offered[0]
    if form not in offered:
        raise Refused(f"samples of {modality} have no form '{form}': there are {', '.join(offered)}")
    return form


def written(drawn: Drawn, form: str) -> bytes:
    """The samples in that form."""
    facts = facts_of(drawn.served.version, drawn.seed) | {"first": drawn.first, "count": len(drawn.samples)}
    if form == "json":
        return json.dumps(facts | {"samples": _plain(drawn.samples)}).encode()
    encoding = drawn.served.encoding
    with tempfile.TemporaryDirectory(prefix="mozart-answer-") as folder:
        modalities()[encoding["modality"]].write_samples(drawn.samples, encoding, Path(folder) / "samples")
        file = Path(folder) / f"samples{SUFFIXES[form]}"
        mark(file, facts)
        return file.read_bytes()


def headers(drawn: Drawn) -> dict[str, str]:
    """The marks for whoever reads no file: the samples are `first`, `first + 1` ... of that seed."""
    return {
        "X-Mozart-Generated": "true",
        "X-Mozart-Model": drawn.served.version.name,
        "X-Mozart-Version": str(drawn.served.version.version),
        "X-Mozart-Seed": str(drawn.seed),
        "X-Mozart-First": str(drawn.first),
    }


def _plain(samples: Any) -> Any:
    """Nested lists; what is not finite is null, as JSON has no word for it."""
    import numpy as np

    finite = np.isfinite(samples)
    shown: Any = samples if finite.all() else np.where(finite, samples.astype(object), None)
    return shown.tolist()
