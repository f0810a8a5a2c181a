"""One file, or one grey image -> what is kept of it: its spectrum at its own length, its header, its SHA-256."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.alterations import alter, altered_shape
from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.image_files import read_gray
from radial_spectrum import (
    SMALLEST_SIDE,
    centre_third,
    normalise_by_first,
    radial_spectrum,
    resample_spectrum,
    spectrum_radii,
)


class Measured(NamedTuple):
    """What is computed, and cached, of one file."""

    spectrum: np.ndarray  # (n,) float64, neither resampled nor normalised
    header: np.void  # one IMAGE_HEADER
    remarks: tuple[str, ...]  # keys of `image_files.REMARKS`
    sha256: str


def measure_features(path: Path, features: Sequence[Feature]) -> list[Measured | UnreadableImage]:
    """Return what is kept of one image file for several features, or the reasons why not, decoding it once."""
    try:
        image = read_gray(path)
    except UnreadableImage as reason:
        return [reason] * len(features)
    found = []
    for feature in features:
        try:
            found.append(Measured(measure_spectrum(image.gray, feature), *image[1:]))
        except UnreadableImage as reason:
            found.append(reason)
    return found


def measure_spectrum(gray: np.ndarray, feature: Feature) -> np.ndarray:
    """Return the spectrum of one grey image (height, width) at its own length, neither resampled nor normalised.

    Raises
    ------
    UnreadableImage
        What is left of the image after alteration and crop is blank, too small, or too wide for the convention.
    """
    part = alter(gray, feature.alteration)
    if feature.crop == "centre_third":
        part = centre_third(part)
    if min(part.shape) < SMALLEST_SIDE:
        once = ", too small once altered or cropped" if min(gray.shape) >= SMALLEST_SIDE else ""
        raise UnreadableImage(f"{gray.shape[1]}x{gray.shape[0]}{once}: needs two sides of at least {SMALLEST_SIDE}")
    if part.min() == part.max():
        once = "" if part is gray else " once altered or cropped"
        raise UnreadableImage(f"blank: every pixel is {part[0, 0]}{once}")
    try:
        precision = np.dtype(feature.precision).type
        return radial_spectrum(part, feature.convention, precision).astype(precision).astype(np.float64)  # as on disk
    except ValueError as error:
        raise UnreadableImage(str(error)) from None


def feature_of(gray: np.ndarray, feature: Feature) -> np.ndarray:
    """Return the row (n_bins,) that a data set of this feature, n_bins given, holds of a grey image (height, width).

    Raises
    ------
    UnreadableImage
        See `measure_spectrum`; or the spectrum begins with zero and cannot be normalised.
    """
    spectrum = resample_spectrum(measure_spectrum(gray, feature), feature.n_bins)
    try:
        return normalise_by_first(spectrum) if feature.normalise else spectrum
    except ValueError as error:
        raise UnreadableImage(str(error)) from None


@lru_cache(maxsize=1024)
def spectrum_length(shape: tuple[int, int], feature: Feature) -> int:
    """Return how many values the spectrum of a (height, width) image has; ValueError where there is none."""
    height, width = altered_shape(shape, feature.alteration)
    if feature.crop == "centre_third":
        height, width = height - 2 * (height // 3), width - 2 * (width // 3)
    return len(spectrum_radii((height, width), feature.convention))
