"""The HTTP face of one published model.

    POST /v1/models/NAME:sample      samples as PNG, MIDI, text, CSV or JSON
    POST /v1/models/NAME:log_prob    log-probabilities in nats
    GET  /v1/models/NAME             what is served
    GET  /healthz  /metrics          for whoever watches: JSON, and the text form of Prometheus

Too large a body is 413, a full queue 429, no answer in time 503 (both with Retry-After), and whatever a
sender can mend 400, 404, 405 or 422, with one sentence: `{"error": ...}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from components.serving.answers import TYPES, form_of, headers, written
from components.serving.asking import LogProbRequest, Refused, SampleRequest, question_of, wish_of
from components.serving.batching import SEEDS, Batcher, Busy
from components.serving.current import Current
from components.serving.limits import BodyLimit
from components.serving.watching import Watch

SECONDS = 60.0  # within which an answer comes
BODY = 4 << 20  # bytes of a request
SAID = {
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}
    }
}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "cannot be answered", **SAID},
    404: {"description": "another model", **SAID},
    413: {"description": "the body is too large", **SAID},
    422: {"description": "not what the schema says", **SAID},
    429: {"description": "too many are waiting", **SAID},
    503: {"description": "no answer in time", **SAID},
}
Name = Annotated[str, Path(description="the name of the served model")]


def service(
    current: Current, waiting: int = 256, together: int = 64, seconds: float = SECONDS, body: int = BODY
) -> FastAPI:
    """The application. Its life begins and ends the thread of the model and that which follows the alias.

    Args:
        waiting: most requests in the queue. together: most that are answered at once.
        seconds: within which an answer comes. body: most bytes of a request.
    """
    batcher = Batcher(lambda: current.served, waiting, together)
    watch = Watch(current, batcher)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        current.start()
        yield
        current.stop()
        batcher.close()

    app = FastAPI(
        title=f"Mozart: {current.served.version.name}",
        description="Samples of a published generative model.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, most=body)
    app.middleware("http")(watch.count)
    _add_errors(app)
    _add_models(app, current, batcher, seconds)
    _add_watching(app, current, watch)
    return app


def _add_models(app: FastAPI, current: Current, batcher: Batcher, seconds: float) -> None:
    @app.post(
        "/v1/models/{name}:sample", responses={200: {"content": {t: {} for t in TYPES.values()}}, **ERRORS}
    )
    async def sample(name: Name, request: SampleRequest) -> Response:
        """Samples; headers `X-Mozart-*` name the version, the seed and the first place in it."""
        _check_name(name, current)
        served = current.served
        form = form_of(request.format, served.encoding["modality"])
        wish = wish_of(request, served, secrets.randbelow(SEEDS))
        drawn = await _answer(batcher.ask(wish), seconds)
        content = await run_in_threadpool(written, drawn, form)
        return Response(content, media_type=TYPES[form], headers=headers(drawn))

    @app.post("/v1/models/{name}:log_prob", responses=ERRORS)
    async def log_prob(name: Name, request: LogProbRequest) -> Response:
        """log p of each example in nats; null where it is not finite."""
        _check_name(name, current)
        question = await run_in_threadpool(question_of, request, current.served)
        served, values = await _answer(batcher.ask(question), seconds)
        said = {
            "model": served.version.name,
            "version": served.version.version,
            "likelihood": served.model.likelihood,
            "measure": served.model.measure,
            "log_prob": [value if np.isfinite(value) else None for value in values.tolist()],
        }
        return _json(said)

    @app.get("/v1/models/{name}", responses={404: ERRORS[404]})
    async def model(name: Name) -> Response:
        """What is served: version, family, and what one example looks like."""
        _check_name(name, current)
        served = current.served
        said = {
            "model": served.version.name,
            "version": served.version.version,
            "bundle": served.version.digest,
            "family": served.model.family,
            "likelihood": served.model.likelihood,
            "condition": served.model.condition_on or None,
            "modality": served.encoding["modality"],
            "spec": served.model.spec.model_dump(mode="json"),
        }
        return _json(said)


def _add_watching(app: FastAPI, current: Current, watch: Watch) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        """That it lives, what it serves, and how many looks at the registry failed in a row."""
        version = current.served.version
        said = {"status": "ok", "model": version.name, "version": version.version}
        return _json(said | {"failed_looks": current.failures})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(watch.text(), media_type=watch.media_type)


async def _answer(answer: Future[Any], seconds: float) -> Any:
    """The answer, or HTTP 503 if it does not come in time: then it is not computed either, if it waits still."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)
    except TimeoutError as error:
        raise HTTPException(
            503, f"no answer within {seconds:g} s: try again", {"Retry-After": "5"}
        ) from error


def _check_name(name: str, current: Current) -> None:
    served = current.served.version.name
    if name != served:
        raise HTTPException(404, f"no such model is served here: there is '{served}'")


def _add_errors(app: FastAPI) -> None:
    """Every refusal is `{"error": one sentence}` and repeats nothing of what was sent."""

    def handler(
        status: int, sentence: Callable[[Any], str], after: str = ""
    ) -> Callable[..., Awaitable[Response]]:
        async def said(_: Request, error: Any) -> Response:
            return _json({"error": sentence(error)}, status, {"Retry-After": after} if after else {})

        return said

    async def http(_: Request, error: Any) -> Response:
        return _json({"error": str(error.detail)}, error.status_code, dict(error.headers or {}))

    app.add_exception_handler(Refused, handler(400, str))
    app.add_exception_handler(Busy, handler(429, lambda _: "too many requests are waiting: try again", "1"))
    app.add_exception_handler(RequestValidationError, handler(422, _invalid))
    app.add_exception_handler(HTTPException, http)


def _invalid(error: RequestValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part)[:40] for part in first["loc"] if part != "body")
    return f"{where or 'body'}: {first['msg']}"


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, "application/json")
