"""Each step of an alteration does what its name says, once and in its order; a wrong one is refused."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from pictures import by_pillow, picture
from PIL import Image

from deepfake_spectra.alterations import alter, altered_shape, parse_steps
from deepfake_spectra.errors import UnreadableImage, UsageError
from deepfake_spectra.files import REPOSITORY

GRAY = picture(shape=(218, 178), blur=0.5)


def area_weights(n_in, n_out):
    """Return (n_out, n_in): which share of the interval of each new pixel each old pixel covers."""
    edges = np.linspace(0, n_in, n_out + 1)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixels = np.arange(n_in)
    return np.clip(np.minimum(ends, pixels + 1) - np.maximum(starts, pixels), 0, None) * n_out / n_in


def cubic_weights(n_in, n_out):
    """Return (n_out, n_in) of cubic convolution with a = -0.75: pixel centres at halves, edge pixels repeated."""
    places = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    weights = np.zeros((n_out, n_in))
    for row, place in enumerate(places):
        for pixel in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x = abs(place - pixel)
            weight = 1.25 * x**3 - 2.25 * x**2 + 1 if x <= 1 else -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            weights[row, min(max(pixel, 0), n_in - 1)] += weight
    return weights


@pytest.mark.parametrize(
    "crop, rows, columns",
    [
        ("4x3", slice(2, 5), slice(2, 6)),  # of 9 columns 2 go on the left, 3 on the right
        ("3x4", slice(1, 5), slice(3, 6)),
        ("9x2", slice(2, 4), slice(None)),
        ("9x7", slice(None), slice(None)),
    ],
)
def test_a_crop_is_the_middle_and_its_width_comes_first(crop, rows, columns):
    gray = np.arange(63, dtype=np.uint8).reshape(7, 9)
    np.testing.assert_array_equal(alter(gray, f"crop {crop}"), gray[rows, columns])


@pytest.mark.parametrize("crop", ["10x7", "9x8", "1000x2", "3x3 + crop 4x2"])
def test_a_crop_larger_than_the_image_is_refused_with_both_sizes(crop):
    with pytest.raises(UnreadableImage, match=r"^(9x7|3x3): smaller than the crop of \d+x\d+$"):
        alter(np.zeros((7, 9), np.uint8), f"crop {crop}")


@pytest.mark.parametrize(
    "size, weights",
    [("89x109", area_weights), ("100x90", area_weights), ("300x400", cubic_weights), ("178x219", cubic_weights)],
)
def test_resizing_is_by_area_when_smaller_and_cubic_when_larger(size, weights):
    width, height = map(int, size.split("x"))
    expected = weights(218, height) @ GRAY @ weights(178, width).T
    np.testing.assert_allclose(alter(GRAY, f"resize {size}"), np.clip(expected, 0, 255), atol=1)


@pytest.mark.parametrize("sigma", [0.5, 1, 2.5])
def test_blur_spreads_an_impulse_as_one_gaussian_of_that_sigma(sigma):
    x = np.arange(-20, 21)
    gaussian = np.exp(-(x**2) / (2 * sigma**2)) / np.exp(-(x**2) / (2 * sigma**2)).sum()
    line = np.zeros((41, 41), dtype=np.uint8)
    line[20] = 255
    point = np.minimum(line, line.T)
    spread = 255 * gaussian[:, None] * np.ones(41)
    for impulse, expected in ((line, spread), (line.T, spread.T), (point, 255 * np.outer(gaussian, gaussian))):
        np.testing.assert_allclose(alter(impulse, f"blur {sigma}"), expected, atol=1.5)


@pytest.mark.parametrize("quality", [1, 30, 95, 100])
def test_jpeg_is_a_grey_one_of_that_quality(quality):
    stored = Image.open(io.BytesIO(by_pillow(GRAY, "JPEG", quality=quality)))
    np.testing.assert_array_equal(alter(GRAY, f"jpeg {quality}"), np.array(stored))


def test_steps_are_done_in_their_order_and_no_step_changes_nothing():
    assert np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(alter(GRAY, "crop 64x64"), "blur 1"))
    assert not np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(GRAY, "blur 1 + crop 64x64"))
    assert alter(GRAY, "") is GRAY


@pytest.mark.parametrize(
    "steps", ["", "crop 100x200", "resize 300x100 + crop 200x90", "jpeg 50", "crop 50x60 + blur 1 + resize 70x80"]
)
def test_the_altered_shape_is_told_without_an_image(steps):
    assert altered_shape(GRAY.shape, steps) == alter(GRAY, steps).shape


@pytest.mark.parametrize(
    "steps",
    [
        "sharpen 1", "jpeg", "jpeg 0", "jpeg 101", "crop 10", "crop 0x5", "blur 0", "blur 0.0", "blur x", "blur 100",
        "resize 10000x9", "jpeg 50+blur 1", "jpeg 50 + sharpen 1", "jpeg 50 +",
        " + ", "jpeg 50 + ", " + jpeg 50", "jpeg 50 +  + blur 1", " ",
    ],
)  # fmt: skip
def test_an_unknown_or_empty_step_is_refused_by_name_with_those_that_are_known(steps):
    with pytest.raises(UsageError, match="^unknown alteration '.*'; known are the likes of 'crop 104x128', 'resize"):
        alter(GRAY, steps)


def test_an_altered_image_has_the_same_pixels_on_every_generation_of_processors():
    program = """
import hashlib, numpy as np
from deepfake_spectra.alterations import alter
from deepfake_spectra.parallel import in_threads
gray = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
alterations = ["resize 600x700", "resize 90x90", "jpeg 50", "blur 0.5"]
for altered in in_threads(lambda steps: alter(gray, steps), alterations, 2):
    print(hashlib.sha256(altered.tobytes()).hexdigest())
"""
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY, env=os.environ | {"OPENCV_IPP": generation}, text=True, check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ).stdout
        for generation in ("sse42", "avx2", "avx512")
    }  # fmt: skip
    assert len(made) == 1 and len(made.pop().splitlines()) == 4  # and no word of OpenCV's


def test_an_alteration_that_is_asked_for_by_no_name_is_refused():
    with pytest.raises(UsageError, match="^unknown alteration ''; known are"):
        parse_steps("")
