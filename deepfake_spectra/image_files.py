"""Image files: found by content, read in grey as the paper read them, with what their headers tell."""

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import IMAGE_HEADER
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.opencv import cv2
from deepfake_spectra.pillow import ExifTags, Image, JpegImagePlugin

IMAGE_ENDINGS = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"}
READ_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MOST_PIXELS = 100_000_000  # larger ones are refused from their header: the transform would need more than 3 GB
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: `read_gray` gives the reason, if there is one
logging.getLogger("PIL").addHandler(logging.NullHandler())  # likewise, of TIFF

REMARKS = {  # what had to be changed on reading: key -> how to say it
    "16-bit": "16 bits a channel, reduced to 8 as the paper's reader does",
    "alpha": "transparency ignored",
    "CMYK": "CMYK, converted to grey",
    "grey": "grey already",
    "turned": "turned or mirrored as the EXIF tag asks",
}


class GrayImage(NamedTuple):
    """An image as the paper reads it, and what its header says."""

    gray: np.ndarray  # (height, width) uint8
    header: np.void  # one IMAGE_HEADER
    remarks: tuple[str, ...]  # keys of REMARKS
    sha256: str  # of the file's bytes: says whether somebody else's data is the same


def read_gray(path: Path) -> GrayImage:
    """Return an image as `cv2.imread(path, cv2.IMREAD_GRAYSCALE)` gives it, and what its header says.

    Raises
    ------
    UnreadableImage
        Not an image, cut short, animated, of 32 bits a channel, or of a size that has no spectrum.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(error.strerror) from None
    return decode_gray(content)


def decode_gray(content: bytes) -> GrayImage:
    """Return what `read_gray` does, from the bytes of the file."""
    header, remarks = _read_header(content)
    # imdecode, not imread: it refuses a JPEG cut short, where imread fills in grey and returns a full picture
    try:
        gray = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # a size that Pillow read otherwise
        gray = None
    if gray is None:
        raise UnreadableImage(f"cut short or damaged {header['format']}")
    return GrayImage(gray, header, remarks, hashlib.sha256(content).hexdigest())


def list_images(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the images under a folder, sorted, and (path, reason) of the files that only have an image's ending."""
    images, skipped = [], []
    for path in visible_files(folder):
        if looks_like_image(path):
            images.append(path)
        elif path.suffix.lower() in IMAGE_ENDINGS:
            skipped.append((path, "not an image" if path.stat().st_size else "empty file"))
    return sorted(images), sorted(skipped)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files under a folder, and links to nothing: they are to be named.

    Hidden files and folders are passed over, and so are pipes and devices. Links to folders are not followed.
    """
    for directory, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(directory, name) for name in names if not name.startswith(".")):
            if path.is_file() or not path.exists():
                yield path


def looks_like_image(path: Path) -> bool:
    """Tell from its first bytes whether a file is JPEG, PNG, BMP, TIFF, WebP or GIF."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return path.suffix.lower() in IMAGE_ENDINGS  # let the reader name the reason
    return (
        start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF8"))
        or (start[:4] == b"RIFF" and start[8:] == b"WEBP")
        or (start[:2] == b"BM" and start[6:10] == b"\0\0\0\0")
    )


def _read_header(content):
    """Return the IMAGE_HEADER and the remarks of an encoded image, without decoding its pixels."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UnreadableImage(f"{image.width}x{image.height}: more than {MOST_PIXELS:,} pixels")
            form = "JPEG" if image.format == "MPO" else image.format  # a phone's JPEG with a preview behind it
            if form not in READ_FORMATS:
                raise UnreadableImage(f"{image.format}: expected {', '.join(READ_FORMATS)}")
            if form != "JPEG" and getattr(image, "n_frames", 1) > 1:
                raise UnreadableImage(f"{form} with {image.n_frames} frames: expected a still image")
            header = np.zeros((), dtype=IMAGE_HEADER)
            header["width"], header["height"], header["format"] = image.width, image.height, form
            if form == "JPEG":
                header["jpeg_quality"] = _jpeg_quality(image.quantization)
                header["subsampling"] = ("4:4:4", "4:2:2", "4:2:0", "")[JpegImagePlugin.get_sampling(image)]
            return header[()], tuple(_header_remarks(image, content))
    except (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError) as error:
        reason = "empty file" if not content else f"damaged header ({type(error).__name__})"  # Pillow's many ways
        raise UnreadableImage(reason) from None


def _header_remarks(image, content) -> Iterator[str]:
    """Yield the keys of REMARKS that an opened image calls for."""
    bits = 16 if image.mode.startswith("I;16") else 8
    if image.format == "PNG":  # Pillow opens 16-bit colour as 8-bit
        bits = content[24]
    elif image.format == "TIFF":
        bits = int(np.max(image.tag_v2.get(258, 8)))
    if bits > 16 or image.mode == "F":
        raise UnreadableImage(f"{bits} bits a channel: expected 8 or 16")
    if bits == 16:
        yield "16-bit"
    if "A" in image.getbands() or "transparency" in image.info:
        yield "alpha"
    if image.mode == "CMYK":
        yield "CMYK"
    if image.mode in ("L", "LA", "1") or image.mode.startswith("I;16"):
        yield "grey"
    may_have_exif = image.format != "PNG" or b"eXIf" in content  # Pillow would decode a whole PNG to look for it
    if may_have_exif and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        yield "turned"


# The luminance table of the JPEG standard (ITU-T T.81, table K.1), row by row; libjpeg scales it by the quality.
_STANDARD_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120,
    101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


def _jpeg_quality(tables):
    """Return the libjpeg quality 1-100 whose luminance table is the nearest to a JPEG's own, 0 if it has none."""
    if 0 not in tables:
        return 0
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    standard = np.clip((_STANDARD_LUMINANCE * scales[:, None] + 50) // 100, 1, 255)
    return int(qualities[np.abs(standard - np.array(tables[0])).sum(axis=1).argmin()])


def _raise(error):
    """Let the error travel that `os.walk` would swallow."""
    raise error
