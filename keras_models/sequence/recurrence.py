"""Recurrences h_t = f(x_t, h_{t-1}) as one loop of small products, with gradients written by hand.

Everything that does not wait for h_{t-1} is outside the loop: the inputs' products are hoisted (one large
product over all steps) and so is the gradient of the recurrent kernel, dU = sum_t h_{t-1}^T dz_t. Arrays are
`[time, batch, units]`. Padding behind a sequence's end never reaches back, so it needs no mask here.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

States = tuple[Any, ...]  # of one layer; the first is its output


class RNN:
    """h_t = tanh(a_t + U h_{t-1}); Elman 1990. `a` is the inputs' product, bias included."""

    blocks, states, has_bias = 1, 1, False
    open_block: int | None = None

    @staticmethod
    def step(inputs: Any, recurrent: Any, before: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """One step: the new states, the first of them the output, and what the way back needs `[B, n]`."""
        after = tf.tanh(inputs + recurrent)
        return (after,), after

    @staticmethod
    def back(
        upstream: tuple[Any, ...], saved: Any, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """Gradients of the inputs' product, of the recurrent product, and of the states before as far as
        they do not go through the recurrent product."""
        dz = upstream[0] * (1 - tf.square(after[0]))
        return dz, dz, (tf.zeros_like(dz),)


class LSTM:
    """Gates i, f, o = sigmoid, g = tanh; c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000. Blocks: i, f, g, o.
    """

    blocks, states, has_bias = 4, 2, False
    open_block = 1  # its bias begins at 1: a gate that forgets at first learns slowly (Gers et al. 2000)

    @staticmethod
    def step(inputs: Any, recurrent: Any, before: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """See RNN.step."""
        i, f, g, o = tf.split(inputs + recurrent, 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        cell = f * before[1] + i * g
        return (o * tf.tanh(cell), cell), tf.concat([i, f, g, o], axis=-1)

    @staticmethod
    def back(
        upstream: tuple[Any, ...], saved: Any, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """See RNN.back."""
        i, f, g, o = tf.split(saved, 4, axis=-1)
        squashed = tf.tanh(after[1])
        dc = upstream[1] + upstream[0] * o * (1 - tf.square(squashed))
        dz = tf.concat(
            [
                dc * g * i * (1 - i),
                dc * before[1] * f * (1 - f),
                dc * i * (1 - tf.square(g)),
                upstream[0] * squashed * o * (1 - o),
            ],
            axis=-1,
        )
        return dz, dz, (tf.zeros_like(dc), dc * f)


class GRU:
    """Gates z, r = sigmoid; n = tanh(a_n + r (U_n h_{t-1} + b)); h_t = z h_{t-1} + (1 - z) n.

    Cho et al. 2014, the reset behind the product as cuDNN and PyTorch have it. Blocks: z, r, n.
    """

    blocks, states, has_bias = 3, 1, True
    open_block = 0

    @staticmethod
    def step(inputs: Any, recurrent: Any, before: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        """See RNN.step."""
        z, r, n = tf.split(inputs, 3, axis=-1)
        z_h, r_h, n_h = tf.split(recurrent, 3, axis=-1)
        z, r = tf.sigmoid(z + z_h), tf.sigmoid(r + r_h)
        n = tf.tanh(n + r * n_h)
        return (z * before[0] + (1 - z) * n,), tf.concat([z, r, n, n_h], axis=-1)

    @staticmethod
    def back(
        upstream: tuple[Any, ...], saved: Any, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        """See RNN.back."""
        z, r, n, n_h = tf.split(saved, 4, axis=-1)
        dn = upstream[0] * (1 - z) * (1 - tf.square(n))
        dz = upstream[0] * (before[0] - n) * z * (1 - z)
        dr = dn * n_h * r * (1 - r)
        return tf.concat([dz, dr, dn], -1), tf.concat([dz, dr, dn * r], -1), (upstream[0] * z,)


class RecurrentLayer(keras.layers.Layer):
    """The weights of one layer of a cell."""

    def __init__(self, cell: Any, inputs: int, units: int, name: str) -> None:
        super().__init__(name=name)
        self.cell, self.units, width = cell, units, cell.blocks * units
        self.kernel = self.add_weight(name="kernel", shape=(inputs, width))
        self.recurrent = self.add_weight(name="recurrent", shape=(units, width), initializer="orthogonal")
        self.bias = self.add_weight(name="bias", shape=(width,), initializer=self._first_bias)
        self.recurrent_bias: Any = None
        if cell.has_bias:
            self.recurrent_bias = self.add_weight(name="recurrent_bias", shape=(width,), initializer="zeros")
        self.built = True

    def _first_bias(self, shape: Any, dtype: Any = None) -> Any:
        blocks = [float(block == self.cell.open_block) for block in range(self.cell.blocks)]
        return tf.repeat(tf.constant(blocks), self.units)

    def project(self, hidden: Any) -> Any:
        """The kernel's product `[T, B, width]` of what the layer below gives, `[T, B, inputs]`."""
        half = tf.cast(hidden, self.compute_dtype)
        return tf.cast(tf.tensordot(half, tf.cast(self.kernel, self.compute_dtype), 1), hidden.dtype)

    def whole(self, inputs: Any, state: States) -> States:
        """All states, each `[T, B, units]`; `inputs` is `[T, B, width]`, the kernel applied, no bias."""
        return recur(self.cell, inputs + self.bias, *self._recurrent(), state)

    def one(self, inputs: Any, state: States) -> States:
        """The states `[B, units]` behind one step."""
        return advance(self.cell, inputs + self.bias, *self._recurrent(), state)

    def _recurrent(self) -> tuple[Any, Any]:
        bias = self.bias if self.recurrent_bias is None else self.recurrent_bias
        return tf.cast(self.recurrent, self.compute_dtype), tf.convert_to_tensor(bias)


def recur(cell: Any, inputs: Any, kernel: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """All states of a layer, each `[T, B, units]`; the first is its output.

    Args:
        cell: RNN, LSTM or GRU.
        inputs: the inputs' product with its bias, `[T, B, blocks * units]`.
        kernel: U, `[units, blocks * units]`; its products are of its dtype, all else is of the inputs'.
        bias: of the recurrent product, `[blocks * units]`; used by cells that have one.
        state: the states before the first step, each `[B, units]`.
    """

    @tf.custom_gradient
    def run(inputs: Any, kernel: Any, bias: Any, *state: Any) -> Any:
        after, saved = _forward(cell, inputs, kernel, bias, state)

        def gradient(*upstream: Any) -> Any:
            before = tuple(
                tf.concat([first[None], states[:-1]], axis=0)
                for first, states in zip(state, after, strict=True)
            )
            return _backward(cell, kernel, saved, before, after, upstream)

        return after, gradient

    return run(inputs, kernel, bias, *state)


def advance(cell: Any, inputs: Any, kernel: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """One step of `recur`: inputs `[B, blocks * units]`, states `[B, units]` to states."""
    return cell.step(inputs, _product(cell, state[0], kernel, bias), state)[0]


def _product(cell: Any, hidden: Any, kernel: Any, bias: Any) -> Any:
    product = tf.cast(tf.matmul(tf.cast(hidden, kernel.dtype), kernel), hidden.dtype)
    return product + bias if cell.has_bias else product


def _forward(
    cell: Any, inputs: Any, kernel: Any, bias: Any, state: tuple[Any, ...]
) -> tuple[tuple[Any, ...], Any]:
    """All states, each `[T, B, units]`, and what the way back needs, `[T, B, n]`."""
    steps = tf.shape(inputs)[0]

    def step(t: Any, before: tuple[Any, ...], written: tuple[Any, ...]) -> tuple[Any, ...]:
        after, saved = cell.step(inputs[t], _product(cell, before[0], kernel, bias), before)
        values = (*after, saved)
        return (
            t + 1,
            after,
            tuple(array.write(t, value) for array, value in zip(written, values, strict=True)),
        )

    written = tuple(tf.TensorArray(inputs.dtype, steps) for _ in range(cell.states + 1))
    loop = (tf.constant(0), tuple(state), written)
    *_, written = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
    *after, saved = (array.stack() for array in written)
    return tuple(after), saved


def _backward(
    cell: Any,
    kernel: Any,
    saved: Any,
    before: tuple[Any, ...],
    after: tuple[Any, ...],
    upstream: tuple[Any, ...],
) -> tuple[Any, ...]:
    """Gradients of inputs, kernel, bias and the first states."""
    steps = tf.shape(saved)[0]
    transposed = tf.transpose(kernel)

    def at(t: Any, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(array[t] for array in arrays)

    def step(t: Any, later: tuple[Any, ...], written: tuple[Any, ...]) -> tuple[Any, ...]:
        total = tuple(now + then for now, then in zip(at(t, upstream), later, strict=True))
        d_inputs, d_recurrent, d_before = cell.back(total, saved[t], at(t, before), at(t, after))
        through = tf.cast(tf.matmul(tf.cast(d_recurrent, kernel.dtype), transposed), d_recurrent.dtype)
        values = (d_inputs, d_recurrent) if cell.has_bias else (d_inputs,)
        written = tuple(array.write(t, value) for array, value in zip(written, values, strict=True))
        return t - 1, (d_before[0] + through, *d_before[1:]), written

    arrays = tuple(tf.TensorArray(saved.dtype, steps) for _ in range(2 if cell.has_bias else 1))
    loop = (steps - 1, tuple(tf.zeros_like(states[0]) for states in before), arrays)
    _, first, arrays = tf.while_loop(lambda t, *_: t >= 0, step, loop, maximum_iterations=steps)
    d_inputs, d_recurrent = arrays[0].stack(), arrays[-1].stack()
    units, width = tf.shape(kernel)[0], tf.shape(kernel)[1]
    flat = tf.reshape(d_recurrent, (-1, width))
    hidden = tf.cast(tf.reshape(before[0], (-1, units)), kernel.dtype)
    d_kernel = tf.matmul(hidden, tf.cast(flat, kernel.dtype), transpose_a=True)
    d_bias = tf.reduce_sum(flat, axis=0) if cell.has_bias else tf.zeros_like(flat[0])
    return d_inputs, d_kernel, d_bias, *first
