"""What Prometheus is told: requests, their times, the queue, the batches and the version that is served."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from components.serving.batching import Batcher
from components.serving.current import Current

SIZES = (1, 2, 4, 8, 16, 32, 64)


class Watch:
    """The counters of one service."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, current: Current, batcher: Batcher) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter("mozart_requests", "Requests", ["path", "status"], registry=own)
        self._seconds = Histogram("mozart_request_seconds", "Time of a request", ["path"], registry=own)
        sizes = Histogram("mozart_batch_requests", "Requests answered at once", buckets=SIZES, registry=own)
        batcher.told = sizes.observe
        waiting = Gauge("mozart_waiting_requests", "Requests in the queue", registry=own)
        waiting.set_function(lambda: batcher.waiting)
        version = Gauge("mozart_version", "Version that is served", registry=own)
        version.set_function(lambda: current.served.version.version)
        failed = Gauge("mozart_failed_looks", "Looks at the registry that failed in a row", registry=own)
        failed.set_function(lambda: current.failures)

    async def count(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Counts a request by the path of its route, so that senders cannot make new series."""
        start = time.perf_counter()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
        finally:
            route: Any = request.scope.get("route")
            path = route.path if route is not None else "other"
            self._requests.labels(path, status).inc()
            self._seconds.labels(path).observe(time.perf_counter() - start)
        return response

    def text(self) -> bytes:
        """All of it, in the text form."""
        return generate_latest(self._registry)
