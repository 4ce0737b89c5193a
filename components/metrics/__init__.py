"""What evaluation measures: the names, which way is better, and what each one is.

The functions beside this file take arrays: no files, no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One name that recipes, gates, reports and the registry use."""

    better: Literal["lower", "higher"]
    about: str
    kind: Literal["image", "tokens"] = "image"
    likelihood: bool = False  # measured only of families that have one


METRICS = {
    "classifier_fid": Metric(
        "lower", "Fréchet distance between samples and real images in the features of a classifier of ours"
    ),
    "precision": Metric("higher", "share of samples inside the k-NN support of real images"),
    "recall": Metric("higher", "share of real images inside the k-NN support of samples"),
    "class_histogram_distance": Metric("lower", "total variation between class shares, samples and real"),
    "classes_covered": Metric("higher", "classes that get at least a quarter of their real share"),
    "smallest_class_share": Metric("higher", "share of the rarest class among samples"),
    "largest_class_share": Metric("lower", "share of the commonest class among samples"),
    "copy_rate": Metric(
        "lower", "share of samples nearer to a training example than 99 % of held-out ones are"
    ),
    "nats": Metric("lower", "negative log-likelihood per example", likelihood=True),
    "bits_per_dim": Metric("lower", "negative log-likelihood per entry, in bits", likelihood=True),
    "bits_per_char": Metric(
        "lower", "negative log-likelihood per character, in bits", kind="tokens", likelihood=True
    ),
    "perplexity": Metric(
        "lower", "exponential of the negative log-likelihood per character", kind="tokens", likelihood=True
    ),
}
