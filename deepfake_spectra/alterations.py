"""What is done to an image on its way to us, after its making: cropped, scaled, compressed, blurred.

    altered = alter(gray, "crop 128x128 + jpeg 75")

A detector of generated images should not notice any of this; a control experiment shows how much it does.
"""

import re
from collections.abc import Callable

import numpy as np

from deepfake_spectra.errors import UnreadableImage, UsageError
from deepfake_spectra.opencv import cv2


def alter(gray: np.ndarray, steps: str) -> np.ndarray:
    """Return a grey image after some steps, done in their order.

    Parameters
    ----------
    gray : ndarray, (height, width) uint8
    steps : str
        Joined by " + "; "" for none. `crop WxH` cuts out the middle, `resize WxH` scales by area when smaller and
        bicubically when larger, `jpeg Q` stores at libjpeg quality Q and reads back, `blur S` convolves with a
        Gaussian of S pixels.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    UsageError
        A step that is none of these, or an empty one.
    UnreadableImage
        The image is smaller than a crop of it.
    """
    for step, value in parse_steps(steps) if steps else ():
        gray = step(gray, value)
    return gray


def parse_steps(steps: str) -> list[tuple[Callable, str]]:
    """Return [(function, value)] of the steps of `alter`, or raise UsageError for one that is empty or unknown."""
    parsed = []
    for text in steps.split(" + "):
        name, _, value = text.partition(" ")
        function, form = _STEPS.get(name, (None, ""))
        if not function or not re.fullmatch(form, value):
            known = "'crop 104x128', 'resize 178x218', 'jpeg 50', 'blur 0.5', joined by ' + '"
            raise UsageError(f"unknown alteration {text!r}; known are the likes of {known}")
        parsed.append((function, value))
    return parsed


def _crop(gray, size):
    """Cut the middle out; "104x128" is 104 wide."""
    width, height = map(int, size.split("x"))
    if width > gray.shape[1] or height > gray.shape[0]:
        raise UnreadableImage(f"{gray.shape[1]}x{gray.shape[0]}: smaller than the crop of {size}")
    top, left = (gray.shape[0] - height) // 2, (gray.shape[1] - width) // 2
    return gray[top : top + height, left : left + width]


def _resize(gray, size):
    """Scale to "178x218", 178 wide."""
    width, height = map(int, size.split("x"))
    shrinks = width * height < gray.size
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _jpeg(gray, quality):
    """Store as a grey JPEG, which keeps of a colour one all that a grey reader sees, and read it back."""
    encoded = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def _blur(gray, sigma):
    """Blur with a Gaussian."""
    return cv2.GaussianBlur(gray, (0, 0), float(sigma))


_SIZE = r"[1-9]\d{0,3}x[1-9]\d{0,3}"  # a larger one would take all memory
_STEPS = {  # name: function, form of its value
    "crop": (_crop, _SIZE),
    "resize": (_resize, _SIZE),
    "jpeg": (_jpeg, r"[1-9]\d?|100"),
    "blur": (_blur, r"(?=.*[1-9])\d{0,2}(\.\d+)?"),
}


def altered_shape(shape: tuple[int, int], steps: str) -> tuple[int, int]:
    """Return the (height, width) that `alter` gives an image of this shape."""
    for step, value in parse_steps(steps) if steps else ():
        if step in (_crop, _resize):
            shape = tuple(map(int, reversed(value.split("x"))))
    return shape
