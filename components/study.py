"""A preference study: one web page of blind pairs, and the key that says which model made which side.

    <out>/index.html   all of the study: pictures, texts, notes and program; it asks the network for nothing
    <out>/key.json     who made which side, and from which file or seed: not to be sent

The page knows random names of samples and questions only. Each two models meet equally often, each is as
often on the left as on the right, and a tenth of the pairs come again with their sides swapped, so that a
judge's consistency can be told. The same samples and seed give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import explain_os_error, fingerprint_of, write_json
from components.errors import ConfigError, DataError
from components.pages import template
from components.study_plan import Pair, needed, plan
from components.study_sides import Published, Side, Taken, sides

PAGE, KEY = "index.html", "key.json"
KEY_FORMAT, ANSWERS_FORMAT = "mozart-study-key", "mozart-study-answers"
TEMPLATE = "study_page.html.j2"
PIXELATED = 128  # pixels; up to this side an image is magnified without smoothing
PNG_BYTES = 20_000_000  # of all pictures together: beyond, all of them become JPEG
QUESTIONS = {
    "images": "Which picture is better?",
    "text": "Which text is better?",
    "music": "Which piece is better?",
    "series": "Which curve looks more real?",
}


@dataclass(frozen=True)
class Study:
    """What was written; `notes` are what its maker should know."""

    page: Path
    key: Path
    kind: str
    names: list[str]
    pairs: int
    repeats: int
    notes: list[str]


def study(names: Sequence[str], out: Path, pairs: int = 50, seed: int = 0, question: str = "") -> Study:
    """Writes the folder `out` with a study of `pairs` different pairs, whole or not at all.

    Args:
        names: see components.study_sides.
        question: what judges are asked; by default one that suits the kind.

    Raises:
        ConfigError: `out` is there already, or a study that cannot be (see `sides`, `needed`).
        DataError: a side has too few samples, or other channels than another.
        RegistryError, IntegrityError, ResourceError: a model or a folder that cannot be read or written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out} is there already: move it away or name another folder")
    found = sides(names)
    takes = needed(len(found), pairs)
    taken = _taken(found, takes, pairs, seed)
    kind = found[0].kind
    notes = _notes(found, taken)
    contents = _pictures(taken) if kind == "images" else [one.shown for one in taken]
    question = question or QUESTIONS[kind]
    told = [side.name for side in found]
    identity = fingerprint_of(told, pairs, seed, question, contents)
    planned, repeats = plan(len(found), pairs, np.random.default_rng([seed, int(identity, 16)]))
    page, key = _documents(identity, planned, repeats, contents, np.random.default_rng(int(identity, 16)))
    page |= {"kind": kind, "question": question, "pixelated": _pixelated(kind, taken)}
    for entry in key["questions"].values():
        for end in ("left", "right"):
            entry[f"{end}_sample"] = taken[entry[end]].origins[entry[f"{end}_sample"]]
    key |= {"kind": kind, "question": question, "seed": seed, "models": told}
    _write(out, page, key)
    return Study(out / PAGE, out / KEY, kind, told, pairs, sum(one >= 0 for one in repeats), notes)


# -- what is shown -------------------------------------------------------------------------------------


def _taken(found: Sequence[Side], takes: Sequence[int], pairs: int, seed: int) -> list[Taken]:
    """The samples of each side: files first, since they may be too few."""
    taken: dict[int, Taken] = {}
    for i in sorted(range(len(found)), key=lambda i: isinstance(found[i], Published)):
        taken[i] = found[i].take(takes[i], seed)
        have = len(taken[i].shown)
        if have < takes[i]:
            least = len(found) * (len(found) - 1) // 2
            possible = [n for n in range(least, pairs) if needed(len(found), n)[i] <= have]
            remedy = f"ask for --pairs {possible[-1]} or add samples" if possible else "add samples"
            aside = f", and {_told(taken[i].set_aside)}" if taken[i].set_aside else ""
            raise DataError(
                f"{found[i].name} holds {have} samples{aside}; {pairs} pairs take {takes[i]} of it: {remedy}"
            )
    return [taken[i] for i in range(len(found))]


def _told(set_aside: Sequence[str]) -> str:
    return f"{len(set_aside)} files cannot be read, such as {set_aside[0]}"


def _notes(found: Sequence[Side], taken: Sequence[Taken]) -> list[str]:
    """What could tell the sides apart, or was left out.

    Raises:
        ConfigError: series of different channels.
    """
    notes = [
        f"{side.name}: {_told(one.set_aside)}"
        for side, one in zip(found, taken, strict=True)
        if one.set_aside
    ]
    if found[0].kind == "series":
        channels = {side.name: one.shown[0]["channels"] for side, one in zip(found, taken, strict=True)}
        if len({tuple(names) for names in channels.values()}) > 1:
            told = "; ".join(f"{name}: {', '.join(names)}" for name, names in channels.items())
            raise ConfigError(f"only series of the same channels can be compared ({told})")
    if found[0].kind == "images":
        sizes = {
            side.name: {f"{image.shape[1]} x {image.shape[0]}" for image in one.shown}
            for side, one in zip(found, taken, strict=True)
        }
        if len(set.union(*sizes.values())) > 1 and len({frozenset(one) for one in sizes.values()}) > 1:
            told = ", ".join(
                f"{name} {min(one)}" + (" and others" if len(one) > 1 else "") for name, one in sizes.items()
            )
            notes.append(f"the pictures differ in size, by which judges may tell them apart: {told}")
    return notes


def _pixelated(kind: str, taken: Sequence[Taken]) -> bool:
    return kind == "images" and all(max(x.shape[:2]) <= PIXELATED for one in taken for x in one.shown)


def _pictures(taken: Sequence[Taken]) -> list[list[str]]:
    """Images as `data:` addresses, all written anew in one way: how a file was saved would tell who made it."""
    found = [[_data_url(x, "PNG") for x in one.shown] for one in taken]
    if sum(len(url) for one in found for url in one) > PNG_BYTES:
        found = [[_data_url(x, "JPEG") for x in one.shown] for one in taken]
    return found


def _data_url(image: np.ndarray, form: str) -> str:
    """In RGB, also what is grey, and what is transparent laid on white."""
    from PIL import Image

    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    if image.shape[-1] in (2, 4):
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        picture = paper
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, form, quality=90)
    return f"data:image/{form.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


# -- the page and its key ------------------------------------------------------------------------------


def _documents(
    identity: str,
    planned: Sequence[Pair],
    repeats: Sequence[int],
    contents: Sequence[Sequence[Any]],
    random: np.random.Generator,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page is given, and the key to it; samples lie in the page in an order of chance."""
    drawn = sorted(
        {(pair.left, pair.left_item) for pair in planned} | {(p.right, p.right_item) for p in planned}
    )
    drawn = [drawn[i] for i in random.permutation(len(drawn))]
    numbers = random.choice(2**32, len(drawn) + len(planned), replace=False)
    names = [f"{number:08x}" for number in numbers.tolist()]
    items = dict(zip(drawn, names, strict=False))
    asked = names[len(drawn) :]
    page = {
        "study": identity,
        "answers": ANSWERS_FORMAT,
        "items": {items[one]: contents[one[0]][one[1]] for one in drawn},
        "questions": [
            {"id": name, "left": items[p.left, p.left_item], "right": items[p.right, p.right_item]}
            for name, p in zip(asked, planned, strict=True)
        ],
    }
    questions = {
        name: {
            "left": p.left,
            "left_sample": p.left_item,
            "right": p.right,
            "right_sample": p.right_item,
            "repeats": asked[again] if again >= 0 else None,
        }
        for name, p, again in zip(asked, planned, repeats, strict=True)
    }
    return page, {"format": KEY_FORMAT, "version": 1, "study": identity, "questions": questions}


def _write(out: Path, page: dict[str, Any], key: dict[str, Any]) -> None:
    beside = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        (beside / PAGE).write_text(rendered(page), "utf-8")
        write_json(beside / KEY, key)
        os.rename(beside, out)
    except OSError as error:
        raise explain_os_error(error, out) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def rendered(page: dict[str, Any]) -> str:
    """The page, which runs the one program whose digest its policy names, and nothing that a sample says."""
    data = json.dumps(page, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    html: str = template(TEMPLATE).render(title=page["question"], data=data, digest="DIGEST")
    program = html.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    return html.replace("sha256-DIGEST", f"sha256-{digest}", 1)
