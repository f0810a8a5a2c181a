"""Images and spectra made in any number, to measure what many of them take: none of them shows anything."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from deepfake_spectra.dataset import FAKE, IMAGE_HEADER, REAL, Feature, ImageFolder
from deepfake_spectra.image_files import MOST_PIXELS, decode_gray
from deepfake_spectra.measurement import Measured, measure_spectrum, spectrum_length
from deepfake_spectra.opencv import cv2
from deepfake_spectra.spectrum_cache import IMAGES_PER_SHARD, SpectrumCache, file_key, measured_by
from radial_spectrum import SMALLEST_SIDE

FEATURE = Feature()
SOURCES = {"real_0": REAL, "fake_0": FAKE, "real_1": REAL, "fake_1": FAKE}
FILES_PER_FOLDER = 1000
LINKS_PER_FILE = 1000  # NTFS takes 1,023 to one file, ext4 65,000
CLASS_DIFFERENCE = 0.2  # in the highest quarter of a made spectrum, whose noise is 1: some nine of ten are told apart
PLACES = 1000  # in a row and in a column, at which images are cut out of one picture


def image_folder(folder: Path, cache: str = "spectra") -> ImageFolder:
    """Return made images as an experiment has them; their spectra lie in `folder / cache`."""
    return ImageFolder(folder / "images", SOURCES, folder / cache)


def image_name(number: int) -> str:
    """Return the path of an image below the data folder; the sources take turns."""
    return f"{list(SOURCES)[number % len(SOURCES)]}/{number // FILES_PER_FOLDER:04}/{number:07}.jpg"


def side_of(n_bins: int) -> int:
    """Return the least side of a square image whose spectrum has so many values; ValueError where there is none."""
    for side in range(max(SMALLEST_SIDE, int(1.41 * n_bins)), int(1.42 * n_bins) + 10):
        if side**2 <= MOST_PIXELS and spectrum_length((side, side), FEATURE) == n_bins:
            return side
    raise ValueError(f"no image of at most {MOST_PIXELS:,} pixels has a spectrum of {n_bins} values")


def one_over_f(noise: np.ndarray) -> np.ndarray:
    """Return noise (..., height, width) with the 1/f amplitude of photographs, of mean 0 and standard deviation 1."""
    from scipy import fft  # `--help` needs none of it

    shape = noise.shape[-2:]
    frequencies = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1]))
    frequencies[0, 0] = np.inf  # no mean
    planes = fft.irfft2(fft.rfft2(noise) / frequencies, shape)
    return planes / planes.std(axis=(-2, -1), keepdims=True)


def write_images(folder: Path, numbers: Iterable[int], side: int, seed: int) -> None:
    """Write JPEGs with the 1/f amplitude of photographs, up to PLACES^2 of them, all with pixels of their own."""
    noise = np.random.default_rng(seed).standard_normal((side + PLACES, side + PLACES), dtype=np.float32)
    picture = cv2.merge([(128 + 50 * one_over_f(noise)).clip(0, 255).astype(np.uint8)] * 3)
    for number in numbers:
        row, column = divmod(number * 7919 % PLACES**2, PLACES)  # a prime: every place once, and neighbours far apart
        path = folder / image_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", picture[row : row + side, column : column + side])[1])


def made_spectra(numbers: range, n_bins: int, seed: int) -> np.ndarray:
    """Return spectra (n, n_bins) that fall as those of photographs do, each at a level and a slope of its own."""
    random = np.random.default_rng((seed, numbers.start))
    radii = np.linspace(0, 1, n_bins)
    level, slope = random.standard_normal((2, len(numbers), 1))
    labels = np.resize(list(SOURCES.values()), numbers.stop)[numbers.start :, None]
    spectra = random.standard_normal((len(numbers), n_bins))
    spectra += 240 - 120 * radii**0.5 + 10 * level + 10 * slope * radii
    return spectra + CLASS_DIFFERENCE * (labels == FAKE) * (radii > 0.75)


def simulate(folder: Path, n_rows: int, n_bins: int, seed: int) -> None:
    """Fill an image folder with so many names of a few files, and its cache with made spectra of them.

    The cache is as if all had been measured: shards, headers, and a SHA-256 for each name, as if no two were equal.
    """
    images, linked, side = image_folder(folder), folder / "linked", side_of(n_bins)
    write_images(linked, range(-(-n_rows // LINKS_PER_FILE)), SMALLEST_SIDE, seed)
    header = np.array((side, side, "JPEG", 95, "4:2:0"), IMAGE_HEADER)[()]
    for number in range(0, n_rows, FILES_PER_FOLDER):
        for place in range(len(SOURCES)):
            (images.path / image_name(number + place)).parent.mkdir(parents=True, exist_ok=True)
    cache = SpectrumCache(images.cache_dir, FEATURE)
    for start in range(0, n_rows, IMAGES_PER_SHARD):
        numbers = range(start, min(start + IMAGES_PER_SHARD, n_rows))
        for number, spectrum in zip(numbers, made_spectra(numbers, n_bins, seed)):
            name = image_name(number)
            os.link(linked / image_name(number // LINKS_PER_FILE), images.path / name)
            digest = hashlib.sha256(name.encode()).hexdigest()
            cache.add(file_key(images.path, name), Measured(spectrum, header, (), digest))
    cache.flush()


def load_packages() -> None:
    """Read and measure one image, as a run does: what follows waits for no package to be loaded."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    measure_spectrum(decode_gray(cv2.imencode(".jpg", noise)[1].tobytes()).gray, FEATURE)
    measured_by()
