"""The commands of those who use what is published: `pull` a bundle, show the `key` that signed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME:VERSION; NAME is the champion")]
Key = Annotated[
    str, typer.Option("--key", help="the publisher's public key, a .pub file; by default this home's own")
]


def pull(
    model: Model, folder: Annotated[str, typer.Argument(help="the folder to make")], key: Key = ""
) -> None:
    """Copies a published model into a folder, after every SHA-256 and the signature agreed.

    Examples:
      mozart pull digits-dcgan models/digits
      mozart pull digits-dcgan:2 models/digits-2 --key publisher.pub
    """
    from components.home import home
    from components.pull import pull, trusted_key
    from components.registry import Registry

    trusted = trusted_key(home(), Path(key) if key else None)
    version = Registry(home()).resolve(model)
    signer = pull(version, Path(folder), trusted)
    typer.echo(f"{version.name} version {version.version} is in {folder}, signed by the key {signer[:16]}.")


def key(
    out: Annotated[str, typer.Option("--out", "-o", help="a file for the public key, to hand on")] = "",
) -> None:
    """Shows the public key by which others check what is published here; makes it if there is none.

    Examples:
      mozart key
      mozart key --out publisher.pub
    """
    from components.artifacts import explain_os_error
    from components.home import home
    from components.signing import fingerprint, public_key

    public = public_key(home())
    text = public.read_text("utf-8")
    if not out:
        typer.echo(f"{text}# SHA-256 {fingerprint(public)}")
        return
    try:
        Path(out).write_text(text, "utf-8")
    except OSError as error:
        raise explain_os_error(error, Path(out)) from error
    typer.echo(f"The public key {fingerprint(public)[:16]} is in {out}.")
