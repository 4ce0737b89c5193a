"""For every test: Mozart's home is a temporary folder, and TensorFlow says little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first: so that of several processes none works on alone at the end."""
    long = ("pipelines", "keras_models")
    places = {item: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    items.sort(key=lambda item: long.index(places[item]) if places[item] in long else len(long))


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the `.mozart` of whoever runs the tests."""
    monkeypatch.setenv("MOZART_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets that `MOZART_TEST_DATA` names; skips without it."""
    folder = os.environ.get("MOZART_TEST_DATA")
    if not folder:
        pytest.skip("MOZART_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture
def without_determinism() -> Iterator[None]:
    """Keras quietly compiles without XLA while TensorFlow's op determinism is on, and whichever test
    trains through `components.train` switches it on for the whole process."""
    from tensorflow.python.framework import config

    was = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if was:
        config.enable_op_determinism()
