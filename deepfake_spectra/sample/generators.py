"""The two generators of the built-in sample: their forward pass in plain NumPy, so that no user needs PyTorch.

    weights = load_generator("transposed_convolution")
    painted = resynthesise(photograph, weights)

They are small encoder-decoders that `deepfake_spectra.sample.train` trained to reproduce photographs, with an
adversarial loss. They differ in how they up-sample: by a transposed convolution, or by nearest neighbour and a
convolution.

They paint the same pixels on every processor. A sum of floats depends on its order, and that on the kernel which the
linear algebra library has for a processor. So weights are taken to whole multiples of 2^-24, features to whole
multiples of 2^-20: a product is one of 2^-44, and a sum below 2^9 is exact in float64, whatever its order.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import display_path

WEIGHTS_FOLDER = Path(__file__).parent
CHECKSUMS = {  # SHA-256 of the files that are shipped
    "transposed_convolution": "85db295a9555d253f8a09566d8d6963f5f38eb6bccc4afbde92eb4e0337f4977",
    "nearest_convolution": "3ed96321396c7cf4bb845428fed8514190ecb69445543b5101dacc2f84dd39c4",
}
WEIGHT_BITS, FEATURE_BITS = 24, 20  # after the binary point
PADDING = 32  # pixels, more than the 26 that a generator sees to each side of an output pixel


def load_generator(name: str) -> dict[str, np.ndarray]:
    """Return a shipped generator's weights, or raise ExperimentError where its file is not the one that was shipped."""
    path = WEIGHTS_FOLDER / f"{name}.npz"
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "of no file"
    if found != CHECKSUMS[name]:
        raise ExperimentError(
            f"{display_path(path)}: not the weights that are shipped, SHA-256 {found}; restore the file, or enter the "
            "SHA-256 of another in deepfake_spectra/sample/generators.py"
        )
    return read_weights(path)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Return the weights in a file, float32, by layer: `encoder_1.weight`, `encoder_1.bias`, ..."""
    with np.load(path, allow_pickle=False) as arrays:
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
    picture = np.pad(gray, padding, mode="reflect") / 127.5 - 1
    painted = generate(picture, weights)[PADDING : PADDING + height, PADDING : PADDING + width]
    return np.rint((np.clip(painted, -1, 1) + 1) * 127.5).astype(np.uint8)


def generate(picture: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return a generator's output for one picture (height, width), sides multiples of 4, values in -1 ... 1.

    Without clipping, and with zeros beyond the picture's border: the network itself, as it was trained, but for the
    rounding of weights and features. float64.
    """

    def layer(name, features):
        weight, bias = (_rounded(weights[f"{name}.{kind}"], WEIGHT_BITS) for kind in ("weight", "bias"))
        if name.endswith("transposed"):
            features = _convolve_transposed(features, weight, bias)
        else:
            features = _convolve(features, weight, bias, 2 if name.startswith("encoder") else 1)
        return _rounded(features, FEATURE_BITS)

    def double(features):
        return features.repeat(2, axis=1).repeat(2, axis=2)

    return forward(
        _rounded(picture[None], FEATURE_BITS), layer, _relu, double, "decoder_1_transposed.weight" in weights
    )[0]


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


def _rounded(values, bits):
    """Return values, float64, rounded to `bits` binary digits after the point."""
    return np.rint(np.multiply(values, 2**bits, dtype=np.float64)) / 2**bits


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
    result = np.zeros((len(bias), 2 * height + 2, 2 * width + 2))
    for row, column in np.ndindex(4, 4):
        tap = np.tensordot(weight[:, :, row, column].T, features, 1)
        result[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += tap
    return result[:, 1:-1, 1:-1] + bias[:, None, None]
