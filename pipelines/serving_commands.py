"""Commands of those who use what is published: `sample`, `serve`, `pull`, `export`, and the `key` that signs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME:VERSION; NAME is the champion")]
Key = Annotated[
    str, typer.Option("--key", help="the publisher's public key, a .pub file; by default this home's own")
]


GRID = 10_000  # more samples go into shards


def sample(
    model: Model,
    count: Annotated[
        str,
        typer.Option(metavar="NUMBER", help=f"how many samples; more than {GRID:,} are a folder of shards"),
    ] = "64",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="the same seed, the same bytes")] = 0,
    out: Annotated[
        str, typer.Option("--out", "-o", help="the file: a PNG grid, text, ...; of shards the folder")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, max=1024, help="worker processes that draw the shards")] = 1,
) -> None:
    """Draws samples from a published model into a file that a person can open, or any number into shards.

    Shards (.npy, 8192 samples each) are drawn by Apache Beam; broken off, the same command goes on.

    Examples:
      mozart sample digits-dcgan --count 64 --seed 7 --out grid.png
      mozart sample digits-vae:1 --count 16
      mozart sample digits-vae --count 1e6 --out million --workers 2
    """
    from components.home import home
    from components.registry import Registry
    from pipelines.sampling import sample_to_file, sample_to_shards, without_native_noise

    number = whole_number(count)
    version = Registry(home()).resolve(model)
    with without_native_noise():
        if number <= GRID:
            path = sample_to_file(version, number, seed, out)
        else:
            path = sample_to_shards(version, number, seed, out, workers)
    typer.echo(f"{number} samples of {version.name} version {version.version}, seed {seed}: {path}")


def whole_number(text: str) -> int:
    """`64`, `10_000` or `1e6` → the number.

    Raises:
        ConfigError: it is none from 1 to a thousand million.
    """
    from components.errors import ConfigError

    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 1e9 or number != int(number):
        raise ConfigError(f"--count {text}: a whole number from 1 to 1e9 is meant")
    return int(number)


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


def export(model: Model, folder: Annotated[str, typer.Argument(help="the folder to make")]) -> None:
    """Writes a published model as a SavedModel and an MLflow model, which run without Mozart.

    Examples:
      mozart export digits-dcgan exported
    """
    from components.home import home
    from components.registry import Registry
    from components.serving.export import export
    from pipelines.sampling import without_native_noise

    version = Registry(home()).resolve(model)
    with without_native_noise():
        facts = export(version, Path(folder))
    typer.echo(
        f"{version.name} version {version.version} is in {folder}, with {', '.join(facts['signatures'])}."
    )
    for name, reason in facts["left_out"].items():
        typer.echo(f"Left out: {name} of the family '{facts['family']}' ({reason}).")


def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="the address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="the port; 0 takes a free one")] = 8000,
    key: Key = "",
    waiting: Annotated[
        int, typer.Option(min=1, max=100_000, help="most requests in the queue; more are told to come back")
    ] = 256,
    refresh: Annotated[
        float, typer.Option(min=0.1, help="seconds between looks at where the alias is")
    ] = 5.0,
) -> None:
    """Serves a published model over HTTP, and follows its alias without a restart.

    POST /v1/models/NAME:sample and :log_prob; GET /v1/models/NAME, /healthz, /metrics, /openapi.json.

    Examples:
      mozart serve digits-dcgan@champion
      mozart serve digits-dcgan --port 9000 --key publisher.pub
      curl -d '{"count": 16, "seed": 7}' -H 'content-type: application/json' \\
        http://127.0.0.1:8000/v1/models/digits-dcgan:sample > grid.png
    """
    from components.home import home
    from components.registry import Registry
    from components.serving.current import Current
    from components.serving.server import listen, run
    from components.signing import own_public_key
    from pipelines.sampling import without_native_noise

    socket = listen(host, port)
    trusted = Path(key) if key else own_public_key(home())
    with without_native_noise():
        current = Current(model, Registry(home()), trusted, refresh)
    version = current.served.version
    socket.listen(2048)  # from now on who connects waits
    where = f"http://{host}:{socket.getsockname()[1]}"
    typer.echo(f"Serving {version.name} version {version.version} at {where} (Ctrl-C ends).")
    run(current, socket, waiting)
