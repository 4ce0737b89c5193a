"""Listens: uvicorn around the service, on a socket that is bound before a model is loaded."""

from __future__ import annotations

import socket

from components.errors import ConfigError
from components.serving.current import Current

CONNECTIONS = 2048  # open at once; more are answered 503 by uvicorn


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"cannot listen at {host} port {port} ({error.strerror}): name another") from error
    return bound


def run(current: Current, bound: socket.socket, waiting: int) -> None:
    """Serves until SIGINT or SIGTERM; requests that are there are answered first."""
    import uvicorn

    from components.serving.service import service

    config = uvicorn.Config(
        service(current, waiting),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=30,
    )
    uvicorn.Server(config).run(sockets=[bound])
