"""Spec: what one example looks like. The treaty between the data and the models.

It lives on the lowest floor because both sides need it, and imports no TensorFlow.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["image", "tokens"]


class Spec(BaseModel):
    """The shape and range of one example.

    * `image`: float32 `[height, width, channels]` in [0, 1] on a grid of `levels` values
      (2 = binary, 256 = eight bits).
    * `tokens`: int32 `[length]`, each in [0, vocabulary); shorter sequences are padded and carry
      their true `length` in the batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    shape: tuple[int, ...] = Field(min_length=1)
    levels: int = Field(256, ge=2, description="number of values one entry can take (image)")
    vocabulary: int = Field(0, ge=0, description="number of symbols (tokens)")
    classes: tuple[str, ...] = Field((), description="names of the labels, empty where there are none")

    @property
    def dimensions(self) -> int:
        """Entries of one example: H*W*C, or the length of a sequence."""
        return math.prod(self.shape)
