"""Pictures for tests, and the bytes of the files that hold them."""

import io

import numpy as np
from PIL import Image

from deepfake_spectra.opencv import cv2


def picture(seed=0, shape=(48, 64), blur=1.0):
    """Return noise, blurred, as grey uint8; no two seeds give the same."""
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), blur)


def colour_picture(seed=0, shape=(48, 64)):
    """Return three such pictures as the channels of one, (height, width, 3)."""
    return np.dstack([picture(3 * seed + channel, shape) for channel in range(3)])


def by_opencv(pixels, ending=".png", *flags):
    """Return the bytes of a file that OpenCV writes."""
    return cv2.imencode(ending, pixels, flags)[1].tobytes()


def by_pillow(pixels, kind, mode=None, **options):
    """Return the bytes of a file that Pillow writes, converted to a mode first."""
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def write_source(folder, n, shape=(48, 64), first_seed=0, blur=1.0):
    """Fill a folder with PNG pictures named 000.png, 001.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        (folder / f"{number:03}.png").write_bytes(by_opencv(picture(first_seed + number, shape, blur)))
