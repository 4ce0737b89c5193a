"""What a person can set in a recipe, block by block: bounds, defaults and meanings.

Values are checked before anything runs. Over Kubeflow they travel as JSON text, because its dict
parameters turn integers into floats.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.span import Span, span_range


class Settings(BaseModel):
    """Base of every block: frozen, unknown keys refused, numbers strict and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: str | dict[str, Any]) -> Self:
        """JSON text or JSON-like values → checked settings (raises pydantic.ValidationError)."""
        return cls.model_validate_json(values if isinstance(values, str) else json.dumps(values))


class Split(Settings):
    """Shares of the records: decided by a stable hash of each record's key, so that a record never
    changes sides when data grow. A source with official parts keeps them."""

    train: float = Field(0.8, gt=0, lt=1, description="share that models learn from")
    validation: float = Field(0.1, gt=0, lt=1, description="share that gates decide on")
    test: float = Field(0.1, gt=0, lt=1, description="share that published numbers come from")
    by: Literal["key", "content"] = Field(
        "key",
        description="what is hashed: the record's key, or that of its group; or its content, so that "
        "identical records are on one side",
    )

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if not math.isclose(self.train + self.validation + self.test, 1.0, abs_tol=1e-9):
            raise ValueError("train, validation and test add up to 1")
        return self


class BeamSettings(Settings):
    """Who runs the data steps: the pinned in-process runner of Apache Beam, or an existing engine."""

    runner: Literal["local", "portable", "flink", "spark", "dask", "dataflow"] = Field(
        "local", description="local: on this machine, no server; the others need their engine's address"
    )
    workers: int = Field(1, ge=1, le=1024, description="worker processes")
    options: tuple[str, ...] = Field((), description="further options of Beam, as --name=value")


class DriftSettings(Settings):
    """How far the training records may lie from those of the champion, and the splits from each other."""

    jensen_shannon: float = Field(0.1, gt=0, le=1, description="most divergence of categories, in bits")
    kolmogorov_smirnov: float = Field(0.15, gt=0, le=1, description="most distance of numbers' distributions")
    action: Literal["warn", "stop"] = Field("warn", description="what drift does: told, or stops the line")


class SpanSettings(Settings):
    """Which pieces of a source that arrives in pieces (`{SPAN}` in data.source): see components.spans."""

    window: int = Field(7, ge=1, le=100_000, description="days or numbers, back from the newest span")
    fewest: int = Field(1, ge=1, le=100_000, description="where fewer of them arrived, nothing is trained")
    exclude: tuple[str, ...] = Field((), description="spans that are left out, e.g. a day of broken files")
    only: str = Field("", description="FIRST..LAST in place of the window (mozart run --spans)")

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if self.fewest > self.window and not self.only:
            raise ValueError(f"fewest ({self.fewest}) is at most window ({self.window})")
        for text in self.exclude:
            Span.parse(text)
        if self.only:
            span_range(self.only)
        return self


class DataSettings(Settings):
    """Where the data come from and how they are read and encoded."""

    source: str = Field(description="e.g. digits, images:FOLDER, text:FILE (`mozart sources` lists them)")
    spans: SpanSettings | None = Field(
        None, description="which pieces of a source with {SPAN} in it; by default the last 7"
    )
    read: dict[str, Any] = Field({}, description="options of the kind of data: how records are read")
    encode: dict[str, Any] = Field({}, description="options of the kind of data: records to examples")
    augment: dict[str, Any] = Field({}, description="options of the kind of data: changes while training")
    split: Split = Split()
    max_rejected: float = Field(0.01, ge=0, le=1, description="share of unreadable records tolerated")
    max_leaked: float = Field(
        0.01, ge=0, le=1, description="share of validation or test records tolerated that train holds too"
    )
    schema_file: str = Field("", description="a curated schema (`mozart schema`) that the data must meet")
    drift: DriftSettings = DriftSettings()
    beam: BeamSettings = BeamSettings()


class ModelSettings(Settings):
    """Which family, with which config (`mozart describe FAMILY`)."""

    family: str = Field(description="one of `mozart families`")
    config: dict[str, Any] = Field({}, description="the family's own settings")


class TrainSettings(Settings):
    """How long and how."""

    epochs: int = Field(50, ge=1, le=100_000, description="passes over the training split")
    batch_size: int = Field(64, ge=1, le=65_536, description="examples in one step")
    seed: int = Field(0, ge=0, lt=2**31, description="of the initial weights, noise and data order")
    snapshot_steps: int = Field(500, ge=1, description="steps between snapshots to resume from")
    devices: int = Field(
        0,
        ge=0,
        le=1024,
        description="of this machine to learn on; 0: all GPUs there are (TF_CONFIG: workers)",
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32",
        description="of products while learning, in networks: mixed keeps weights, losses and what is saved in "
        "float32; mixed_float16 scales its losses",
    )
    warm_start: Literal["none", "champion"] = Field(
        "none",
        description="champion: begin with its weights and optimizers, where family, spec and config agree",
    )
    fine_tune: str = Field(
        "",
        description="NAME, NAME@ALIAS or NAME:VERSION: begin with the weights of that published model of this family, "
        "and see the data as it does",
    )

    @model_validator(mode="after")
    def _begins_once(self) -> Self:
        if self.fine_tune and self.warm_start != "none":
            raise ValueError("fine_tune and warm_start both say what to begin with: leave one out")
        return self


class FloorSettings(ModelSettings):
    """A simple model trained on the same split, which the recipe's model is measured against."""

    train: TrainSettings = TrainSettings(epochs=1)

    @model_validator(mode="after")
    def _starts_cold(self) -> Self:
        if self.train.warm_start != "none" or self.train.fine_tune:
            raise ValueError("a floor is trained anew each time: leave warm_start and fine_tune out")
        if self.train.precision != "float32":
            raise ValueError("a floor is trained in float32: leave precision out")
        return self


class EvaluateSettings(Settings):
    """What is measured, on how much."""

    samples: int = Field(1000, ge=16, le=1_000_000, description="samples drawn for each metric")
    most_samples: int = Field(
        10_000, ge=16, le=1_000_000, description="up to which samples are added while the verdict is open"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the samples")
    neighbours: int = Field(5, ge=1, le=100, description="k of precision, recall, density and coverage")
    importance_samples: int = Field(500, ge=1, description="of the bound on log p(x)")
    annealed_examples: int = Field(
        0,
        ge=0,
        le=10_000,
        description="held-out examples whose likelihood is annealed too: minutes (latent models)",
    )
    annealed_steps: int = Field(
        1000, ge=10, le=100_000, description="of each chain; 10,000 in the literature"
    )
    likelihood_examples: int = Field(10_000, ge=16, description="most test examples scored by likelihood")
    classifier_epochs: int = Field(30, ge=1, description="of the feature network")
    classifier_accuracy: float = Field(
        0.9,
        ge=0,
        le=1,
        description="the feature network's own validation accuracy below which it judges nothing",
    )
    encoder_completion: float = Field(
        0.1,
        ge=0,
        le=1,
        description="the same of an encoder that learns without labels: hidden parts foretold",
    )
    inception: str = Field(
        "",
        description="path or address of the Inception weights of FID: its features in place of our network's",
    )
    inception_sha256: str = Field(
        "", description="SHA-256 of that file; by default that of pt_inception-2015-12-05"
    )
    compatibility: Literal["", "torch-fidelity", "clean-fid", "prdc"] = Field(
        "", description="also measure as this tool does, beside our own numbers"
    )
    horizon: float = Field(
        0.25, gt=0, lt=1, description="share of a window that is forecast from the steps before (series)"
    )
    season: int = Field(1, ge=1, description="steps of a season, by which forecasts are scaled (series)")
    path_step: float = Field(
        1e-4, gt=0, lt=0.1, description="of the path length, a share of the way between two latents"
    )
    beam: BeamSettings | None = Field(
        None, description="evaluate on many workers (runner, workers, options); by default in this process"
    )
    floors: tuple[FloorSettings, ...] = Field(
        (), description="simple models to beat; none named: one that suits the data"
    )


class Limit(Settings):
    """Bounds on one metric, both inclusive."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a limit has a min, a max or both")
        return self


class GateSettings(Settings):
    """What a model must reach on the validation split to be published."""

    metric: str | None = Field(None, description="the metric that matters; by default the family's own")
    limits: dict[str, Limit] = Field({}, description="absolute bounds, by metric")
    intervals: bool = Field(
        True, description="whole intervals must meet what is asked; false: the values alone decide"
    )
    beat_floors: bool = Field(True, description="the metric must be better than every floor's")
    floor_ratio: float = Field(
        1.0, gt=0, le=1, description="and at most this share of the best floor's (distances only)"
    )
    champion: bool = Field(True, description="the metric must be no worse than the champion's")
    champion_margin: float = Field(
        0.05, ge=0, le=1, description="how much worse than the champion still passes, as a share"
    )
    slices: bool = Field(
        True, description="no class or group may be clearly worse than the champion's (Holm-adjusted)"
    )
