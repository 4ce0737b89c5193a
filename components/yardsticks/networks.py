"""Which network looks at the images of a data set, and whether it is to be trusted."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from components.settings import EvaluateSettings
from keras_models.spec import Spec

SPLITS = ("validation", "test")


def network_for(
    spec: Spec, data: dict[str, dict[str, np.ndarray]], settings: EvaluateSettings
) -> tuple[Any, dict[str, Any] | None]:
    """The network and its facts: name, how good it is on unseen images, whether that is enough.

    Trust decides a gate, so the validation split is asked and the test split only told.
    """
    if settings.inception:
        return _inception(settings)
    if len(spec.classes) > 1:
        return _classifier(spec, data, settings)
    return _encoder(data, settings)


def _classifier(
    spec: Spec, data: dict[str, dict[str, np.ndarray]], settings: EvaluateSettings
) -> tuple[Any, dict[str, Any]]:
    from components.classifier import train_classifier

    train = data["train"]
    network = train_classifier(
        train["x"], train["label"], len(spec.classes), settings.classifier_epochs, settings.seed
    )
    facts: dict[str, Any] = {"name": network.name, "learnt": "the labels of the training split"}
    for split in SPLITS:
        facts[f"{split}_accuracy"] = network.accuracy(data[split]["x"], data[split]["label"])
    facts["trusted"] = facts["validation_accuracy"] >= settings.classifier_accuracy
    return network, facts


def _encoder(
    data: dict[str, dict[str, np.ndarray]], settings: EvaluateSettings
) -> tuple[Any, dict[str, Any] | None]:
    from components.encoder import train_encoder

    network = train_encoder(data["train"]["x"], seed=settings.seed)
    facts: dict[str, Any] = {"name": network.name, "learnt": "the training split without labels"}
    for split in SPLITS:
        facts[f"{split}_completion"] = network.completion(data[split]["x"], settings.seed)
    facts["trusted"] = facts["validation_completion"] >= settings.encoder_completion
    return network, facts


def _inception(settings: EvaluateSettings) -> tuple[Any, dict[str, Any]]:
    from components.feature_networks import compatibility
    from components.inception import make_inception
    from components.weights import PUBLISHED

    sha256 = settings.inception_sha256 or PUBLISHED["inception"].sha256
    resize: Literal["tensorflow1", "pillow"] = (
        "pillow" if settings.compatibility == "clean-fid" else "tensorflow1"
    )
    network = make_inception(settings.inception, sha256, resize)
    facts = {
        "name": network.name,
        "learnt": "ImageNet; weights given by the user",
        "trusted": True,
        "choices": compatibility(settings.compatibility or "torch-fidelity").told(),
    }
    return network, facts
