"""Word of a run that failed or was refused: a webhook and a command that sends mail.

What goes wrong here never changes how the run ended; it is told in one line. Addresses are secrets to
many services, so no message holds more of them than the host's name.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import urllib.request
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.resources import VARIABLE
from components.settings import Settings

SECONDS = 10  # for a webhook's answer, and for a mail command to end
Ending = Literal["failed", "refused", "published"]


class NotifySettings(Settings):
    """Who is told how a run ended."""

    webhook: str = Field("", description="an http(s) address that is sent JSON (its `text` is for people)")
    webhook_from: str = Field(
        "", pattern=f"({VARIABLE})|^$", description="the environment variable that holds a secret address"
    )
    email: str = Field(
        "", description="a command that mails its input, e.g. sendmail me@example.org; no shell"
    )
    when: tuple[Ending, ...] = Field(("failed", "refused"), description="the endings that are told")

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if self.webhook and self.webhook_from:
            raise ValueError("webhook and webhook_from name the address twice: keep one")
        if self.webhook:
            check_address(self.webhook)
        try:
            shlex.split(self.email)
        except ValueError as error:
            raise ValueError(f"email: '{self.email[:60]}' is no command: {error}") from error
        return self


def check_address(address: str) -> str:
    """An address that can be posted to.

    Raises:
        ValueError: another scheme, no host, or a password in it.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise ValueError("webhook: that is no address") from error
    if parts.scheme not in ("http", "https") or not host or not address.isprintable() or " " in address:
        raise ValueError("webhook: the address starts with http:// or https:// and names a host")
    if parts.username or parts.password:
        raise ValueError("webhook: a password in a recipe is read by everybody: use webhook_from")
    return address


def notify(settings: NotifySettings, facts: dict[str, Any]) -> list[str]:
    """Tells how a run ended, where `settings.when` names that ending; returns what went wrong, a line each.

    `facts` holds name, run, verdict and reasons; it is sent as it is, with a `text` for people.
    """
    if facts["verdict"] not in settings.when:
        return []
    problems = []
    text = message(facts)
    address = settings.webhook or os.environ.get(settings.webhook_from, "")
    if settings.webhook_from and not address:
        problems.append(
            f"nobody was told: the variable {settings.webhook_from} (notify.webhook_from) is empty"
        )
    if address:
        problems += _post(address, {**facts, "text": text})
    if settings.email:
        problems += _mail(settings.email, text)
    return problems


def message(facts: dict[str, Any]) -> str:
    """The first line says all that matters; the reasons follow."""
    head = f"Mozart: {facts['name']} was {facts['verdict']} ({facts['run']})"
    if facts["verdict"] == "failed":
        head = f"Mozart: {facts['name']} failed ({facts['run']})"
    return "\n".join([head, *(f"- {reason}" for reason in facts["reasons"])])


class _Stay(urllib.request.HTTPRedirectHandler):
    """A message goes where it is meant to go: a redirect would turn it into a question elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _post(address: str, payload: dict[str, Any]) -> list[str]:
    try:
        host = urlsplit(check_address(address)).hostname
        request = urllib.request.Request(
            address,
            data=json.dumps(payload).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "mozart"},
            method="POST",
        )
        with urllib.request.build_opener(_Stay).open(request, timeout=SECONDS):
            return []
    except urllib.request.HTTPError as error:
        return [f"the webhook at {host} refused the message with status {error.code}"]
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return [f"the webhook at {host} did not take the message: {type(reason).__name__}"]
    except ValueError:
        return ["the webhook's address is none that can be posted to: http(s)://host/…, without a password"]


def _mail(command: str, text: str) -> list[str]:
    subject, _, body = text.partition("\n")
    words = shlex.split(command)
    try:
        done = subprocess.run(
            words,
            input=f"Subject: {subject}\n\n{body}\n",
            text=True,
            capture_output=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return [f"the mail command '{words[0]}' did not end within {SECONDS} seconds"]
    except OSError as error:
        return [f"the mail command '{words[0]}' cannot be run: {error.strerror}"]
    return [f"the mail command '{words[0]}' failed with code {done.returncode}"] if done.returncode else []
