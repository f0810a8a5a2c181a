"""Images for a generator to learn from: central squares, averaged down to one size, in colour."""

import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from deepfake_spectra.errors import ExperimentError, UnreadableImage
from deepfake_spectra.face_crops import image_crops
from deepfake_spectra.files import display_path
from deepfake_spectra.image_files import decode_colour, file_content, list_images
from deepfake_spectra.image_spectra import refuse_too_many
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.sample.build import PHOTOGRAPHS, load_photograph


class ScaledImages(NamedTuple):
    """Images of one size, and where they are from; all share their order."""

    pictures: np.ndarray  # (n, side, side, 3) uint8, red, green, blue
    paths: list[str]  # relative to the folder
    digests: list[str]  # SHA-256 of each file
    skipped: list[tuple[str, str]]  # (path, reason)
    n_copies: int  # of pictures that are there already, left out

    def digest(self) -> str:
        """Return the SHA-256 of the pictures in their order: the same for a folder that was moved or touched."""
        return hashlib.sha256(np.ascontiguousarray(self.pictures)).hexdigest()


def load_scaled(
    folder: Path, side: int, n_images: int, seed: int, max_unreadable: float, n_threads: int
) -> ScaledImages:
    """Return the images of a folder in the order of a draw, less those that cannot be used, and copies.

    Parameters
    ----------
    folder : Path
        Searched recursively.
    side : int
        Pixels. Smaller images are not enlarged, but skipped.
    n_images : int
        To draw at most.
    seed : int
        Of the draw.
    max_unreadable : float
        Share of the files drawn, and of those that only end like images, that may be skipped.
    n_threads : int

    Raises
    ------
    ExperimentError
        No image, or too many that cannot be used.
    """
    paths, others = list_images(folder)
    order = np.random.default_rng(seed).permutation(len(paths))[:n_images]
    drawn = [paths[number] for number in order]
    skipped = [(path.relative_to(folder).as_posix(), reason) for path, reason in others]
    kept, n_copies = {}, 0
    results = in_threads(partial(_scaled, side=side), drawn, n_threads)
    for path, result in zip(drawn, tqdm(results, "images", len(drawn), unit="image", disable=None, leave=False)):
        name = path.relative_to(folder).as_posix()
        if isinstance(result, UnreadableImage):
            skipped.append((name, str(result)))
            continue
        picture, digest = result
        pixels = picture.tobytes()
        n_copies += pixels in kept
        kept.setdefault(pixels, (name, digest))
    if not kept:
        why = f": {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise ExperimentError(f"{display_path(folder)}: found no image of {side}x{side} pixels or more{why}")
    refuse_too_many(skipped, len(drawn) + len(others), max_unreadable)
    pictures = np.frombuffer(b"".join(kept), np.uint8).reshape(-1, side, side, 3)
    names, digests = map(list, zip(*kept.values()))
    return ScaledImages(pictures, names, digests, skipped, n_copies)


def tiles_of_photographs(side: int, n_images: int, seed: int) -> ScaledImages:
    """Return tiles of the built-in sample's photographs in the order of a draw, grey in three channels, never scaled.

    Pictures (n, side, side, 3); their paths are `<photograph>_<number>`, their digests those of the pixels.
    """
    tiles = {}
    for photo in PHOTOGRAPHS:
        gray = load_photograph(photo.name)
        rows, columns = (length // side for length in gray.shape)
        of_photo = gray[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
        tiles |= {f"{photo.name}_{number:03}": tile for number, tile in enumerate(of_photo.reshape(-1, side, side))}
    names = sorted(tiles)
    drawn = [names[number] for number in np.random.default_rng(seed).permutation(len(names))[:n_images]]
    pictures = np.stack([tiles[name] for name in drawn])
    digests = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    return ScaledImages(np.repeat(pictures[..., None], 3, axis=3), drawn, digests, [], 0)


def _scaled(path, side):
    """Return the scaled central square of an image and the SHA-256 of its file, or the reason why there is none."""
    try:
        content = file_content(path)
        pixels = decode_colour(content)
    except UnreadableImage as reason:
        return reason
    if min(pixels.shape[:2]) < side:
        return UnreadableImage(f"{pixels.shape[1]}x{pixels.shape[0]}, smaller than {side}x{side}")
    [square] = image_crops(pixels, "centre")
    small = cv2.resize(square.image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB), hashlib.sha256(content).hexdigest()
