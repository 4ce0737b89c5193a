"""Runs a compiled pipeline here, from its YAML alone, in a process of its own: `python -m ... FILE ROOT`.

Prints the outputs' folder; what Kubeflow's pods are given beyond the environment is ignored.
"""

from __future__ import annotations

import os
import sys


def main(file: str, root: str) -> None:
    """Runs `file` with its default parameters; artifacts come under `root`."""
    from kfp import components, local

    from pipelines.step_process import environment

    os.environ.update(environment())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root)
    components.load_component_from_file(file)()


if __name__ == "__main__":
    main(*sys.argv[1:])
