"""Image files are found by content, read as the paper read them, and refused by name where there is nothing to read."""

import hashlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv, by_pillow, colour_picture, picture
from PIL import Image, JpegImagePlugin, PngImagePlugin

from deepfake_spectra import image_files
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.image_files import list_images, read_gray
from deepfake_spectra.opencv import cv2

GREY, COLOUR = picture(), colour_picture()
GREY_16, COLOUR_16 = (pixels.astype(np.uint16) * 257 for pixels in (GREY, COLOUR))
TURNED = Image.Exif()
TURNED[274] = 6  # to be turned by 90 degrees clockwise


def two_pictures(kind):
    """Return the bytes of a file with two pictures."""
    return by_pillow(COLOUR, kind, save_all=True, append_images=[Image.fromarray(colour_picture(1))])


WHOLE = {
    "JPEG": by_opencv(COLOUR, ".jpg"),
    "progressive JPEG": by_pillow(COLOUR, "JPEG", progressive=True),
    "JPEG with restart markers": by_opencv(COLOUR, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "PNG": by_opencv(COLOUR),
    "16-bit PNG": by_opencv(COLOUR_16),
    "WebP": by_opencv(COLOUR, ".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "lossless WebP": by_pillow(COLOUR, "WEBP", lossless=True),
    "BMP": by_opencv(COLOUR, ".bmp"),
    "TIFF": by_opencv(COLOUR, ".tif"),
}


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes to a file and gives its path."""

    def write(content):
        (tmp_path / "file").write_bytes(content)
        return tmp_path / "file"

    return write


def refusal(path):
    """Return why an image cannot be read."""
    with pytest.raises(UnreadableImage) as caught:
        read_gray(path)
    return str(caught.value)


# --- which files


@linux_only
def test_images_are_listed_by_content_and_sorted(tmp_path):
    png, jpeg = by_opencv(GREY), by_opencv(GREY, ".jpg")
    files = {
        "z.gif": by_pillow(GREY, "GIF"), "renamed.jpg": png, "no_ending": jpeg, "B/UPPER.JPG": jpeg,
        "B/a.BMP": by_opencv(GREY, ".bmp"), "b.WebP": by_opencv(GREY, ".webp"),
        "intel.tif": by_pillow(GREY, "TIFF"), "motorola.TIFF": by_pillow(GREY, "TIFF").replace(b"II*\0", b"MM\0*"),
    }  # fmt: skip
    others = {"text.jpg": b"an error page", "empty.PNG": b""}
    passed_over = {"notes.txt": b"text", ".hidden.png": png, ".folder/hidden.png": png}
    for name, content in (files | others | passed_over).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link to B").symlink_to(tmp_path / "B")
    os.mkfifo(tmp_path / "pipe.png")  # whoever opens one waits for ever
    images, pretenders = list_images(tmp_path)
    assert images == sorted(tmp_path / name for name in files)
    assert pretenders == [(tmp_path / "empty.PNG", "empty file"), (tmp_path / "text.jpg", "not an image")]


@linux_only
def test_a_link_to_an_image_is_an_image_and_a_link_to_nothing_is_named(tmp_path, file):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a").symlink_to(file(WHOLE["PNG"]))
    (tmp_path / "links/broken.png").symlink_to("nowhere")
    images, pretenders = list_images(tmp_path / "links")
    assert (images, pretenders) == ([tmp_path / "links/a", tmp_path / "links/broken.png"], [])
    assert refusal(images[1]) == "No such file or directory"


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="locked"):
        list_images(tmp_path)


# --- what is read


@pytest.mark.parametrize(
    "content, remarks",
    [
        *((WHOLE[name], ()) for name in ("JPEG", "progressive JPEG", "WebP", "BMP", "TIFF")),
        (by_pillow(COLOUR, "PNG", "P"), ()),
        (two_pictures("MPO"), ()),  # the second is a preview
        (by_opencv(GREY, ".jpg"), ("grey",)),
        (by_pillow(GREY, "TIFF", "1"), ("grey",)),
        (WHOLE["16-bit PNG"], ("16-bit",)),
        (by_opencv(COLOUR_16, ".tif"), ("16-bit",)),
        (by_opencv(np.dstack([COLOUR, GREY])), ("alpha",)),
        (by_opencv(np.dstack([COLOUR, GREY]), ".webp"), ("alpha",)),
        (by_pillow(COLOUR, "PNG", "P", transparency=0), ("alpha",)),
        (by_pillow(COLOUR, "JPEG", "CMYK"), ("CMYK",)),
        (by_pillow(COLOUR, "TIFF", "CMYK"), ("CMYK",)),
        (by_pillow(COLOUR, "JPEG", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "PNG", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "WEBP", exif=TURNED), ("turned",)),
        (by_pillow(COLOUR, "TIFF", tiffinfo={274: 3}), ("turned",)),
    ],
)
def test_reading_equals_the_papers_reader_and_says_what_was_changed(file, content, remarks):
    path = file(content)
    image = read_gray(path)
    np.testing.assert_array_equal(image.gray, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert image.remarks == remarks and set(remarks) <= image_files.REMARKS.keys()
    assert (image.header["width"], image.header["height"]) == (64, 48)  # as stored


@pytest.mark.parametrize(
    "content, pixels, remarks",
    [
        (by_opencv(GREY), GREY, ("grey",)),
        (by_opencv(GREY_16), GREY, ("16-bit", "grey")),
        (by_opencv(GREY_16, ".tif"), GREY, ("16-bit", "grey")),
        (by_pillow(GREY, "PNG", "LA"), GREY, ("alpha", "grey")),
        (by_pillow(GREY, "PNG", exif=TURNED), np.rot90(GREY, -1), ("grey", "turned")),
    ],
)
def test_a_grey_picture_comes_back_as_it_was_stored(file, content, pixels, remarks):
    image = read_gray(file(content))
    np.testing.assert_array_equal(image.gray, pixels)
    assert image.remarks == remarks


def test_jpeg_quality_is_the_one_that_it_was_saved_with(file):
    for quality in range(1, 101):
        content = by_pillow(COLOUR, "JPEG", quality=quality)
        assert read_gray(file(content)).header["jpeg_quality"] == quality
    for quality in range(1, 101, 9):
        content = by_opencv(COLOUR, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)
        assert read_gray(file(content)).header["jpeg_quality"] == quality


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_chroma_subsampling_is_the_one_that_it_was_saved_with(file, subsampling):
    assert read_gray(file(by_pillow(COLOUR, "JPEG", subsampling=subsampling))).header["subsampling"] == subsampling


def test_what_a_format_does_not_have_is_zero_or_empty(file):
    assert read_gray(file(WHOLE["PNG"])).header.tolist() == (64, 48, "PNG", 0, "")
    assert read_gray(file(by_opencv(GREY, ".jpg"))).header["subsampling"] == ""


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
def test_a_header_is_read_without_decoding(name, monkeypatch):
    for module in (Image.Image, PngImagePlugin.PngImageFile, JpegImagePlugin.JpegImageFile):
        monkeypatch.setattr(module, "load", None)
    header, _ = image_files._read_header(WHOLE[name])
    assert (header["width"], header["height"], header["format"]) == (64, 48, name.upper())


# --- what is refused


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty file"),
        (b"an error page", "damaged header (UnidentifiedImageError)"),
        (two_pictures("PNG"), "PNG with 2 frames: expected a still image"),
        (two_pictures("WEBP"), "WEBP with 2 frames: expected a still image"),
        (two_pictures("TIFF"), "TIFF with 2 frames: expected a still image"),
        (by_pillow(COLOUR, "GIF"), "GIF: expected JPEG, PNG, BMP, TIFF, WEBP"),
        (by_opencv(GREY.astype(np.float32), ".tif"), "32 bits a channel: expected 8 or 16"),
        (by_pillow(GREY, "TIFF", "I"), "32 bits a channel: expected 8 or 16"),
    ],
)
def test_what_has_no_grey_still_picture_is_refused(file, content, words):
    assert refusal(file(content)) == words


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, which pytest switches on again
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_anywhere_is_refused(file, name):
    whole = WHOLE[name]
    assert read_gray(file(whole)).gray.shape == (48, 64)
    for length in [*range(1, len(whole), len(whole) // 25), len(whole) - 2, len(whole) - 1]:
        refusal(file(whole[:length]))


def test_a_jpeg_cut_short_is_refused_where_imread_returns_a_full_picture(file):
    path = file(WHOLE["JPEG"][: len(WHOLE["JPEG"]) * 2 // 3])
    assert cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape == (48, 64)
    assert refusal(path) == "cut short or damaged JPEG"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_file_ends_in_a_picture_or_in_a_reason(file, name):
    random = np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(WHOLE[name])
        for position in random.integers(0, min(300, len(content)), 3):
            content[position] = random.integers(256)
        try:
            assert read_gray(file(content)).gray.dtype == np.uint8
        except UnreadableImage as reason:
            assert str(reason).isprintable()


def test_a_decoder_that_raises_is_a_reason(file, monkeypatch):
    def refuse(*_):
        raise cv2.error("size.height <= CV_IO_MAX_IMAGE_HEIGHT")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    assert refusal(file(WHOLE["TIFF"])) == "cut short or damaged TIFF"


@pytest.mark.parametrize("side, is_refused", [(10_000, False), (10_001, True)])
def test_a_huge_picture_is_refused_from_its_header(file, monkeypatch, side, is_refused):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, 10_000, 8, 0, 0, 0, 0)
    content = by_opencv(GREY)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    path = file(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    sentence = f"{side}x10000: more than 100,000,000 pixels"
    assert refusal(path) == (sentence if is_refused else "cut short or damaged PNG")
