"""The stand-in for Kubeflow's API, started once a file."""

from __future__ import annotations

import pytest

from tests.pipelines.kfp_server import serve
from tests.pipelines.kubeflow.real_server import REAL


@pytest.fixture(scope="module")
def stand_in():
    made = serve()
    yield made
    made.close()


@pytest.fixture
def fake(stand_in):
    """For tests that look into the stand-in itself."""
    if REAL:
        pytest.skip("this is seen in the stand-in only")
    return stand_in
