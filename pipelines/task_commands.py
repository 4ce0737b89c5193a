"""The command for what comes next: `forecast` says how series go on, by a published model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def forecast(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME:VERSION; NAME is the champion")],
    history: Annotated[
        str,
        typer.Option("--history", help="a CSV or Parquet, read as the model's data were; by default those"),
    ] = "",
    steps: Annotated[int, typer.Option("--steps", min=1, max=10_000, help="how many steps to come")] = 12,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="of models that draw")] = 0,
    out: Annotated[str, typer.Option("--out", "-o", help="the folder to write into")] = "forecast",
) -> None:
    """Says how series go on: the mean and intervals of 80 % and 95 % as a CSV, and a picture.

    Examples:
      mozart forecast airline-sarima --steps 24
      mozart forecast airline-sarima --history my-passengers.csv --steps 12 --out next-year
    """
    from components.artifacts import explain_os_error, read_json
    from components.bundle import load_bundle
    from components.errors import ConfigError
    from components.home import home
    from components.modalities import modality_of
    from components.registry import Registry
    from components.series_forecasts import forecasts, histories, write_forecasts
    from components.settings import DataSettings
    from pipelines.sampling import without_native_noise

    version = Registry(home()).resolve(model)
    provenance = read_json(version.bundle_path / "provenance.json")
    data = DataSettings.parse(provenance["recipe"]["data"])
    if modality_of(data.source).KIND != "series":
        raise ConfigError(f"{version.name} learnt {data.source}, which is no series: it has no forecast")
    source = f"series:{history}" if history and not history.startswith("series:") else history or data.source
    encoding = read_json(version.bundle_path / "encoding.json")
    given = histories(source, data.read, encoding)
    with without_native_noise():
        found = forecasts(load_bundle(version.bundle_path), given, encoding, steps, seed)
    try:
        table, picture = write_forecasts(found, encoding, Path(out))
    except OSError as error:
        raise explain_os_error(error, Path(out)) from error
    many = f"{len(found)} series" if len(found) > 1 else found[0].history.name
    typer.echo(f"{steps} steps of {many} by {version.name} version {version.version}")
    typer.echo(f"table    {table.absolute()}\npicture  {picture.absolute()}")
