"""Charts: the page's colours, no fixed size, the last point kept, names taken literally."""

from __future__ import annotations

import re

from components.charts import COLOURS, Point, columns, curve, paired, scatter


def test_takes_the_colours_of_the_page_and_no_size_of_its_own():
    svg = curve("loss", [1, 2, 3], [3.0, 2.0, 1.0], "nats")
    assert svg.startswith("<svg viewBox=")
    assert "var(--accent)" in svg
    assert "currentColor" in svg
    assert not any(marker in svg for marker in COLOURS)
    assert not re.search(r"http|<metadata|width=\"\d+pt", svg)
    for said in (">loss<", ">epoch<", ">nats<"):
        assert said in svg


def test_same_values_same_bytes():
    assert curve("loss", [1, 2], [2.0, 1.0]) == curve("loss", [1, 2], [2.0, 1.0])


def test_long_training_is_thinned():
    epochs = list(range(1, 50_001))
    zigzag = [float(epoch % 7) for epoch in epochs]
    assert len(curve("loss", epochs, zigzag)) < 30_000


def test_names_are_no_mathematics_and_no_markup():
    svg = columns("by class", {"$x$": 3, "<b>": 2, "猫": 1}, "records")
    for said in (">$x$<", ">&lt;b&gt;<", ">猫<"):
        assert said in svg


def test_many_names_are_cut_and_numbers_thinned():
    many = columns("by class", {f"name {i}": 100 - i for i in range(60)}, "records")
    assert ">name 39<" in many
    assert ">name 40<" not in many
    grey = columns("grey", {str(16 * i): i + 1 for i in range(16)}, "pixels", log=True)
    assert ">64<" in grey
    assert ">16<" not in grey
    assert "log scale" in grey


def test_no_logarithm_of_zero():
    assert "log scale" not in columns("grey", {"0": 5, "16": 0}, "pixels", log=True)


def test_two_sets_stand_side_by_side_with_whiskers():
    bars = {"cat": (60.0, (50.0, 70.0)), "dog": (40.0, None)}
    svg = paired("class shares", {"samples": bars, "real": bars}, "%")
    for said in (">cat<", ">dog<", ">samples<", ">real<", "var(--accent)", "var(--other)"):
        assert said in svg
    assert "nan" not in svg


def test_of_many_classes_those_are_shown_that_differ_most():
    real = {f"class{i}": (1.0, None) for i in range(60)}
    samples = {**real, "class57": (9.0, None)}
    svg = paired("class shares", {"samples": samples, "real": real})
    assert ">class57<" in svg
    assert ">class58<" not in svg


def test_each_point_has_its_colour_and_its_line_in_the_legend():
    points = [
        Point("model", "this model", 0.5, 0.6, (0.4, 0.6), (0.5, 0.7)),
        Point("champion", "champion, version 1", 0.7, 0.8),
        Point("floor", "normal <full>", 0.1, 0.2),
        Point("reference", "real against real", 0.9, 0.9),
    ]
    svg = scatter("precision against recall", points, "precision", "recall")
    for said in ("this model", "normal &lt;full&gt;", "real against real", "var(--champion)", "var(--good)"):
        assert said in svg
    assert not any(marker in svg for marker in COLOURS)
