"""A prompt of worked examples: question and answer a few times, and a question whose answer is to be written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import ConfigError, DataError

QUESTION, ANSWER = "{question}", "{answer}"
TEMPLATE = f"{QUESTION}\t{ANSWER}\n"


@dataclass(frozen=True)
class FewShot:
    """How examples and questions are written (Brown et al. 2020, 2): `template` for each of `examples`, pairs of
    question and answer.

    Raises:
        ConfigError: the template does not hold the question, then the answer, then what ends it.
    """

    template: str = TEMPLATE
    examples: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        before, _, after = self.template.partition(ANSWER)
        if before.count(QUESTION) != 1 or not after or ANSWER in after or QUESTION in after:
            raise ConfigError(
                f"--template {self.template!r} has to hold {QUESTION}, then {ANSWER}, each once, then what ends an "
                f"answer, as {TEMPLATE!r}"
            )

    @property
    def end(self) -> str:
        """What ends an answer."""
        return self.template.partition(ANSWER)[2]

    def prompt(self, question: str) -> str:
        """All examples and the question, up to where its answer begins."""
        asked = self.template.partition(ANSWER)[0]
        told = [asked.replace(QUESTION, one) + answer + self.end for one, answer in self.examples]
        return "".join(told) + asked.replace(QUESTION, question)

    def answer(self, written: str) -> str:
        """The answer alone of what was written behind the prompt."""
        return written.partition(self.end)[0]


def read_examples(path: Path) -> list[tuple[str, str]]:
    """Pairs of question and answer from a file of JSONL rows {"text": "question\\tanswer"}.

    Raises:
        DataError: it cannot be read, a line is no such row, or there is none.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--examples {path}: it cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            question, answer = json.loads(line)["text"].split("\t")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f'--examples {path}: line {number} is no row {{"text": "question\\tanswer"}}: {line[:60]!r}'
            ) from error
        found.append((question, answer))
    if not found:
        raise DataError(f"--examples {path}: the file holds no examples")
    return found
