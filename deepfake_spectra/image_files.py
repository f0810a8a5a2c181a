"""Image files: found by content, read in grey as the paper read them, with what their headers tell."""

import hashlib
import io
import logging
import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import IMAGE_HEADER
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.image_checks import check_webp, has_tail, heif_turn, is_deep_avif, lacks_scans, png_chunks
from deepfake_spectra.opencv import cv2
from deepfake_spectra.packages import simplejpeg
from deepfake_spectra.pillow import ExifTags, Image, JpegImagePlugin

IMAGE_ENDINGS = set(".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .webp .gif .avif .heic .heif .hif".split())
UNREAD_ENDINGS = set(  # of images, too: a folder's summary names them
    ".3fr .arw .avifs .cr2 .cr3 .dds .dng .eps .exr .heics .heifs .ico .j2k .jp2 .jpf .jpx .jxl .jxr .nef .nrw "
    ".orf .pbm .pcx .pef .pgm .pnm .ppm .psd .qoi .raf .rw2 .sr2 .srw .svg .tga .x3f .xcf".split()
)
READ_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF", "HEIF")  # detectors on disk hold indices into it
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf", b"avif", b"avis"}
MOST_PIXELS = 60_000_000  # larger ones are refused from their header; see docs/data.md for what the largest cost
MOST_BYTES = 2**28  # of a file
LINEAR = (100_000).to_bytes(4, "big")  # of a PNG's gAMA chunk: nothing to be done
DNG_VERSION = 50706  # a tag of TIFF
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: `read_gray` gives the reason, if there is one
logging.getLogger("PIL").addHandler(logging.NullHandler())  # likewise, of TIFF

REMARKS = {  # what had to be changed on reading: key -> how to say it
    "16-bit": "16 bits a channel, reduced to 8 as the paper's reader does",
    "10-bit": "more than 8 bits a channel, reduced to 8",
    "alpha": "transparency ignored",
    "CMYK": "CMYK, converted to grey",
    "damaged": "damaged: a strict reader finds parts of the file missing or wrong",
    "gamma": "grey made in linear light, as the PNG's gAMA or sRGB chunk asks",
    "grey": "grey already",
    "turned": "turned or mirrored as the EXIF tag asks",
}
_DAMAGED = "cut short or damaged {}"
PILLOWS_ERRORS = (  # its many ways to say that a file is damaged
    OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError, RuntimeError,
    struct.error,
)  # fmt: skip


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
        Not an image, cut short, animated, of 32 bits a channel, too large, or no regular file.
    """
    return decode_gray(file_content(path))


def decode_gray(content: bytes) -> GrayImage:
    """Return what `read_gray` does, from the bytes of the file."""
    header, remarks, orientation = read_header(content)
    form, is_damaged = str(header["format"]), False
    if form == "JPEG":
        gray, is_damaged = _decode_jpeg(content, orientation, "CMYK" in remarks)
    elif form in ("AVIF", "HEIF"):
        gray = cv2.cvtColor(_decode_by_pillow(content, form, orientation), cv2.COLOR_RGB2GRAY)
    else:
        gray = _decode_by_opencv(content, form, cv2.IMREAD_GRAYSCALE)
        is_damaged = form == "TIFF" and not _is_readable_by_pillow(content) or form == "WEBP" and has_tail(content)
    if is_damaged:
        remarks = (*remarks, "damaged")
    return GrayImage(gray, header, remarks, hashlib.sha256(content).hexdigest())


def read_colour(path: Path) -> np.ndarray:
    """Return an image as `cv2.imread(path)` gives it, (height, width, 3) uint8, blue first.

    Raises
    ------
    UnreadableImage
        See `read_gray`.
    """
    return decode_colour(file_content(path))


def decode_colour(content: bytes) -> np.ndarray:
    """Return what `read_colour` does, from the bytes of the file."""
    header, _, orientation = read_header(content)
    form = str(header["format"])
    if form in ("AVIF", "HEIF"):
        return cv2.cvtColor(_decode_by_pillow(content, form, orientation), cv2.COLOR_RGB2BGR)
    return _decode_by_opencv(content, form, cv2.IMREAD_COLOR)


def file_content(path):
    """Return the bytes of a regular file: a pipe would be waited for, a device has no end."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("not a regular file")
        if status.st_size > MOST_BYTES:
            raise UnreadableImage(f"{status.st_size:,} bytes: more than {MOST_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(error.strerror) from None


def _decode_jpeg(content, orientation, is_cmyk):
    """Return the grey image of a JPEG, and whether libjpeg had to skip or guess parts of it.

    OpenCV decodes by libjpeg, too, and gives the same grey; but what libjpeg complains of it prints, and goes on.
    """
    try:
        pixels = simplejpeg.decode_jpeg(content, "CMYK" if is_cmyk else "GRAY")
        is_damaged = lacks_scans(content)
    except ValueError as complaint:
        if "remature end" in str(complaint):  # the rest of the picture would be filled in
            raise UnreadableImage(_DAMAGED.format("JPEG")) from None
        is_damaged = True
    if is_damaged or is_cmyk:
        return _decode_by_opencv(content, "JPEG", cv2.IMREAD_GRAYSCALE), is_damaged
    return _turned(pixels[..., 0], orientation), False


def _decode_by_opencv(content, form, flags):
    """Return the pixels of an image, turned as its EXIF tag asks."""
    # imdecode, not imread: it refuses a JPEG cut short, where imread fills in grey and returns a full picture
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # a size that Pillow read otherwise
        pixels = None
    if pixels is None:
        raise UnreadableImage(_DAMAGED.format(form))
    return pixels


def _decode_by_pillow(content, form, orientation):
    """Return the RGB pixels of an image (height, width, 3), turned."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _turned(np.asarray(image.convert("RGB")), orientation)
    except PILLOWS_ERRORS:
        raise UnreadableImage(_DAMAGED.format(form)) from None


def _is_readable_by_pillow(content):
    """Tell whether Pillow, which is stricter, takes an image for whole; it decodes again, so for rare formats only."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except PILLOWS_ERRORS:
        return False
    return True


def _turned(pixels, orientation):
    """Return pixels (height, width, ...) turned and mirrored as an EXIF orientation, 1 to 8, asks."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def list_images(
    folder: Path, is_known: Callable[[Path], bool] = lambda path: False
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the images under a folder, sorted, and (path, reason) of files that only end like an image of any kind.

    A file that `is_known` to be an image is not opened.
    """
    images, skipped = [], []
    for path in visible_files(folder):
        if reason := unread_kind(path):
            skipped.append((path, reason))
        elif is_known(path) or looks_like_image(path):
            images.append(path)
        elif path.suffix.lower() in IMAGE_ENDINGS:
            skipped.append((path, "not an image" if path.stat().st_size else "empty file"))
    return sorted(images), sorted(skipped)


def unread_kind(path: Path) -> str:
    """Return why an image of a kind that nobody here reads is not read, by its ending; "" for any other file."""
    ending = path.suffix.lower()
    return f"{ending[1:].upper()}: expected {', '.join(READ_FORMATS)}" if ending in UNREAD_ENDINGS else ""


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
    """Tell from its first bytes whether a file is JPEG, PNG, BMP, TIFF, WebP, GIF, AVIF or HEIF."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return path.suffix.lower() in IMAGE_ENDINGS  # let the reader name the reason
    return (
        start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF8"))
        or (start[:4] == b"RIFF" and start[8:] == b"WEBP")
        or (start[:2] == b"BM" and start[6:10] == b"\0\0\0\0")
        or _is_heif(start)
    )


def _is_heif(start):
    """Tell from its first bytes whether a file is HEIF, of which AVIF is a kind; MP4 begins alike."""
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


def read_header(content):
    """Return the IMAGE_HEADER, the remarks and the EXIF orientation of an encoded image; no pixel is decoded."""
    if not content:
        raise UnreadableImage("empty file")
    chunks = png_chunks(content) if content.startswith(b"\x89PNG\r\n\x1a\n") else {}
    if content[8:12] == b"WEBP":
        check_webp(content)
    if _is_heif(content[:12]):
        _enable_heif()
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UnreadableImage(f"{image.width}x{image.height}: more than {MOST_PIXELS:,} pixels")
            form = "JPEG" if image.format == "MPO" else image.format  # a phone's JPEG with a preview behind it
            if form not in READ_FORMATS:
                raise UnreadableImage(f"{form}: expected {', '.join(READ_FORMATS)}")
            if form != "JPEG" and getattr(image, "n_frames", 1) > 1:
                raise UnreadableImage(f"{form} with {image.n_frames} frames: expected a still image")
            if form == "TIFF" and _is_preview_of_raw(image, content):
                raise UnreadableImage("raw file of a camera: expected a developed image")
            header = np.zeros((), dtype=IMAGE_HEADER)
            header["width"], header["height"], header["format"] = image.width, image.height, form
            if form == "JPEG":
                header["jpeg_quality"] = _jpeg_quality(tuple(image.quantization.get(0, ())))
                header["subsampling"] = ("4:4:4", "4:2:2", "4:2:0", "")[JpegImagePlugin.get_sampling(image)]
            quarters, is_mirrored = heif_turn(content) if form == "HEIF" else (0, False)
            if quarters % 2:  # what reads HEIF tells the size after turning
                header["width"], header["height"] = image.height, image.width
            orientation = _orientation(image, chunks)
            is_turned = orientation > 1 or quarters > 0 or is_mirrored
            remarks = tuple(_header_remarks(image, content, chunks)) + ("turned",) * is_turned
            return header[()], remarks, orientation
    except Image.UnidentifiedImageError:
        raise UnreadableImage("not an image, or its header is damaged") from None
    except PILLOWS_ERRORS as error:
        raise UnreadableImage(f"damaged header ({type(error).__name__})") from None


def _enable_heif():
    """Let Pillow read HEIF."""
    try:
        import pillow_heif
    except ImportError:
        raise UnreadableImage("HEIF: needs a package more; run: pip install pillow-heif") from None
    pillow_heif.register_heif_opener()


def _is_preview_of_raw(image, content):
    """Tell whether the first picture of a TIFF is the preview in a camera's raw file (CR2, DNG, NEF, ARW)."""
    is_reduced = bool(image.tag_v2.get(254, 0) & 1)
    return is_reduced or DNG_VERSION in image.tag_v2 or content[8:10] == b"CR"


def _orientation(image, chunks):
    """Return the EXIF orientation, 1 to 8, as OpenCV finds it: Pillow would also look into XMP."""
    exif = Image.Exif()
    if image.format == "PNG":  # Pillow would decode a whole PNG to look for one behind the pixels
        exif.load(chunks.get(b"eXIf", b""))
    elif image.format == "TIFF":
        exif = image.tag_v2
    else:
        exif.load(image.info.get("exif", b""))
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _header_remarks(image, content, chunks) -> Iterator[str]:
    """Yield the keys of REMARKS that an opened image calls for; `chunks` are those of a PNG."""
    bits = 16 if image.mode.startswith("I;16") else 8
    if image.format == "PNG":  # Pillow opens 16-bit colour as 8-bit
        bits = content[24]
    elif image.format == "TIFF":
        bits = int(np.max(image.tag_v2.get(258, 8)))
    if bits > 16 or image.mode == "F":
        raise UnreadableImage(f"{bits} bits a channel: expected 8 or 16")
    if bits == 16:
        yield "16-bit"
    if image.info.get("bit_depth", 8) > 8 or image.format == "AVIF" and is_deep_avif(content):
        yield "10-bit"
    if "A" in image.getbands() or "transparency" in image.info:
        yield "alpha"
    if image.mode == "CMYK":
        yield "CMYK"
    if image.mode in ("L", "LA", "1") or image.mode.startswith("I;16"):
        yield "grey"
    elif b"sRGB" in chunks or abs(int.from_bytes(chunks.get(b"gAMA", LINEAR), "big") - 100_000) > 5_000:
        yield "gamma"


# The luminance table of the JPEG standard (ITU-T T.81, table K.1), row by row; libjpeg scales it by the quality.
_STANDARD_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120,
    101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


@lru_cache(maxsize=1024)  # few tables are in use
def _jpeg_quality(table):
    """Return the libjpeg quality 1-100 whose luminance table is the nearest to a JPEG's own, 0 if it has none."""
    if not table:
        return 0
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    standard = np.clip((_STANDARD_LUMINANCE * scales[:, None] + 50) // 100, 1, 255)
    return int(qualities[np.abs(standard - np.array(table)).sum(axis=1).argmin()])


def _raise(error):
    """Let the error travel that `os.walk` would swallow."""
    raise error
