"""Each step of an alteration does what its name says, once and in its order; a wrong one is refused."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from pictures import by_pillow, colour_picture, picture
from PIL import Image
from video_clips import needs_videos

from deepfake_spectra.alterations import FILTERS, TIERS, alter, altered_shape, parse_steps
from deepfake_spectra.errors import UnreadableImage, UsageError
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.opencv import cv2

GRAY = picture(shape=(218, 178), blur=0.5)
FLAT = np.full((300, 400), 128, np.uint8)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


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
    "steps, size", [("resize 9999x9999", "9999x9999"), ("crop 90% + resize 7000x9000", "7000x9000")]
)
def test_an_image_made_larger_than_any_that_is_read_is_refused_before_it_is_made(steps, size):
    with pytest.raises(UnreadableImage, match=f"^{size}: more than 60,000,000 pixels$"):
        alter(np.zeros((20, 30), np.uint8), steps)
    with pytest.raises(UnreadableImage, match="^16000x16000: more"):
        alter(np.broadcast_to(np.uint8(0), (8000, 8000)), "scale 2 area")


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


@pytest.mark.parametrize("quality", [75, 30])
def test_a_grey_jpeg_is_the_luma_of_one_saved_in_colour(quality):
    colour = np.clip(0.5 * colour_picture(shape=(160, 160)) + 64, 0, 255).astype(np.uint8)  # no channel is clipped
    stored = by_pillow(colour, "JPEG", quality=quality, subsampling="4:2:0")
    luma = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)
    as_gray = alter(np.asarray(Image.fromarray(colour).convert("L")), f"jpeg {quality}")
    assert np.mean(np.abs(luma - as_gray) > 1) < 0.02  # where a coefficient stood on the edge of being rounded
    assert np.mean(np.abs(luma - alter(as_gray, "jpeg 5")) > 1) > 0.2  # which another quality would not be


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_lower_quality_takes_fewer_bytes_and_loses_more(kind):
    flag = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}[kind]
    n_bytes = [len(cv2.imencode(f".{kind}", GRAY, [flag, quality])[1]) for quality in (30, 60, 90)]
    errors = [np.abs(alter(GRAY, f"{kind} {quality}") - GRAY.astype(float)).mean() for quality in (30, 60, 90)]
    assert sorted(n_bytes) == n_bytes and sorted(errors, reverse=True) == errors


@pytest.mark.parametrize("quality", [1, 50, 90])
def test_webp_is_what_pillow_stores_at_that_quality(quality):
    stored = by_pillow(GRAY, "WEBP", "RGB", quality=quality)
    expected = cv2.cvtColor(np.asarray(Image.open(io.BytesIO(stored)).convert("RGB")), cv2.COLOR_RGB2GRAY)
    assert np.abs(alter(GRAY, f"webp {quality}").astype(int) - expected).max() <= 1


@needs_videos
@pytest.mark.parametrize("shape", [(64, 64), (63, 65)])
def test_h264_keeps_shape_and_place_and_loses_more_at_a_higher_factor(shape):
    gray = picture(shape=shape, blur=2)
    errors = [np.abs(alter(gray, f"h264 {crf}") - gray.astype(float)).mean() for crf in (5, 23, 40)]
    assert 0 < errors[0] < errors[1] < errors[2] and errors[0] < 2
    assert alter(gray, "h264 23").shape == shape
    np.testing.assert_array_equal(alter(gray, "h264 23"), alter(gray, "h264 23"))


KERNELS = {  # weight by distance, in pixels of the coarser grid
    "bilinear": lambda x: np.clip(1 - np.abs(x), 0, None),
    "bicubic": lambda x: np.where(
        np.abs(x) < 1, 1.5 * np.abs(x) ** 3 - 2.5 * x**2 + 1,
        np.where(np.abs(x) < 2, -0.5 * (np.abs(x) ** 3 - 5 * x**2 + 8 * np.abs(x) - 4), 0),
    ),
    "lanczos": lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0),
}  # fmt: skip


def kernel_weights(n_in, n_out, name):
    """Return (n_out, n_in) of a filter that is widened on the way down and cut off at the edges."""
    if name == "area":
        return area_weights(n_in, n_out)
    places = (np.arange(n_out) + 0.5) * n_in / n_out
    weights = KERNELS[name]((np.arange(n_in) + 0.5 - places[:, None]) / max(1, n_in / n_out))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("factor", [0.25, 0.5, 0.9, 1.5, 2])
def test_scaling_is_by_the_filter_that_is_named(name, factor):
    scaled = alter(GRAY, f"scale {factor} {name}").astype(float)
    height, width = scaled.shape
    assert (height, width) == (int(218 * factor + 0.5), int(178 * factor + 0.5))
    expected = kernel_weights(218, height, name) @ GRAY @ kernel_weights(178, width, name).T
    np.testing.assert_allclose(scaled, np.clip(expected, 0, 255), atol=1.5)


def test_the_filters_differ_and_scaling_down_lets_nothing_alias():
    scaled = [alter(GRAY, f"scale 0.5 {name}") for name in FILTERS]
    assert len({image.tobytes() for image in scaled}) == 4
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # half a cycle a pixel: nothing of it is left at half
    for name in FILTERS:
        assert np.ptp(alter(stripes, f"scale 0.5 {name}")[8:-8, 8:-8]) <= 1


@pytest.mark.parametrize(
    "shape, fitting",
    [((1000, 500), (768, 384)), ((500, 1000), (384, 768)), ((768, 10), (768, 10)), ((60, 90), (60, 90))],
)
def test_fit_shrinks_the_longer_side_and_enlarges_nothing(shape, fitting):
    gray = picture(shape=shape)
    assert alter(gray, "fit 768").shape == altered_shape(shape, "fit 768") == fitting
    assert (alter(gray, "fit 768") is gray) == (shape == fitting)


@pytest.mark.parametrize("sigma", [1, 2, 5, 10, 20])
def test_noise_has_the_standard_deviation_asked_for_and_no_mean(sigma):
    noise = alter(FLAT, f"noise {sigma}").astype(float) - 128
    assert noise.std() == pytest.approx(np.hypot(sigma, np.sqrt(1 / 12)), rel=0.01)  # the latter of rounding
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(noise.size)
    rows, columns = (np.corrcoef(noise.ravel(), np.roll(noise, 1, axis).ravel())[0, 1] for axis in (0, 1))
    assert max(abs(rows), abs(columns)) < 4 / np.sqrt(noise.size)  # white


def test_the_same_image_gets_the_same_noise_and_another_image_another():
    np.testing.assert_array_equal(alter(GRAY, "noise 5"), alter(GRAY.copy(), "noise 5"))
    other = FLAT.copy()
    other[0, 0] += 1
    difference = alter(other, "noise 5").astype(int) - alter(FLAT, "noise 5")
    assert difference.std() == pytest.approx(5 * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    "sigma, moment",
    [(0.5, 0.2155), (1, 1), (1.5, 2.25), (2, 4), (3, 9)],  # sampled at whole pixels, the narrowest is narrower
)
def test_the_second_moment_of_the_blur_is_sigma_squared(sigma, moment):
    edge = np.zeros((81, 81), np.uint8)
    edge[:, 40:] = 255  # blurred, its steps are the Gaussian
    spread = np.diff(alter(edge, f"blur {sigma}")[40].astype(float)) / 255
    x = np.arange(80) - 39
    assert spread.sum() == pytest.approx(1) and abs(spread @ x) < 0.02
    assert spread @ x**2 == pytest.approx(moment, rel=0.03)


@pytest.mark.parametrize("steps, of_level", [
    ("gain 0.5", lambda v: v / 2), ("gain 1.25", lambda v: v * 1.25), ("gain 2", lambda v: v * 2),
    ("gamma 2", lambda v: v**2 / 255), ("gamma 0.5", lambda v: np.sqrt(255 * v)), ("gamma 1", lambda v: v),
])  # fmt: skip
def test_gain_and_gamma_are_curves_of_grey_levels(steps, of_level):
    expected = np.minimum(of_level(RAMP.astype(float)), 255)
    np.testing.assert_allclose(alter(RAMP, steps), expected, atol=0.5)


@pytest.mark.parametrize("share, side", [(90, (196, 160)), (75, (164, 134)), (50, (109, 89)), (1, (2, 2))])
def test_a_crop_by_share_is_the_middle_of_either_side(share, side):
    height, width = side
    np.testing.assert_array_equal(alter(GRAY, f"crop {share}%"), alter(GRAY, f"crop {width}x{height}"))


@pytest.mark.parametrize("tier, parts", [
    ("web", "fit 768 + jpeg 60"), ("hard", "fit 512 + jpeg 40"), ("screenshot", "scale 0.8 lanczos"),
    ("shared twice", "jpeg 75 + scale 0.75 lanczos + jpeg 60"),
])  # fmt: skip
def test_a_tier_is_its_parts_alone_and_among_other_steps(tier, parts):
    gray = picture(shape=(900, 800))
    np.testing.assert_array_equal(alter(gray, tier), alter(gray, parts))
    among = alter(gray, f"blur 1 + {tier} + gain 0.5")
    np.testing.assert_array_equal(among, alter(gray, f"blur 1 + {parts} + gain 0.5"))
    assert set(TIERS) == {"web", "hard", "screenshot", "shared twice"}


def test_steps_are_done_in_their_order_and_no_step_changes_nothing():
    assert np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(alter(GRAY, "crop 64x64"), "blur 1"))
    assert not np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(GRAY, "blur 1 + crop 64x64"))
    assert alter(GRAY, "") is GRAY


@pytest.mark.parametrize(
    "steps",
    [
        "",
        "crop 100x200",
        "resize 300x100 + crop 200x90",
        "jpeg 50",
        "crop 50x60 + blur 1 + resize 70x80",
        "crop 75%",
        "crop 33% + scale 1.5 area",
        "scale 0.33 lanczos + fit 50",
        "hard",
        "noise 3 + web",
        "webp 50 + gain 2",
    ],
)
def test_the_altered_shape_is_told_without_an_image(steps):
    assert altered_shape(GRAY.shape, steps) == alter(GRAY, steps).shape


@pytest.mark.parametrize(
    "steps",
    [
        "sharpen 1", "jpeg", "jpeg 0", "jpeg 101", "crop 10", "crop 0x5", "blur 0", "blur 0.0", "blur x", "blur 100",
        "resize 10000x9", "scale 0.5", "scale 0 area", "scale 2.1 area", "scale 0.5 nearest", "fit 0", "noise 0",
        "noise", "gain 0", "gamma -1", "crop 0%", "crop 100%", "webp 101", "h264 52", "shared", "web 2",
        "jpeg 50+blur 1", "jpeg 50 + sharpen 1", "jpeg 50 +",
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
alterations += ["webp 50", "scale 0.7 lanczos", "noise 5", "hard"]
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
    assert len(made) == 1 and len(made.pop().splitlines()) == 8  # and no word of OpenCV's


def test_an_alteration_that_is_asked_for_by_no_name_is_refused():
    with pytest.raises(UsageError, match="^unknown alteration ''; known are"):
        parse_steps("")
