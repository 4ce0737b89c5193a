"""FamilyConfig: the base of every family's settings. Imports no TensorFlow."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class FamilyConfig(BaseModel):
    """Settings of one family: frozen, unknown keys refused, numbers strict and finite.

    Every field has a default, bounds and a description. The body of a `Config` may use only names
    from pydantic, typing and this module, so that it can be read without importing TensorFlow
    (see `keras_models.describe`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, settings: dict[str, Any]) -> Self:
        """Settings as JSON-like values (lists for tuples) → a checked config.

        Raises:
            pydantic.ValidationError: an unknown key, a wrong type or a value out of bounds.
        """
        return cls.model_validate_json(json.dumps(settings))
