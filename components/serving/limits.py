"""The size of a request's body, held before anything of it is parsed."""

from __future__ import annotations

import json
from typing import Any


class BodyLimit:
    """Answers 413 to a body of more than `most` bytes, announced or not."""

    def __init__(self, app: Any, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        messages: list[Any] = []
        size = int(announced) if announced.isdigit() else 0
        came = 0
        while size <= self._most:
            message = await receive()
            messages.append(message)
            came += len(message.get("body", b""))
            size = max(size, came)
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        if size > self._most:
            await _too_large(send, self._most)
            return

        async def again() -> Any:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, again, send)


async def _too_large(send: Any, most: int) -> None:
    body = json.dumps({"error": f"a request is at most {most} bytes"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})
