"""Frames of videos as data: where they come from, and that no video and nobody stands on both sides of a split."""

import numpy as np
import pytest
from frames import actor_videos, make_frames, write_features, write_frames
from sklearn.linear_model import LogisticRegression

from deepfake_spectra import video_frames
from deepfake_spectra.classification import score_classifiers
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, PUBLISHED_FEATURES, REAL, Feature, Split
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.video_frames import find_frames, load_frames, published_frames
from deepfake_spectra.video_protocols import (
    by_class,
    compression,
    first_identities,
    frame_splits,
    independent_people,
    manipulation,
    protocol_sides,
    reals_beside,
    size_matched_sides,
    transfer_splits,
    video_splits,
)

FEATURE = Feature(crop="centre_third", n_bins=12, normalise=True)
DRAW = {"test_share": 0.2, "seed": 0}
PLAIN = [f"{label}/videos/{number}.mp4" for label in ("real", "fake") for number in range(10)]


def names_on_both_sides(names, split):
    """The names that rows of both sides have."""
    return set(names[split[0]]) & set(names[split[1]])


# --- protocols


@pytest.mark.parametrize("seed", [0, 100])
def test_no_video_and_nobody_stands_on_both_sides(seed):
    dataset = make_frames(actor_videos(), n_frames=2)
    people = dataset.identities
    sides, _ = protocol_sides(dataset, 0.2, 10, seed)
    assert list(sides) == ["random", "by_video", "by_identity"]
    assert all(len(of_splits) == 10 for of_splits in sides.values())
    for may_train, may_test in sides["by_video"] + sides["by_identity"]:
        assert not names_on_both_sides(dataset.groups, (may_train, may_test))
        assert set(dataset.labels[may_train]) == set(dataset.labels[may_test]) == {REAL, FAKE}
    for may_train, may_test in sides["by_identity"]:
        trained, tested = (
            set().union(*(people[row] for row in np.flatnonzero(side))) for side in (may_train, may_test)
        )
        assert trained.isdisjoint(tested) and 6 <= len(tested) <= 7
        for row in np.flatnonzero(~may_train & ~may_test):  # a fake of two people, of whom one is tested on
            assert dataset.labels[row] == FAKE and len(people[row] & tested) == 1


def test_random_frames_do_mix_videos_and_frames_by_video_do_mix_people():
    dataset = make_frames(actor_videos())
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    for protocol, names, n_shared in (
        ("random", dataset.groups, 80),
        ("by_video", np.array([min(own) for own in dataset.identities]), 10),
    ):
        for may_train, may_test in sides[protocol]:
            assert np.array_equal(may_test, ~may_train) and np.mean(may_test) == pytest.approx(0.2, abs=0.02)
            assert len(names_on_both_sides(names, (may_train, may_test))) > n_shared


def test_the_sample_is_split_by_photograph():
    videos = [f"{label}/videos/{name}_{clip}.mp4" for label in ("real", "fake") for name in "abcde" for clip in "01"]
    dataset = make_frames(videos, n_frames=2)
    dataset.identities = [frozenset(video[12]) for video in dataset.groups]
    dataset.origin = BUILT_IN_SAMPLE
    sides, sentences = protocol_sides(dataset, 0.4, 3, 0)
    assert list(sides) == ["random", "by_video", "by_photograph"] and not sentences
    photographs = np.array([video[12] for video in dataset.groups])
    assert all(not names_on_both_sides(photographs, split) for split in sides["by_photograph"])
    assert any(names_on_both_sides(photographs, split) for split in sides["by_video"])


def test_the_share_of_frames_left_out_by_identity_is_said():
    videos = [f"real/youtube_c23/{number:03}.mp4" for number in range(6)]
    for method in ("Deepfakes", "FaceSwap"):
        videos += [f"fake/{method}_c23/{number:03}_{(number + 1) % 6:03}.mp4" for number in range(6)]
    _, sentences = protocol_sides(make_frames(videos, n_frames=3), 0.2, 2, 0)
    assert len(sentences) == 1 and sentences[0].startswith("by identity, 22 % of the frames are left out")
    # 4 of 18 videos: 2 methods, 2 ends of the arc that is tested on


def pairs_of_people(n_pairs, more=()):
    """Return the videos of pairs as FaceForensics++ has them: two reals, and a fake each way."""
    videos = [f"real/youtube_c23/{number:03}.mp4" for number in range(2 * n_pairs)]
    for first in range(0, 2 * n_pairs, 2):
        videos += [f"fake/Deepfakes_c23/{a:03}_{b:03}.mp4" for a, b in ((first, first + 1), (first + 1, first))]
    return [*videos, *more]


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("n_pairs, n_splits", [(3, 3), (3, 10), (10, 10)])
def test_groups_of_people_that_share_no_video_are_tested_on_once_each(n_pairs, n_splits, seed):
    dataset = make_frames(pairs_of_people(n_pairs), n_frames=2)
    sides, sentences = protocol_sides(dataset, 0.2, n_splits, seed)
    parts = sides["by_identity"]
    assert len(parts) == n_pairs and len(sides["by_video"]) == len(sides["random"]) == n_splits
    assert sentences == [f"by identity: {n_pairs} groups of people share no video; each of them is tested on once"]
    for may_train, may_test in parts:
        tested = set().union(*(dataset.identities[row] for row in np.flatnonzero(may_test)))
        assert np.array_equal(may_train, ~may_test) and len(tested) == 2 and np.count_nonzero(may_test) == 8
    assert np.sum([may_test for _, may_test in parts], axis=0).tolist() == [1] * len(dataset)


def test_an_interval_by_identity_is_over_people_who_share_no_video():
    dataset = make_frames(pairs_of_people(3), n_frames=2)
    people = independent_people(dataset, "by_identity")
    for row, shown in enumerate(dataset.identities):
        assert people[row] == int(min(shown)) // 2  # 000 and 001 are one pair, and so on
    assert independent_people(dataset, "by_video") is None and independent_people(dataset, "random") is None


def test_where_everybody_is_linked_to_everybody_an_interval_is_over_the_persons_whose_videos_they_were():
    videos = [f"fake/Deepfakes_c23/{number:03}_{(number + 1) % 4:03}.mp4" for number in range(4)]
    dataset = make_frames([*videos, "real/youtube_c23/000.mp4"], n_frames=1)
    assert independent_people(dataset, "by_identity").tolist() == ["000", "001", "002", "003", "000"]


@pytest.mark.parametrize(
    "videos, n_splits",
    [
        (pairs_of_people(4), 3),  # more parts than splits
        (pairs_of_people(3, ["real/youtube_c23/900.mp4"]), 10),  # a part without a fake
        (pairs_of_people(3, ["fake/Deepfakes_c23/900_901.mp4"]), 10),  # a part without a real
    ],
)
def test_where_groups_of_people_are_no_splits_people_are_drawn(videos, n_splits):
    dataset = make_frames(videos, n_frames=4)
    sides, [sentence] = protocol_sides(dataset, 0.2, n_splits, 0)
    assert sentence.startswith("by identity, ") and len(sides["by_identity"]) == n_splits
    for *_, splits in frame_splits(dataset, sides, [40], **DRAW):
        for side in (side for split in splits for side in split):
            assert set(dataset.labels[side]) == {REAL, FAKE}


@pytest.mark.parametrize(
    "videos, left_out",
    [
        (
            ["real/videos/a.mp4", "fake/videos/b.mp4", "fake/videos/c.mp4"],
            ["by video left out: real/videos/a.mp4 is the only"],
        ),
        (
            ["real/youtube_c23/001.mp4", "real/youtube_c23/002.mp4", "fake/Deepfakes_c23/001_002.mp4"],
            ["by video left out: fake/Deepfakes_c23/001_002.mp4 is the only", "by identity left out: no draw of"],
        ),
    ],
)
def test_a_protocol_that_cannot_be_had_is_left_out_and_said(videos, left_out):
    dataset = make_frames(videos)
    sides, sentences = protocol_sides(dataset, 0.2, 2, 0)
    assert list(sides) == ["random"] and len(sentences) == len(left_out)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, left_out))
    assert not list(transfer_splits(dataset, sides, 10, **DRAW)) and not list(video_splits(dataset, sides, 10, **DRAW))


# --- splits


def test_a_split_has_as_many_reals_as_fakes_on_either_side_of_those_allowed():
    dataset = make_frames(actor_videos())
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    authors = Split(np.arange(3), np.arange(3, 5))
    *drawn, last = frame_splits(dataset, sides, [200, 21, 4], authors, **DRAW)
    assert [(size, protocol) for size, protocol, _ in drawn] == [(n, name) for n in (200, 21, 4) for name in sides]
    assert last == (len(dataset), "authors_split", [authors])
    for size, protocol, splits in drawn:
        assert len(splits) == 3
        for split, (may_train, may_test) in zip(splits, sides[protocol]):
            assert may_train[split.train].all() and may_test[split.test].all()
            assert all(2 * np.count_nonzero(dataset.labels[side]) == len(side) for side in split)
            n_test = max(1, round(0.2 * (size // 2)))
            assert (len(split.train), len(split.test)) == (2 * (size // 2 - n_test), 2 * n_test)


def test_videos_are_judged_by_all_their_frames_after_the_same_training():
    dataset = make_frames(actor_videos())
    sides, _ = protocol_sides(dataset, 0.2, 2, 0)
    frames = {protocol: splits for _, protocol, splits in frame_splits(dataset, sides, [200], **DRAW)}
    authors = Split(np.arange(3), np.arange(3, 5))
    *drawn, last = video_splits(dataset, sides, 200, authors, **DRAW)
    assert [found[:2] for found in drawn] == [(200, "by_video"), (200, "by_identity")]
    assert last == (len(dataset), "authors_split", [authors])
    for _, protocol, splits in drawn:
        for split, of_frames, (_, may_test) in zip(splits, frames[protocol], sides[protocol]):
            assert np.array_equal(split.train, of_frames.train)
            assert np.array_equal(split.test, np.flatnonzero(may_test))


def test_each_split_has_the_next_seed():
    dataset = make_frames(actor_videos(), n_frames=3)

    def drawn(seed, n_splits):
        sides, _ = protocol_sides(dataset, 0.2, n_splits, seed)
        return [splits for *_, splits in frame_splits(dataset, sides, [60], test_share=0.2, seed=seed)]

    for first, second in zip(drawn(0, 3), drawn(1, 2)):
        for one, two in zip(first[1:], second):
            assert np.array_equal(one.train, two.train) and np.array_equal(one.test, two.test)
        assert not np.array_equal(first[0].test, first[1].test)


def test_the_seed_draws_the_frames_too():
    dataset = make_frames(PLAIN)
    sides, _ = protocol_sides(dataset, 0.2, 1, 0)
    one, two = (next(frame_splits(dataset, sides, [20], test_share=0.2, seed=seed))[2][0].train for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_a_transfer_changes_the_manipulation_or_the_compression_but_not_both():
    fakes = ("Deepfakes_c23", "Deepfakes_c40", "FaceSwap_c23")
    videos = [f"real/youtube_{c}/{number:03}.mp4" for c in ("c23", "c40") for number in range(10)]
    videos += [f"fake/{source}/{number:03}_{(number + 1) % 10:03}.mp4" for source in fakes for number in range(10)]
    dataset = make_frames(videos, n_frames=4)
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    found = list(transfer_splits(dataset, sides, 40, **DRAW))
    assert {(*trained, *tested) for _, trained, tested, _ in found} == {
        (f"real/youtube_{a[-3:]}", f"fake/{a}", f"real/youtube_{b[-3:]}", f"fake/{b}")
        for a in fakes for b in fakes if {a, b} != {"Deepfakes_c40", "FaceSwap_c23"}
    }  # fmt: skip
    for protocol, trained, tested, splits in found:
        assert protocol == "by_identity" and 1 <= len(splits) <= 3
        for split in splits:
            assert set(dataset.sources[split.train]) == set(trained)
            assert set(dataset.sources[split.test]) == set(tested)
            assert all(2 * np.count_nonzero(dataset.labels[side]) == len(side) > 0 for side in split)
            of_train, of_test = (set().union(*(dataset.identities[row] for row in side)) for side in split)
            assert of_train.isdisjoint(of_test)


def test_a_transfer_without_both_classes_on_both_sides_is_left_out():
    videos = [f"{source}/{number}.mp4" for source in ("real/videos", "fake/many") for number in range(6)]
    dataset = make_frames([*videos, "fake/few/0.mp4"])
    sides = protocol_sides(dataset, 0.2, 12, 0)[0]
    found = transfer_splits(dataset, sides, 20, **DRAW)
    splits = {(trained[-1], tested[-1]): splits for _, trained, tested, splits in found}
    lone = dataset.sources == "fake/few"
    n_tested = sum(may_test[lone].all() for _, may_test in sides["by_video"])  # its video is on one side at a time
    assert 0 < n_tested < 12
    assert len(splits["fake/many", "fake/few"]) == n_tested and len(splits["fake/few", "fake/many"]) == 12 - n_tested


def test_frames_of_one_video_give_the_video_away_by_random_frames_only():
    dataset = make_frames(PLAIN, n_frames=20, n_bins=40, video_spread=0.2)  # nothing tells the classes apart
    sides, _ = protocol_sides(dataset, 0.2, 10, 0)
    accuracy = {}
    for _, protocol, splits in frame_splits(dataset, sides, [400], **DRAW):
        rows = score_classifiers(dataset, splits, {"logistic_regression": LogisticRegression(C=100)})
        [accuracy[protocol]] = (row["mean"] for row in rows if row["metric"] == "accuracy")
    assert accuracy["random"] > 0.95 and 0.2 < accuracy["by_video"] < 0.8


# --- the authors' features


def test_the_authors_zero_is_a_fake(tmp_path):
    path = write_features(tmp_path / "features.pkl", n_real=45, n_fake=60)
    dataset, authors_split = published_frames(None, path, Feature(crop="centre_third", n_bins=40, normalise=True))
    assert authors_split is None and dataset.origin is PUBLISHED_FEATURES and dataset.identities is None
    assert dataset.counts() == {"fake": 60, "real": 45} and dataset.labels.tolist() == [FAKE] * 60 + [REAL] * 45
    assert dataset.spectra[dataset.labels == FAKE, 1:].mean() < 0.52 < dataset.spectra[dataset.labels == REAL].mean()
    assert dataset.feature == Feature(crop="centre_third", n_bins=40, normalise=True)
    assert dataset.headers.dtype.names == ("spectrum_length",) and not dataset.sizes()


def test_a_block_is_20_neighbouring_rows_of_a_class_and_a_file(tmp_path):
    one, two = (write_features(tmp_path / name / "features.pkl", n_real=45, n_fake=60) for name in "ab")
    dataset, authors_split = published_frames(one, two, Feature(crop="centre_third", n_bins=40))
    _, starts, sizes = np.unique(dataset.groups, return_index=True, return_counts=True)
    assert sorted(sizes) == [5, 5] + [20] * 10
    for start, size in zip(starts, sizes):
        block = slice(start, start + size)
        assert len(set(dataset.groups[block])) == len(set(dataset.labels[block])) == 1
    assert authors_split.train.tolist() == list(range(105))
    assert authors_split.test.tolist() == list(range(105, 210))
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    assert list(sides) == ["random", "by_video", "by_video_fewer", "by_video_apart"]
    assert not any(names_on_both_sides(dataset.groups, split) for split in sides["by_video"])
    assert any(names_on_both_sides(dataset.groups, split) for split in sides["random"])


def test_no_row_within_21_of_one_tested_is_trained_on_and_its_control_trains_on_as_many(tmp_path):
    one, two = (write_features(tmp_path / name / "features.pkl", n_real=210, n_fake=150) for name in "ab")
    dataset, _ = published_frames(one, two, Feature(crop="centre_third", n_bins=40))
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    strips = np.split(np.arange(720), np.cumsum([150, 210, 150]))  # fakes and reals of the one file, of the other
    for by_video, fewer, apart in zip(*(sides[name] for name in ("by_video", "by_video_fewer", "by_video_apart"))):
        assert all(np.array_equal(by_video[1], may_test) for _, may_test in (fewer, apart))
        for rows in strips:
            tested = rows[by_video[1][rows]]
            expected = [bool(by_video[0][row]) and all(abs(row - other) > 21 for other in tested) for row in rows]
            assert apart[0][rows].tolist() == expected
        assert np.array_equal(np.bincount(dataset.labels[fewer[0]]), np.bincount(dataset.labels[apart[0]]))
        assert not (fewer[0] & ~by_video[0]).any() and (fewer[0] & ~apart[0]).any()


def test_too_few_rows_to_have_21_between_leave_that_protocol_out_and_say_so(tmp_path):
    path = write_features(tmp_path / "features.pkl", n_real=40, n_fake=40)
    dataset, _ = published_frames(None, path, Feature(crop="centre_third"))
    sides, sentences = protocol_sides(dataset, 0.2, 3, 0)
    assert list(sides) == ["random", "by_video"]
    assert sentences == ["by blocks with 21 rows between left out: it leaves no row to train on"]


def test_no_size_can_be_learned_from_sides_of_matched_size(tmp_path):
    path = write_features(tmp_path / "features.pkl", n_real=210, n_fake=150)
    dataset, _ = published_frames(None, path, Feature(crop="centre_third"))
    random = np.random.default_rng(0)
    dataset.headers["spectrum_length"] = random.integers(10, 15, 360) + 2 * dataset.labels
    sides, _ = protocol_sides(dataset, 0.2, 3, 0)
    for protocol, matched in size_matched_sides(dataset, sides, 0).items():
        for (may_train, may_test), (kept, tested) in zip(sides[protocol], matched, strict=True):
            assert np.array_equal(may_test, tested) and not (kept & ~may_train).any()
            sizes = [dataset.headers["spectrum_length"][kept & (dataset.labels == label)] for label in (REAL, FAKE)]
            assert sorted(sizes[0]) == sorted(sizes[1]) and set(sizes[0]) == {12, 13, 14}
            for size in (12, 13, 14):
                of_size = may_train & (dataset.headers["spectrum_length"] == size)
                assert np.count_nonzero(sizes[0] == size) == min(np.bincount(dataset.labels[of_size]))


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"n_bins": 300}, "40 values a spectrum, expected N_BINS = 300"),
        ({"convention": "centred"}, "CONVENTION 'published'.*found 'centred'"),
        ({"crop": "none"}, "CROP 'centre_third'.*found 'none'"),
    ],
)
def test_features_of_another_kind_are_refused(tmp_path, changed, words):
    path = write_features(tmp_path / "features.pkl")
    with pytest.raises(UsageError, match=words):
        published_frames(None, path, Feature(**{"crop": "centre_third"} | changed))


def test_one_file_is_not_two(tmp_path):
    path = write_features(tmp_path / "features.pkl")
    with pytest.raises(UsageError, match="are one file: name two, or PUBLISHED_TEST alone"):
        published_frames(path, path, Feature(crop="centre_third"))


# --- crops with their index


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository, in which folders are looked for."""
    monkeypatch.setattr(video_frames, "REPOSITORY", tmp_path / "repository")
    return tmp_path / "repository"


def test_frames_are_those_that_the_index_names(repository):
    stale = {"fake/a_c23/001_002.mp4/000003.png", "real/b_c23/001.mp4/000005.png"}
    videos = ["real/b_c23/001.mp4", "real/b_c23/002.mp4", "fake/a_c23/001_002.mp4"]
    frames = write_frames(repository / "data/deepfake_detection", videos, not_in_index=stale)
    (frames / "real/b_c23/002.mp4/000000.png").unlink()
    images = find_frames(None)
    assert images.path == frames and images.labels_of_sources == {"real/b_c23": REAL, "fake/a_c23": FAKE}
    assert images.cache_dir == repository / "data/spectra/deepfake_detection"
    dataset = load_frames(images, FEATURE)
    assert len(dataset) == 18 - 3 and not stale & set(dataset.paths)
    assert "2 images left out: the index of the crops does not name them" in dataset.remarks
    assert dataset.skipped == [("real/b_c23/002.mp4/000000.png", "not there, though the index names it")]
    assert set(dataset.groups) == set(videos) and dataset.protocol == "by_video"
    assert all(path.startswith(f"{group}/") for path, group in zip(dataset.paths, dataset.groups))
    people = {"001.mp4": {"001"}, "002.mp4": {"002"}, "001_002.mp4": {"001", "002"}}
    assert dataset.identities == [people[group.rpartition("/")[2]] for group in dataset.groups]
    assert first_identities(dataset) == [group.rpartition("/")[2][:3] for group in dataset.groups]


def test_names_without_identities_leave_that_protocol_out_and_say_so(repository):
    frames = write_frames(repository / "mine", ["real/v/001.mp4", "real/v/holiday.mp4", "fake/v/002.mp4"], n_frames=1)
    dataset = load_frames(find_frames(frames), FEATURE)
    assert dataset.identities is None
    assert "by identity left out: the names of the videos do not tell whom they show" in dataset.remarks
    assert set(first_identities(dataset)) == {"001", "real/v/holiday.mp4", "002"}


@pytest.mark.parametrize(
    "videos, words", [(PLAIN[:2], "found real/videos; extract videos of both"), ([], "found no crop at all")]
)
def test_crops_of_one_class_are_refused(repository, videos, words):
    repository.mkdir()
    with pytest.raises(ExperimentError, match=f"need real and fake crops, {words}"):
        find_frames(write_frames(repository, videos, n_frames=1))


def test_a_folder_that_is_not_there_or_videos_that_wait_are_not_passed_over_for_the_sample(repository):
    with pytest.raises(UsageError, match="nowhere: no such folder; set FRAMES_DIR or --frames-dir"):
        find_frames(repository / "nowhere")
    (repository / "data/faceforensics").mkdir(parents=True)
    with pytest.raises(ExperimentError, match="its face crops are not: run `python extract_video_frames.py`"):
        find_frames(None)


# --- sources


@pytest.mark.parametrize(
    "source, method, rate",
    [
        ("fake/Deepfakes_c23", "Deepfakes", "c23"),
        ("fake/Deepfakes_raw", "Deepfakes", "raw"),
        ("fake/my_gan", "my_gan", ""),
        ("fake/videos", "videos", ""),
        ("fake/a_c99", "a_c99", ""),
    ],
)
def test_manipulation_and_compression_of_a_source(source, method, rate):
    assert (manipulation(source), compression(source)) == (method, rate)


def test_a_fake_stands_beside_the_reals_of_its_compression_or_all_of_them():
    reals = [f"real/{source}/1.mp4" for source in ("youtube_c23", "actors_c23", "youtube_c40", "mine")]
    dataset = make_frames([*reals, "fake/x_c23/1.mp4"], n_frames=1)
    assert reals_beside("fake/x_c23", dataset) == ["real/youtube_c23", "real/actors_c23"]
    assert reals_beside("fake/x_raw", dataset) == [
        "real/youtube_c23", "real/actors_c23", "real/youtube_c40", "real/mine"
    ]  # fmt: skip
    assert reals_beside("fake/x", dataset) == ["real/mine"]


def test_classes_stand_for_sources():
    dataset = make_frames(["real/a/1.mp4", "fake/b/1.mp4", "fake/c/1.mp4"], n_frames=2)
    assert by_class(dataset).counts() == {"real": 2, "fake": 4} and len(dataset.counts()) == 3
