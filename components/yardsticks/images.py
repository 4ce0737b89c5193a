"""How images are judged: in the features of a network that learnt from the training split, and by pixels.

Labelled images are looked at by a classifier of ours, others by an encoder that learnt without labels, and
any by the Inception network where the recipe gives its weights.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import DataError
from components.feature_pass import Here, InBeam, Seen, all_rows, first, moments
from components.home import home
from components.metrics import classes as class_metrics
from components.metrics.classes import agreement
from components.metrics.classifier_score import classifier_score
from components.metrics.comparison import Comparison, compare
from components.metrics.copies import copies
from components.metrics.frechet import PER_FEATURE, Reference, frechet_distance, frechet_interval
from components.metrics.intervals import SHARDS, Estimate, share
from components.metrics.kernel import kid_of
from components.metrics.moments import ShardedMoments
from components.metrics.neighbours import neighbourhood_of, two_sample_of
from components.metrics.path_length import path_length
from components.metrics.rows import Rows
from components.metrics.structure import diversity, reconstruction
from components.yardsticks import Base, Judged, Metrics
from components.yardsticks.collapses import collapsed
from components.yardsticks.compatible import compatible
from components.yardsticks.networks import network_for
from components.yardsticks.protocols import measured_on

COPY_TRAINING = 20_000  # most training images that copies are looked for among
COPY_SAMPLES = 2_000  # and most samples that are looked at for it
REBUILT = 1_000  # most held-out images that are reconstructed
PATHS = 200  # between neighbouring latents
MAPPED_AT_ONCE = 50


class Yardstick(Base):
    """See components.yardsticks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.network, self.facts = network_for(self.spec, self.data, self.settings)
        beam = self.settings.beam
        self.work = Here() if beam is None else InBeam(_shared_folder(), beam)
        self.known: dict[str, Rows] = {}
        self.last: tuple[tuple[tuple[int, ...], str], Seen] | None = None

    @property
    def main(self) -> str:
        """The distance in the features of the network that there is."""
        return f"{self.kind}_fid"

    @property
    def kind(self) -> str:
        """`classifier`, `encoder` or `inception`."""
        return str(self.network.name.split("@")[0])

    def features(self) -> dict[str, Any] | None:
        """See components.yardsticks."""
        return self.facts

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        found = Judged(self._copies(samples, split))
        if self.facts is None or not self.facts["trusted"]:
            return found
        held = self.data[split]
        seen = self._seen(samples)
        drawn, probabilities = seen.features, seen.probabilities
        real = self._real(split)
        count = min(len(real), len(drawn))  # numbers of neighbours compare at equal counts
        compared = compare(
            first(real, count), first(drawn, count), self.settings.neighbours, run=self.work.run
        )
        metrics = {
            f"{self.kind}_fid": _frechet(moments(drawn), moments(real)),
            f"{self.kind}_kid": kid_of(compared),
            **neighbourhood_of(compared),
            "two_sample_accuracy": two_sample_of(compared),
        }
        predicted = label = None
        if self.kind == "classifier" and probabilities is not None:
            metrics["classifier_score"] = classifier_score(probabilities)
            if np.isfinite(probabilities).all():  # or the largest of NaN would be class 0
                predicted, label = probabilities.argmax(axis=1), held["label"]
                metrics |= self._classes(predicted, label)
                found.slices = self._slices(compared, predicted[:count], label[:count])
                for name, one in self._distances(drawn, real, predicted, label).items():
                    found.slices[name][f"{self.kind}_fid"] = one
                found.facts["class_shares"] = self._shares(predicted, label)
        if self.kind == "inception" and probabilities is not None:
            metrics["inception_score"] = classifier_score(probabilities)
        try:
            unlike = diversity(
                samples[:count], held["x"][:count], data_range=1.0, seed=self.settings.seed,
                labels=None if predicted is None else predicted[:count],
                real_labels=None if label is None else label[:count],
            )  # fmt: skip
            metrics["diversity"] = unlike
        except DataError as error:
            found.notes["diversity"] = str(error)
        protocol = {"features": self.network.name, "real": len(real)}
        paired = {"real": count, "n": count}
        for name, one in metrics.items():
            own = protocol if name.endswith(("_fid", "_score")) or "class" in name else {**protocol, **paired}
            found.metrics |= measured_on({name: one}, **own)
        found.collapsed = collapsed(compared, metrics, predicted, label, self.spec.classes)
        if self.settings.compatibility:
            outputs = probabilities if self.kind == "inception" else None
            told = compatible(
                self.settings.compatibility, self.kind, all_rows(real), all_rows(drawn), outputs
            )
            found.metrics |= measured_on(told.metrics, **protocol)
            found.notes |= told.notes
        return found

    def of_model(self, model: Any, split: str) -> Judged:
        """See components.yardsticks: reconstructions, and paths between latents."""
        found = Judged()
        if hasattr(model, "reconstruct"):
            real = self.data[split]["x"][:REBUILT]
            parts = [np.asarray(model.reconstruct(real[i : i + 100])) for i in range(0, len(real), 100)]
            for name, one in reconstruction(real, np.concatenate(parts), data_range=1.0).items():
                found.metrics[f"reconstruction_{name}"] = replace(one, extra={"n": len(real), **one.extra})
        trusted = self.facts is not None and self.facts["trusted"]
        if trusted and getattr(model, "condition_on", "") == "label" and self.kind == "classifier":
            found = self._agreement(model, found)
        if trusted and hasattr(model, "latents") and hasattr(model, "decode"):
            ends = np.asarray(model.latents(2 * PATHS, seed=self.settings.seed))
            length = path_length(
                lambda z: np.asarray(model.decode(z)),
                self.network.maps,
                ends[:PATHS],
                ends[PATHS:],
                epsilon=self.settings.path_step,
                batch=MAPPED_AT_ONCE,
                seed=self.settings.seed,
            )
            if np.isfinite(length.value):
                protocol = {"features": self.network.name, "n": PATHS}
                found.metrics["path_length"] = replace(length, extra={**protocol, **length.extra})
            else:
                found.notes["path_length"] = length.why
        return found

    def _agreement(self, model: Any, found: Judged) -> Judged:
        """Whether the samples that were asked for are of their class, in the eyes of the classifier."""
        names = self.spec.classes
        wanted = np.arange(self.settings.samples) % len(names)
        drawn = model.sample(len(wanted), condition=wanted, seed=self.settings.seed)
        predicted = self.network.probabilities(drawn).argmax(axis=1)
        protocol = {"features": self.network.name, "n": len(wanted)}
        for name, one in agreement(predicted, wanted, names).items():
            told = replace(one, extra={**protocol, **one.extra})
            if name == "accuracy":
                found.metrics["label_agreement"] = told
            else:
                found.slices[f"class {name.removeprefix('accuracy/')}"] = {"label_agreement": told}
        return found

    def save(self, folder: Path) -> None:
        """See components.yardsticks."""
        if self.network is not None and self.kind != "inception":  # those weights are the user's
            self.network.save(folder / self.kind)
        self.work.close()

    def slices_of(self, split: str) -> dict[str, np.ndarray]:
        """See components.yardsticks: the classes."""
        label = self.data[split].get("label")
        if label is None or len(self.spec.classes) < 2:
            return {}
        return {f"class {name}": np.flatnonzero(label == i) for i, name in enumerate(self.spec.classes)}

    def _real(self, split: str) -> Rows:
        if split not in self.known:
            self.known[split] = self.work.look(self.network, self.data[split]["x"], split).features
        return self.known[split]

    def _seen(self, samples: np.ndarray) -> Seen:
        """What the network sees in the samples: once for both splits."""
        digest = hashlib.blake2b(np.ascontiguousarray(samples).data).hexdigest()
        if self.last is None or self.last[0] != (samples.shape, digest):
            if self.last is not None:
                self.work.forget(self.last[1])
            seen = self.work.look(self.network, samples, "samples", classes=True)
            self.last = ((samples.shape, digest), seen)
        return self.last[1]

    def _copies(self, samples: np.ndarray, split: str) -> Metrics:
        train, held_out = self.data["train"]["x"][:COPY_TRAINING], self.data[split]["x"]
        found = copies(samples[:COPY_SAMPLES], train, held_out, run=self.work.run)
        protocol = {
            "features": "pixels",
            "training": len(train),
            "n": min(len(samples), COPY_SAMPLES),
        }
        return {
            "copy_rate": replace(found.rate, extra={**protocol, **found.rate.extra}),
            "copy_excess": replace(found.excess, extra={**protocol, **found.excess.extra}),
            "authentic_share": replace(found.authentic, extra={**protocol, **found.authentic.extra}),
        }

    def _classes(self, predicted: np.ndarray, label: np.ndarray) -> Metrics:
        count = len(self.spec.classes)
        shares = class_metrics.class_shares(predicted, count)
        real = class_metrics.class_shares(label, count)
        whole = class_metrics.share_intervals(predicted, count)
        bounds = (np.array([getattr(one, end) for one in whole]) for end in ("low", "high"))
        covered, low, high = (class_metrics.classes_covered(one, real) for one in (shares, *bounds))
        return {
            "class_histogram_distance": class_metrics.histogram_distance(predicted, label, count),
            "classes_covered": Estimate(covered, low, high, "Wilson, of each share"),
            "smallest_class_share": share(predicted == int(shares.argmin())),
            "largest_class_share": share(predicted == int(shares.argmax())),
        }

    def _shares(self, predicted: np.ndarray, label: np.ndarray) -> dict[str, Any]:
        """Class → its share among samples and among real images."""
        names = self.spec.classes
        drawn, real = (class_metrics.share_intervals(part, len(names)) for part in (predicted, label))
        return {
            name: {"samples": mine.told(), "real": its.told()}
            for name, mine, its in zip(names, drawn, real, strict=True)
        }

    def _slices(self, compared: Comparison, predicted: np.ndarray, label: np.ndarray) -> dict[str, Metrics]:
        """Recall and coverage of each class's images, precision of the samples that look like it."""
        found: dict[str, Metrics] = {}
        for i, name in enumerate(self.spec.classes):
            mine, drawn = label == i, predicted == i
            own: Metrics = {}
            if mine.any():
                own |= {"recall": share(compared.reached[mine]), "coverage": share(compared.covered[mine])}
            if drawn.any():
                own["precision"] = share(compared.inside()[drawn])
            found[f"class {name}"] = own
        return found

    def _distances(
        self, drawn: Rows, real: Rows, predicted: np.ndarray, label: np.ndarray
    ) -> dict[str, Estimate]:
        """The Fréchet distance within each class, where both sides have enough images for an interval."""
        found = {}
        for i, name in enumerate(self.spec.classes):
            sides = [np.flatnonzero(which == i) for which in (predicted, label)]
            if min(map(len, sides)) >= max(PER_FEATURE * real.width, 2 * SHARDS):
                own, its = (rows.take(side) for rows, side in zip((drawn, real), sides, strict=True))
                found[f"class {name}"] = _frechet(ShardedMoments.of(own), ShardedMoments.of(its))
        return found


def _frechet(samples: ShardedMoments, real: ShardedMoments) -> Estimate:
    """The distance and its interval, which knows the noise of both sides. Two models are compared on one and
    the same held-out images, so what is left out for their difference are samples only: that noise falls
    as more are drawn."""
    found = frechet_interval(samples, real)
    if not found.estimable:
        return found
    reference = Reference(real.whole())
    without = tuple(frechet_distance(left, reference) for left in samples.without_each())
    return replace(found, without=without)


def _shared_folder() -> Path:
    """A folder of its own in MOZART_HOME, which workers elsewhere see too."""
    home().mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".evaluate-", dir=home()))
