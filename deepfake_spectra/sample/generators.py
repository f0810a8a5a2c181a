"""The two generators of the built-in sample: their forward pass in plain NumPy, so that no user needs PyTorch.

    weights = load_generator("transposed_convolution")
    painted = resynthesise(photograph, weights)

They are small encoder-decoders that `deepfake_spectra.sample.train` trained to reproduce photographs, with an
adversarial loss. They differ in how they up-sample: by a transposed convolution, or by nearest neighbour and a
convolution.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

WEIGHTS_FOLDER = Path(__file__).parent
PADDING = 32  # pixels, more than the 26 that a generator sees to each side of an output pixel


def load_generator(name: str, folder: Path = WEIGHTS_FOLDER) -> dict[str, np.ndarray]:
    """Return a generator's weights, float32, by layer: `encoder_1.weight`, `encoder_1.bias`, ..."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def resynthesise(gray: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return a whole photograph as a generator paints it.

    Parameters
    ----------
    gray : ndarray of uint8, (height, width)
        Both sides at least 36. It is padded by reflection, so that the zeros with which the convolutions pad do not
        reach the picture.
    weights : dict
        As `load_generator` gives them.

    Returns
    -------
    ndarray of uint8, (height, width)
    """
    height, width = gray.shape
    padding = [(PADDING, PADDING + -side % 4) for side in gray.shape]  # two halvings: the sides must be multiples of 4
    picture = np.pad(gray, padding, mode="reflect").astype(np.float32) / 127.5 - 1
    painted = generate(picture, weights)[PADDING : PADDING + height, PADDING : PADDING + width]
    return np.rint((np.clip(painted, -1, 1) + 1) * 127.5).astype(np.uint8)


def generate(picture: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return a generator's output for one float32 picture (height, width), sides multiples of 4, values in -1 ... 1.

    Without clipping, and with zeros beyond the picture's border: the network itself, as it was trained.
    """

    def layer(name, features):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if name.endswith("transposed"):
            return _convolve_transposed(features, weight, bias)
        return _convolve(features, weight, bias, 2 if name.startswith("encoder") else 1)

    def double(features):
        return features.repeat(2, axis=1).repeat(2, axis=2)

    return forward(picture[None], layer, _relu, double, "decoder_1_transposed.weight" in weights)[0]


def forward(features, layer: Callable, relu: Callable, double: Callable, is_transposed: bool):
    """Return a generator's output: the network, written once for NumPy here and for PyTorch in its training.

    Parameters
    ----------
    features : array or tensor, (..., 1, height, width)
    layer : (name, features) -> features
        A layer by the name that its weights have.
    relu, double : features -> features
        `double` is nearest neighbour, to twice the sides.
    is_transposed : bool
        Whether it up-samples by transposed convolutions; else by `double` and a convolution.

    Returns
    -------
    array or tensor, of the shape of `features`
    """
    features = relu(layer("encoder_2", relu(layer("encoder_1", features))))
    features = layer("bottleneck_out", layer("bottleneck_in", features))
    for block in ("residual_1", "residual_2"):
        features = features + layer(f"{block}_out", relu(layer(f"{block}_in", features)))
    for name in ("decoder_1", "decoder_2"):
        features = relu(layer(f"{name}_transposed", features) if is_transposed else layer(name, double(features)))
    return layer("output", features)


def _relu(features):
    """Return features with what is negative set to zero."""
    return np.maximum(features, 0)


def _convolve(features, weight, bias, stride):
    """Convolve (n_in, height, width) with (n_out, n_in, side, side), zeros beyond the border, one tap at a time."""
    side = weight.shape[-1]
    padding = (side - 1) // 2
    height, width = (length // stride for length in features.shape[1:])
    padded = np.pad(features, ((0, 0), (padding, padding), (padding, padding)))
    result = np.repeat(bias, height * width).reshape(-1, height, width)
    for row, column in np.ndindex(side, side):
        tap = padded[:, row : row + stride * height : stride, column : column + stride * width : stride]
        result += np.tensordot(weight[:, :, row, column], tap, 1)
    return result


def _convolve_transposed(features, weight, bias):
    """Up-sample (n_in, height, width) twice by a transposed convolution, (n_in, n_out, 4, 4), stride 2, padding 1."""
    _, height, width = features.shape
    result = np.zeros((len(bias), 2 * height + 2, 2 * width + 2), np.float32)
    for row, column in np.ndindex(4, 4):
        tap = np.tensordot(weight[:, :, row, column].T, features, 1)
        result[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += tap
    return result[:, 1:-1, 1:-1] + bias[:, None, None]
