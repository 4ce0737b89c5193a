"""How many things run side by side."""

from __future__ import annotations

import os

import tensorflow as tf


def cores() -> int:
    """As many as TensorFlow runs operations: the cores that there are, unless somebody said otherwise."""
    return int(tf.config.threading.get_inter_op_parallelism_threads() or os.cpu_count() or 1)
