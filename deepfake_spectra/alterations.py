"""What is done to an image on its way to us, after its making: cropped, scaled, compressed, blurred, brightened.

    altered = alter(gray, "crop 128x128 + jpeg 75")

A detector of generated images should not notice any of this; a control experiment shows how much it does.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.clips import write_clip
from deepfake_spectra.errors import ExperimentError, UnreadableImage, UsageError
from deepfake_spectra.image_files import MOST_PIXELS
from deepfake_spectra.opencv import cv2
from deepfake_spectra.pillow import Image

FILTERS = ("area", "bilinear", "bicubic", "lanczos")
TIERS = {  # what commonly happens to an image in one go
    "web": "fit 768 + jpeg 60",
    "hard": "fit 512 + jpeg 40",
    "screenshot": "scale 0.8 lanczos",  # kept as PNG, which changes nothing
    "shared twice": "jpeg 75 + scale 0.75 lanczos + jpeg 60",
}

Shape = tuple[int, int]  # (height, width)


def alter(gray: np.ndarray, steps: str) -> np.ndarray:
    """Return a grey image after some steps, done in their order.

    Parameters
    ----------
    gray : ndarray, (height, width) uint8
    steps : str
        Joined by " + "; "" for none.

        `crop WxH`, `crop P%`
            The middle, of that size or of that share of either side.
        `resize WxH`
            By OpenCV: area when smaller, bicubic when larger.
        `scale F FILTER`, `fit N`
            Either side times F, at most 2; down to N pixels on the longer side, by Lanczos, never up. `area` averages
            what a new pixel covers, by OpenCV; `bilinear`, `bicubic` and `lanczos` are Pillow's, which on the way down
            are widened so that nothing aliases.
        `jpeg Q`, `webp Q`, `h264 CRF`
            Stored at libjpeg's quality, at libwebp's, or as the one frame, a key frame, of a 4:2:0 video by x264, and
            read back.
        `blur S`, `noise S`
            Convolved with a Gaussian of S pixels; plus Gaussian noise of S grey levels, which the pixels seed: the same
            image gets the same noise.
        `gain G`, `gamma G`
            Each pixel v becomes G v, clipped at 255, or 255 (v / 255)^G.
        `web`, `hard`, `screenshot`, `shared twice`
            See TIERS.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    UsageError
        A step that is none of these, or an empty one.
    UnreadableImage
        The image is smaller than a crop of it, or would be made larger than any that is read.
    ModuleNotFoundError
        `h264` without imageio-ffmpeg.
    """
    for step, value in parse_steps(steps) if steps else ():
        gray = step.change(gray, value)
    return gray


def altered_shape(shape: Shape, steps: str) -> Shape:
    """Return the (height, width) that `alter` gives an image of this shape."""
    for step, value in parse_steps(steps) if steps else ():
        shape = step.shape(shape, value)
    return shape


class Step(NamedTuple):
    """One kind of alteration."""

    change: Callable[[np.ndarray, str], np.ndarray]  # grey image, value -> grey image
    form: str  # a regular expression of its value
    shape: Callable[[Shape, str], Shape] = lambda shape, _: shape


def parse_steps(steps: str) -> list[tuple[Step, str]]:
    """Return [(step, value)] of the steps of `alter`, or raise UsageError for one that is empty or unknown."""
    parsed = []
    for text in steps.split(" + "):
        if text in TIERS:
            parsed += parse_steps(TIERS[text])
            continue
        name, _, value = text.partition(" ")
        step = _STEPS.get(name)
        if not step or not re.fullmatch(step.form, value):
            known = "'crop 104x128', 'resize 178x218', 'jpeg 50', 'blur 0.5', 'scale 0.5 lanczos', 'web'"
            raise UsageError(f"unknown alteration {text!r}; known are the likes of {known}, joined by ' + '")
        parsed.append((step, value))
    return parsed


def _crop(gray, value):
    """Cut the middle out."""
    height, width = _crop_shape(gray.shape, value)
    if width > gray.shape[1] or height > gray.shape[0]:
        raise UnreadableImage(f"{gray.shape[1]}x{gray.shape[0]}: smaller than the crop of {value}")
    top, left = (gray.shape[0] - height) // 2, (gray.shape[1] - width) // 2
    return gray[top : top + height, left : left + width]


def _crop_shape(shape, value):
    """Return the shape of a crop: "104x128" is 104 wide, "75%" a share of either side."""
    return _times(shape, int(value[:-1]) / 100) if value.endswith("%") else _given_shape(shape, value)


def _given_shape(_, value):
    """Return (128, 104) for "104x128"."""
    width, height = map(int, value.split("x"))
    return height, width


def _resize(gray, value):
    """Scale to a size by OpenCV."""
    height, width = _checked(_given_shape(None, value))
    shrinks = width * height < gray.size
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _scale(gray, value):
    """Scale by "0.5 lanczos"."""
    return _resampled(gray, _checked(_scaled_shape(gray.shape, value)), value.split()[1])


def _checked(shape):
    """Return a shape, if an image of it would be read from a file, too."""
    if shape[0] * shape[1] > MOST_PIXELS:
        raise UnreadableImage(f"{shape[1]}x{shape[0]}: more than {MOST_PIXELS:,} pixels")
    return shape


def _scaled_shape(shape, value):
    """Return the shape that "0.5 lanczos" gives."""
    return _times(shape, float(value.split()[0]))


def _fit(gray, value):
    """Scale down to "768" pixels on the longer side."""
    return _resampled(gray, _fitting_shape(gray.shape, value), "lanczos")


def _fitting_shape(shape, value):
    """Return the shape with "768" pixels at most on the longer side."""
    return _times(shape, min(1, int(value) / max(shape)))


def _times(shape, factor):
    """Return a shape times a factor, rounded half up; no side below 1."""
    return tuple(max(1, int(side * factor + 0.5)) for side in shape)


def _resampled(gray, shape, filter_name):
    """Return an image of another shape."""
    if gray.shape == shape:
        return gray
    if filter_name == "area":  # Pillow's BOX takes a pixel whole or not at all
        return cv2.resize(gray, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(Image.fromarray(gray).resize(shape[::-1], Image.Resampling[filter_name.upper()]))


def _jpeg(gray, quality):
    """Store as a grey JPEG, which keeps of a colour one all that a grey reader sees, and read it back."""
    return _stored(gray, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def _webp(gray, quality):
    """Store as WebP, whose luma has 220 levels, and read it back."""
    return _stored(gray, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality)


def _stored(gray, ending, quality_flag, quality):
    """Encode an image in memory and decode it."""
    encoded = cv2.imencode(ending, gray, [quality_flag, int(quality)])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def _h264(gray, crf):
    """Store as a clip of one frame, its sides made even by repeating the last line, and read it back."""
    height, width = gray.shape
    frame = np.pad(gray, ((0, height % 2), (0, width % 2)), "edge")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.mp4")
        write_clip(path, [frame], int(crf))
        is_read, frame = cv2.VideoCapture(str(path)).read()
    if not is_read:
        raise ExperimentError(f"{tempfile.gettempdir()}: ffmpeg wrote no whole file; is the disk full?")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[:height, :width]


def _blur(gray, sigma):
    """Blur with a Gaussian."""
    return cv2.GaussianBlur(gray, (0, 0), float(sigma))


def _noise(gray, sigma):
    """Add Gaussian noise, rounded and clipped with the image."""
    seed = int.from_bytes(hashlib.sha256(gray.tobytes()).digest())
    noise = np.random.default_rng(seed).standard_normal(gray.shape, np.float32)
    return np.rint(np.clip(gray + float(sigma) * noise, 0, 255)).astype(np.uint8)


def _gain(gray, factor):
    """Multiply."""
    return cv2.LUT(gray, _levels(float(factor) * np.arange(256)))


def _gamma(gray, exponent):
    """Raise to a power: above 1 it darkens."""
    return cv2.LUT(gray, _levels(255 * (np.arange(256) / 255) ** float(exponent)))


def _levels(values):
    """Return grey levels, rounded and clipped."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


_SIZE = r"[1-9]\d{0,3}x[1-9]\d{0,3}"  # a larger one would take all memory
_QUALITY = r"[1-9]\d?|100"
_ABOVE_0 = r"(?=.*[1-9])"
_STEPS = {
    "crop": Step(_crop, rf"{_SIZE}|[1-9]\d?%", _crop_shape),
    "resize": Step(_resize, _SIZE, _given_shape),
    "scale": Step(_scale, rf"{_ABOVE_0}(?:[01]?(?:\.\d+)?|2) (?:{'|'.join(FILTERS)})", _scaled_shape),
    "fit": Step(_fit, r"[1-9]\d{0,3}", _fitting_shape),
    "jpeg": Step(_jpeg, _QUALITY),
    "webp": Step(_webp, _QUALITY),
    "h264": Step(_h264, r"\d|[1-4]\d|5[01]"),
    "blur": Step(_blur, rf"{_ABOVE_0}\d{{0,2}}(\.\d+)?"),
    "noise": Step(_noise, rf"{_ABOVE_0}\d{{0,2}}(\.\d+)?"),
    "gain": Step(_gain, rf"{_ABOVE_0}\d(\.\d+)?"),
    "gamma": Step(_gamma, rf"{_ABOVE_0}\d(\.\d+)?"),
}
