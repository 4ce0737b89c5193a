"""Files on this machine and in real S3 and Cloud Storage servers on loopback."""

from __future__ import annotations

import io
import os
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components import archives, storage
from components.errors import ConfigError, DataError
from components.ingest import ingest, source_fingerprint
from components.settings import DataSettings
from tests.components.nobody import folder_of_nobody, without_rights

BUCKET = "mozart"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 server with an empty bucket."""
    import boto3
    from apache_beam.io.filesystems import FileSystems

    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    storage._reach.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for told in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=told["Key"])
    client.delete_bucket(Bucket=BUCKET)
    storage._reach.cache_clear()


@pytest.fixture(scope="module")
def gs_server() -> Iterator[str]:
    """An emulator of Cloud Storage, with the bucket."""
    from gcp_storage_emulator.server import create_server

    from tests.components.test_runners import free_port

    port = free_port()
    started = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    started.start()
    yield f"http://127.0.0.1:{port}"
    started.stop()


@pytest.fixture
def gs(gs_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of that server with an empty bucket."""
    from apache_beam.io.filesystems import FileSystems
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_server)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    storage._reach.cache_clear()
    client = Client(project="test", credentials=AnonymousCredentials())
    yield client
    for blob in client.list_blobs(BUCKET):
        blob.delete()
    storage._reach.cache_clear()


@pytest.fixture(params=["s3", "gs"])
def keep(request: pytest.FixtureRequest) -> Callable[[str, bytes], str]:
    """Writes a file into the bucket of each store, and says its address."""
    client = request.getfixturevalue(request.param)

    def write(name: str, body: bytes) -> str:
        if request.param == "s3":
            client.put_object(Bucket=BUCKET, Key=name, Body=body)
        else:
            client.bucket(BUCKET).blob(name).upload_from_string(body)
        return f"{request.param}://{BUCKET}/{name}"

    return write


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# -- this machine --------------------------------------------------------------------------------------


def test_a_folder_a_file_and_a_pattern(tmp_path: Path) -> None:
    for name in ("b/two.PNG", "a/one.png", "a/deep/three.txt", ".hidden/x.png", "a/.y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "nowhere.png").symlink_to("nothing")

    def names(path: Path | str, suffixes: Any = None) -> list[str]:
        return [storage.relative(entry.path, str(tmp_path)) for entry in storage.listing(str(path), suffixes)]

    assert names(tmp_path) == ["a/deep/three.txt", "a/one.png", "b/two.PNG"]
    assert names(tmp_path, {".png"}) == ["a/one.png", "b/two.PNG"]
    assert names(tmp_path / "a/one.png") == ["a/one.png"]
    assert names(tmp_path / "*/*.png") == ["a/one.png"]
    assert names(f"{tmp_path}/**/*.*") == ["a/deep/three.txt", "a/one.png", "b/two.PNG"]
    assert names(tmp_path / "*.nothing") == []
    (entry,) = storage.listing(str(tmp_path / "a/one.png"))
    assert entry.bytes == len("a/one.png")
    os.utime(entry.path, ns=(1, 1))
    assert storage.listing(entry.path)[0].state != entry.state
    with pytest.raises(DataError, match="there is no file or folder"):
        storage.listing(str(tmp_path / "nobody"))


def test_a_closed_folder_is_one_sentence() -> None:
    with folder_of_nobody() as folder:
        (folder / "open.txt").write_bytes(b"text")
        (folder / "closed").mkdir(mode=0)
        with without_rights(), pytest.raises(DataError) as told:
            storage.listing(str(folder))
        assert str(told.value) == f"'{folder / 'closed'}' may not be read: see to its permissions"
        with without_rights():
            assert len(storage.listing(str(folder / "open.txt"))) == 1


# -- S3 ------------------------------------------------------------------------------------------------


def test_a_bucket_is_listed_read_and_sought(keep: Callable[[str, bytes], str]) -> None:
    for name in ("data/b/two.png", "data/a/one.png", "data/a/deep/three.txt", "data/a/.hidden", "other.png"):
        root = keep(name, name.encode() * 100).replace("other.png", "data")

    def names(path: str) -> list[str]:
        return [storage.relative(entry.path, root) for entry in storage.listing(path)]

    assert names(root) == names(f"{root}/") == ["a/deep/three.txt", "a/one.png", "b/two.png"]
    assert names(f"{root}/*/*.png") == ["a/one.png", "b/two.png"]
    assert names(f"{root}/a/one.png") == ["a/one.png"]
    assert storage.is_folder(root)
    assert not storage.is_folder(f"{root}/a/one.png")
    assert storage.exists(f"{root}/a/one.png")
    assert not storage.exists(f"{root}/a/two.png")
    with storage.opened(f"{root}/a/one.png") as stream:
        whole = stream.read()
        assert whole == b"data/a/one.png" * 100
        stream.seek(1000)
        assert stream.read(30) == whole[1000:1030]
        stream.seek(-5, io.SEEK_END)
        assert stream.read() == whole[-5:]


def test_a_changed_object_changes_the_fingerprint_of_a_source(s3: Any) -> None:
    data = DataSettings(source=f"images:s3://{BUCKET}/pictures")
    s3.put_object(Bucket=BUCKET, Key="pictures/a.png", Body=picture(0))
    before = source_fingerprint(data)
    assert source_fingerprint(data) == before
    time.sleep(1.1)  # the store's clock ticks in seconds
    s3.put_object(Bucket=BUCKET, Key="pictures/a.png", Body=picture(0))
    assert source_fingerprint(data) != before


def test_images_and_an_archive_of_a_bucket_give_the_records_of_a_folder(
    keep: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(30):
            name = f"{'ab'[number % 2]}/{number:02d}.png"
            (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "pictures" / name).write_bytes(picture(number))
            archive.writestr(name, picture(number))
            keep(f"pictures/{name}", picture(number))
    address = keep("pictures.zip", packed.getvalue())
    assert len(archives.members(address)) == 30
    sources = [str(tmp_path / "pictures"), address.removesuffix(".zip"), address]
    found = [ingest(DataSettings(source=f"images:{s}"), tmp_path / f"r{i}") for i, s in enumerate(sources)]
    assert [manifest["counts"]["read"] for manifest in found] == [30, 30, 30]
    assert len({manifest["fingerprint"] for manifest in found}) == 1


def test_what_is_not_there_or_not_allowed_is_one_sentence(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"there is no file or folder|no such bucket, file or folder"):
        storage.listing(f"s3://{BUCKET}/nothing")
    with pytest.raises(DataError, match=r"there is no file or folder|no such bucket, file or folder"):
        storage.listing("s3://another-bucket/x")
    with pytest.raises(DataError, match="no such bucket, file or folder"):
        storage.opened(f"s3://{BUCKET}/nothing.png").read()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    storage._reach.cache_clear()
    with pytest.raises(DataError, match="needs credentials, and there are none: set AWS_ACCESS_KEY_ID"):
        storage.listing(f"s3://{BUCKET}/x")


def test_a_server_that_does_not_answer_is_said_at_once(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{taken.getsockname()[1]}")
        storage._reach.cache_clear()
        with pytest.raises(DataError, match=r"no answer from 127\.0\.0\.1"):
            storage.listing(f"s3://{BUCKET}/x")


def test_other_addresses_are_refused() -> None:
    with pytest.raises(ConfigError, match="reads local files, s3:// and gs://"):
        storage.listing("http://169.254.169.254/latest")
