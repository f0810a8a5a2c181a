"""Images that are there more than once: found whatever they are called, said, and never on both sides of a split."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from datasets import SOURCES, make_dataset, make_prediction
from frames import make_frames
from pictures import by_opencv, picture

from deepfake_spectra.controls import half_altered, one_against_other
from deepfake_spectra.dataset import FAKE, REAL, Feature
from deepfake_spectra.duplicates import duplicate_remarks, equal_images, linked_rows
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.intervals import intervals, wilson_interval
from deepfake_spectra.published_features import published_dataset
from deepfake_spectra.splits import random_splits, source_splits
from deepfake_spectra.video_frames import published_frames
from deepfake_spectra.video_protocols import protocol_sides


def with_copies(dataset, pairs):
    """Return a data set in which some rows have the spectrum of others, {row: that of which it is a copy}."""
    spectra = dataset.spectra.copy()
    spectra[list(pairs)] = spectra[list(pairs.values())]
    return replace(dataset, spectra=spectra)


def write_features(path, spectra, label):
    """Write a feature file of the authors' form."""
    path.write_bytes(pickle.dumps({"data": spectra, "label": label}, 4))
    return path


def leaks(dataset, splits):
    """Return how many rows that are tested equal one that is trained on, over all splits."""
    equal = equal_images(dataset.spectra, dataset.digests)
    return sum(np.count_nonzero(np.isin(equal[split.test], equal[split.train])) for split in splits)


# --- what is equal


def test_images_are_equal_by_their_bytes_or_their_spectrum_or_over_another_image():
    spectra = np.array([[1, 2], [3, 4], [1, 2], [5, 6], [7, 8], [3, 4.0000001]])
    assert equal_images(spectra).tolist() == [0, 1, 0, 3, 4, 5]
    assert equal_images(spectra, ["a", "b", "c", "c", "d", "b"]).tolist() == [0, 1, 0, 0, 4, 1]  # 3 over 2


@pytest.mark.parametrize("seed", range(5))
def test_linked_rows_are_those_of_a_slow_search(seed):
    first, second = np.random.default_rng(seed).integers(0, 20, (2, 25)).tolist()
    expected = list(range(25))
    for _ in range(25):
        for row in range(25):
            near = [other for other in range(25) if first[row] == first[other] or second[row] == second[other]]
            expected[row] = min(expected[other] for other in near)
    assert linked_rows(first, second).tolist() == expected


def test_copies_links_and_one_picture_in_two_formats_are_found_on_loading(load, two_sources):
    for name in ("copy.png", "again.png"):
        shutil.copy(two_sources / "real/003.png", two_sources / f"real/{name}")
    (two_sources / "fake/link.png").symlink_to(two_sources / "real/005.png")
    (two_sources / "fake/other.bmp").write_bytes(by_opencv(picture(107, blur=1.5), ".bmp"))  # fake/007.png
    dataset = load(Feature(n_bins=20))
    rows_of = {name: [] for name in dataset.kept_together}
    for path, name in zip(dataset.paths, dataset.kept_together):
        rows_of[name].append(path)
    assert sorted(sorted(paths) for paths in rows_of.values() if len(paths) > 1) == [
        ["fake/007.png", "fake/other.bmp"], ["fake/link.png", "real/005.png"],
        ["real/003.png", "real/again.png", "real/copy.png"],
    ]  # fmt: skip
    contradiction, copies, *_ = dataset.remarks
    assert contradiction.startswith("called both real and fake, pictures: 1; the labels contradict each other")
    assert contradiction.endswith(": real/005.png = fake/link.png")
    assert copies.startswith("3 of 28 images equal an earlier one") and "fake/other.bmp" in copies
    assert (dataset.protocol, dataset.is_grouped) == ("random", False)  # a few copies do not make it grouped data


def test_images_that_are_all_different_get_no_remark_and_stay_their_own(load):
    dataset = load()
    assert dataset.kept_together.tolist() == dataset.groups.tolist() == dataset.paths
    assert dataset.remarks == ["24 images: grey already"]


def test_images_behind_a_link_to_a_folder_are_said_not_to_be_there(load, two_sources):
    (two_sources / "real/others").symlink_to(two_sources / "fake")
    dataset = load()
    assert len(dataset) == 24
    assert dataset.remarks[0].startswith("links to folders are not followed") and "real/others" in dataset.remarks[0]


def test_remarks_name_the_first_pairs_on_one_printable_line():
    equal = np.array([0, 1, 0, 1, 0, 5, 5])
    paths = ["a", "b\x1b[2J", "c", "d", "e", "f", "g"]
    labels = np.array([REAL, REAL, FAKE, REAL, FAKE, FAKE, FAKE])
    groups = np.array(["u", "v", "w", "x", "y", "same", "same"])
    contradiction, copies, repeats = duplicate_remarks(equal, paths, labels, groups, "video")
    assert contradiction.startswith("called both real and fake, pictures: 1;") and contradiction.endswith(
        ": a = c, a = e"
    )
    assert copies.startswith("1 of 7 images equal") and copies.endswith(r": b\x1b[2J = d")
    assert repeats == "1 of 7 images repeat an earlier one of the same video: f = g"


# --- splits


@pytest.mark.parametrize(
    "pairs",
    [
        {1: 0},  # in one source
        {25: 0},  # in two of one class
        {45: 0},  # in both classes
        {row: row % 5 for row in range(5, 20)},  # a source of five pictures
        {row: row - 20 for row in range(20, 40)},  # a source that is another one
        {row: row % 20 for row in range(20, 80)},  # all sources are one
    ],
    ids=len,
)
def test_no_copy_of_what_is_trained_on_is_tested(pairs):
    dataset = with_copies(make_dataset(20), pairs)
    splits = random_splits(dataset, 80, 0.2, 10, 0)
    assert leaks(dataset, splits) == 0
    for split in splits:
        assert set(dataset.sources[split.train]) == set(dataset.sources[split.test]) == set(SOURCES)
    assert leaks(dataset, [split._replace(test=np.r_[split.train, split.test]) for split in splits]) > 0  # it can fail


def test_a_source_of_one_picture_cannot_be_split_and_the_run_ends_with_a_sentence():
    dataset = with_copies(make_dataset(20), {row: 0 for row in range(1, 20)})
    with pytest.raises(ExperimentError, match=r"^real_a/0.png is the only group of real_a: it cannot stand on both"):
        random_splits(dataset, 80, 0.2, 1, 0)


def test_what_memory_alone_can_tell_is_not_told():
    """A nearest neighbour among noise without classes: right on copies, if one of them was trained on."""
    dataset = with_copies(make_dataset(100, gap=0.0), {row: row - 50 for row in [*range(50, 100), *range(250, 300)]})

    def accuracy(splits):
        distances = [np.linalg.norm(dataset.spectra[s.test, None] - dataset.spectra[s.train], axis=2) for s in splits]
        nearest = [dataset.labels[s.train][d.argmin(axis=1)] for s, d in zip(splits, distances)]
        return np.mean([np.mean(said == dataset.labels[s.test]) for said, s in zip(nearest, splits)])

    as_if_different = replace(dataset, spectra=make_dataset(100).spectra)
    assert accuracy(random_splits(as_if_different, 400, 0.2, 10, 0)) > 0.62
    assert accuracy(random_splits(dataset, 400, 0.2, 10, 0)) == pytest.approx(0.5, abs=0.05)


def test_a_transfer_leaves_out_what_equals_an_image_that_is_trained_on():
    trained, tested = ["real_a", "fake_a"], ["real_b", "fake_b"]
    dataset = with_copies(make_dataset(20), {20: 0, 21: 1, 61: 40})
    [split] = source_splits(dataset, trained, tested, 0.2, 10, 0)
    assert leaks(dataset, [split]) == 0 and len(split.train) == 40
    assert not {20, 21, 61} & set(split.test) and len(split.test) == 36  # 18 of each source
    linked = with_copies(dataset, {row: row - 20 for row in range(20, 40)})
    assert source_splits(linked, trained, tested, 0.2, 10, 0) == []


def test_halves_and_two_sources_of_one_class_keep_copies_together():
    dataset = with_copies(make_dataset(20), {1: 0, 5: 2, 25: 3})
    reals = dataset.of_sources(["real_a"])
    halves = half_altered(reals, replace(reals, spectra=reals.spectra + 1))
    for splits, data in (
        (random_splits(halves, 20, 0.3, 10, 0), halves),
        (random_splits(one_against_other(dataset, "real_a", "real_b"), 40, 0.3, 10, 0), dataset.of_rows(range(40))),
    ):
        for split in splits:
            for one, other in ((0, 1), (2, 5)):  # of the halves one is altered, its spectrum another
                assert ({one, other} & set(split.train) == set()) or ({one, other} & set(split.test) == set())
        assert leaks(data, splits) == 0


def test_an_interval_counts_copies_once():
    prediction = make_prediction([REAL, FAKE] * 20, [-1, 1] * 19 + [1, 1])
    few, many = np.arange(40) % 4, np.arange(40)
    assert intervals([prediction], equal=few)["accuracy"] == wilson_interval(39 / 40, 4)
    assert intervals([prediction], equal=few)["recall_real"] == wilson_interval(19 / 20, 2)
    assert intervals([prediction], equal=many) == intervals([prediction])


# --- videos and the authors' features


def test_equal_frames_stay_on_one_side_within_a_video_between_videos_and_between_people():
    videos = [f"{label}/c23/{name}.mp4" for label, names in (
        ("real", ("000", "001", "002", "003", "004", "005")), ("fake", ("000_001", "002_003", "004_005"))
    ) for name in names]  # fmt: skip
    dataset = make_frames(videos, n_frames=6)
    dataset = with_copies(dataset, {1: 0, 2: 0, 14: 3, 40: 20})  # a still; 000 with 002; 003 with fake 000_001
    sides, _ = protocol_sides(dataset, 0.3, 5, 0)
    assert list(sides) == ["random", "by_video", "by_identity"]
    for of_splits in sides.values():
        for may_train, may_test in of_splits:
            for one, other in ((0, 1), (1, 2), (3, 14), (20, 40)):
                assert not (may_train[one] and may_test[other] or may_test[one] and may_train[other])
    assert dataset.duplicate_remarks()[-1].startswith("2 of 54 images repeat an earlier one of the same video: ")


def test_equal_rows_of_the_authors_features_are_said_also_across_their_files(tmp_path):
    spectra = np.random.default_rng(0).normal(0.5, 0.1, (60, 12))
    spectra[:, 0] = 1
    label = np.repeat([0, 1], 30)
    spectra[31] = spectra[2]
    path = write_features(tmp_path / "test.pkl", spectra, label)
    feature = Feature(n_bins=12, normalise=True)
    assert published_dataset(path, feature).remarks[0].endswith("put each picture into one class: row 2 = row 31")
    train = write_features(
        tmp_path / "train.pkl", np.vstack([spectra[5:9], spectra[10:] + 0.01]), np.r_[label[5:9], label[10:]]
    )
    dataset, _ = published_frames(train, path, replace(feature, crop="centre_third"))
    assert dataset.remarks[-1] == "authors' files: 4 rows that are tested equal rows that are trained on"
