"""What each number was measured on, beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.yardsticks import Metrics


def measured_on(metrics: Metrics, **protocol: Any) -> Metrics:
    """Each estimate with the protocol, of which `real` is how many real examples there were. Some metrics
    tell as `real` what they find in real examples: beside the protocol that is `real_value`."""
    found = {}
    for name, one in metrics.items():
        own = {"real_value" if key == "real" else key: value for key, value in one.extra.items()}
        found[name] = replace(one, extra={**protocol, **own})
    return found
