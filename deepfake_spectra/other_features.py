"""Features of a grey image beside the radial spectrum: sectors of its rings, what a median leaves, a difference.

Each is computed from pixels by one function, and kept on disk image by image, so that a run goes on where it stopped.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_spectra.alterations import alter
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.kept_arrays import kept_arrays
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import file_key, measured_by
from radial_spectrum import log_power_plane, radial_spectrum, ring_numbers

RINGS_TOGETHER = 8  # neighbouring rings of which a mean is taken
N_SECTORS = 8  # of half a plane; the first is centred on the horizontal axis


def rings_together(spectra: np.ndarray) -> np.ndarray:
    """Return the means over 8 neighbouring values, of the last ones over what is left: (..., n) to (..., n / 8)."""
    starts = np.arange(0, spectra.shape[-1], RINGS_TOGETHER)
    return np.add.reduceat(spectra, starts, axis=-1) / np.diff(starts, append=spectra.shape[-1])


def sector_spectrum(gray: np.ndarray) -> np.ndarray:
    """Return the mean log power over each sector of 8 neighbouring rings, from the lowest radius up.

    Parameters
    ----------
    gray : ndarray, (height, width)

    Returns
    -------
    ndarray of float64, (n,)
        Rings by the convention "published". Sector k of a ring is centred k * 180 / 8 degrees off the horizontal axis,
        and with it lies its mirror image about DC. Sectors in which no frequency lies, in the corners, are left out.
    """
    cells, counts = _cells(gray.shape)
    return (np.bincount(cells, log_power_plane(gray).ravel()) / counts)[1:]


def noise_residual(gray: np.ndarray) -> np.ndarray:
    """Return what the median over 3x3 pixels takes away, (height, width) int16."""
    return gray.astype(np.int16) - cv2.medianBlur(gray, 3)


def cross_difference(gray: np.ndarray) -> np.ndarray:
    """Return the difference over rows of the difference over columns, (height - 1, width - 1) int16."""
    return np.diff(np.diff(gray.astype(np.int16), axis=0), axis=1)


FEATURES = {
    "sectors": sector_spectrum,
    "residual": lambda gray: radial_spectrum(noise_residual(gray)),
    "cross-difference": lambda gray: radial_spectrum(cross_difference(gray)),
}


def load_features(
    folder: Path, paths: Sequence[str], alteration: str, cache_dir: Path, n_threads: int = -1
) -> dict[str, np.ndarray]:
    """Return {name in FEATURES: (n_images, n_values)} of images altered first, computing only what is not on disk.

    Parameters
    ----------
    folder : Path
    paths : sequence of str
        Of images that are known to be readable, relative to the folder.
    alteration : str
        As in `alterations.alter`.
    cache_dir : Path
        Gets a file for each image.
    n_threads : int

    Raises
    ------
    ExperimentError
        The images, as altered, are not of one size.
    """

    def features_of(path):
        key = json.dumps([*file_key(folder, path), alteration, _measured_by()])

        def compute():
            gray = alter(read_gray(folder / path).gray, alteration)
            return {name: function(gray) for name, function in FEATURES.items()}

        return kept_arrays(cache_dir, key, compute)

    title = ", ".join(filter(None, ("features", alteration)))
    with closing(in_threads(features_of, paths, n_threads)) as found:
        rows = list(tqdm(found, title, len(paths), unit="image", disable=None))
    if len({tuple(map(len, row.values())) for row in rows}) > 1:
        raise ExperimentError(
            f"{title}: the images are not of one size, so that their features cannot be compared; give them one by an "
            "alteration, as 'crop 512x512'"
        )
    return {name: np.stack([row[name] for row in rows]) for name in FEATURES}


@lru_cache(maxsize=2)
def _cells(shape):
    """Return the cell of each frequency, (height * width,), 0 for those in no kept ring, and the size of each cell."""
    rings = ring_numbers(shape)
    rows, columns = (np.arange(side) - side // 2 for side in shape)
    sectors = np.rint(np.arctan2(rows[:, None], columns) / np.pi * N_SECTORS).astype(int) % N_SECTORS
    cells = (rings - 1) // RINGS_TOGETHER * N_SECTORS + sectors
    cells[(rings == 0) | (rings == rings.max())] = -1
    cells = np.unique(cells, return_inverse=True)[1].ravel()
    return cells, np.bincount(cells)


@cache
def _measured_by():
    """Return what the features depend on besides file and alteration."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest(), measured_by()
