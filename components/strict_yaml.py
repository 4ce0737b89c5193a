"""YAML that can mean only one thing: the part of YAML 1.2 that recipes and schemas need.

YamlError: duplicate keys, anchors and aliases, tags, directives, several documents, keys that are not
text, infinity and NaN, more than 1 MB, 20 levels or 10,000 values. Plain words are read by the core
schema of YAML 1.2, so that `no` and `12:30` stay text and `010` is ten. The values are built from the
parser's events: a bomb is refused while it is read and nothing is ever constructed by name.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

MAX_BYTES, MAX_DEPTH, MAX_VALUES, MAX_DIGITS = 1_000_000, 20, 10_000, 100

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's scanner: 1 MB in 0.1 s, not 4 s
_WORDS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class YamlError(ValueError):
    """What is wrong with a YAML text, and on which `line` (from 1)."""

    def __init__(self, problem: str, line: int = 1) -> None:
        super().__init__(problem)
        self.line = line


def parse_yaml(text: str) -> Any:
    """The value of one YAML document: dicts with text keys, lists, text, numbers, true, false, None.

    Raises:
        YamlError: not YAML, or a part of YAML that is not allowed here.
    """
    _refuse_at_once(text)
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(f"not valid YAML: {error.problem or error.context}", line) from error
    except yaml.YAMLError as error:
        line = _line_of_control_character(text)
        raise YamlError(f"not valid YAML: {getattr(error, 'reason', error)}", line) from error


def _refuse_at_once(text: str) -> None:
    """What need not be parsed, or must not be: libyaml takes minutes over many %TAG lines."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise YamlError("not valid UTF-8 text", text.count("\n", 0, error.start) + 1) from error
    if size > MAX_BYTES:
        raise YamlError(f"{size:,} bytes of YAML; the most is {MAX_BYTES:,}")
    directive = re.search(r"^%", text.removeprefix("\ufeff"), re.MULTILINE)
    if directive:
        line = text.count("\n", 0, directive.start()) + 1
        raise YamlError("a line that starts with % (a YAML directive) is not allowed", line)


def _line_of_control_character(text: str) -> int:
    for number, line in enumerate(text.split("\n"), 1):
        if any(not (letter.isprintable() or letter in "\t\r") for letter in line):
            return number
    return 1


class _Reader:
    """Builds values from the parser's events, checking each before the next is asked for."""

    def __init__(self, text: str) -> None:
        self.events = yaml.parse(text, Loader=_LOADER)
        self.values = 0

    def document(self) -> Any:
        """The one document of the stream."""
        next(self.events)  # stream start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            raise YamlError("there is nothing in it")
        value = self.value(next(self.events), 1)
        next(self.events)  # document end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise YamlError("a second document (after ---) is not allowed", _line(after))
        return value

    def value(self, event: Any, depth: int) -> Any:
        """The value that begins with `event`."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES:,} values", _line(event))
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(f"the alias *{_short(event.anchor)} is not allowed: {_QUOTE}", _line(event))
        if event.anchor is not None:
            raise YamlError(f"the anchor &{_short(event.anchor)} is not allowed: {_QUOTE}", _line(event))
        if event.tag is not None:
            raise YamlError(f"the tag {_short(event.tag)} is not allowed: {_QUOTE}", _line(event))
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if depth > MAX_DEPTH:
            raise YamlError(f"more than {MAX_DEPTH} levels, one inside the other", _line(event))
        return self.mapping(depth) if isinstance(event, yaml.MappingStartEvent) else self.sequence(depth)

    def mapping(self, depth: int) -> dict[str, Any]:
        """Keys and values up to the mapping's end."""
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.value(event, depth + 1)
            if not isinstance(key, str):
                raise YamlError(f"the key {_short(key)} is not text: put it in quotes", _line(event))
            if key in lines:
                problem = f"the key '{_short(key)}' stands here again; it is also on line {lines[key]}"
                raise YamlError(problem, _line(event))
            lines[key] = _line(event)
            found[key] = self.value(next(self.events), depth + 1)
        return found

    def sequence(self, depth: int) -> list[Any]:
        """Values up to the sequence's end."""
        found = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.value(event, depth + 1))
        return found

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        """A quoted scalar is text, a plain one is what it looks like."""
        if not event.implicit[0]:
            if any("\ud800" <= letter <= "\udfff" for letter in event.value):
                raise YamlError("half of a surrogate pair is no character", _line(event))
            return event.value
        return _plain(event.value, _line(event))


_QUOTE = "write the value out, or put it in quotes if it is text"


def _plain(word: str, line: int) -> Any:
    """A word without quotes, by the core schema of YAML 1.2."""
    if word in _WORDS:
        return _WORDS[word]
    if _NOT_FINITE.fullmatch(word):
        raise YamlError(f"{word} is not a finite number", line)
    integer, number = _INTEGER.fullmatch(word), _FLOAT.fullmatch(word)
    if not number and not integer:
        return word
    if len(word) > MAX_DIGITS:
        raise YamlError(f"a number of {len(word)} digits; the most is {MAX_DIGITS}", line)
    if integer:
        return int(word, {"0o": 8, "0x": 16}.get(word[:2], 10))
    value = float(word)
    if math.isinf(value):
        raise YamlError(f"{word} is not a finite number", line)
    return value


def _line(event: Any) -> int:
    return event.start_mark.line + 1


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
