"""Malformed requests, made from the service's own OpenAPI page: no 5xx, and no growth in memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests.exceptions import InvalidHeader, InvalidURL
from schemathesis import GenerationMode

from tests.components.serving.process import Service, served
from tests.components.serving.serving import publish_another, registry_with_tiny

SHARE = {"POST /v1/models/{name}:sample": 0.45, "POST /v1/models/{name}:log_prob": 0.45}
GROWTH = 40e6  # bytes; 10,000 kept bodies or answers of a few kB would be as many


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return registry_with_tiny(tmp_path_factory.mktemp("malformed")).home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with served(home, "--refresh", "0.2") as one:
            yield one


def send(service: Service, number: int, first: int) -> Counter[int]:
    """Sends about that many to each path's share; half of them with the model's name, or all would be 404."""
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    statuses: Counter[int] = Counter()
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()
            share = SHARE.get(operation.label, 0.1 / 4)
            modes = (GenerationMode.NEGATIVE, GenerationMode.POSITIVE)
            cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

            @seed(first)
            @settings(
                max_examples=max(1, int(number * share)),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=cases, named=st.booleans())
            def one(case, named):
                if named and "name" in case.path_parameters:
                    case.path_parameters["name"] = "tiny"
                try:
                    answer = case.call(base_url=service.url, session=session)
                except (InvalidHeader, InvalidURL, UnicodeError):  # what no client can write
                    return
                statuses[answer.status_code] += 1
                assert answer.status_code < 500, (case.as_curl_command(), answer.text)

            one()
    return statuses


def test_200_malformed_requests_are_answered(service: Service) -> None:
    statuses = send(service, 200, first=1)
    assert sum(statuses.values()) > 150
    assert {404, 422} <= set(statuses)
    assert httpx.get(f"{service.url}/healthz").json()["status"] == "ok"


@pytest.mark.slow
def test_10000_malformed_requests_leave_the_memory_as_it_was(service: Service) -> None:
    send(service, 1_500, first=2)
    before = service.resident_bytes()
    statuses = send(service, 11_500, first=3)  # some cannot be written by a client
    grown = service.resident_bytes() - before
    print(f"\n{sum(statuses.values())} requests: {dict(statuses)}; memory grew by {grown / 1e6:.1f} MB")
    assert sum(statuses.values()) >= 10_000
    assert grown < GROWTH


def test_a_running_service_follows_the_alias(service: Service, home: Path) -> None:
    """Last, as it publishes."""
    from components.registry import Registry

    asked = {"count": 2, "seed": 1, "format": "json"}
    before = httpx.post(f"{service.url}/v1/models/tiny:sample", json=asked)
    assert before.json()["version"] == 1
    publish_another(Registry(home), seed=2)
    for _ in range(600):
        time.sleep(0.1)
        if httpx.get(f"{service.url}/healthz").json()["version"] == 2:
            break
    after = httpx.post(f"{service.url}/v1/models/tiny:sample", json=asked)
    assert after.json()["version"] == 2
    assert after.json()["samples"] != before.json()["samples"]
