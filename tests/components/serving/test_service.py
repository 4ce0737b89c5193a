"""The service answers as the model does, and refuses clearly what it cannot answer."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from components.modalities import images as pictures
from components.registry import Registry
from components.serving.current import Current
from tests.components.serving.serving import (
    client_of,
    current_of,
    images,
    publish_another,
    registry_with_tiny,
)

SAMPLE, LOG_PROB = "/v1/models/tiny:sample", "/v1/models/tiny:log_prob"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return registry_with_tiny(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def current(registry: Registry) -> Current:
    return current_of(registry)


@pytest.fixture(scope="module")
def client(current: Current) -> Iterator[TestClient]:
    with client_of(current) as client:
        yield client


def test_a_seed_gives_the_picture_that_the_model_draws(
    client: TestClient, current: Current, tmp_path: Path
) -> None:
    answer = client.post(SAMPLE, json={"count": 9, "seed": 7})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    own = pictures.write_samples(current.served.model.sample(9, seed=7), {}, tmp_path / "own")
    with Image.open(own) as expected, Image.open(io.BytesIO(answer.content)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))
        assert picture.text["generated"] == "true"
        assert (picture.text["model"], picture.text["version"], picture.text["seed"]) == ("tiny", "1", "7")
    assert answer.headers["X-Mozart-Seed"] == "7"
    assert client.post(SAMPLE, json={"count": 9, "seed": 7}).content == answer.content


def test_without_a_seed_the_answer_names_its_own_and_can_be_drawn_again(
    client: TestClient, current: Current
) -> None:
    places = set()
    for count in (1, 3, 200, 1):
        said = client.post(SAMPLE, json={"count": count, "format": "json"}).json()
        assert said["generated"] is True
        first, seed = said["first"], said["seed"]
        again = current.served.model.sample(first + count, seed=seed)[first:]
        np.testing.assert_array_equal(np.asarray(said["samples"], np.float32), again)
        assert not places & {(seed, place) for place in range(first, first + count)}
        places |= {(seed, place) for place in range(first, first + count)}


def test_log_prob_is_the_model_s(client: TestClient, current: Current) -> None:
    x = images(70)
    said = client.post(LOG_PROB, json={"x": x.tolist()}).json()
    np.testing.assert_allclose(said["log_prob"], current.served.model.log_prob(x), rtol=1e-12)
    assert (said["likelihood"], said["measure"], said["version"]) == ("exact", "density", 1)


def test_many_at_once_are_told_what_each_is_told_alone(client: TestClient, current: Current) -> None:
    answers: dict[int, bytes] = {}

    def ask(seed: int) -> None:
        asked = {"count": 1 + seed % 5, "seed": seed, "format": "json"}
        answers[seed] = client.post(SAMPLE, json=asked).content

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, answer in answers.items():
        own = current.served.model.sample(1 + seed % 5, seed=seed)
        np.testing.assert_array_equal(np.asarray(json.loads(answer)["samples"], np.float32), own)


@pytest.mark.parametrize(
    ("path", "asked", "status", "said"),
    [
        ("/v1/models/tinny:sample", {}, 404, "there is 'tiny'"),
        ("/v1/models/tinny", None, 405, "Method Not Allowed"),
        ("/v1/models/tiny:train", {}, 405, "Method Not Allowed"),
        (SAMPLE, {"count": 0}, 422, "count: Input should be greater than or equal to 1"),
        (SAMPLE, {"count": 1025}, 422, "count: Input should be less than or equal to 1024"),
        (SAMPLE, {"count": "4"}, 422, "count: Input should be a valid integer"),
        (SAMPLE, {"count": True}, 422, "count: Input should be a valid integer"),
        (SAMPLE, {"seed": -1}, 422, "seed: Input should be greater than or equal to 0"),
        (SAMPLE, {"seed": 10**400}, 422, "seed"),
        (SAMPLE, {"temperature": 1}, 422, "temperature: Extra inputs are not permitted"),
        (SAMPLE, {"format": "jpeg"}, 422, "format"),
        (SAMPLE, {"format": "midi"}, 400, "samples of images have no form 'midi': there are png, json"),
        (SAMPLE, {"condition": 1}, 400, "the family 'normal' takes no condition"),
        (LOG_PROB, {}, 422, "x: Field required"),
        (LOG_PROB, {"x": []}, 422, "x: List should have at least 1 item"),
        (LOG_PROB, {"x": [[1, 2]]}, 400, "'x' is no array of numbers [1, 2, 2, 1]"),
        (LOG_PROB, {"x": [[1], [[2]]]}, 400, "'x' is no array of numbers"),
        (LOG_PROB, {"x": [[[["a"], [0]], [[0], [0]]]]}, 400, "'x' is no array of numbers"),
        (LOG_PROB, {"x": [[[[10**30], [0]], [[0], [0]]]]}, 400, "'x' is no array of numbers"),
        (LOG_PROB, {"x": [[[[1e200], [0]], [[0], [0]]]]}, 400, "'x' holds numbers that are not finite"),
        (LOG_PROB, {"x": [[[[2.0], [0]], [[0], [0]]]]}, 400, "images are in [0, 1]"),
        (LOG_PROB, {"x": images(1).tolist(), "length": [1]}, 400, "'length' says nothing to the family"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    client: TestClient, path: str, asked: object, status: int, said: str
) -> None:
    answer = client.post(path, json=asked)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"seed": NaN}',
        b'{"\\ud800": 1}',
        b'{"format": "\\ud800"}',
        b'{"x": ' + b"[" * 100_000,
        b'{"count": ' + b"9" * 5000 + b"}",
    ],
)
def test_broken_bodies_are_the_sender_s_fault(client: TestClient, body: bytes) -> None:
    for path in (SAMPLE, LOG_PROB):
        answer = client.post(path, content=body, headers=JSON)
        assert answer.status_code in (400, 422)
        assert list(answer.json()) == ["error"]


def test_too_large_a_body_is_refused_announced_or_not(current: Current) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [b"x" * 600] * 2

    with client_of(current, body=1000) as small:
        announced = small.post(SAMPLE, content=b"x" * 1001)
        streamed = small.post(SAMPLE, content=pieces())
        fits = small.post(SAMPLE, content=b'{"count": 2}' + b" " * 900, headers=JSON)
    assert [announced.status_code, streamed.status_code, fits.status_code] == [413, 413, 200]
    assert announced.json() == {"error": "a request is at most 1000 bytes"}


def test_a_full_queue_and_a_late_answer_say_when_to_come_back(current: Current) -> None:
    """The model is held, so that what waits stays waiting."""
    go, held = threading.Event(), threading.Event()

    class Held:
        failures, start, stop = 0, staticmethod(lambda: None), staticmethod(lambda: None)
        given = current.served

        @property
        def served(self):
            if threading.current_thread().name == "model":
                held.set()
                go.wait()
            return self.given

    statuses: list[tuple[int, str | None]] = []
    with client_of(Held(), waiting=2, seconds=0.5) as client:  # type: ignore[arg-type]
        first = threading.Thread(target=lambda: client.post(SAMPLE, json={}))
        first.start()
        assert held.wait(60)
        askers = [
            threading.Thread(
                target=lambda: statuses.append(
                    ((answer := client.post(SAMPLE, json={})).status_code, answer.headers.get("retry-after"))
                )
            )
            for _ in range(5)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        go.set()
        first.join()
        for _ in range(600):  # those who went away are soon taken from the queue
            if (status := client.post(SAMPLE, json={"seed": 1}).status_code) == 200:
                break
            time.sleep(0.1)
    assert status == 200
    assert sorted(statuses) == [(429, "1")] * 3 + [(503, "5")] * 2


def test_prometheus_reads_what_happened(client: TestClient) -> None:
    before = _counts(client)
    client.post(SAMPLE, json={"seed": 1})
    client.post(SAMPLE, json={"count": 0})
    client.get("/nowhere/at/all")
    after = _counts(client)
    route = "/v1/models/{name}:sample"
    assert after[route, "200"] - before.get((route, "200"), 0) == 1
    assert after[route, "422"] - before.get((route, "422"), 0) == 1
    assert {path for path, _ in after} <= {
        route,
        route.replace("sample", "log_prob"),
        "other",
        "/metrics",
    } | {
        "/healthz",
        "/v1/models/{name}",
        "/openapi.json",
    }


def _counts(client: TestClient) -> dict[tuple[str, str], float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.labels["path"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "mozart_requests_total"
    }


def test_the_alias_is_followed_and_a_damaged_bundle_is_not(tmp_path: Path, registry: Registry) -> None:
    """Last, as it publishes: version 2 is served without a restart, the damaged version 3 is not."""
    moving = current_of(registry)
    with client_of(moving) as client:
        assert client.get("/v1/models/tiny").json()["version"] == 1
        publish_another(registry, seed=2)
        assert moving.look()
        answer = client.post(SAMPLE, json={"seed": 3, "format": "json"})
        assert answer.headers["X-Mozart-Version"] == "2"
        damaged = publish_another(registry, seed=3).bundle_path
        shutil.copyfile(damaged / "card.md", damaged / "weights.safetensors")
        assert not moving.look()
        said = client.get("/healthz").json()
        assert said == {"status": "ok", "model": "tiny", "version": 2, "failed_looks": 1}
        assert client.post(SAMPLE, json={"seed": 3, "format": "json"}).content == answer.content
