"""Finished artifacts in a folder and on real S3 and Cloud Storage servers on loopback: whole, checked, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components import artifact_roots, storage
from components.artifact_roots import artifact_root, fetch, fetch_bundle, send, send_bundle, send_run
from components.artifacts import MANIFEST, reading, write_json, writing
from components.errors import ConfigError, DataError, IntegrityError
from components.publish import publish
from components.registry import Registry
from tests.components.publishing import bundle_folder, workshop
from tests.components.test_storage import BUCKET, gs, gs_server, s3, server

__all__ = ("gs", "gs_server", "s3", "server")  # fixtures


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A finished artifact with a folder in it and a file of two pieces."""
    with writing(tmp_path / "artifact", "train") as (folder, manifest):
        (folder / "deep").mkdir()
        (folder / "deep" / "b.bin").write_bytes(bytes(range(256)) * (storage.PIECE // 256) + b"more")
        write_json(folder / "a.json", {"a": 1})
        manifest["fingerprint"] = "f"
    return tmp_path / "artifact"


@pytest.fixture(params=["folder", "s3", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A root of each kind that can be tried here."""
    if request.param in ("s3", "gs"):
        request.getfixturevalue(request.param)
        yield f"{request.param}://{BUCKET}/mozart"
    else:
        yield str(tmp_path / "root")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_what_is_sent_comes_back_byte_by_byte(artifact: Path, root: str, tmp_path: Path) -> None:
    address = f"{root}/models/one"
    send(artifact, address)
    send(artifact, address)  # again: it stays
    assert fetch(address, tmp_path / "back") == tmp_path / "back"
    assert files_of(tmp_path / "back") == files_of(artifact)
    assert reading(tmp_path / "back")["fingerprint"] == "f"
    assert not list(tmp_path.glob(".back.*"))


def test_a_copy_that_is_changed_torn_or_of_another_is_refused(
    artifact: Path, root: str, tmp_path: Path
) -> None:
    address = f"{root}/models/one"
    names = []
    put = storage.put
    with pytest.MonkeyPatch.context() as patch:

        def dies(source: Path, path: str) -> None:
            if len(names) == 2:
                raise KeyboardInterrupt
            names.append(storage.relative(path, address))
            put(source, path)

        patch.setattr(storage, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            send(artifact, address)
    assert names == ["a.json", "deep/b.bin"], "the manifest is not the last"
    with pytest.raises(IntegrityError, match=r"has no manifest\.json: it was not copied to its end"):
        fetch(address, tmp_path / "back")
    send(artifact, address)

    (tmp_path / "other").write_bytes(b"{}")
    storage.put(tmp_path / "other", f"{address}/a.json")
    with pytest.raises(IntegrityError, match=r"a\.json is not the file that was written"):
        fetch(address, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".back.*"))

    with writing(tmp_path / "another", "train") as (folder, _):
        write_json(folder / "a.json", {"a": 2})
    with pytest.raises(IntegrityError, match="holds another artifact"):
        send(tmp_path / "another", address)


def test_a_name_that_leads_out_of_the_folder_is_refused(s3: Any, tmp_path: Path) -> None:
    for name in (MANIFEST, "../../evil"):
        s3.put_object(Bucket=BUCKET, Key=f"models/bad/{name}", Body=b"{}")
    with pytest.raises(IntegrityError, match="leads out of its folder"):
        fetch(f"s3://{BUCKET}/models/bad", tmp_path / "deep" / "back")
    assert not list(tmp_path.rglob("evil"))


def test_a_run_reaches_the_root_that_the_environment_names(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(artifact_roots.VARIABLE, f"{root}/")
    run = tmp_path / "runs" / "digits-1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    send_run(run)
    assert [entry.path.removeprefix(root) for entry in storage.listing(root)] == ["/runs/digits-1/run.json"]
    (run / "report.html").write_text("<p>")
    (run / "run.json").write_text('{"error": null}')
    send_run(run)
    with storage.opened(f"{root}/runs/digits-1/run.json") as stream:
        assert stream.read() == b'{"error": null}'
    assert len(storage.listing(f"{root}/runs")) == 2


@pytest.mark.slow
def test_a_bundle_comes_back_as_it_was_published(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(artifact_roots.VARIABLE, root)
    bundle = bundle_folder()
    send_bundle(bundle)
    taken = fetch_bundle(bundle.name, tmp_path / "bundles")
    assert files_of(taken) == files_of(bundle)
    assert fetch_bundle(bundle.name, tmp_path / "bundles") == taken  # it is here now
    storage.put(bundle / "model.json", f"{root}/bundles/{bundle.name}/card.md")
    with pytest.raises(IntegrityError, match=r"card\.md is not the file that was published"):
        fetch_bundle(bundle.name, tmp_path / "others")
    with pytest.raises(DataError, match=r"no file or folder|no such bucket, file or folder"):
        fetch_bundle("0" * 64, tmp_path / "bundles")


@pytest.mark.slow
def test_what_is_published_is_in_the_root_and_is_taken_from_there_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv(artifact_roots.VARIABLE, str(tmp_path / "root"))
    home = tmp_path / "home"
    publish(workshop() / "model", workshop() / "evaluation", home, "tiny", tmp_path / "release")
    published = Registry(home).resolve("tiny").bundle_path
    files = files_of(published)
    assert "model.sig" in files
    assert files_of(tmp_path / "root" / "bundles" / published.name) == files
    shutil.rmtree(published)
    assert files_of(Registry(home).resolve("tiny").bundle_path) == files


# -- which root ----------------------------------------------------------------------------------------


def test_no_root_means_no_copy(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(artifact_roots.VARIABLE, raising=False)
    assert artifact_root() == ""
    send_bundle(artifact)
    send_run(artifact)
    with pytest.raises(IntegrityError, match="name the root that has a copy in MOZART_ARTIFACTS"):
        fetch_bundle("0" * 64, tmp_path)


def test_minio_is_s3_at_an_address_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(artifact_roots.VARIABLE, "minio://bucket/mozart/")
    for name in artifact_roots.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="set AWS_ENDPOINT_URL_S3 to the address of the MinIO server"):
        artifact_root()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert artifact_root() == "s3://bucket/mozart"


@pytest.mark.parametrize("given", ["http://x/y", "ftp://x", "hdfs://x"])
def test_another_kind_of_root_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(artifact_roots.VARIABLE, given)
    with pytest.raises(ConfigError, match="name a folder, s3://, gs:// or minio://"):
        artifact_root()
