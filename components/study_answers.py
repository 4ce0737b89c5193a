"""What judges sent back from a preference study, read with suspicion: one file is one judge's answers.

    {"format": "mozart-study-answers", "version": 1, "study": id, "judge": id,
     "answers": [{"question": id, "choice": "left" | "same" | "right", "seconds": 2.5}, ...]}

What is not that, belongs to another study or comes twice is set aside with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import DataError
from components.study import KEY
from components.study_plan import MOST_PAIRS

MOST_BYTES = 10_000_000
Identity = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(_Strict):
    """What was said of one pair, after how many seconds."""

    question: Identity
    choice: Literal["left", "same", "right"]
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Answers(_Strict):
    """A file of answers."""

    format: Literal["mozart-study-answers"]
    version: Literal[1]
    study: Identity
    judge: Identity
    answers: list[Answer] = Field(max_length=4 * MOST_PAIRS)


class Question(_Strict):
    """Who made which side of a pair, and which pair it shows again."""

    left: int = Field(ge=0)
    left_sample: str
    right: int = Field(ge=0)
    right_sample: str
    repeats: Identity | None


class Key(_Strict):
    """The file key.json of a study."""

    format: Literal["mozart-study-key"]
    version: Literal[1]
    study: Identity
    kind: str
    question: str
    seed: int
    models: list[str] = Field(min_length=2)
    questions: dict[Identity, Question] = Field(min_length=1)


class Unfit(Exception):
    """Why a file of answers is set aside."""


@dataclass
class Gathered:
    """The answers of each judge by question; what was set aside, as (file, why); and how many answers were
    to questions that the study does not have."""

    judges: dict[str, dict[str, Answer]] = field(default_factory=dict)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    unknown: int = 0


def read_key(study: Path) -> Key:
    """The key of a study, from its folder or from the file itself.

    Raises:
        DataError: it is not there, or is none.
    """
    file = study / KEY if study.is_dir() else study
    if not file.is_file():
        raise DataError(f"{file} is missing: name the folder that `mozart study` wrote, with its {KEY}")
    try:
        key = Key.model_validate_json(file.read_bytes())
        wrong = next((one for one in key.questions.values() if not _possible(one, key)), None)
    except (ValidationError, OSError) as error:
        raise DataError(
            f"{file} is not the key of a study ({_reason(error)}): restore it from a copy"
        ) from error
    if wrong is not None:
        raise DataError(
            f"{file} is not the key of a study (a question is of no two models): restore it from a copy"
        )
    return key


def _possible(question: Question, key: Key) -> bool:
    """Two models of the study, and what it shows again are the same two the other way round."""
    first = key.questions.get(question.repeats) if question.repeats is not None else None
    again = first is not None and (first.left, first.right, first.repeats) == (
        question.right,
        question.left,
        None,
    )
    known = max(question.left, question.right) < len(key.models) and question.left != question.right
    return known and (question.repeats is None or again)


def parsed(data: bytes) -> Answers:
    """The answers in the bytes of a file, or of a text that was copied out of the page.

    Raises:
        Unfit: it is anything else; nothing else comes out, whatever the bytes.
    """
    if len(data) > MOST_BYTES:
        raise Unfit(f"it has more than {MOST_BYTES:,} bytes")
    try:
        answers = Answers.model_validate_json(data.removeprefix(b"\xef\xbb\xbf").strip())
    except ValidationError as error:
        raise Unfit(f"it holds no answers ({_reason(error)})") from error
    if len({one.question for one in answers.answers}) < len(answers.answers):
        raise Unfit("it answers a question twice")
    return answers


def _reason(error: Exception) -> str:
    """The first thing wrong, in few words."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:60]
    return f"{place}: {first['msg']}"[:160] if place else str(first["msg"])[:160]


def gather(key: Key, files: Sequence[Path]) -> Gathered:
    """The answers in files; of two files of one judge the one with more answers counts.

    Raises:
        DataError: no answer is left.
    """
    found = Gathered()
    kept: dict[str, str] = {}
    for file in files:
        try:
            answers = _fitting(file, key)
        except Unfit as why:
            found.set_aside.append((str(file), str(why)))
            continue
        known = {one.question: one for one in answers.answers if one.question in key.questions}
        before = found.judges.get(answers.judge)
        if before is not None and len(before) >= len(known):
            found.set_aside.append((str(file), f"it is of the same judge as {kept[answers.judge]}"))
            continue
        if before is not None:
            found.set_aside.append(
                (kept[answers.judge], f"it is of the same judge as {file}, which has more")
            )
        found.unknown += len(answers.answers) - len(known)
        if not known:
            found.set_aside.append((str(file), "it answers none of the study's questions"))
            continue
        found.judges[answers.judge], kept[answers.judge] = known, str(file)
    if not found.judges:
        reasons = "; ".join(f"{file}: {why}" for file, why in found.set_aside[:3])
        raise DataError(f"there are no answers to study {key.study} in {len(files)} files ({reasons})")
    return found


def _fitting(file: Path, key: Key) -> Answers:
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unfit(f"it cannot be read: {error.strerror}") from error
    answers = parsed(data)
    if answers.study != key.study:
        raise Unfit(f"it belongs to study {answers.study}, not to {key.study}")
    return answers


def answer_files(study: Path, names: Sequence[str]) -> list[Path]:
    """The files meant by names; of a folder, and where none is named of the study's own, its answers*.json.

    Raises:
        DataError: there are none.
    """
    places = [Path(name) for name in names] or [study if study.is_dir() else study.parent]
    found: list[Path] = []
    for place in places:
        found += sorted(place.glob("answers*.json")) if place.is_dir() else [place]
    if not found:
        told = ", ".join(map(str, places))
        raise DataError(f"there is no file answers-….json in {told}: name those that judges sent back")
    return list(dict.fromkeys(found))
