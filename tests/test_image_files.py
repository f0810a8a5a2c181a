"""Image files are found by content, read as the paper read them, and refused by name where there is nothing to read."""

import hashlib
import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import linux_only
from pictures import by_opencv, by_pillow, colour_picture, picture
from PIL import Image, JpegImagePlugin, PngImagePlugin
from pillow_heif import from_bytes, register_heif_opener

from deepfake_spectra import image_files
from deepfake_spectra.errors import UnreadableImage
from deepfake_spectra.image_files import list_images, read_colour, read_gray, unread_kind
from deepfake_spectra.opencv import cv2

GREY, COLOUR = picture(), colour_picture()
GREY_16, COLOUR_16 = (pixels.astype(np.uint16) * 257 for pixels in (GREY, COLOUR))
register_heif_opener()


def asking_for(orientation):
    """Return an EXIF block that asks for a turn; 6: by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


TURNED = asking_for(6)


def two_pictures(kind):
    """Return the bytes of a file with two pictures."""
    return by_pillow(COLOUR, kind, save_all=True, append_images=[Image.fromarray(colour_picture(1))])


def png_with(kind, data, length=None):
    """Return the colour picture as PNG with one chunk more behind its header, of a false length if one is given."""
    length = len(data) if length is None else length
    chunk = struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return WHOLE["PNG"][:33] + chunk + WHOLE["PNG"][33:]


def ten_bit_heif():
    """Return the bytes of a HEIF of 10 bits a channel."""
    stream = io.BytesIO()
    from_bytes("RGB;16", (64, 48), COLOUR_16.tobytes()).save(stream, quality=-1)
    return stream.getvalue()


def tiff_of_a_wrong_checksum():
    """Return the bytes of a deflated TIFF with pixels that do not fit their checksum."""
    content = bytearray(by_pillow(COLOUR, "TIFF", compression="tiff_adobe_deflate"))
    tags = Image.open(io.BytesIO(content)).tag_v2
    content[tags[273][-1] + tags[279][-1] - 1] ^= 1  # offset and length of its last strip
    return bytes(content)


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
    "AVIF": by_pillow(COLOUR, "AVIF"),
    "HEIF": by_pillow(COLOUR, "HEIF", quality=-1),  # without loss
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
        "phone.heic": WHOLE["HEIF"], "phone": WHOLE["AVIF"],
        "intel.tif": by_pillow(GREY, "TIFF"), "motorola.TIFF": by_pillow(GREY, "TIFF").replace(b"II*\0", b"MM\0*"),
    }  # fmt: skip
    others = {"text.jpg": b"an error page", "empty.PNG": b""}
    passed_over = {
        "notes.txt": b"text",
        "a.csv": b"1",
        "Thumbs.db": b"db",
        "clip.mp4": b"\0\0\0 ftypisom",
        ".hidden.png": png,
        ".folder/hidden.png": png,
    }
    for name, content in (files | others | passed_over).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link to B").symlink_to(tmp_path / "B")
    os.mkfifo(tmp_path / "pipe.png")  # whoever opens one waits for ever
    images, pretenders = list_images(tmp_path)
    assert images == sorted(tmp_path / name for name in files)
    assert pretenders == [(tmp_path / "empty.PNG", "empty file"), (tmp_path / "text.jpg", "not an image")]


def test_images_of_kinds_that_are_not_read_are_named_whatever_they_begin_with(tmp_path):
    contents = {"raw.DNG": WHOLE["TIFF"], "a.cr2": b"II*\0", "b.jxl": b"\xff\x0a", "c.psd": b"8BPS", "d.svg": b"<svg>",
                "e.heics": WHOLE["HEIF"]}  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    images, skipped = list_images(tmp_path)
    assert images == [] and [path.name for path, _ in skipped] == sorted(contents)
    assert skipped[0] == (tmp_path / "a.cr2", "CR2: expected JPEG, PNG, BMP, TIFF, WEBP, AVIF, HEIF")
    assert [unread_kind(Path(name)) for name in ("a.jpg", "b", "c.txt")] == ["", "", ""]


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
        *((by_pillow(COLOUR, "JPEG", exif=asking_for(orientation)), ("turned",)) for orientation in range(2, 9)),
        (by_pillow(COLOUR, "JPEG", exif=asking_for(9)), ()),
        (by_pillow(COLOUR, "JPEG", xmp=b'<x xmlns:tiff="" tiff:Orientation="6"/>'), ()),
        (by_pillow(COLOUR, "JPEG", keep_rgb=True), ()),
        (png_with(b"sRGB", b"\0"), ("gamma",)),
        (png_with(b"gAMA", struct.pack(">I", 45455)), ("gamma",)),
        (png_with(b"gAMA", struct.pack(">I", 100000)), ()),
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "kind, options", [("HEIF", {"quality": -1}), ("AVIF", {"quality": 100, "subsampling": "4:4:4"})]
)
def test_a_phones_picture_is_turned_once_and_its_size_is_told_as_stored(file, kind, options, orientation):
    image = read_gray(file(by_pillow(COLOUR, kind, exif=asking_for(orientation), **options)))
    colour = read_colour(file(by_pillow(COLOUR, kind, exif=asking_for(orientation), **options)))
    np.testing.assert_array_equal(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY), image.gray)
    upright = read_gray(file(by_pillow(COLOUR, "PNG", exif=asking_for(orientation)))).gray
    np.testing.assert_allclose(image.gray, upright, atol=2)
    assert image.header.tolist() == (64, 48, kind, 0, "") and image.remarks == ("turned",) * (orientation > 1)


@pytest.mark.parametrize(
    "content, remarks",
    [
        (ten_bit_heif(), ("10-bit",)),
        (by_opencv(COLOUR_16 >> 6, ".avif", cv2.IMWRITE_AVIF_DEPTH, 10), ("10-bit",)),
        (by_pillow(np.dstack([COLOUR, GREY]), "HEIF"), ("alpha",)),
        (by_pillow(np.dstack([COLOUR, GREY]), "AVIF"), ("alpha",)),
        (by_pillow(GREY, "AVIF"), ("grey",)),
    ],
)
def test_what_a_phones_picture_lost_is_said(file, content, remarks):
    image = read_gray(file(content))
    assert image.remarks == remarks and image.gray.shape == (48, 64)


def test_heif_without_its_reader_is_refused_with_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert refusal(file(WHOLE["HEIF"])) == "HEIF: needs a package more; run: pip install pillow-heif"


@pytest.mark.parametrize("name", WHOLE)
def test_a_picture_in_colour_is_the_one_whose_grey_is_read(file, name):
    path = file(WHOLE[name])
    np.testing.assert_allclose(cv2.cvtColor(read_colour(path), cv2.COLOR_BGR2GRAY), read_gray(path).gray, atol=1)


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
    header = image_files.read_header(WHOLE[name])[0]
    assert (header["width"], header["height"], header["format"]) == (64, 48, name.upper())


# --- what is refused


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty file"),
        (b"an error page", "not an image, or its header is damaged"),
        (two_pictures("PNG"), "PNG with 2 frames: expected a still image"),
        (two_pictures("WEBP"), "WEBP with 2 frames: expected a still image"),
        (two_pictures("TIFF"), "TIFF with 2 frames: expected a still image"),
        (by_pillow(COLOUR, "GIF"), "GIF: expected JPEG, PNG, BMP, TIFF, WEBP, AVIF, HEIF"),
        (two_pictures("AVIF"), "AVIF with 2 frames: expected a still image"),
        (two_pictures("HEIF"), "HEIF with 2 frames: expected a still image"),
        (by_pillow(COLOUR, "TIFF", tiffinfo={254: 1}), "raw file of a camera: expected a developed image"),
        (by_pillow(COLOUR, "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "raw file of a camera: expected a developed image"),
        (by_opencv(GREY.astype(np.float32), ".tif"), "32 bits a channel: expected 8 or 16"),
        (by_pillow(GREY, "TIFF", "I"), "32 bits a channel: expected 8 or 16"),
    ],
)
def test_what_has_no_grey_still_picture_is_refused(file, content, words):
    assert refusal(file(content)) == words


@linux_only
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_nothing_but_a_regular_file_is_opened(tmp_path, kind):
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    assert refusal(path) == "not a regular file"


def test_a_file_larger_than_any_image_is_not_read(file, monkeypatch):
    path = file(WHOLE["PNG"])
    monkeypatch.setattr(image_files, "MOST_BYTES", 1000)
    assert refusal(path) == f"{len(WHOLE['PNG']):,} bytes: more than 1,000"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, which pytest switches on again
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_anywhere_is_refused(file, name):
    whole = WHOLE[name]
    assert read_gray(file(whole)).gray.shape == (48, 64)
    for length in [*range(1, len(whole), len(whole) // 25), len(whole) - 2, len(whole) - 1]:
        refusal(file(whole[:length]))


@pytest.mark.parametrize("name", ["JPEG", "JPEG with restart markers", "progressive JPEG", "CMYK"])
def test_a_jpeg_cut_and_closed_again_is_refused_or_said_to_be_damaged(file, name):
    whole = by_pillow(COLOUR, "JPEG", "CMYK") if name == "CMYK" else WHOLE[name]
    start = whole.index(b"\xff\xda") + 20
    n_refused = 0
    for length in range(start, len(whole) - 8, (len(whole) - start) // 40):
        path = file(whole[:length] + b"\xff\xd9")
        try:
            assert "damaged" in read_gray(path).remarks, length
        except UnreadableImage as reason:
            assert str(reason) == "cut short or damaged JPEG"
            n_refused += 1
    assert n_refused > 30


@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_a_whole_jpeg_that_is_mostly_one_flat_area_is_taken_for_whole(file, quality, options):
    pixels = np.full((480, 640, 3), 128, np.uint8)
    pixels[:48, :64] = COLOUR
    assert read_gray(file(by_pillow(pixels, "JPEG", quality=quality, **options))).remarks == ()


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_said_to_be_damaged(file):
    whole = WHOLE["progressive JPEG"]
    scans = [place for place in range(len(whole)) if whole.startswith(b"\xff\xda", place)]
    tables = [whole.rindex(b"\xff\xc4", 0, scan) for scan in scans]  # each scan has its own in front
    images = [read_gray(file(whole[:end] + b"\xff\xd9")) for end in tables[1:]]
    assert len(images) == 9 and all(image.remarks == ("damaged",) for image in images)
    assert not np.array_equal(images[-1].gray, read_gray(file(whole)).gray)


@pytest.mark.parametrize(
    "content",
    [
        WHOLE["JPEG"][:-2] + bytes(range(100)) + b"\xff\xd9",
        WHOLE["WebP"] + bytes(64),
        tiff_of_a_wrong_checksum(),
    ],
)
def test_what_opencv_takes_for_whole_and_a_strict_reader_does_not_is_said_to_be_damaged(file, content):
    path = file(content)
    assert read_gray(path).remarks == ("damaged",)
    np.testing.assert_array_equal(read_gray(path).gray, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("length", [100, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"IDAT", b"IEND"])
def test_a_false_length_in_a_png_takes_no_memory(file, kind, length):
    path = file(png_with(kind, b"word", length))
    tracemalloc.start()
    assert refusal(path) == "cut short or damaged PNG"
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_checksum_in_a_png_is_found_before_it_is_decoded(file, monkeypatch, kind):
    monkeypatch.setattr(cv2, "imdecode", None)
    content = bytearray(WHOLE["PNG"])
    content[content.index(kind) + (4 if kind != b"IEND" else 5)] ^= 1
    assert refusal(file(content)) == "cut short or damaged PNG"


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


@pytest.mark.parametrize("side, is_refused", [(6_000, False), (6_001, True)])
def test_a_huge_picture_is_refused_from_its_header(file, monkeypatch, side, is_refused):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, 10_000, 8, 0, 0, 0, 0)
    content = by_opencv(GREY)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    path = file(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    sentence = f"{side}x10000: more than 60,000,000 pixels"
    assert refusal(path) == (sentence if is_refused else "cut short or damaged PNG")
