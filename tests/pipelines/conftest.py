"""A small recipe to change, for the tests of the command line's floor."""

from __future__ import annotations

import pytest

SMALL = "name: small\nabout: a test\ndata: {source: digits}\nmodel: {family: normal}\n"


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A recipe file with no more than it needs."""
    file = tmp_path_factory.mktemp("recipes") / "small.yaml"
    file.write_text(SMALL, "utf-8")
    return str(file)
