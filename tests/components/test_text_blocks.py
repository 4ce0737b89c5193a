"""Blocks of text: joined they are the file, whatever it holds; and each kind of bad bytes has its policy."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.text_blocks import Policy, Unfit, blocks, decoded, refuse_utf16

CONTENT = st.lists(
    st.one_of(st.binary(max_size=40), st.just(b"\n"), st.just(b"\r\n"), st.text(max_size=30).map(str.encode)),
    max_size=40,
).map(b"".join)


class Dripping(io.BytesIO):
    """A stream that gives a few bytes at a time, as a network may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 7))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=CONTENT, least=st.integers(1, 60), more=st.integers(16, 100))
def test_blocks_joined_are_the_content_and_end_with_a_line_where_it_has_an_end(
    content: bytes, least: int, more: int
) -> None:
    longest = least + more
    found = list(blocks(io.BytesIO(content), least, longest))
    assert b"".join(body for _, body in found) == content
    assert [place for place, _ in found] == [
        sum(len(body) for _, body in found[:i]) for i in range(len(found))
    ]
    for _, body in found[:-1]:
        assert 0 < len(body) <= longest
        if body.endswith(b"\n"):
            assert len(body) >= least
            assert b"\n" not in body[least - 1 : -1], "it ends at the first end of a line"
        else:
            assert len(body) > longest - 5, "only what has no end of a line is cut elsewhere"
            assert b"\n" not in body[least - 1 :]
    assert list(blocks(Dripping(content), least, longest)) == found


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=CONTENT, least=st.integers(1, 40), data=st.data())
def test_a_range_of_whole_blocks_has_the_same_blocks(content: bytes, least: int, data: st.DataObject) -> None:
    whole = list(blocks(io.BytesIO(content), least, least + 20))
    first = data.draw(st.integers(0, len(whole)))
    last = data.draw(st.integers(first, len(whole)))
    start = whole[first][0] if first < len(whole) else len(content)
    stop = whole[last][0] if last < len(whole) else len(content)
    part = blocks(io.BytesIO(content[start:stop]), least, least + 20, start)
    assert list(part) == whole[first:last]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=30, max_size=200))
def test_a_line_without_end_is_cut_between_characters(text: str) -> None:
    found = [body for _, body in blocks(io.BytesIO(text.encode()), 4, 20)]
    assert "".join(body.decode() for body in found) == text
    assert all(len(body) <= 20 for body in found)


def test_no_cut_parts_a_carriage_return_from_its_newline() -> None:
    found = [body for _, body in blocks(io.BytesIO(b"x" * 19 + b"\r\nand more"), 16, 20)]
    assert found == [b"x" * 19, b"\r\nand more"]


# -- one policy for each fault -------------------------------------------------------------------------

BAD = {
    "a byte that never occurs": (b"good \xff bad", 5),
    "the second byte of two is no such": (b"caf\xc3( bad", 3),
    "cut short at the end": (b"music \xf0\x9d\x84", 6),
    "Latin-1": ("naïve".encode("latin-1"), 2),
    "a surrogate": (b"lone \xed\xa0\x80 half", 5),
    "an overlong form": (b"slash \xc0\xaf here", 6),
    "beyond Unicode": (b"far \xf4\x90\x80\x80", 4),
}


@pytest.mark.parametrize(("body", "place"), BAD.values(), ids=BAD.keys())
def test_bytes_that_are_not_utf_8_are_refused_with_their_place_or_replaced(body: bytes, place: int) -> None:
    with pytest.raises(Unfit, match=f"^not UTF-8 at byte {1000 + place}: ") as told:
        decoded(body, 1000, Policy())
    assert told.value.rule == "not-utf8"
    assert "data.read.errors" in told.value.remedy
    text = decoded(body, 1000, Policy(errors="replace"))
    assert "\ufffd" in text
    assert text.startswith(body[:place].decode())


def test_nul_is_refused_with_its_place_or_replaced() -> None:
    with pytest.raises(Unfit, match=r"^NUL at byte 13: ") as told:
        decoded(b"one\0two", 10, Policy())
    assert told.value.rule == "nul"
    assert decoded(b"one\0two", 10, Policy(errors="replace")) == "one\ufffdtwo"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_mark_and_without_one_by_its_nuls(encoding: str) -> None:
    with pytest.raises(Unfit, match="mark of UTF-16") as told:
        refuse_utf16("\ufeffplain words".encode(encoding))
    assert told.value.rule == "utf-16"
    with pytest.raises(Unfit, match=r"^NUL at byte"):
        decoded("plain words".encode(encoding), 0, Policy())


def test_the_mark_of_utf_8_goes_from_the_beginning_only() -> None:
    assert decoded(b"\xef\xbb\xbfone", 0, Policy()) == "one"
    assert decoded(b"\xef\xbb\xbfone", 8, Policy()) == "\ufeffone"


def test_mixed_ends_of_lines_are_kept_or_made_one() -> None:
    body = b"unix\ndos\r\nold mac\rend"
    assert decoded(body, 0, Policy()) == "unix\ndos\r\nold mac\rend"
    assert decoded(body, 0, Policy(newlines="unix")) == "unix\ndos\nold mac\nend"


def test_two_ways_to_write_a_letter_become_one_where_asked() -> None:
    body = "e\u0301".encode()
    assert decoded(body, 0, Policy()) == "e\u0301"
    assert decoded(body, 0, Policy(normalise="NFC")) == "\u00e9"
