"""Classes of unknown words: shapes, suffixes that rare words share, and what a sentence becomes."""

import numpy as np
import pytest

from components.text_units import Words, commonest
from components.word_classes import learnt, names, shape_of

SENTENCES = [
    ["the", "cat", "sat", "."],
    ["The", "cat", "ran", "."],
    *(
        [f"{stem}ing"]
        for stem in ("play", "sing", "walk", "talk", "jump", "look", "read", "cook", "farm", "rest")
    ),
    *([f"{stem}ed"] for stem in ("rain", "snow", "sail")),
]


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("house", "x"),
        ("House", "Xx"),
        ("I", "Xx"),
        ("NATO", "XX"),
        ("B2", "XX1"),
        ("co-op", "x-"),
        ("1,000.50", "number"),
        ("12:30", "number"),
        ("?!", "sign"),
        ("a@b.org", "address"),
        ("Élan", "Xx"),
    ],
)
def test_shapes(word, shape):
    assert shape_of(word) == shape


def test_the_longest_suffix_comes_first_and_never_the_whole_word():
    assert names("walking") == ["<x -ing>", "<x -ng>", "<x -g>", "<x>"]
    assert names("at") == ["<x -t>", "<x>"]
    assert names("I") == ["<Xx>"]
    assert names("3.14") == ["<number>"]


def test_suffixes_are_classes_where_enough_rare_words_share_them():
    vocabulary, classes = learnt(SENTENCES, 1000)
    own = vocabulary[-classes:]
    assert "<x -ing>" in own  # ten rare words
    assert "<x -ed>" not in own  # three
    assert "<x>" in own
    assert vocabulary[:2] == commonest(SENTENCES, 1000)[:2]
    assert {"cat", "."} < set(vocabulary)


def test_words_become_themselves_their_small_letters_or_a_class():
    vocabulary, classes = learnt([*SENTENCES, ["the"]], 1000)
    unit = Words(vocabulary, " ", classes)
    tokens = unit.of_words(["cat", "Cat", "skating", "melted", "NATO"])
    assert [vocabulary[token] for token in tokens] == ["cat", "cat", "<x -ing>", "<x>", "�"]
    np.testing.assert_array_equal(unit.spelt(tokens), [True, True, False, False, False])


def test_a_third_of_the_rare_words_keep_their_symbol():
    words = [f"word{letter}" for letter in map(chr, range(0x3B1, 0x3C9))] + [f"thing{n}" for n in range(300)]
    vocabulary, classes = learnt([[word] for word in words], 5000)
    kept = len(vocabulary) - classes - 2
    assert 0.2 < kept / len(words) < 0.5


def test_the_vocabulary_keeps_to_its_size():
    vocabulary, classes = learnt(SENTENCES, 6)
    assert len(vocabulary) == 6
    assert classes <= 4
    assert len(set(vocabulary)) == 6


def test_a_word_that_looks_like_a_class_is_none():
    vocabulary, classes = learnt([*SENTENCES, ["<x>"], ["<x>"]], 1000)
    unit = Words(vocabulary, " ", classes)
    assert unit.of_words(["<x>"])[0] == vocabulary.index("<x>") < unit.known
