"""Spec: what one example looks like. The treaty between the data and the models.

It lives on the lowest floor because both sides need it, and imports no TensorFlow.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["image", "tokens", "roll", "series", "ratings"]


class Spec(BaseModel):
    """The shape and range of one example.

    * `image`: float32 `[height, width, channels]` in [0, 1] on a grid of `levels` values
      (2 = binary, 256 = eight bits).
    * `tokens`: int32 `[length]`, each in [0, vocabulary); shorter sequences are padded and carry
      their true `length` in the batch. Tagged ones carry `tags`, int32 `[length]`.
      In pairs, `separator` stands once between the source and its target.
    * `roll`: float32 `[length, pitches]` of 0 and 1, the notes that sound at each step; `length` as above.
    * `series`: float32 `[length, channels]`, standardised, with a `mask` of the same shape (0 = missing),
      and `covariates` `[length, k]` where there are some. `series` says which one, 0 where it is unknown.
    * `ratings`: int32 `[2]`, user and item, with a `rating` float32 `[1]`.

    What an example may carry beside `x`: `label` int32 (`classes`), `attributes` float32 `[k]` of 0 and 1,
    `y`, a second image of shape `condition`, and `caption` int32 `[caption]`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    shape: tuple[int, ...] = Field(min_length=1)
    levels: int = Field(256, ge=2, description="number of values one entry can take (image)")
    vocabulary: int = Field(0, ge=0, description="number of symbols (tokens)")
    separator: int = Field(
        0, ge=0, description="symbol between a source and its target (tokens), 0 where there is none"
    )
    classes: tuple[str, ...] = Field((), description="names of the labels, empty where there are none")
    attributes: tuple[str, ...] = Field((), description="names of the attributes, each there or not")
    condition: tuple[int, ...] = Field((), description="shape of the second image y, [H, W, C]")
    paired: bool = Field(True, description="y belongs to x; else it is any image of the other domain")
    caption: int = Field(0, ge=0, description="tokens of a caption, 0 where there is none")
    caption_vocabulary: int = Field(0, ge=0, description="number of symbols of captions")
    tags: int = Field(0, ge=0, description="number of tag symbols (tokens), 0 where there are none")
    covariates: int = Field(0, ge=0, description="channels known in advance (series)")
    series: int = Field(0, ge=0, description="series of the training split, numbered from 1 (series)")
    users: int = Field(0, ge=0, description="number of users (ratings)")
    items: int = Field(0, ge=0, description="number of items (ratings)")

    @property
    def dimensions(self) -> int:
        """Entries of one example: H*W*C, or the length of a sequence."""
        return math.prod(self.shape)
