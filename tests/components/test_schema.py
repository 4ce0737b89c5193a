"""Schema: inferred from data it is met by them; curated, it finds what does not belong."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.accumulators import Categorical, Numeric
from components.errors import ConfigError
from components.modalities import Summary
from components.schema import check, infer
from components.schema_file import read_schema, to_yaml

CLASSES = {name: 20 for name in "abc"}


def summary(classes=None, values=range(100), records=60, **more):
    return Summary(records, {"class": Categorical(classes or CLASSES), "x": Numeric.of(list(values)), **more})


def data(**changed):
    """Three splits alike, and one with changes."""
    return {"train": summary(), "validation": summary(), "test": summary(), **changed}


SCHEMA = infer(data(), "series")


def rules(schema, summaries):
    return [(one.severity, one.rule) for one in check(schema, summaries)]


def changed(schema, feature, **values):
    old = schema.features[feature].model_dump()
    return schema.model_copy(
        update={"features": {**schema.features, feature: type(schema.features[feature])(**{**old, **values})}}
    )


numbers = st.lists(st.floats() | st.none(), min_size=1, max_size=20)
names = st.lists(st.text(max_size=5) | st.none(), min_size=1, max_size=20)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(numbers, names)
def test_data_meet_the_schema_that_they_suggest(values, words):
    features = {"n": Numeric.of(values), "c": Categorical.of(words)}
    infinite = features["n"].infinite
    summaries = {split: Summary(len(values), features) for split in ("train", "test")}
    schema = infer(summaries, "series")
    assert {one.rule for one in check(schema, summaries)} <= ({"out-of-range"} if infinite else set())


def test_what_is_inferred():
    x, kind = SCHEMA.features["x"], SCHEMA.features["class"]
    assert (x.kind, x.min, x.max, x.max_missing) == ("numeric", 0.0, 108.9, 0.0)
    assert (kind.values, kind.in_every_split, kind.max_unknown) == (("a", "b", "c"), True, 0.0)
    assert SCHEMA.records == {"train": 30, "validation": 30, "test": 30}
    many = infer({"train": summary(name=Categorical.of(f"n{i}" for i in range(60)))}, "series")
    assert many.features["name"].values is None
    shares = infer({"train": summary(values=[0.2, 0.9, None])}, "series").features["x"]
    assert (shares.min, shares.max, shares.max_missing) == (0.13, 1.0, 0.51)


@pytest.mark.parametrize(
    ("test_split", "expected"),
    [
        (summary({**CLASSES, "d": 1}), ("error", "unknown-value")),
        (summary({"a": 20, "b": 20}), ("error", "absent-value")),
        (summary(values=[5, 109]), ("error", "out-of-range")),
        (summary(values=[5, -1]), ("error", "out-of-range")),
        (summary(values=[5, math.inf]), ("error", "out-of-range")),
        (summary(values=[5, None]), ("error", "missing-values")),
        (summary(values=[5, math.nan]), ("error", "missing-values")),
        (summary(records=29), ("error", "too-few-records")),
        (summary(y=Numeric.of([1])), ("warning", "new-feature")),
        (summary(x=Categorical({"5": 1})), ("error", "other-kind")),
    ],
)
def test_what_is_found(test_split, expected):
    assert rules(SCHEMA, data(test=test_split)) == [expected]


def test_a_feature_that_is_gone():
    bare = Summary(60, {"x": Numeric.of(range(100))})
    assert rules(SCHEMA, {"train": bare, "validation": bare, "test": bare}) == [("error", "feature-gone")]


def test_a_person_can_change_the_severity():
    odd = data(test=summary({**CLASSES, "d": 1}, y=Numeric.of([1])))
    assert rules(changed(SCHEMA, "class", severity="warning"), odd)[0] == ("warning", "unknown-value")
    assert rules(changed(SCHEMA, "class", severity="off"), odd) == [("warning", "new-feature")]
    strict = SCHEMA.model_copy(update={"new_features": "error"})
    assert ("error", "new-feature") in rules(strict, odd)


def test_a_few_unknown_values_may_be_tolerated():
    odd = data(test=summary({**CLASSES, "d": 1}))
    assert rules(changed(SCHEMA, "class", max_unknown=0.05), odd) == []


def test_the_sentence_names_the_feature_the_split_and_the_values():
    (found,) = check(SCHEMA, data(test=summary({**CLASSES, "d": 2})))
    assert found.message == (
        "feature 'class' of the test split: 3.23% of the values are not in the schema ('d': 2), which allows "
        "0.00% (max_unknown): add them to its values, or mend the data"
    )


def test_a_file_gives_the_same_schema_back(tmp_path):
    rng = np.random.default_rng(0)
    odd_names = Categorical({name: 50 for name in ("no", "12:30", "", "é", "1", "null", "a: b", "#")})
    schema = infer(data(train=summary(odd=odd_names, y=Numeric.of(rng.normal(0, 1e9, 5000)))), "series")
    file = tmp_path / "schema.yaml"
    file.write_text(to_yaml(schema, "schema.yaml", "made (60 records)"), "utf-8")
    assert read_schema(file) == schema
    assert "schema_file: schema.yaml" in file.read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modality: images\nfeatures: {x: {kind: numeric, mim: 1}}", "did you mean 'min'"),
        ("modality: images\nfeatures: {x: {kind: numeric, min: 2, max: 1}}", "features.x: min is above max"),
        ("modality: images\nfeatures: {x: {kind: numeric, values: [a]}}", "are for categorical features"),
        ("modality: images\nfeatures: {x: {kind: number}}", "features.x.kind: input should be"),
        ("modality: images", "features: field required"),
        ("modality: images\nmodality: text", ":2: the key 'modality' stands here again"),
        ("- 1", "a schema is a group of settings"),
    ],
)
def test_a_file_that_is_no_schema_is_refused_with_the_place(tmp_path, text, said):
    file = tmp_path / "schema.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as refused:
        read_schema(file)
    assert said in str(refused.value)
    assert "schema.yaml" in str(refused.value)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match="mozart schema RECIPE --out FILE"):
        read_schema(Path("nowhere.yaml"))
