"""The grid of an earlier JPEG: found in pictures that were made from one, and not in those that were not."""

import numpy as np
import pytest
from conftest import real_data
from pictures import by_opencv, picture

from deepfake_spectra.image_files import read_gray
from deepfake_spectra.jpeg_grid import GRID_FOUND, SMALLEST_GRID_SIDE, grid_strength
from deepfake_spectra.opencv import cv2


def from_jpeg(gray, quality):
    """Return a picture as a JPEG keeps it."""
    return cv2.imdecode(np.frombuffer(by_opencv(gray, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality), np.uint8), 0)


@pytest.mark.parametrize("shape", [(128, 128), (100, 203), (67, 64)])
def test_a_picture_made_from_a_jpeg_shows_the_grid_and_one_that_was_not_does_not(shape):
    for seed in range(10):
        gray = picture(seed, shape, blur=2)
        assert grid_strength(gray) < GRID_FOUND < grid_strength(from_jpeg(gray, 60))


@pytest.mark.parametrize("top, left", [(0, 0), (3, 0), (5, 7), (4, 4)])
def test_the_grid_is_found_wherever_a_crop_begins(top, left):
    cropped = from_jpeg(picture(0, (160, 160), blur=2), 70)[top:, left:]
    assert grid_strength(cropped) > GRID_FOUND


def test_scaling_removes_the_grid():
    gray = from_jpeg(picture(0, (256, 256), blur=2), 70)
    assert grid_strength(gray) > GRID_FOUND > grid_strength(cv2.resize(gray, (170, 170), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("period", [2, 4])
def test_patterns_of_a_shorter_period_are_no_grid(period):
    gray = picture(1, (128, 128), blur=3)
    pattern = 6 * ((np.arange(128)[:, None] % period == 0) | (np.arange(128) % period == 0))
    assert grid_strength(np.clip(gray.astype(int) + pattern, 0, 255).astype(np.uint8)) < GRID_FOUND


def test_nothing_is_said_of_small_and_blank_pictures():
    assert grid_strength(np.zeros((SMALLEST_GRID_SIDE - 1, 500), np.uint8)) is None
    assert grid_strength(np.zeros((SMALLEST_GRID_SIDE, 500), np.uint8)) == 0


def test_of_60_real_and_generated_png_none_is_said_to_have_been_a_jpeg_and_all_are_after_one():
    folder = real_data("faces_hq")
    images = [read_gray(path).gray for source in ("ffhq_png", "stylegan_png") for path in (folder / source).iterdir()]
    assert len(images) == 60
    assert max(map(grid_strength, images)) < 1.5  # GRID_FOUND leaves as much again
    for quality in (75, 95):
        assert min(grid_strength(from_jpeg(gray, quality)) for gray in images) > 3 * GRID_FOUND
