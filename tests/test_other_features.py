"""The other features agree with their definitions written out, and are computed once for each image."""

import numpy as np
import pytest
from pictures import picture, write_source

from deepfake_spectra import other_features
from deepfake_spectra.alterations import alter
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.other_features import (
    FEATURES,
    cross_difference,
    load_features,
    noise_residual,
    rings_together,
    sector_spectrum,
)
from radial_spectrum import azimuthal_average, log_power_plane, ring_numbers


def test_a_mean_of_rings_is_of_8_values_and_the_last_of_what_is_left():
    spectra = np.arange(38.0).reshape(2, 19)
    np.testing.assert_allclose(rings_together(spectra), [[3.5, 11.5, 17], [22.5, 30.5, 36]])


@pytest.mark.parametrize("shape", [(64, 64), (51, 64), (40, 33)])
def test_a_sector_is_the_mean_over_its_part_of_8_rings(shape):
    gray, rings = picture(1, shape), ring_numbers(shape)
    plane = log_power_plane(gray)
    cells = {}
    for row, column in np.ndindex(shape):
        ring = rings[row, column]
        if 0 < ring < rings.max():
            degrees = np.degrees(np.arctan2(row - shape[0] // 2, column - shape[1] // 2)) % 180
            sector = round(degrees / 22.5) % 8
            cells.setdefault(((ring - 1) // 8, sector), []).append(plane[row, column])
    expected = [np.mean(cells[cell]) for cell in sorted(cells)]
    np.testing.assert_allclose(sector_spectrum(gray), expected, rtol=1e-12)


@pytest.mark.parametrize("axis, sector", [(0, 4), (1, 0)])
def test_waves_along_an_axis_show_in_its_sector_alone(axis, sector):
    waves = 100 + 50 * np.cos(2 * np.pi * 12 * np.indices((64, 64))[axis] / 64)
    of_second_rings = sector_spectrum(waves)[8:16]
    assert of_second_rings.argmax() == sector and np.sort(of_second_rings)[-2] < -300


def test_the_rings_of_an_average_are_those_whose_numbers_are_told():
    plane = np.random.default_rng(0).normal(size=(40, 31))
    rings = ring_numbers(plane.shape)
    expected = [plane[rings == ring].mean() for ring in range(1, rings.max())]
    np.testing.assert_allclose(azimuthal_average(plane), expected)


def test_the_residual_is_what_a_median_takes_away_of_either_sign():
    gray = np.full((20, 20), 100, np.uint8)
    gray[5, 5], gray[12, 3] = 255, 0
    residual = noise_residual(gray)
    assert residual[5, 5] == 155 and residual[12, 3] == -100 and np.count_nonzero(residual) == 2


def test_the_cross_difference_is_that_of_four_neighbours_and_blind_to_ramps():
    gray = picture(2, (20, 30))
    wide = gray.astype(int)
    np.testing.assert_array_equal(cross_difference(gray), wide[1:, 1:] - wide[1:, :-1] - wide[:-1, 1:] + wide[:-1, :-1])
    assert not cross_difference(np.add.outer(np.arange(20), 2 * np.arange(30)).astype(np.uint8)).any()


@pytest.fixture
def images(tmp_path):
    """A folder of four pictures, with a space in its name, and a cache."""
    write_source(tmp_path / "my images", 4)
    return tmp_path / "my images", ["000.png", "001.png", "002.png", "003.png"], tmp_path / "cache"


@pytest.mark.parametrize("alteration", ["", "jpeg 50", "crop 40x30"])
def test_features_are_of_the_images_as_altered(images, alteration):
    folder, paths, cache_dir = images
    found = load_features(folder, paths, alteration, cache_dir, n_threads=2)
    assert list(found) == ["sectors", "residual", "cross-difference"]
    for row, path in enumerate(paths):
        gray = alter(read_gray(folder / path).gray, alteration)
        for name, function in FEATURES.items():
            np.testing.assert_array_equal(found[name][row], function(gray))


def test_what_is_on_disk_is_not_computed_again_unless_file_alteration_or_cache_have_changed(images, monkeypatch):
    folder, paths, cache_dir = images
    n_read = []
    monkeypatch.setattr(other_features, "read_gray", lambda path: n_read.append(path.name) or read_gray(path))

    def read(alteration=""):
        n_read.clear()
        features = load_features(folder, paths, alteration, cache_dir, n_threads=1)
        return features, list(n_read)

    first, computed = read()
    assert computed == paths
    again, computed = read()
    assert computed == [] and all(np.array_equal(first[name], again[name]) for name in first)
    assert read("jpeg 50")[1] == paths and read()[1] == []
    (folder / "002.png").write_bytes((folder / "003.png").read_bytes() + b"\0")
    assert read()[1] == ["002.png"]


def test_a_damaged_an_edited_and_an_exchanged_file_are_said_and_computed_again(images, capsys):
    folder, paths, cache_dir = images
    whole = load_features(folder, paths, "", cache_dir)
    first, second, third, fourth = sorted(cache_dir.iterdir())
    first.write_bytes(first.read_bytes()[:100])
    with np.load(second) as file:
        edited = dict(file) | {"sectors": file["sectors"] + 1}
    np.savez(second, **edited)
    third.write_bytes(fourth.read_bytes())
    for n_damaged in (3, 0):
        again = load_features(folder, paths, "", cache_dir)
        assert all(np.array_equal(again[name], whole[name]) for name in FEATURES)
        assert capsys.readouterr().out.count("damaged, what it held is computed again") == n_damaged


def test_images_of_two_sizes_are_one_sentence(images):
    folder, paths, cache_dir = images
    write_source(folder / "larger", 1, (60, 64))
    with pytest.raises(ExperimentError, match="not of one size, .* as 'crop 512x512'"):
        load_features(folder, [*paths, "larger/000.png"], "", cache_dir, n_threads=1)
    assert len(load_features(folder, [*paths, "larger/000.png"], "crop 40x40", cache_dir)["sectors"]) == 5
