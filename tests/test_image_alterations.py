"""Each step of an alteration does what its name says, and a wrong one is refused."""

import cv2
import numpy as np
import pytest

from deepfake_spectra.settings import UsageError
from deepfake_spectra.alterations import alter

GRAY = np.random.default_rng(0).integers(0, 256, (218, 178), dtype=np.uint8)


def test_no_step_changes_nothing():
    assert alter(GRAY, "") is GRAY


def test_a_crop_is_the_middle():
    assert np.array_equal(alter(GRAY, "crop 100x120"), GRAY[49:169, 39:139])


def test_a_crop_is_no_larger_than_the_image():
    assert alter(GRAY, "crop 1000x100").shape == (100, 178)


@pytest.mark.parametrize("size, shape", [("89x109", (109, 89)), ("300x400", (400, 300))])
def test_a_resized_image_has_the_size_asked_for(size, shape):
    assert alter(GRAY, f"resize {size}").shape == shape


def test_a_flat_image_survives_blur_and_scaling():
    flat = np.full((64, 64), 77, dtype=np.uint8)
    assert (alter(flat, "blur 1.5 + resize 32x32") == 77).all()


def test_jpeg_is_that_of_the_quality(tmp_path):
    cv2.imwrite(str(tmp_path / "q30.jpg"), GRAY, [cv2.IMWRITE_JPEG_QUALITY, 30])
    assert np.array_equal(alter(GRAY, "jpeg 30"), cv2.imread(str(tmp_path / "q30.jpg"), cv2.IMREAD_GRAYSCALE))


def test_steps_are_done_in_their_order():
    assert np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(alter(GRAY, "crop 64x64"), "blur 1"))
    assert not np.array_equal(alter(GRAY, "crop 64x64 + blur 1"), alter(GRAY, "blur 1 + crop 64x64"))


@pytest.mark.parametrize(
    "steps",
    [
        "sharpen 1",
        "jpeg 0",
        "jpeg 101",
        "jpeg",
        "crop 10",
        "crop 0x5",
        "blur 0",
        "blur 0.0",
        "blur x",
        "blur 100",
        "resize 10000x9",
    ],
)
def test_an_unknown_step_is_refused(steps):
    with pytest.raises(UsageError, match="known are"):
        alter(GRAY, steps)
