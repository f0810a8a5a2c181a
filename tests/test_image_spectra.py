"""Folders become labelled spectra: which files are drawn, what of them is computed, and what ends the run."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import linux_only
from ended_runs import end_halfway
from pictures import by_opencv, colour_picture, picture, write_source
from scipy.interpolate import CubicSpline

from deepfake_spectra import image_folders, measurement
from deepfake_spectra.alterations import alter
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, IMAGES, REAL, Feature, ImageFolder
from deepfake_spectra.errors import ExperimentError, UnreadableImage, UsageError
from deepfake_spectra.image_folders import find_images, label_sources, sizes_that_fit
from deepfake_spectra.image_spectra import load_altered, load_spectra, mean_log_power_plane
from deepfake_spectra.measurement import feature_of, measure_spectrum
from deepfake_spectra.opencv import cv2
from radial_spectrum import radial_spectrum, resample_spectrum

FEATURES = [
    Feature("centred"),
    Feature("published_2019"),
    Feature(crop="centre_third"),
    Feature(precision="float32"),
    Feature(alteration="crop 40x30 + jpeg 50"),
    Feature(n_bins=20),
    Feature(normalise=True),
    Feature("centred", "centre_third", "float32", "blur 1", 60, True),
]


def read(path):
    """Read as the paper does."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


# --- which folders


def test_sources_are_labelled_in_their_order():
    labels = label_sources(("b", "a"), ("d", "c/d"))
    assert list(labels.items()) == [("b", REAL), ("a", REAL), ("d", FAKE), ("c/d", FAKE)]


@pytest.mark.parametrize(
    "real, fake, words",
    [
        ((), ("a",), "REAL_SOURCES is empty: need at least one folder of each class"),
        (("a",), (), "FAKE_SOURCES is empty"),
        (("a", "b"), ("c", "b"), "^b: named both as a real and as a fake source"),
        (("a",), ("fa\x00ke",), "source 'fa\\\\x00ke': a table cannot show that name"),
        (("re\udcff",), ("a",), "source 're\\\\udcff': a table cannot"),
    ],
)
def test_sources_that_make_no_two_classes_are_refused(real, fake, words):
    with pytest.raises(UsageError, match=words):
        label_sources(real, fake)


def test_images_are_those_of_the_folder_named_else_of_data_else_of_the_sample(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_folders, "REPOSITORY", tmp_path)
    monkeypatch.setattr(image_folders, "sample_images", lambda experiment: f"the sample for {experiment}")
    papers, others = {"a": REAL, "b": FAKE}, {"a": REAL, "c": FAKE}
    cache = tmp_path / "data/spectra/faces"
    assert find_images("faces", None, papers, papers) == "the sample for faces"
    assert capsys.readouterr().out.startswith("data/faces is not there: running on the built-in sample")
    with pytest.raises(UsageError, match="data/faces: no such folder; the sources you named need DATA_DIR"):
        find_images("faces", None, others, papers)
    with pytest.raises(UsageError, match="named: no such folder; set DATA_DIR"):
        find_images("faces", tmp_path / "named", papers, papers)
    for folder, asked in ((tmp_path / "data/faces", None), (tmp_path / "named", tmp_path / "named")):
        folder.mkdir(parents=True)
        assert find_images("faces", asked, others, papers) == ImageFolder(folder, others, cache, IMAGES)
    assert capsys.readouterr().out == ""


def test_a_file_in_the_place_of_the_data_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: no such folder"):
        find_images("faces", tmp_path / "file", {}, {})


@linux_only
@pytest.mark.parametrize(
    "labels, error, words",
    [
        ({"real": REAL, "fakes": FAKE}, UsageError, "no source 'fakes' there; found empty, fake, link, real$"),
        ({"real": REAL, "/tmp": FAKE}, UsageError, "no source '/tmp' there"),
        ({"real": REAL, "empty": FAKE}, ExperimentError, "empty: found no image, need at least one"),
        ({"real": REAL, "real/": FAKE}, UsageError, "share no image"),
        ({".": REAL, "fake": FAKE}, UsageError, "share no image"),
        ({"real": REAL, "../data/real": FAKE}, UsageError, "share no image"),
        ({"real": REAL, "link": FAKE}, UsageError, "real, link lie in each other; name folders that share no image"),
    ],
)
def test_wrong_sources_are_named(two_sources, tmp_path, labels, error, words):
    for name in ("empty", ".hidden"):
        (two_sources / name).mkdir()
    (two_sources / "link").symlink_to(two_sources / "real")
    with pytest.raises(error, match=words):
        load_spectra(ImageFolder(two_sources, labels, tmp_path / "cache"), Feature(), 4)


# --- which files


@pytest.mark.parametrize("beginning", ["", "./", "../data/"])
def test_a_listing_looks_once_at_each_file_and_names_it_from_the_data_folder(
    two_sources, tmp_path, monkeypatch, beginning
):
    looked_at, look = [], image_folders.file_key
    monkeypatch.setattr(image_folders, "file_key", lambda *file: looked_at.append(file[1]) or look(*file))
    monkeypatch.chdir(two_sources)
    (two_sources / "real/none.png").touch()
    listing = image_folders.list_sources(ImageFolder(Path(beginning), {"real": REAL, "fake": FAKE}, tmp_path / "cache"))
    expected = [f"{source}/{number:03}.png" for source in ("fake", "real") for number in range(12)]
    assert sorted(key.path for files in listing.files.values() for key in files) == expected
    assert sorted(looked_at) == sorted([*expected, "real/none.png"])
    assert all(key.size == (two_sources / key.path).stat().st_size for key in listing.files["real"])


def test_a_draw_is_shared_equally_and_begins_with_every_smaller_one(load):
    many, few = load(n_samples=17), load(n_samples=6)
    assert many.counts() == {"real": 8, "fake": 8} and few.counts() == {"real": 3, "fake": 3}
    assert few.paths == many.paths[:3] + many.paths[8:11] and sorted(few.paths) != few.paths
    assert few.labels.tolist() == [REAL] * 3 + [FAKE] * 3 and few.sources.tolist() == ["real"] * 3 + ["fake"] * 3
    assert load(n_samples=1).counts() == {"real": 2, "fake": 2}


def test_a_draw_depends_on_the_seed_alone(load):
    first = load(n_samples=10)
    assert load(Feature("centred", "centre_third"), 10).paths == load(n_samples=10, cache="other").paths == first.paths
    assert load(n_samples=10, seed=1).paths != first.paths


def test_a_source_with_fewer_images_gives_all_it_has(load, two_sources):
    for number in range(9):
        (two_sources / f"fake/{number:03}.png").unlink()
    assert load(n_samples=20).counts() == {"real": 10, "fake": 3}


def test_groups_are_taken_whole_and_each_image_is_its_own_by_default(load):
    alone = load()
    assert alone.groups.tolist() == alone.paths and not alone.is_grouped and alone.protocol == "random"
    dataset = load(n_samples=4, group_of=lambda path: Path(path).stem)
    assert dataset.is_grouped and dataset.protocol == "by_pair" and len(dataset) == 24
    assert dataset.groups.tolist() == [Path(path).stem for path in dataset.paths]


def test_an_unreadable_image_is_named_counted_and_replaced_by_the_next_of_the_draw(load, two_sources):
    drawn = load(n_samples=10).paths[:5]
    path = two_sources / drawn[1]
    path.write_bytes(path.read_bytes()[:-100])
    for _ in range(2):  # computed, and from the cache
        dataset = load(n_samples=8, max_unreadable=0.2)
        assert dataset.paths[:4] == [drawn[0], *drawn[2:]] and dataset.counts() == {"real": 4, "fake": 4}
        assert dataset.skipped == [(drawn[1], "cut short or damaged PNG")]


@linux_only
def test_a_link_to_nothing_is_named_and_does_not_end_the_run(load, two_sources):
    (two_sources / "real/gone.jpg").symlink_to("nowhere")
    assert load(max_unreadable=0.04).skipped == [("real/gone.jpg", "No such file or directory")]


@pytest.mark.parametrize("n_broken", [1, 3, 12])
def test_more_than_max_unreadable_ends_the_run_and_as_many_do_not(load, two_sources, n_broken):
    for path in sorted((two_sources / "real").iterdir())[:n_broken]:
        path.write_bytes(path.read_bytes()[:200])
        path.rename(path.with_name(f"new\nline {path.name}"))
    words = rf"^{n_broken} of 24 .* MAX_UNREADABLE = .* real/new\\nline 0\d\d"
    with pytest.raises(ExperimentError, match=words) as run:
        load(max_unreadable=n_broken / 24 - 0.001)
    assert str(run.value).isprintable() and ("and 7 more" in str(run.value)) == (n_broken == 12)
    assert len(load(max_unreadable=n_broken / 24).skipped) == n_broken


def test_no_readable_image_at_all_ends_the_run_whatever_is_allowed(load, two_sources):
    for path in two_sources.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExperimentError, match="data: no readable image in real, fake"):
        load(max_unreadable=1)


def test_files_that_are_no_images_count_among_all_that_are_listed_not_among_a_small_draw(load, two_sources):
    (two_sources / "real/error.jpg").write_text("not found")
    assert load(n_samples=4, max_unreadable=1 / 25).skipped == [("real/error.jpg", "not an image")]
    with pytest.raises(ExperimentError, match="^1 of 25 files"):
        load(n_samples=4, max_unreadable=1 / 26)


@pytest.mark.parametrize(
    "pixels, feature, words",
    [
        (picture(shape=(8, 20)), Feature(), "20x8: needs two sides of at least 9"),
        (picture(shape=(20, 8)), Feature(), "8x20: needs two sides of at least 9"),
        (picture(shape=(2, 2)), Feature(crop="centre_third"), "2x2: needs two sides of at least 9"),
        (picture(shape=(20, 24)), Feature(crop="centre_third"), "24x20, too small once altered or cropped: needs two"),
        (picture(), Feature(alteration="crop 8x48"), "64x48, too small once altered or cropped: needs two"),
        (np.full((48, 64), 7, np.uint8), Feature(), "blank: every pixel is 7"),
        (np.pad(picture(shape=(20, 20)), (0, 30)), Feature(alteration="crop 9x9"), "blank: every pixel is 0 once al"),
        (picture(shape=(20, 41)), Feature("published_2019"), "found a plane of 41x20, .* use 'published'"),
    ],
)
def test_pictures_without_a_spectrum_are_refused(pixels, feature, words):
    with pytest.raises(UnreadableImage, match=f"^{words}"):
        measure_spectrum(pixels, feature)


def test_a_picture_without_a_spectrum_is_named_and_skipped(load, two_sources):
    (two_sources / "real/new.png").write_bytes(by_opencv(picture(shape=(20, 41))))
    assert "real/new.png" in load().paths
    [(name, reason)] = load(Feature("published_2019"), max_unreadable=0.1).skipped
    assert name == "real/new.png" and reason.startswith("found a plane of 41x20")


@pytest.mark.parametrize("side, crop", [(9, "none"), (25, "centre_third")])
def test_the_smallest_picture_that_has_a_spectrum_is_read(side, crop):
    margin = (side - 9) // 2
    middle = np.pad(picture(shape=(9, 9)), margin)
    np.testing.assert_array_equal(measure_spectrum(middle, Feature(crop=crop)), radial_spectrum(picture(shape=(9, 9))))


def test_an_unknown_alteration_ends_the_run_before_a_file_is_read(load, monkeypatch):
    monkeypatch.setattr(image_folders, "list_images", None)
    with pytest.raises(UsageError, match="unknown alteration 'sharpen 1'"):
        load(Feature(alteration="sharpen 1"))


# --- what is computed


@pytest.mark.parametrize(
    "feature, measure",
    [
        (Feature(), radial_spectrum),
        (Feature("centred"), lambda gray: radial_spectrum(gray, "centred")),
        (Feature("published_2019"), lambda gray: radial_spectrum(gray, "published_2019")),
        (Feature(crop="centre_third"), lambda gray: radial_spectrum(gray[16:-16, 21:-21])),
        (Feature(precision="float32"), lambda gray: np.float32(radial_spectrum(gray, dtype=np.float32))),
        (Feature(alteration="crop 40x30 + jpeg 50"), lambda gray: radial_spectrum(alter(gray[9:39, 12:52], "jpeg 50"))),
        (
            Feature("centred", "centre_third", alteration="crop 40x30"),
            lambda gray: radial_spectrum(gray[9:39, 12:52][10:-10, 13:-13], "centred"),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Feature) else "",
)
def test_rows_are_the_spectra_of_the_files(load, two_sources, feature, measure):
    dataset = load(feature, 6)
    for path, spectrum in zip(dataset.paths, dataset.spectra, strict=True):
        np.testing.assert_array_equal(spectrum, measure(read(two_sources / path)))
    assert dataset.feature == replace(feature, n_bins=dataset.spectra.shape[1])


@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_the_feature_of_an_image_is_its_row_in_the_data_set(load, two_sources, feature):
    dataset = load(feature, 6)
    for path, spectrum in zip(dataset.paths, dataset.spectra, strict=True):
        np.testing.assert_array_equal(feature_of(read(two_sources / path), dataset.feature), spectrum)


@pytest.mark.parametrize("shape", [(64, 64), (218, 178), (97, 100)])
def test_a_row_is_what_the_paper_describes(shape):
    """Shifted DFT, rings of width 1 about ((W-1)/2, (H-1)/2), first and last dropped, cubic spline, first value 1."""
    gray = picture(shape=shape)
    plane = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(gray)) + 1e-8))
    y, x = np.indices(shape)
    rings = np.hypot(x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2).astype(int)
    spectrum = np.array([plane[rings == ring].mean() for ring in range(1, rings.max())])
    spline = CubicSpline(np.linspace(0, 80, len(spectrum)), spectrum)(np.linspace(0, 80, 80))
    np.testing.assert_allclose(feature_of(gray, Feature(n_bins=80, normalise=True)), spline / spline[0], rtol=1e-10)


def test_a_spectrum_that_begins_with_zero_is_no_feature(monkeypatch):
    monkeypatch.setattr(measurement, "radial_spectrum", lambda *_: np.arange(20.0))
    with pytest.raises(UnreadableImage, match="zero"):
        feature_of(picture(), Feature(n_bins=20, normalise=True))


def test_what_is_loaded_is_said_with_what_tells_it_from_other_spectra_of_the_run(load, capsys):
    for feature in (Feature(n_bins=20), Feature("centred", "centre_third", "float32", "blur 1 + jpeg 50", 20)):
        load(feature, 4)
    lines = capsys.readouterr().out.splitlines()
    titles = ["spectra", "spectra, centred, centre_third, float32, blur 1 + jpeg 50"]
    assert [line.partition(": 0 from ")[0] for line in lines] == titles


def test_one_thread_and_many_give_the_same(load):
    first, second = load(n_threads=1), load(n_threads=4, cache="other")
    assert first.paths == second.paths and np.array_equal(first.spectra, second.spectra)
    assert np.array_equal(first.headers, second.headers)


@pytest.mark.parametrize("n_bins, length", [(None, 43), (20, 20), (60, 60)])
def test_mixed_sizes_get_one_length_and_a_warning_with_the_sizes(load, two_sources, n_bins, length):
    write_source(two_sources / "fake", 12, (64, 64))
    write_source(two_sources / "real", 12, (97, 100))
    dataset = load(Feature(n_bins=n_bins))
    assert dataset.spectra.shape == (24, length) and dataset.feature.n_bins == length
    assert dataset.remarks[0].startswith("12 of 100x97, 12 of 64x64: sizes differ")
    assert "learned their sizes" in dataset.remarks[0]
    own = radial_spectrum(read(two_sources / dataset.paths[0]))
    np.testing.assert_array_equal(dataset.spectra[0], resample_spectrum(own, length))


def test_sizes_whose_spectra_are_equally_long_are_warned_of_too(load, two_sources):
    write_source(two_sources / "fake", 12, (100, 100))
    write_source(two_sources / "real", 12, (60, 128))
    dataset = load()
    assert len(radial_spectrum(picture(shape=(100, 100)))) == len(radial_spectrum(picture(shape=(60, 128)))) == 69
    assert dataset.remarks[0].startswith("12 of 128x60, 12 of 100x100: sizes differ")


def test_what_was_changed_on_reading_is_counted(load, two_sources):
    for number in range(3):
        (two_sources / f"real/{number:03}.png").write_bytes(by_opencv(colour_picture(number).astype(np.uint16) * 257))
    for _ in range(2):  # computed, and from the cache
        assert load(Feature(n_bins=20)).remarks == [
            "3 images: 16 bits a channel, reduced to 8 as the paper's reader does",
            "21 images: grey already",
        ]


def test_what_has_been_loaded_knows_its_origin(two_sources, tmp_path):
    images = ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path, BUILT_IN_SAMPLE)
    assert load_spectra(images, Feature(), 4).origin is BUILT_IN_SAMPLE


# --- sample sizes


@pytest.mark.parametrize(
    "sizes, fitting, sentences",
    [
        ((40, 20), [40, 20], []),
        ((41,), [40], ["sample size 41 became 40: equal numbers of 4 sources"]),
        ((41, 40), [40], ["sample size 41 became 40: equal numbers of 4 sources"]),  # one size, once
        (
            (1000, 8),
            [40, 8],
            ["sample size 1000 became 40: b has 10 images, and 4 sources are drawn in equal numbers"],
        ),
        ((7, 8), [8], ["sample size 7 left out: 4 sources, need 2 images of each source, 8 in total"]),
    ],
)
def test_sizes_that_fit_are_equal_numbers_of_all_sources_and_each_change_is_said(sizes, fitting, sentences):
    counts = {"a": 12, "b": 10, "c": 11, "d": 12}
    assert sizes_that_fit(counts, sizes) == (fitting, sentences)


@pytest.mark.parametrize(
    "n, asked, words", [(1, 20, "b has 1 images, need 2 images of each source"), (9, 3, "2 sources, need 2")]
)
def test_not_even_two_of_each_source_end_the_run(n, asked, words):
    with pytest.raises(ExperimentError, match=f"^sample size {asked} left out: {words}"):
        sizes_that_fit({"a": 10, "b": n}, (asked,))


# --- 2-D spectra


@pytest.mark.parametrize("alteration, shape", [("", (48, 64)), ("crop 31x30 + blur 1", (30, 31))])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_mean_plane_is_the_mean_of_log_power_with_dc_in_the_middle(two_sources, alteration, shape, n_threads):
    paths = ["real/001.png", "fake/002.png", "real/007.png"]
    planes = []
    for path in paths:
        gray = alter(read(two_sources / path), alteration).astype(float)
        planes.append(20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(gray))) + 1e-8))
    mean = mean_log_power_plane(two_sources, paths, alteration, n_threads)
    assert mean.shape == shape and mean == pytest.approx(np.mean(planes, axis=0), abs=1e-6)
    assert np.unravel_index(mean.argmax(), shape) == (shape[0] // 2, shape[1] // 2)


def test_a_mean_plane_of_an_image_that_cannot_be_read_ends_with_its_reason(two_sources):
    (two_sources / "real/000.png").write_bytes(b"")
    with pytest.raises(UnreadableImage, match="empty file"):
        mean_log_power_plane(two_sources, ["real/001.png", "real/000.png"], "", 1)


# --- several states by one decoding


def test_states_by_one_decoding_are_those_of_a_data_set_each_and_lie_in_its_cache(load, two_sources, tmp_path, capsys):
    alterations = ["jpeg 50", "crop 40x30 + blur 1", "jpeg 50"]
    images = ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path / "cache")
    for feature in (Feature(), Feature("centred", "centre_third", n_bins=30, normalise=True, alteration="blur 1")):
        dataset = load(feature, 16)
        states = list(load_altered(images, dataset, alterations, 2))
        assert "spectra of 2 alterations: 0 from" in capsys.readouterr().out
        for steps, spectra in zip(alterations, states, strict=True):
            both = " + ".join(filter(None, (feature.alteration, steps)))
            alone = load(replace(dataset.feature, alteration=both), 16)
            assert ": 16 from" in capsys.readouterr().out and alone.paths == dataset.paths
            np.testing.assert_array_equal(spectra, alone.spectra)
            fresh = load(replace(dataset.feature, alteration=both), 16, cache="other")
            np.testing.assert_array_equal(spectra, fresh.spectra)
            capsys.readouterr()


def test_an_image_of_which_nothing_is_left_has_no_spectrum_in_that_state_alone(load, two_sources, tmp_path):
    bright = np.full((48, 64), 200, np.uint8)
    bright[::2] = 250
    (two_sources / "real/bright.png").write_bytes(by_opencv(bright))
    dataset = load()
    images = ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path / "cache")
    gone, left = load_altered(images, dataset, ["gain 2", "gain 0.5"])
    assert [dataset.paths[row] for row in np.flatnonzero(np.isnan(gone).any(axis=1))] == ["real/bright.png"]
    assert np.isfinite(left).all()


STATES = ["jpeg 50", "blur 1", "noise 2"]
SLOW_STATES = f"""
dataset = image_spectra.load_spectra(images, Feature())
spectrum_cache.IMAGES_PER_SHARD = 10
missing_spectra.measure_features = slowed(missing_spectra.measure_features)
run(lambda: len(list(image_spectra.load_altered(images, dataset, {STATES}, 2))) and 0)
"""


@linux_only
@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT"])
def test_states_that_were_ended_halfway_go_on_where_they_stopped(load, two_sources, tmp_path, capsys, end):
    n_files = 1 + 3 * 2  # as they are; two lots of each state
    status, _, error = end_halfway(SLOW_STATES, 0.02, two_sources, tmp_path / "cache", n_files, end)
    assert end == "SIGKILL" or status == 130 and "new spectra are kept in" in error
    dataset = load()
    images = ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path / "cache")
    capsys.readouterr()
    states = list(load_altered(images, dataset, STATES))
    n_kept, n_computed = map(int, re.findall(r": (\d+) from \S+, (\d+) computed", capsys.readouterr().out)[0])
    assert 60 <= n_kept < 900 and n_kept + n_computed == 900
    other = ImageFolder(two_sources, {"real": REAL, "fake": FAKE}, tmp_path / "other")
    for spectra, expected in zip(states, load_altered(other, dataset, STATES), strict=True):
        np.testing.assert_array_equal(spectra, expected)
