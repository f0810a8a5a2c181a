"""Simulated images: the cache takes them for measured, no two are equal, and the classes are told apart so-so."""

import numpy as np
import pytest

from deepfake_spectra.dataset import FAKE
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.opencv import cv2
from deepfake_spectra.simulation import (
    CLASS_DIFFERENCE,
    FEATURE,
    SOURCES,
    image_folder,
    image_name,
    made_spectra,
    side_of,
    simulate,
    write_images,
)


def test_simulated_files_load_as_measured_ones_of_the_size_that_has_so_many_values(tmp_path, capsys):
    simulate(tmp_path, 5002, 88, seed=3)
    dataset = load_spectra(image_folder(tmp_path), FEATURE)
    assert "5002 from" in capsys.readouterr().out
    numbers = [int(path.rpartition("/")[2].removesuffix(".jpg")) for path in dataset.paths]
    first, second = made_spectra(range(4096), 88, 3), made_spectra(range(4096, 5002), 88, 3)
    assert np.array_equal(dataset.spectra, np.concatenate([first, second])[numbers])
    assert dataset.counts() == {"real_0": 1251, "fake_0": 1251, "real_1": 1250, "fake_1": 1250}
    assert set(dataset.sizes()) == {(127, 127)} and dataset.remarks == [] == dataset.skipped


def test_images_that_come_later_are_measured_and_have_as_many_values(tmp_path, capsys):
    simulate(tmp_path, 100, 40, seed=0)
    write_images(tmp_path / "images", range(100, 106), side_of(40), seed=0)
    dataset = load_spectra(image_folder(tmp_path), FEATURE)
    assert "100 from" in (said := capsys.readouterr().out) and "6 computed" in said
    assert dataset.spectra.shape == (106, 40) and dataset.remarks == []


def test_images_are_all_different_and_the_same_whoever_asks_for_them(tmp_path):
    write_images(tmp_path / "at once", range(30), 32, seed=0)
    write_images(tmp_path / "by turns", range(10), 32, seed=0)
    write_images(tmp_path / "by turns", range(10, 30), 32, seed=0)
    contents = [
        [(tmp_path / folder / image_name(n)).read_bytes() for n in range(30)] for folder in ("at once", "by turns")
    ]
    assert contents[0] == contents[1] and len(set(contents[0])) == 30
    pixels = [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) for content in contents[0]]
    assert all(plane.shape == (32, 32) and plane.std() > 1 for plane in pixels)
    assert len({name.rpartition("/")[2] for name in map(image_name, range(30))}) == 30


def test_fakes_differ_by_what_is_said_in_the_highest_quarter_alone():
    spectra = made_spectra(range(8000), 80, 0)
    is_fake = np.array([list(SOURCES.values())[number % 4] for number in range(8000)]) == FAKE
    residuals = spectra - np.polynomial.Polynomial.fit(np.arange(60), spectra[:, :60].mean(0), 8)(np.arange(80))
    difference = np.diff(residuals[is_fake].mean(0) - residuals[~is_fake].mean(0))
    assert difference[59] == pytest.approx(CLASS_DIFFERENCE, abs=0.1) and np.abs(np.delete(difference, 59)).max() < 0.1


@pytest.mark.parametrize("n_bins, side", [(722, 1024), (88, 127), (40, 59)])
def test_the_side_is_the_least_with_so_many_values(n_bins, side):
    assert side_of(n_bins) == side


def test_a_length_that_no_readable_image_has_is_refused():
    for n_bins in (2, 6000):
        with pytest.raises(ValueError, match=f"has a spectrum of {n_bins} values"):
            side_of(n_bins)
