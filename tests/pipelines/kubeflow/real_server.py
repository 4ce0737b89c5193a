"""The real Kubeflow server that MOZART_KFP_HOST may name, and the volume that recipes claim."""

from __future__ import annotations

import os

REAL = os.environ.get("MOZART_KFP_HOST", "")
CLAIM = "resources.workspace.claim=mozart-data"
