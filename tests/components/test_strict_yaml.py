"""Strict YAML: what it reads is what was meant, and all else is refused quickly, with the line."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_VALUES, YamlError, parse_yaml

TEXT = st.text(
    st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs"), include_characters="\n\t")
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=15,
)
YAML_LIKE = st.text("[]{}:,-#&*!|>'\"%@`? \n\tab01.e\\~<=", max_size=60)


class QuotingDumper(yaml.SafeDumper):
    """Block style with all text in double quotes: PyYAML quotes by YAML 1.1 alone."""

    def ignore_aliases(self, data: object) -> bool:
        """Equal values are written out each time."""
        return True


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(st.dictionaries(TEXT, VALUES, max_size=6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_mapping_round_trips_in_block_and_flow_style(values):
    assert parse_yaml(yaml.dump(values, Dumper=QuotingDumper)) == values
    assert parse_yaml(json.dumps(values, ensure_ascii=False)) == values


@given(st.text() | YAML_LIKE | st.text(st.characters(categories=("Cc", "Cs", "Cf", "Zl", "L"))))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_arbitrary_text_is_read_or_refused_with_a_line_that_exists(text):
    try:
        parse_yaml(text)
    except YamlError as error:
        lines = len(text.splitlines()) + 1
        assert 1 <= error.line <= lines  # noqa: PT017


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-7", -7),
        ("+7", 7),
        ("1.10", 1.1),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("=", "="),
        ("<<", "<<"),
        ("v1.2.3", "v1.2.3"),
        ("- - 1", [[1]]),
    ],
)
def test_plain_words_are_read_by_the_core_schema_of_yaml_1_2(word, value):
    read = parse_yaml(word)
    assert read == value
    assert type(read) is type(value)


BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, this in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 3, "also on line 1"),
    "duplicate key inside": ("t:\n  a: 1\n  a: 1\n", 3, "also on line 2"),
    "duplicate key in flow": ("t: {a: 1, 'a': 2}\n", 1, "'a' stands here again"),
    "anchor": ("a: &x 1\n", 1, "anchor &x"),
    "alias": ("a: *x\n", 1, "alias"),
    "alias bomb": (BOMB, 1, "anchor"),
    "merge": ("a: {b: 1}\nc:\n  <<: *a\n", 3, "alias"),
    "python tag": ("a: !!python/object/apply:os.system ['touch /tmp/canary']\n", 1, "tag"),
    "standard tag": ("a: !!int '1'\n", 1, "tag"),
    "local tag": ("\na: !thing 1\n", 2, "tag"),
    "binary": ("a: !!binary aGVsbG8=\n", 1, "tag"),
    "deep flow": ("a: " + "[" * 3000 + "]" * 3000, 1, "levels"),
    "deep block": ("".join(" " * i + "a:\n" for i in range(400)), MAX_DEPTH + 1, "levels"),
    "deep unclosed": ("[" * (MAX_BYTES - 1), 1, "levels"),
    "10 MB": ("a: " + "x" * 10_000_000, 1, "bytes"),
    "many values": ("- a\n" * (MAX_BYTES // 4), MAX_VALUES, "values"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(90_000)), MAX_VALUES // 2, "values"),
    "1 MB of tag directives": ("".join(f"%TAG !a{i}! x\n" for i in range(60_000)), 1, "directive"),
    "later directive": ("a: 1\n...\n%YAML 1.1\n---\nb: no\n", 3, "directive"),
    "two documents": ("a: 1\n---\na: 2\n", 2, "second document"),
    "nothing": ("# only a comment\n", 1, "nothing"),
    "infinity": ("a: 1\nb: .inf\n", 2, "finite"),
    "not a number": ("a: .NaN\n", 1, "finite"),
    "overflow": ("a: 1e999\n", 1, "finite"),
    "5,000 digits": (f"a: {'9' * 5000}\n", 1, "digits"),
    "hex of 5,000 digits": (f"a: 0x{'f' * 5000}\n", 1, "digits"),
    "number as key": ("1: a\n", 1, "key 1"),
    "null as key": ("~: a\n", 1, "key None"),
    "boolean as key": ("a: {true: 1}\n", 1, "key True"),
    "list as key": ("? [a, b]\n: 1\n", 1, "key"),
    "tab": ("a:\n\tb: 1\n", 2, "not valid YAML"),
    "unclosed": ("a: [1, 2\nb: 3\n", 2, "not valid YAML"),
    "NUL": ("a: 1\nb: x\0y\n", 2, "not valid YAML"),
    "escape": ("a: \x1b[31m\n", 1, "not valid YAML"),
    "surrogate": ("a: 1\nb: \ud800\n", 2, "UTF-8"),
    "escaped surrogate": ('a: "\\ud800"\n', 1, "not valid YAML"),
    "1 MB of unclosed text": ('a: "' + "\\x41" * 249_000, 1, "not valid YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_in_less_than_a_second(name):
    text, line, said = HOSTILE[name]
    start = time.process_time()
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert time.process_time() - start < 1.0
    assert said in str(caught.value)
    assert caught.value.line == line
    assert len(str(caught.value)) < 300


def test_the_largest_that_is_allowed_is_read():
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert len(parse_yaml("[" + "1," * (MAX_VALUES - 1) + "]")) == MAX_VALUES - 1
    assert parse_yaml("a: " + "x" * (MAX_BYTES - 3)) == {"a": "x" * (MAX_BYTES - 3)}
    with pytest.raises(YamlError, match="levels"):
        parse_yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    with pytest.raises(YamlError, match="values"):
        parse_yaml("[" + "1," * MAX_VALUES + "]")
    with pytest.raises(YamlError, match="bytes"):
        parse_yaml("a: " + "x" * (MAX_BYTES - 2))
