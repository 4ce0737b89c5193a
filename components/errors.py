"""What can go wrong in a way the user can mend: one clear sentence and one exit code each.

A step that runs in its own process announces such an error as one line on standard output
(`announce`), and the runner in the parent process reads it back (`read_announcement`): so the
person at the terminal sees the sentence and never a traceback they cannot use.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

PREFIX = "@mozart-error "


class MozartError(Exception):
    """Base of every error with a remedy. `exit_code` is what the command returns."""

    exit_code = 1


class ConfigError(MozartError):
    """A recipe, an option or a name that cannot be meant."""

    exit_code = 2


class DataError(MozartError):
    """The data are missing, empty, broken or not what the recipe says."""

    exit_code = 3


class ResourceError(MozartError):
    """Disk, memory, device or library version is not sufficient."""

    exit_code = 4


class RegistryError(MozartError):
    """The model registry cannot be reached or does not hold what was asked for."""

    exit_code = 5


class GateRefused(MozartError):
    """A gate said no: the model or the data are not good enough."""

    exit_code = 6


class IntegrityError(MozartError):
    """A file is not the one its manifest describes."""

    exit_code = 7


class NothingToDo(MozartError):
    """There is nothing new to learn from: no fault, and no new model either."""

    exit_code = 10


_KINDS = {
    kind.__name__: kind
    for kind in (
        MozartError,
        ConfigError,
        DataError,
        ResourceError,
        RegistryError,
        GateRefused,
        IntegrityError,
        NothingToDo,
    )
}


def announce(error: MozartError) -> str:
    """The line by which a step's process tells its parent what went wrong."""
    return PREFIX + json.dumps({"kind": type(error).__name__, "message": str(error)})


def read_announcement(line: str) -> MozartError | None:
    """The error announced by `line`, or None where the line is ordinary output."""
    if not line.startswith(PREFIX):
        return None
    said = json.loads(line[len(PREFIX) :])
    return _KINDS.get(said["kind"], MozartError)(said["message"])


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` or the list of choices: the end of an error sentence."""
    choices = sorted(choices)
    whole = [choice for choice in choices if len(given) > 4 and given in choice]  # float16: mixed_float16
    near = difflib.get_close_matches(given, whole or choices, n=1, cutoff=0.0 if whole else 0.5)
    if near:
        return f" — did you mean '{near[0]}'?"
    return f" — known: {', '.join(choices)}" if choices else ""
