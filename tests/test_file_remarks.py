"""Remarks on files whose making is known, and what no remark is made of."""

import io

import pytest
from conftest import real_data
from pictures import by_opencv, by_pillow, colour_picture, picture
from PIL import Image
from test_file_traits import CAMERA, FILES, MANIFEST, XMP, exif, with_chunk

from deepfake_spectra.file_remarks import SCREEN_SIZES, file_remarks
from deepfake_spectra.image_files import decode_gray
from deepfake_spectra.opencv import cv2

CREDENTIALS = "carries Content Credentials (not verified)"
MACHINE = "IPTC says trainedAlgorithmicMedia"


def remarks(content):
    """Return the remarks on a file's bytes."""
    return file_remarks(content, decode_gray(content))


@pytest.mark.parametrize("kind", ["tagged JPEG", "tagged PNG", "tagged WEBP"])
def test_what_a_file_says_of_itself_is_repeated(kind):
    said = (CREDENTIALS, MACHINE, "camera tags say Canon EOS 5D", "software tags say darktable 4.0")
    assert remarks(FILES[kind]) == said


def test_a_plain_file_has_no_camera_tags_and_no_other_remark():
    for kind in ("baseline", "progressive", "PNG", "WEBP"):
        assert remarks(FILES[kind]) == ("no camera tags",)


def test_each_remark_stands_for_one_thing_in_the_file():
    png = FILES["PNG"]
    assert remarks(with_chunk(png, b"caBX", MANIFEST.partition(b"http")[0])) == (CREDENTIALS, "no camera tags")
    xmp = by_pillow(colour_picture(), "JPEG", xmp=XMP)
    assert remarks(xmp) == (MACHINE, "no camera tags", "software tags say Firefly 3")
    prompt = with_chunk(png, b"tEXt", b"parameters\0a cat, steps 20")
    assert remarks(prompt) == ("no camera tags", "software tags say prompt of a generator (parameters)")
    assert remarks(by_pillow(colour_picture(), "JPEG", exif=exif(make="Canon"))) == ("camera tags say Canon",)


def test_a_tag_stays_on_one_line_and_short():
    [camera] = remarks(by_pillow(colour_picture(), "JPEG", exif=exif(make="x\nfake  0.999  \x1b[2J" + "y" * 999)))
    assert camera.isprintable() and len(camera) < 80


@pytest.mark.parametrize("shape, is_screen", [((750, 1334), True), ((1334, 750), True), ((750, 1333), False)])
def test_the_size_of_a_screen_is_remarked_where_no_camera_is_named(shape, is_screen):
    pixels = colour_picture(0, shape)
    found = "screenshot-like size (1334x750)" in remarks(by_pillow(pixels, "JPEG"))
    assert found == is_screen
    assert not any("screenshot" in text for text in remarks(by_pillow(pixels, "JPEG", exif=CAMERA)))


def test_the_longer_side_of_every_screen_comes_first():
    assert all(longer > shorter for longer, shorter in SCREEN_SIZES)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_that_was_a_jpeg_is_told_from_one_that_was_not(kind):
    gray = picture(0, (128, 128), blur=2)
    jpeg = by_opencv(gray, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 70)
    stream = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(stream, kind)
    grid = f"{kind} with the 8x8 grid of an earlier JPEG"
    assert grid in remarks(stream.getvalue())
    assert grid not in remarks(by_pillow(gray, kind))
    assert remarks(jpeg) == ("no camera tags",)  # it has the grid, since it is one


def test_no_real_or_generated_png_is_said_to_have_been_a_jpeg():
    folder = real_data("faces_hq")
    paths = [path for source in ("ffhq_png", "stylegan_png") for path in (folder / source).iterdir()]
    assert len(paths) == 60
    assert not any("grid" in text for path in paths for text in remarks(path.read_bytes()))
