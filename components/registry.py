"""The registry: names, versions and the alias `champion` over content-addressed bundles, in MLflow.

The bundle is the truth and MLflow the index before it, so whoever has `MlflowClient` finds the
version, its tags, its run's metrics and its bundle without Mozart. What MLflow leaves open is added
here: strict names, a database created once, registration that can be repeated, and promotion by
compare-and-swap with a log that rollback reads.

    <home>/bundles/<digest>/             the bundles
    <home>/registry/mlflow.db            MLflow's tables, unless MLFLOW_TRACKING_URI says elsewhere
    <home>/registry/promotions.jsonl     every move of `champion`
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components import entries, tracking
from components.artifact_roots import artifact_root, fetch_bundle
from components.artifacts import read_json
from components.bundle import check_bundle, load_bundle
from components.errors import ConfigError, IntegrityError, RegistryError, did_you_mean
from components.home import home as default_home
from components.patience import held
from components.promotions import Promotions

if TYPE_CHECKING:
    from keras_models.base import GenerativeModel

CHAMPION = "champion"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
REFERENCE = re.compile(
    r"(?P<name>[^@:]+)(?:@(?P<alias>[a-z][a-z0-9_-]{0,62})|:(?P<version>[1-9][0-9]{0,8}))?"
)


@dataclass(frozen=True)
class Version:
    """One published model. `digest` is its bundle's; `metrics` are named `validation.*`, `test.*`."""

    name: str
    version: int
    bundle_path: Path
    digest: str
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    tags: dict[str, str]
    created: datetime


def check_name(name: str) -> str:
    """`name` itself: it becomes part of paths, addresses and references.

    Raises:
        ConfigError: it breaks the rule.
    """
    if NAME.fullmatch(name) is None or ".." in name:
        raise ConfigError(
            f"{name!r} is no name for a model: at most 63 of a-z, 0-9, '.', '_' and '-', beginning with a "
            "letter or a digit, and no '..'"
        )
    return name


def load(reference: str, home: Path | None = None) -> GenerativeModel:
    """The published model that `NAME`, `NAME@ALIAS` or `NAME:VERSION` means, checked and ready to use.

    Raises:
        ConfigError, RegistryError: see `Registry.resolve`.
        IntegrityError: its bundle is not what was published.
    """
    return load_bundle(Registry(home).resolve(reference).bundle_path)


class Registry:
    """The models of one home folder (default: MOZART_HOME or `./.mozart`).

    `tracking_uri` defaults to MLFLOW_TRACKING_URI and then to a sqlite file in the home. One home is
    one lock: compare-and-swap holds among the processes that share it.
    """

    def __init__(self, home: Path | None = None, tracking_uri: str | None = None) -> None:
        self.home = home.expanduser().absolute() if home else default_home()
        self.folder = self.home / "registry"
        self.bundles = self.home / "bundles"
        self.uri = (
            tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder / 'mlflow.db'}"
        )
        self.promotions = Promotions(self.folder / "promotions.jsonl")

    def prepare(self) -> None:
        """Creates what the registry needs; any number of processes may ask at once.

        Raises:
            ResourceError, RegistryError: see `tracking.prepare`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        tracking.prepare(self.uri, self.folder / "artifacts")

    # -- finding -----------------------------------------------------------------------------------

    def models(self) -> list[Version]:
        """Every published version, by name and number."""
        if self._empty:
            return []
        aliases = {model.name: model.aliases for model in self._pages("search_registered_models")}
        found = [entry for entry in self._pages("search_model_versions") if entries.is_ours(entry)]
        versions = []
        for entry in found:
            names = [
                alias for alias, at in aliases.get(entry.name, {}).items() if int(at) == int(entry.version)
            ]
            versions.append(self._version(entry, names))
        return sorted(versions, key=lambda version: (version.name, version.version))

    def resolve(self, reference: str) -> Version:
        """The version that `NAME`, `NAME@ALIAS` or `NAME:VERSION` means; the alias is `champion` by default.

        Raises:
            ConfigError: no such reference can be.
            RegistryError: the registry holds no such version, or cannot be reached.
        """
        match = REFERENCE.fullmatch(reference)
        if match is None:
            raise ConfigError(f"'{reference}' is no model: write NAME, NAME@ALIAS or NAME:VERSION")
        name, number = check_name(match["name"]), match["version"]
        alias = match["alias"] or CHAMPION
        found = self._by_number(name, int(number)) if number else self._by_alias(name, alias)
        if found is not None and not found.bundle_path.is_dir() and artifact_root():
            return replace(found, bundle_path=fetch_bundle(found.digest, self.bundles))
        if found is not None:
            return found
        models = () if self._empty else [model.name for model in self._pages("search_registered_models")]
        if name not in models:
            raise RegistryError(
                f"no model '{name}' is published in {tracking.shown(self.uri)}{did_you_mean(name, models)}"
            )
        what = f"version {number}" if number else f"version with the alias '{alias}'"
        raise RegistryError(f"model '{name}' has no {what}: `mozart models` lists what there is")

    def champion(self, name: str) -> Version | None:
        """The version of `name` with the alias `champion`, or None.

        Raises:
            ConfigError: a name that cannot be.
            RegistryError: the registry cannot be reached.
        """
        return self._by_alias(check_name(name), CHAMPION)

    def find(self, name: str, model_digest: str) -> Version | None:
        """The version of `name` that holds these very tensors, or None."""
        if self._empty:
            return None
        if entries.DIGEST.fullmatch(model_digest) is None:  # it goes into a query
            raise IntegrityError(f"'{model_digest}' is no model digest")
        query = f"name = '{check_name(name)}' AND tags.`mozart.model_digest` = '{model_digest}'"
        found = tracking.attempt(lambda: self._client.search_model_versions(query), self.uri)
        return self._by_number(name, min(int(entry.version) for entry in found)) if found else None

    # -- changing ----------------------------------------------------------------------------------

    def register(
        self, name: str, bundle: Path, evaluation: dict[str, Any], provenance: dict[str, Any], key: str
    ) -> Version:
        """The bundle becomes the next version of `name`; the same tensors stay the version they are.

        Raises:
            ConfigError: a name that cannot be.
            IntegrityError: the bundle is not what was written.
            RegistryError, ResourceError: the registry cannot be reached or written.
        """
        check_name(name)
        check_bundle(bundle)
        facts = read_json(bundle / "model.json")
        self.prepare()
        with self._lock():
            found = self.find(name, facts["digest"])
            if found is not None:
                return found
            number = entries.add_version(self._client, self.uri, name, bundle, evaluation, provenance, key)
        return self.resolve(f"{name}:{number}")

    def promote(self, version: Version, expected: int | None, because: str) -> bool:
        """Moves `champion` to `version` if it still is where `expected` says (None: nowhere).

        False, and nothing changes, where the champion is another one by now.

        Raises:
            IntegrityError: the version's bundle is not what was published.
            RegistryError, ResourceError: the registry cannot be reached or written.
        """
        with self._lock():
            current = self.champion(version.name)
            number = current.version if current else None
            if number == version.version:
                return True
            if number != expected:
                return False
            check_bundle(version.bundle_path)
            self._move(version, number, "promotion", because)
        return True

    def rollback(self, name: str, because: str = "") -> Version:
        """Moves `champion` back to the version that was champion before, and returns that version.

        `because` is what a person gives as the reason, for the log.

        Raises:
            ConfigError: a name that cannot be.
            RegistryError: there is no earlier champion, or its bundle is damaged.
        """
        with self._lock():
            current = self.resolve(check_name(name))
            number = self.promotions.previous(name, current.version)
            if number is None:
                raise RegistryError(
                    f"model '{name}' has no champion before version {current.version}: nothing to go back to"
                )
            previous = self.resolve(f"{name}:{number}")
            try:
                check_bundle(previous.bundle_path)
            except IntegrityError as error:
                raise RegistryError(
                    f"version {number} of '{name}' cannot be champion again: {error}"
                ) from error
            reason = f"rolled back from version {current.version}" + (f": {because}" if because else "")
            self._move(previous, current.version, "rollback", reason)
        return self.resolve(f"{name}:{number}")

    # -- with MLflow -------------------------------------------------------------------------------

    @property
    def _empty(self) -> bool:
        """Whether there is no database yet: then nothing is published, and MLflow is not imported."""
        database = tracking.database_file(self.uri)
        return database is not None and not database.exists()

    @cached_property
    def _client(self) -> Any:
        return tracking.connect(self.uri)

    def _lock(self) -> AbstractContextManager[None]:
        """Serialises this home's writers; released by the system when its holder dies."""
        return held(self.folder / "registry.lock")

    def _pages(self, search: str) -> list[Any]:
        """All results of a paged search."""
        found, token = [], None
        while True:
            page = tracking.attempt(lambda: getattr(self._client, search)(page_token=token), self.uri)  # noqa: B023
            found += page
            token = page.token
            if not token:
                return found

    def _by_alias(self, name: str, alias: str) -> Version | None:
        if self._empty:
            return None
        found = tracking.find(lambda: self._client.get_model_version_by_alias(name, alias), self.uri)
        return self._fetched(found)

    def _by_number(self, name: str, number: int) -> Version | None:
        if self._empty:
            return None
        return self._fetched(
            tracking.find(lambda: self._client.get_model_version(name, str(number)), self.uri)
        )

    def _version(self, entry: Any, aliases: list[str]) -> Version:
        run = tracking.find(lambda: self._client.get_run(entry.run_id), self.uri) if entry.run_id else None
        return Version(
            name=entry.name,
            version=int(entry.version),
            bundle_path=entries.bundle_folder(entry, self.bundles),
            digest=entry.tags["mozart.bundle"],
            aliases=tuple(sorted(aliases)),
            metrics=dict(run.data.metrics) if run else {},
            tags=dict(entry.tags),
            created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        )

    def _fetched(self, entry: Any) -> Version | None:
        """The version of an MLflow entry, with its bundle on this machine."""
        if entry is None:
            return None
        version = self._version(entry, list(entry.aliases))
        if not version.bundle_path.is_dir():
            entries.download(entry, version.bundle_path, self.uri)
        return version

    def _move(
        self, version: Version, old: int | None, kind: Literal["promotion", "rollback"], because: str
    ) -> None:
        """Logs and moves the alias. The caller holds the lock."""
        self.promotions.append(version.name, kind, old, version.version, because)
        tracking.attempt(
            lambda: self._client.set_registered_model_alias(version.name, CHAMPION, str(version.version)),
            self.uri,
        )
