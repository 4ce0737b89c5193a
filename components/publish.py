"""Publish: a blessed model becomes the next version of a name, and its champion if it beat the champion.

The step trusts nobody: it reads the gates' verdict again, decides it again from the numbers, checks
that the numbers are of this very model, and lets a new process draw the golden samples again before
anything is signed and registered. A killed step leaves the former champion; the same call goes on from
there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.artifact_roots import send_bundle
from components.artifacts import read_json, reading, write_json, writing
from components.bundle import reproduce_golden, write_bundle
from components.errors import GateRefused
from components.gates import decide
from components.registry import Registry, Version, check_name
from components.settings import GateSettings
from components.signing import sign


def publish(model: Path, evaluation: Path, home: Path, name: str, out: Path, key: str = "") -> dict[str, Any]:
    """Publishes a model, writes the `release/` folder `out` and returns what its `release.json` says.

    `key` is whoever asks (a run's name), kept as a tag. The same model under the same name stays the
    version it is, so a step can be repeated.

    Raises:
        GateRefused: the evaluation does not bless the model, or is not of this model.
        ConfigError: a name that cannot be.
        IntegrityError: a folder is not what its step wrote, or the golden samples cannot be drawn again.
        RegistryError, ResourceError: the registry or the disk fails; the champion is the former one.
    """
    check_name(name)
    reading(model)
    reading(evaluation)
    facts, measured = read_json(model / "model.json"), read_json(evaluation / "evaluation.json")
    check_verdict(facts, measured)
    registry = Registry(home)
    bundle = _published(registry, name, facts["digest"]) or _new_bundle(registry, model, evaluation, name)
    sign(bundle, registry.home)
    send_bundle(bundle)
    version = registry.register(name, bundle, measured, read_json(model / "provenance.json"), key)
    baseline = _baseline(registry, name, measured)
    refused = _rolled_back(registry, version, measured)
    promoted = not refused and registry.promote(version, baseline, because=_reason(measured))
    release = {
        "name": name,
        "version": version.version,
        "bundle": str(version.bundle_path),
        "digest": version.digest,
        "champion": promoted,
        "previous": baseline,
        "message": _message(registry, version, baseline, promoted, refused),
    }
    with writing(out, "publish") as (folder, manifest):
        write_json(folder / "release.json", release)
        manifest["fingerprint"] = version.digest
    return release


def check_verdict(facts: dict[str, Any], measured: dict[str, Any]) -> None:
    """The evaluation is of this model, blesses it, and its numbers still say so.

    Raises:
        GateRefused: with the gates' reasons.
    """
    if measured["model_digest"] != facts["digest"]:
        raise GateRefused(
            f"the evaluation is of model {measured['model_digest'][:12]} and this is {facts['digest'][:12]}: "
            "evaluate this model; nothing was published"
        )
    for verdict in (measured["verdict"], decide(measured, GateSettings.parse(measured["gates"]))):
        if verdict["blessed"] is not True:
            failed = [said for said in verdict["reasons"] if said.startswith(("failed:", "inconclusive:"))]
            raise GateRefused(f"nothing was published: {' '.join(failed) or 'the gates refused the model'}")


def _baseline(registry: Registry, name: str, measured: dict[str, Any]) -> int | None:
    """The champion that the model was measured against; whoever is now, where nobody asked for that."""
    if GateSettings.parse(measured["gates"]).champion:
        return (measured.get("champion") or {}).get("version")
    champion = registry.champion(name)
    return champion.version if champion else None


def _rolled_back(registry: Registry, version: Version, measured: dict[str, Any]) -> bool:
    """A repeated run does not undo what a person decided, unless it is told to compare with nobody."""
    undone = registry.promotions.rolled_back(version.name, version.version)
    compared = GateSettings.parse(measured["gates"]).champion
    return undone and compared and "champion" not in version.aliases


def _published(registry: Registry, name: str, model_digest: str) -> Path | None:
    """The bundle of the version that holds these tensors already, if there is one: before it was
    registered it drew its golden samples again, and `register` checks that it is still what it was."""
    version = registry.find(name, model_digest)
    return version.bundle_path if version else None


def _new_bundle(registry: Registry, model: Path, evaluation: Path, name: str) -> Path:
    """The bundle of a model, which a new process has loaded and found to draw the golden samples."""
    with ThreadPoolExecutor(1) as beside:  # the database is made while TensorFlow starts elsewhere
        ready = beside.submit(registry.prepare)
        bundle = write_bundle(model, evaluation, registry.bundles, name)
        reproduce_golden(bundle)
        ready.result()
    return bundle


def _reason(measured: dict[str, Any]) -> str:
    """Why the champion changes, for the log."""
    metric, champion = measured["metric"], measured.get("champion")
    value = (measured["validation"].get(metric) or {}).get("value")
    against = f"measured against version {champion['version']}" if champion else "there was no champion"
    return f"{metric} {value} on the validation split, {against}"


def _message(
    registry: Registry, version: Version, baseline: int | None, promoted: bool, refused: bool
) -> str:
    """One sentence for the person at the terminal."""
    who = f"version {version.version} of '{version.name}'"
    if refused:
        return (
            f"{who} was rolled back by a person and is not promoted again by itself; "
            "--set gates.champion=false promotes it all the same"
        )
    if promoted:
        return f"{who} is published and is the champion"
    champion = registry.champion(version.name)
    was = f"version {baseline} was the champion" if baseline else "there was no champion"
    now = f"version {champion.version} is" if champion else "there is none"
    return f"{who} is registered, not promoted: {was} when it was measured, and now {now}; run again"
