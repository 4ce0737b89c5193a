"""What evaluation measures: the names, which way is better, and what each one is.

The functions beside this file take arrays: no files, no models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["lower", "higher"]
DISTANCES = ("_tv", "_js", "_ks", "_kl", "_distance", "_wasserstein")  # of 0 between equal sets
IMAGES, TOKENS = ("images",), ("text", "music")
NETWORKS = {  # whose features distances are taken in
    "classifier": "a classifier of ours, trained on the training split",
    "encoder": "an encoder of ours, trained on the training split without labels",
    "inception": "the Inception network, whose weights the user gives",
}


@dataclass(frozen=True)
class Metric:
    """One name that recipes, gates, reports and the registry use.

    `modalities` are the kinds of data it is measured on, empty for all; `distance` says that 0 is perfect,
    so that a share of a floor's makes sense; `most` is the limit that holds where a recipe sets none.
    """

    better: Better
    about: str
    modalities: tuple[str, ...] = ()
    likelihood: bool = False  # measured only of families that have one
    distance: bool = False
    classes: bool = False  # measured only where the examples have labels
    most: float | None = None


def _distances() -> dict[str, Metric]:
    found = {}
    for network, whose in NETWORKS.items():
        for name, what in (("fid", "Fréchet distance"), ("kid", "kernel distance (MMD²)")):
            about = f"{what} between samples and real images in the features of {whose}"
            classes = network == "classifier"
            found[f"{network}_{name}"] = Metric("lower", about, IMAGES, distance=True, classes=classes)
    return found


METRICS: dict[str, Metric] = {
    **_distances(),
    "precision": Metric("higher", "share of samples inside the k-NN support of real images", IMAGES),
    "recall": Metric("higher", "share of real images inside the k-NN support of samples", IMAGES),
    "f1": Metric("higher", "harmonic mean of precision and recall", IMAGES),
    "density": Metric("higher", "balls around real images that a sample lies in, on average over k", IMAGES),
    "coverage": Metric("higher", "share of real images whose own k-NN ball holds a sample", IMAGES),
    "duplicate_rate": Metric("lower", "share of samples that repeat an earlier one exactly", IMAGES),
    "classifier_score": Metric(
        "higher",
        "Inception Score with our classifier: classes sure of each sample, and many of them",
        IMAGES,
        classes=True,
    ),
    "inception_score": Metric(
        "higher", "Inception Score of all samples as one set, corrected for its bias", IMAGES
    ),
    "two_sample_accuracy": Metric(
        "lower",
        "share of samples and real images whose nearest other is of their own kind (0.5 at best)",
        IMAGES,
    ),
    "diversity": Metric("higher", "1 - mean MS-SSIM of pairs of samples, against that of real pairs", IMAGES),
    "class_histogram_distance": Metric(
        "lower", "total variation between class shares, samples and real", IMAGES, distance=True, classes=True
    ),
    "classes_covered": Metric(
        "higher", "classes that get at least a quarter of their real share", IMAGES, classes=True
    ),
    "smallest_class_share": Metric("higher", "share of the rarest class among samples", IMAGES, classes=True),
    "largest_class_share": Metric(
        "lower", "share of the commonest class among samples", IMAGES, classes=True
    ),
    "label_agreement": Metric(
        "higher",
        "share of samples asked for by class that our classifier sees as that class",
        IMAGES,
        classes=True,
    ),
    "copy_rate": Metric(
        "lower", "share of samples nearer to a training example than 99 % of held-out ones are"
    ),
    "copy_excess": Metric(
        "lower", "copy_rate less what the same rule calls a copy among held-out examples", most=0.05
    ),
    "authentic_share": Metric(
        "higher",
        "share of samples further from their nearest training image than that is from its own",
        IMAGES,
    ),
    "reconstruction_psnr": Metric("higher", "fidelity of reconstructions of held-out images, dB", IMAGES),
    "reconstruction_ssim": Metric("higher", "structural similarity of reconstructions to images", IMAGES),
    "path_length": Metric("lower", "perceptual path length between neighbouring latents", IMAGES),
    "classifier_accuracy": Metric(
        "lower",
        "held-out accuracy of a logistic regression at telling samples from real examples (0.5 at best)",
        TOKENS,
    ),
    "nats": Metric("lower", "negative log-likelihood per example", likelihood=True),
    "nats_annealed": Metric(
        "lower",
        "negative log-likelihood per example by annealed importance sampling",
        IMAGES,
        likelihood=True,
    ),
    "bits_per_dim": Metric("lower", "negative log-likelihood per entry, in bits", likelihood=True),
    "nats_per_step": Metric(
        "lower", "negative log-likelihood per time step of a piano roll", ("music",), likelihood=True
    ),
    "bits_per_token": Metric("lower", "negative log-likelihood per token, in bits", TOKENS, likelihood=True),
    "bits_per_byte": Metric(
        "lower",
        "negative log-likelihood per byte of UTF-8, in bits: comparable across tokenizers",
        ("text",),
        likelihood=True,
    ),
    "perplexity": Metric(
        "lower", "exponential of the negative log-likelihood per token", TOKENS, likelihood=True
    ),
}


def _register() -> None:
    """The metrics that files of this folder describe by themselves, as `ABOUT`: name → (better, about)."""
    from components.metrics import forecasts, music, ratings, series, text

    for module, modality in (
        (text, "text"),
        (music, "music"),
        (series, "series"),
        (forecasts, "series"),
        (ratings, "ratings"),
    ):
        about: dict[str, tuple[Better, str]] = module.ABOUT
        for name, (better, said) in about.items():
            known = METRICS.get(name)
            if known is None:
                distance = name.endswith(DISTANCES)
                METRICS[name] = Metric(better, said, (modality,), distance=distance)
            elif known.modalities:  # one without any is measured on all kinds of data
                METRICS[name] = replace(known, modalities=(*known.modalities, modality))


_register()
