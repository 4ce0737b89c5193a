"""The floor that a recipe gets when it names none."""

import pytest

from components.floors import default_floors
from keras_models.spec import Spec

GREY = Spec(kind="image", shape=(8, 8, 1))
BINARY = Spec(kind="image", shape=(8, 8, 1), levels=2)
TEXT = Spec(kind="tokens", shape=(16,), vocabulary=9)


def said(family: str, spec: Spec) -> list[tuple[str, dict]]:
    return [(floor.family, floor.config) for floor in default_floors(family, spec, 1000)]


@pytest.mark.parametrize(
    ("family", "spec", "floor"),
    [
        ("dcgan", GREY, ("normal", {"covariance": "full"})),
        ("dcgan", Spec(kind="image", shape=(32, 32, 3)), ("normal", {"covariance": "diagonal"})),
        ("vae", BINARY, ("mixture", {"components": 1})),
        ("hmm", TEXT, ("hmm", {"states": 1})),
    ],
)
def test_the_floor_suits_the_data(family, spec, floor):
    assert said(family, spec) == [floor]


def test_a_floor_has_no_floor_and_large_images_have_none():
    assert said("normal", GREY) == []
    assert said("dcgan", Spec(kind="image", shape=(64, 64, 3))) == []


def test_a_floors_batch_is_no_larger_than_its_data():
    (floor,) = default_floors("dcgan", GREY, 20)
    assert floor.train.batch_size == 20
