"""A small network in an ONNX file, written byte by byte: the mean of each channel, then a matrix of weights."""

import numpy as np


def mean_network(weights, side):
    """Return an ONNX file that makes (n, n_out) of pictures (n, 3, side, side): their channels' means times weights."""
    n_out, n_in = weights.shape
    tensor = _field(1, n_out) + _field(1, n_in) + _field(1, 1) + _field(1, 1)
    tensor += _field(2, 1) + _field(8, b"weights") + _field(9, weights.astype("<f4").tobytes())
    graph = _node("GlobalAveragePool", ["pictures"], "means") + _node("Conv", ["means", "weights"], "products")
    graph += _node("Flatten", ["products"], "features") + _field(2, b"means") + _field(5, tensor)
    graph += _field(11, _value("pictures", (1, n_in, side, side))) + _field(12, _value("features", (1, n_out)))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))


def _node(operation, inputs, output):
    body = b"".join(_field(1, name.encode()) for name in inputs)
    return _field(1, body + _field(2, output.encode()) + _field(4, operation.encode()))


def _value(name, shape):
    sizes = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, sizes)))


def _field(number, value):
    """Return a field of a protocol buffer: a whole number, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value):
    more, low = divmod(value, 128)
    return bytes([low | 128]) + _varint(more) if more else bytes([low])


def weights_of(n_out, n_in=3, seed=0):
    """Return random weights (n_out, n_in)."""
    return np.random.default_rng(seed).normal(size=(n_out, n_in)).astype(np.float32)
