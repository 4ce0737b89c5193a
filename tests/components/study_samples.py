"""Small folders of samples, for the tests of preference studies: by names that nothing else contains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.midi import write_midi
from components.scores import NOTE, Score, ordered

NAMES = ("xylograph-zeta", "quagmire-eta", "frobnicator-iota")


def pictures(folder: Path, count: int, seed: int, side: int = 8) -> Path:
    """PNG files of noise, whose text chunk names the folder."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    about = PngInfo()
    about.add_text("Software", folder.name)
    for i in range(count):
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{folder.name}-{i:03}.png", pnginfo=about)
    return folder


def tunes(folder: Path, count: int, seed: int) -> Path:
    """MIDI files of eight notes, the last a drum."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        rows = [(240 * t, int(random.integers(50, 80)), 9 if t == 7 else 0, 240, 90, 0) for t in range(8)]
        score = Score(ordered(np.array(rows, NOTE)), 480, 1920, tempo=100.0)
        (folder / f"{folder.name}-{i}.mid").write_bytes(write_midi(score, [(0, folder.name)]))
    return folder


def texts(folder: Path, count: int, seed: int) -> Path:
    """Text files, some of which would like to be part of a page."""
    folder.mkdir(parents=True)
    for i in range(count):
        said = f"</script><script>document.title = 'taken'</script><b>{seed}&amp;{i}</b>\n  indented ✓\n"
        (folder / f"{folder.name}-{i}.txt").write_text(said, "utf-8")
    return folder


def tables(folder: Path, count: int, seed: int) -> Path:
    """CSV files of two channels, one value of each file missing."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        rows = [f"{a!r},{b!r}" for a, b in random.normal(size=(12, 2)).tolist()]
        (folder / f"{folder.name}-{i}.csv").write_text("\n".join(["load,heat", *rows, "1.5,"]), "utf-8")
    return folder


MAKE = {"images": pictures, "music": tunes, "text": texts, "series": tables}


def answers(key: dict[str, Any], judge: str, choose: Any, only: int | None = None) -> dict[str, Any]:
    """What a judge sends back who is asked `choose(left, right)` of the models' numbers."""
    asked = list(key["questions"].items())[:only]
    told = [
        {"question": name, "choice": choose(one["left"], one["right"]), "seconds": 1.5} for name, one in asked
    ]
    return {
        "format": "mozart-study-answers",
        "version": 1,
        "study": key["study"],
        "judge": judge,
        "answers": told,
    }


def write_answers(folder: Path, content: dict[str, Any]) -> Path:
    """The file that a browser would have downloaded."""
    file = folder / f"answers-{content['judge']}.json"
    file.write_text(json.dumps(content), "utf-8")
    return file
