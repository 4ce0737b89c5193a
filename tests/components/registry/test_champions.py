"""Champions: promotion compares and swaps, rollback goes back, and a log knows the champion before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RegistryError
from components.promotions import Promotions
from components.registry import Registry
from tests.components.publishing import other_bundle, said, start
from tests.components.registry.registrations import register

PUBLISH = """
import json, sys
from pathlib import Path
from components.artifacts import read_json
from components.registry import Registry
home, bundle = Path(sys.argv[1]), Path(sys.argv[2])
registry = Registry(home)
version = registry.register("tiny", bundle, read_json(bundle / "evaluation.json"),
                            read_json(bundle / "provenance.json"), key=sys.argv[3])
print(json.dumps([version.version, registry.promote(version, None, "the first")]))
"""


def test_promotion_compares_and_swaps(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    one, two, three = (register(registry, "swapped", bundle) for bundle in bundles[:3])
    assert registry.promote(one, None, "the first")
    assert not registry.promote(two, None, "it never saw the first")
    assert registry.promote(two, 1, "it beat the first")
    assert not registry.promote(three, 1, "it beat only the first")
    assert registry.promote(two, 1, "said again after a crash")
    assert registry.champion("swapped").version == 2
    log = registry.promotions.entries("swapped")
    assert [(entry["from"], entry["to"], entry["reason"]) for entry in log] == [
        (None, 1, "the first"),
        (1, 2, "it beat the first"),
    ]


def test_rollback_goes_back_and_further_back(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    for number, bundle in enumerate(bundles[:3]):
        registry.promote(register(registry, "back", bundle), number or None, "better")
    assert registry.rollback("back").version == 2
    assert registry.rollback("back").aliases == ("champion",)
    assert registry.champion("back").version == 1
    with pytest.raises(RegistryError, match="no champion before version 1"):
        registry.rollback("back")
    assert [entry["kind"] for entry in registry.promotions.entries("back")][3:] == ["rollback"] * 2


def test_no_rollback_to_a_damaged_bundle(ready: Path, tmp_path: Path) -> None:
    registry = Registry(ready)
    first, second = (other_bundle(tmp_path, seed) for seed in (7, 8))
    registry.promote(register(registry, "broken", first), None, "first")
    registry.promote(register(registry, "broken", second), 1, "better")
    (first / "encoding.json").write_text("{}")
    with pytest.raises(
        RegistryError, match=r"version 1 of 'broken' cannot be champion again: .*encoding.json"
    ):
        registry.rollback("broken")
    assert registry.champion("broken").version == 2
    with pytest.raises(RegistryError, match="no model 'nothing'"):
        registry.rollback("nothing")


def test_four_publishers_at_once_make_four_versions_and_one_champion(
    tmp_path: Path, bundles: list[Path]
) -> None:
    publishers = [start(PUBLISH, tmp_path, bundle, key) for key, bundle in enumerate(bundles)]
    results = [said(publisher) for publisher in publishers]
    assert sorted(version for version, _ in results) == [1, 2, 3, 4]
    (champion,) = [version for version, promoted in results if promoted]
    registry = Registry(tmp_path)
    listed = registry.models()
    assert [version.version for version in listed if version.aliases == ("champion",)] == [champion]
    assert {version.digest for version in listed} == {bundle.name for bundle in bundles}
    assert [entry["to"] for entry in registry.promotions.entries("tiny")] == [champion]


# -- the log of promotions ----------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["promote", "repeat", "rollback", "killed"]), max_size=20))
def test_the_log_knows_the_champion_before(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    """Against a plain pile of champions; `killed` logs a move and never makes it."""
    log = Promotions(tmp_path_factory.mktemp("log") / "promotions.jsonl")
    pile: list[int] = []
    for number, move in enumerate(moves, start=1):
        champion = pile[-1] if pile else None
        if move == "rollback":
            if len(pile) > 1:
                log.append("m", "rollback", champion, pile[-2], "")
                pile.pop()
            continue
        new = pile[0] if move == "repeat" and len(pile) > 1 and pile[0] != champion else number
        log.append("m", "promotion", champion, new, "")
        log.append("other", "promotion", None, 99, "")
        if move != "killed":
            pile.append(new)
    if pile:
        assert log.previous("m", pile[-1]) == (pile[-2] if len(pile) > 1 else None)


def test_a_half_written_line_spoils_no_other(tmp_path: Path) -> None:
    log = Promotions(tmp_path / "promotions.jsonl")
    log.append("m", "promotion", None, 1, "")
    with log.file.open("a") as stream:
        stream.write('{"time": "20')
    log.append("m", "promotion", 1, 2, "")
    assert [entry["to"] for entry in log.entries("m")] == [1, 2]
    assert log.previous("m", 2) == 1
