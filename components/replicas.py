"""What changes in a model that learns as several copies: gradients, noise, and whether the copies agree."""

from __future__ import annotations

from typing import Any

PRIME = 65521
OWN_STREAM = 7919  # added to a seed, times the device's number


def average_gradients(optimizer: Any) -> None:
    """Gradients are averaged over the devices first, and clipped and applied as one device's are.

    Keras adds them up, after clipping each alone.
    """
    import tensorflow as tf

    apply = optimizer.apply

    def averaged(grads: Any, trainable_variables: Any = None) -> Any:
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            grads = list(grads)
            there = [i for i, gradient in enumerate(grads) if gradient is not None]
            dense = [tf.convert_to_tensor(grads[i]) for i in there]  # of an embedding: rows by number
            for i, mean in zip(there, context.all_reduce(tf.distribute.ReduceOp.MEAN, dense), strict=True):
                grads[i] = mean
        return apply(grads, trainable_variables)

    optimizer.apply = averaged
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # that of a loss scale
    inner._all_reduce_sum_gradients = lambda pairs: pairs


def add_over_devices(variable: Any) -> None:
    """What each device adds to a variable that is a sum over devices is added once.

    Keras reads, adds and assigns, which adds up what was there before as well.
    """
    variable.assign_add = variable.value.assign_add


def own_stream(generator: Any) -> None:
    """Each device draws other noise; the first draws what one device alone would."""
    import tensorflow as tf

    following = generator.next

    def own(ordered: bool = True) -> Any:
        seed = following(ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        number = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([number * OWN_STREAM, tf.zeros_like(number)])

    generator.next = own


def mark(value: Any) -> Any:
    """A number that tells arrays apart, `[]` float64: a sum in which each place has its own weight."""
    import tensorflow as tf

    value = tf.convert_to_tensor(value)
    if value.dtype.is_integer:  # of any size: a large one must not hide a small difference
        value = tf.math.floormod(tf.cast(value, tf.int64), PRIME)
    flat = tf.reshape(tf.cast(value, tf.float64), [-1])
    return tf.reduce_sum(flat * tf.cos(tf.cast(tf.range(tf.size(flat)), tf.float64)))
