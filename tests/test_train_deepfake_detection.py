"""The DeepFakeDetection experiment: no video and nobody on both sides, votes by hand, and the authors' own features."""

import csv
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import by_opencv, picture

import train_deepfake_detection
from deepfake_spectra.experiment_data import ExperimentData
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.settings import UsageError, read_settings
from deepfake_spectra.video_frames import Frames, _published_frames, protocol_masks
from deepfake_spectra.metrics import Prediction, metric_values
from deepfake_spectra.opencv import cv2
from deepfake_spectra.published_features import load_published_features
from deepfake_spectra.image_spectra import FAKE, REAL, SpectrumDataset
from deepfake_spectra.splits import Split
from train_deepfake_detection import frame_rows, judge_videos, transfer_rows
from deepfake_spectra.video_crops import CropRow, identities, write_index

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
RELEASED = SHARED_DATA / "published_features" / "test_1000.pkl"
OUTPUTS = ("accuracy.csv", "accuracy.md", "files.txt", "results.json", "roc.png", "spectrum.png")


def train(clone, *flags, status=0):
    """Run the script in a copy of the repository; return what it printed, or its sentence on stderr."""
    command = [sys.executable, clone / "train_deepfake_detection.py", *map(str, flags)]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    return done.stderr if status else done.stdout


def results_of(folder):
    """Return the results file, where a NaN would be an error."""
    text = (folder / "deepfake_detection_results.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the results"))


def rows_with(rows, **keys):
    """Return the rows with these keys."""
    return [row for row in rows if all(row.get(key) == value for key, value in keys.items())]


def settings_of(*flags):
    """Return the script's settings."""
    return read_settings("train_deepfake_detection", list(map(str, flags)))


def make_frames(videos, n_frames=10, n_bins=12, gap=0.0, video_spread=0.0, labels=None, seed=0):
    """Return the frames of videos named "<label>/<source>/<file name>": noise, and an offset of class and of video."""
    random = np.random.default_rng(seed)
    groups = np.repeat(videos, n_frames)
    own = [REAL if video.startswith("real") else FAKE for video in videos] if labels is None else labels
    labels = np.repeat(own, n_frames)
    spectra = random.normal(0.5, 0.02, (len(groups), n_bins)) + gap * labels[:, None]
    spectra += np.repeat(random.normal(0, video_spread, (len(videos), n_bins)), n_frames, axis=0)
    sources = np.array([video.rpartition("/")[0] for video in groups])
    paths = [f"{video}/{row:06}.png" for row, video in enumerate(groups)]
    headers = np.zeros(len(groups), dtype=[("width", "i4")])
    dataset = SpectrumDataset(spectra, labels, sources, groups, paths, headers)
    people = [set(filter(None, identities(Path(video).name))) for video in groups]
    return Frames(ExperimentData(dataset, "images", (100,)), people if all(people) else None)


def actor_videos():
    """Return 28 actors' real videos, and fakes that link nearly all of them, as DeepFakeDetection's names have it."""
    reals = [f"real/actors_c23/{actor:02}__scene.mp4" for actor in range(1, 29)]
    pairs = [(actor, 1 + (actor + step) % 28) for actor in range(1, 29) for step in (0, 4, 9)]
    return reals + [f"fake/DeepFakeDetection_c23/{a:02}_{b:02}__scene__ABCDEFGH.mp4" for a, b in pairs]


def write_frames(folder, videos, n_frames=6, not_in_index=()):
    """Write face crops of 60x60, those of fakes blurred, and an index that names them all but some."""
    rows = []
    for number, video in enumerate(videos):
        label, source, name = video.split("/")
        (folder / video).mkdir(parents=True)
        for frame in range(n_frames):
            path = f"{video}/{frame:06}.png"
            gray = picture(100 * number + frame, (60, 60), 1.0 if label == "real" else 1.3)
            (folder / path).write_bytes(by_opencv(gray))
            if path not in not_in_index:
                rows.append(CropRow(path, label, source, name, frame, 0.04, 0, 0, 60, None, *identities(name)))
    write_index(folder, rows)
    return folder


PLAIN = [f"{label}/videos/clip_{number}.mp4" for label in ("real", "fake") for number in range(5)]


# --- splits


@pytest.mark.parametrize("seed", [0, 100, 200])
def test_no_video_and_nobody_stands_on_both_sides(seed):
    frames = make_frames(actor_videos(), n_frames=2)
    dataset, people = frames.data.dataset, frames.identities
    masks, _ = protocol_masks(frames, settings_of("--seed", seed))
    assert list(masks) == ["published", "by_video", "by_identity"]
    assert all(len(sides) == 10 for sides in masks.values())
    for may_train, may_test in masks["by_video"] + masks["by_identity"]:
        assert set(dataset.groups[may_train]).isdisjoint(dataset.groups[may_test])
        assert set(dataset.labels[may_train]) == set(dataset.labels[may_test]) == {REAL, FAKE}
    for may_train, may_test in masks["by_identity"]:
        trained, tested = (
            set().union(*(people[row] for row in np.flatnonzero(side))) for side in (may_train, may_test)
        )
        assert trained.isdisjoint(tested) and 6 <= len(tested) <= 7
        for row in np.flatnonzero(~may_train & ~may_test):  # a fake of two people, of whom one is tested on
            assert dataset.labels[row] == FAKE and len(people[row] & tested) == 1


def test_random_frames_do_put_one_video_on_both_sides():
    frames = make_frames(actor_videos())
    for may_train, may_test in protocol_masks(frames, settings_of())[0]["published"]:
        groups = frames.data.dataset.groups
        assert not np.any(may_train & may_test) and len(set(groups[may_train]) & set(groups[may_test])) > 50


@pytest.mark.parametrize("size", [200, 21, 4])
def test_a_split_has_as_many_reals_as_fakes_on_either_side(size):
    frames = make_frames(actor_videos())
    masks, _ = protocol_masks(frames, settings_of("--n-splits", 3))
    labels = frames.data.dataset.labels
    for _, _, splits in train_deepfake_detection.frame_splits(frames, masks, [size], settings_of()):
        for split in splits:
            assert all(2 * np.count_nonzero(labels[side]) == len(side) > 0 for side in split)
            assert len(split.train) + len(split.test) <= size and set(split.train).isdisjoint(split.test)


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
    masks, sentences = protocol_masks(make_frames(videos), settings_of())
    assert list(masks) == ["published"] and len(sentences) == len(left_out)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, left_out))
    assert transfer_rows(make_frames(videos), masks, 10, settings_of()) == []


# --- chance


def accuracies(frames, *flags):
    """Return {protocol: mean accuracy of the RBF SVM over its splits} at 400 frames."""
    settings = settings_of(*flags)
    rows = frame_rows(frames, protocol_masks(frames, settings)[0], [400], settings)
    return {row["protocol"]: row["mean"] for row in rows_with(rows, classifier="svm_rbf", metric="accuracy")}


def test_labels_shuffled_over_the_frames_score_at_chance_by_every_protocol():
    frames = make_frames(actor_videos(), gap=0.2)
    assert min(accuracies(frames, "--n-splits", 1).values()) > 0.95
    np.random.default_rng(0).shuffle(frames.data.dataset.labels)
    found = accuracies(frames, "--n-splits", 6)
    assert len(found) == 3 and all(0.4 < accuracy < 0.6 for accuracy in found.values())


def test_labels_shuffled_over_the_videos_score_at_chance_by_video_but_not_by_random_frames():
    videos = [f"{label}/videos/{number}.mp4" for label in ("real", "fake") for number in range(30)]
    found = accuracies(make_frames(videos, n_frames=20, video_spread=0.2))  # nothing tells the classes apart
    assert found["published"] > 0.9 and 0.35 < found["by_video"] < 0.65


# --- videos


def frame_prediction(n_fake, n_frames, score=None):
    """Return a prediction for videos of which some frames are called fake, and the videos of its rows."""
    predicted = np.concatenate([np.arange(n) < fake for fake, n in zip(n_fake, n_frames)]).astype(int)
    scores = np.where(predicted == FAKE, 1.0, -1.0) if score is None else np.array(score)
    groups = np.repeat([f"video {number}" for number in range(len(n_frames))], n_frames)
    return Prediction(np.arange(len(groups)), np.zeros(len(groups), int), predicted, scores), groups


@pytest.mark.parametrize(
    "n_fake, n_frames, majority, authors",
    [(0, 20, REAL, REAL), (9, 20, REAL, REAL), (10, 20, REAL, FAKE), (11, 20, FAKE, FAKE), (1, 1, FAKE, FAKE), (6, 13, REAL, FAKE)],
)  # fmt: skip
def test_a_video_is_fake_above_half_of_its_frames_or_above_the_authors_share(n_fake, n_frames, majority, authors):
    prediction, groups = frame_prediction([n_fake], [n_frames])
    for rule, expected in (("majority vote", majority), ("authors' vote", authors)):
        judged = judge_videos(prediction, groups, rule, settings_of())
        assert judged.predicted.tolist() == [expected] and judged.scores.tolist() == [n_fake / n_frames]


def test_the_mean_score_may_overrule_the_vote():
    prediction, groups = frame_prediction([1, 2], [3, 3], [0.9, -0.2, -0.1, 0.1, 0.1, -0.5])
    assert judge_videos(prediction, groups, "majority vote", settings_of()).predicted.tolist() == [REAL, FAKE]
    by_score = judge_videos(prediction, groups, "mean score", settings_of())
    assert by_score.predicted.tolist() == [FAKE, REAL] and by_score.scores == pytest.approx([0.2, -0.1])


def test_a_video_keeps_its_label_and_number_whatever_the_order_of_its_frames():
    groups = np.array(["c", "a", "b", "a", "c", "b", "never tested"])
    labels = np.array([FAKE, REAL, FAKE, REAL, FAKE, FAKE, REAL])
    rows = np.array([4, 3, 2, 1, 0])
    prediction = Prediction(rows, labels[rows], labels[rows], np.where(labels[rows] == FAKE, 1.0, -1.0))
    judged = judge_videos(prediction, groups, "majority vote", settings_of())
    assert judged.rows.tolist() == [0, 1, 2] and judged.labels.tolist() == judged.predicted.tolist() == [
        REAL,
        FAKE,
        FAKE,
    ]


def test_the_constant_says_what_most_training_videos_are_and_its_balanced_accuracy_is_half():
    videos = [f"real/v/{number}" for number in range(12)] + [f"fake/v/{number}" for number in range(20)]
    dataset = make_frames(videos, n_frames=3).data.dataset
    in_train = np.isin(dataset.groups, videos[:4] + videos[12:17])  # 4 real videos, 5 fake
    split = Split(np.flatnonzero(in_train), np.flatnonzero(~in_train))
    frames = Prediction(split.test, dataset.labels[split.test], dataset.labels[split.test], np.zeros(len(split.test)))
    right = judge_videos(frames, dataset.groups, "majority vote", settings_of())
    constant = metric_values(train_deepfake_detection.constant_videos(split, right, dataset))
    assert (constant["accuracy"], constant["recall_fake"], constant["recall_real"]) == (15 / 23, 1, 0)
    assert constant["balanced_accuracy"] == constant["roc_auc"] == 0.5
    more_reals = split._replace(train=split.train[:15])
    assert set(train_deepfake_detection.constant_videos(more_reals, right, dataset).predicted) == {REAL}


# --- transfer


def test_a_transfer_changes_the_manipulation_or_the_compression_but_not_both():
    fakes = ("Deepfakes_c23", "Deepfakes_c40", "FaceSwap_c23")
    videos = [f"real/youtube_{c}/{number:03}.mp4" for c in ("c23", "c40") for number in range(10)]
    videos += [f"fake/{source}/{number:03}_{(number + 1) % 10:03}.mp4" for source in fakes for number in range(10)]
    frames = make_frames(videos, n_frames=4, gap=0.2)
    masks, _ = protocol_masks(frames, settings_of())
    rows = transfer_rows(frames, masks, 40, settings_of())
    found = {(*row["train_sources"], *row["test_sources"]) for row in rows}
    assert found == {
        (f"real/youtube_{a[-3:]}", f"fake/{a}", f"real/youtube_{b[-3:]}", f"fake/{b}")
        for a in fakes for b in fakes if a != b and {a, b} != {"Deepfakes_c40", "FaceSwap_c23"}
    }  # fmt: skip
    assert {row["protocol"] for row in rows} == {"by_identity"} and {row["table"] for row in rows} == {"transfer"}


@pytest.mark.parametrize("sources, n_pairs", [(["fake/videos"], 0), (["fake/my_gan", "fake/other_net"], 2)])
def test_a_plain_tree_has_transfers_between_all_its_fake_folders(sources, n_pairs):
    videos = [f"{source}/{number}.mp4" for source in ["real/videos", *sources] for number in range(8)]
    frames = make_frames(videos, gap=0.2)
    masks, _ = protocol_masks(frames, settings_of())
    rows = rows_with(transfer_rows(frames, masks, 40, settings_of()), classifier="svm_rbf", metric="accuracy")
    assert [row["protocol"] for row in rows] == ["by_video"] * n_pairs


# --- the authors' features


def write_features(path, n_real=60, n_fake=60, n_bins=40, seed=0):
    """Write a feature file as the authors do, fake = 0: noise, the fakes of which have less power."""
    random = np.random.default_rng(seed)
    label = np.repeat([0.0, 1.0], [n_fake, n_real])
    data = random.normal(0.5, 0.02, (len(label), n_bins)) + 0.1 * label[:, None]
    data[:, 0] = 1
    path.write_bytes(pickle.dumps({"data": data, "label": label}, protocol=2))
    return path


def test_the_authors_zero_is_a_fake(tmp_path):
    path = write_features(tmp_path / "features.pkl", n_real=45, n_fake=60)
    dataset = _published_frames(settings_of("--published-test", path, "--n-bins", 40)).data.dataset
    assert dataset.counts() == {"fake": 60, "real": 45} and dataset.labels.tolist() == [FAKE] * 60 + [REAL] * 45
    assert dataset.spectra[dataset.labels == FAKE, 1:].mean() < 0.52


def test_a_block_is_20_neighbouring_rows_of_a_class_and_a_file(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    one, two = (write_features(tmp_path / name / "features.pkl", n_real=45, n_fake=60) for name in "ab")
    frames = _published_frames(settings_of("--published-train", one, "--published-test", two, "--n-bins", 40))
    dataset = frames.data.dataset
    _, starts, sizes = np.unique(dataset.groups, return_index=True, return_counts=True)
    assert sorted(sizes) == [5, 5] + [20] * 10
    for start, size in zip(starts, sizes):
        block = slice(start, start + size)
        assert len(set(dataset.groups[block])) == len(set(dataset.labels[block])) == 1
    assert frames.authors_split.train.tolist() == list(range(105)) and frames.authors_split.test.tolist() == list(
        range(105, 210)
    )
    assert len(set(dataset.paths)) == 105  # named after their files, which have one name here
    for may_train, may_test in protocol_masks(frames, settings_of())[0]["by_video"]:
        assert set(dataset.groups[may_train]).isdisjoint(dataset.groups[may_test])


def test_both_files_of_the_authors_make_a_split_of_their_own(clone, tmp_path):
    one, two = write_features(tmp_path / "a.pkl", 60, 60), write_features(tmp_path / "b.pkl", 40, 40, seed=1)
    flags = ("--published-train", one, "--published-test", two, "--n-bins", 40, "--sample-sizes", 100, "--n-splits", 2)
    printed = train(clone, *flags, "--output-dir", tmp_path / "plots")
    rows = results_of(tmp_path / "plots" / "published_features")["rows"]
    found = rows_with(rows, table="sample_sizes", protocol="authors_split", metric="accuracy")
    assert {(row["classifier"], row["n_samples"], *row["n_test"]) for row in found} == {
        (name, 200, 80) for name in ("svm_rbf", "logistic_regression", "headers_only", "majority_class")
    }
    assert "| 200 | authors' files | 80 | 4 |" in " ".join(printed.split())
    assert "by identity" not in printed.split("Note:")[0]


@pytest.fixture(scope="module")
def published_run(clone, tmp_path_factory):
    """Return the results of a run on the released test features, alone, and what it printed."""
    if not RELEASED.exists():
        pytest.skip(f"{RELEASED} is not here")
    folder = tmp_path_factory.mktemp("published_run")
    printed = train(clone, "--published-test", RELEASED, "--output-dir", folder)
    return results_of(folder / "published_features"), printed


@pytest.mark.parametrize(
    "protocol, classifier, expected, tolerance",
    [
        ("published", "svm_rbf", 0.90, 0.02),
        ("by_video", "svm_rbf", 0.86, 0.02),
        ("published", "logistic_regression", 0.78, 0.03),
        ("by_video", "logistic_regression", 0.77, 0.03),
        ("published", "majority_class", 0.5, 0),
    ],
)
def test_the_authors_features_give_90_per_cent_by_random_rows_and_86_by_blocks(
    published_run, protocol, classifier, expected, tolerance
):
    rows = rows_with(published_run[0]["rows"], table="sample_sizes", n_samples=1000, metric="accuracy")
    [row] = rows_with(rows, protocol=protocol, classifier=classifier)
    assert abs(row["mean"] - expected) <= tolerance


def test_the_papers_frames_stand_beside_random_frames_only(published_run):
    lines = [line.replace(" ", "") for line in published_run[1].splitlines() if line.startswith("| paper")]
    assert lines == [
        "|paper|randomframes|||82|76|||",
        "|paper|randomframes|||77|73|||",
        "|paper|randomframes|||66|76|||",
    ]
    assert "blocks of 20 neighbouring rows of a class stand for them" in published_run[1]


def test_half_of_the_released_rows_tells_the_other_half(clone, published_run, tmp_path):
    spectra, labels = load_published_features(RELEASED, fake_label=0)
    for name, rows in (("train", np.arange(1000) % 500 < 300), ("test", np.arange(1000) % 500 >= 300)):
        features = {"data": spectra[rows], "label": (labels[rows] == REAL).astype(float)}
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(features))
    flags = ("--published-train", tmp_path / "train.pkl", "--published-test", tmp_path / "test.pkl")
    train(clone, *flags, "--sample-sizes", 100, "--n-splits", 2, "--output-dir", tmp_path)
    rows = results_of(tmp_path / "published_features")["rows"]
    [row] = rows_with(rows, table="sample_sizes", protocol="authors_split", classifier="svm_rbf", metric="roc_auc")
    assert row["mean"] > 0.75  # below 0.25 if one file's labels were turned and not the other's


# --- frames as the extraction leaves them


@pytest.fixture(scope="module")
def plain_run(clone, tmp_path_factory):
    """Return the output folder of a run on a plain tree with things amiss, its frames, and what was printed."""
    folder = tmp_path_factory.mktemp("plain")
    stale = {"fake/videos/clip_0.mp4/000003.png", "real/videos/clip_1.mp4/000005.png"}
    frames = write_frames(folder / "frames", PLAIN, n_frames=8, not_in_index=stale)
    (frames / "real/videos/clip_2.mp4/000000.png").unlink()
    damaged = frames / "fake/videos/clip_2.mp4/000001.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    flags = ("--sample-sizes", 60, 10**6, "--n-splits", 3, "--max-unreadable", 0.02)
    return folder, frames, train(clone, "--frames-dir", frames, *flags, "--output-dir", folder)


def test_a_run_writes_two_figures_and_four_files(plain_run):
    folder = plain_run[0]
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"deepfake_detection_{name}" for name in OUTPUTS),
        "frames",
    ]
    for name in "roc", "spectrum":
        assert cv2.imread(str(folder / f"deepfake_detection_{name}.png")).shape[1] == 2160  # two columns at 300 dpi


def test_the_results_are_tidy_and_the_csv_has_the_same_rows(plain_run):
    results = results_of(plain_run[0])
    assert (results["experiment"], results["built_in_sample"], results["commit"]) == ("deepfake_detection", False, None)
    assert all(list(row) == list(ROW_KEYS) for row in results["rows"])
    assert {row["table"] for row in results["rows"]} == {"sample_sizes", "videos"}
    assert {row["condition"] for row in rows_with(results["rows"], table="videos", classifier="svm_rbf")} == {
        "majority vote", "authors' vote", "mean score"
    }  # fmt: skip
    with (plain_run[0] / "deepfake_detection_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["table"], line["metric"], line["condition"]) for line in lines] == [
        (row["table"], row["metric"], row["condition"] or "") for row in results["rows"]
    ]


def test_names_without_identities_leave_that_protocol_out_and_say_so(plain_run):
    assert "by identity left out: the names of the videos do not tell whom they show" in plain_run[2]
    assert {row["protocol"] for row in results_of(plain_run[0])["rows"]} == {"published", "by_video"}


def test_crops_that_the_index_does_not_name_are_left_out_and_said(plain_run):
    assert "2 images left out: the index of the crops does not name them" in plain_run[2]
    used = (plain_run[0] / "deepfake_detection_files.txt").read_text(encoding="utf-8").splitlines()
    assert len(used) == 80 - 2 - 2
    assert not {"fake/videos/clip_0.mp4/000003.png", "real/videos/clip_1.mp4/000005.png"} & set(used)


def test_missing_and_damaged_crops_are_named_with_the_reason(plain_run):
    skipped = {row["path"]: row["reason"] for row in results_of(plain_run[0])["skipped"]}
    assert skipped == {
        "real/videos/clip_2.mp4/000000.png": "not there, though the index names it",
        "fake/videos/clip_2.mp4/000001.png": "cut short or damaged PNG",
    }


def test_a_size_that_does_not_fit_is_said(plain_run):
    assert "sample size 1000000 left out: real: found 38 images, need 500000; lower SAMPLE_SIZES" in plain_run[2]


def test_other_videos_do_not_stand_beside_the_papers_numbers(plain_run):
    assert "paper" not in plain_run[2].split("Note:")[0]


def test_one_real_video_leaves_random_frames_alone(clone, tmp_path):
    frames = write_frames(tmp_path / "frames", ["real/videos/a.mp4", "fake/videos/b.mp4", "fake/videos/c.mp4"])
    printed = train(clone, "--frames-dir", frames, "--sample-sizes", 10, "--output-dir", tmp_path / "plots")
    assert "by video left out: real/videos/a.mp4 is the only group" in printed and "Table 2" not in printed
    assert {row["table"] for row in results_of(tmp_path / "plots")["rows"]} == {"sample_sizes"}


def test_names_with_identities_have_the_share_of_fakes_left_out(clone, tmp_path):
    reals = [f"real/youtube_c23/{number:03}.mp4" for number in range(6)]
    fakes = [f"fake/{method}_c23/{a:03}_{(a + 1) % 6:03}.mp4" for method in ("Deepfakes", "FaceSwap") for a in range(6)]
    frames = write_frames(tmp_path / "frames", reals + fakes, n_frames=3)
    printed = train(
        clone, "--frames-dir", frames, "--sample-sizes", 20, "--n-splits", 2, "--output-dir", tmp_path / "plots"
    )
    assert "by identity, 22 % of the frames are left out" in printed  # 4 of 18 videos: 2 methods, 2 ends of a ring
    assert "Table 3. Transfer by identity" in printed


# --- the sample


@pytest.fixture(scope="module")
def sample_run(clone, tmp_path_factory):
    """Return the output folder of a run without data, and what it printed."""
    folder = tmp_path_factory.mktemp("sample_run")
    printed = train(clone, "--output-dir", folder)
    return folder / "built_in_sample", printed


def test_the_sample_is_called_one_wherever_its_numbers_stand(sample_run):
    folder, printed = sample_run
    assert printed.startswith("data/deepfake_detection is not there: running on the built-in sample")
    text = (folder / "deepfake_detection_accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("# DeepFakeDetection experiment on the built-in sample: no reproduction of the paper\n")
    assert "| paper" not in text and "The paper" not in text and text in printed
    assert results_of(folder)["built_in_sample"] is True
    assert sorted(path.name for path in folder.iterdir()) == [f"deepfake_detection_{name}" for name in OUTPUTS]


def test_the_samples_strictest_split_is_by_photograph(sample_run):
    rows = results_of(sample_run[0])["rows"]
    assert {row["protocol"] for row in rows} == {"published", "by_video", "by_photograph"}
    for row in rows_with(rows, protocol="by_photograph", table="videos"):
        assert row["n_test"] == [8] * 10  # 2 of 11 photographs, each with 2 real and 2 fake clips


def test_the_frames_of_the_sample_are_alike_in_size(sample_run):
    for row in rows_with(results_of(sample_run[0])["rows"], classifier="headers_only", metric="accuracy"):
        assert set(row["scores"]) == {0.5}


# --- what is wrong is said in one sentence


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--published-train", "train.pkl"), 2, "--published-train needs --published-test"),
        (("--published-test", "gone.pkl"), 2, "gone.pkl: no such file"),
        (("--published-test", "x.pkl", "--published-train", "x.pkl"), 2, "are one file"),
        (("--published-test", "x.pkl", "--frames-dir", "frames"), 2, "found both FRAMES_DIR and PUBLISHED_TEST"),
        (("--published-test", "x.pkl", "--convention", "centred"), 2, "leave CONVENTION and CROP as they are"),
        (("--frames-dir", "gone"), 2, "gone: no such folder"),
        (("--n-splits", 0), 2, "N_SPLITS is 0: expected at least 1"),
        (("--test-share", 0), 2, "TEST_SHARE is 0.0: expected above 0 and below 1"),
        (("--svm-gamma", -1), 2, "SVM_GAMMA is -1.0: expected above 0"),
        (("--authors-share", 3), 2, "AUTHORS_SHARE is 3.0: expected 0 to 1"),
        (("--n-bins", 1), 2, "N_BINS is 1: expected at least 2"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(clone, tmp_path, flags, status, words):
    sentence = train(clone, "--output-dir", tmp_path, *flags, status=status)
    assert words in sentence and sentence.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "videos, spoil, words",
    [
        (
            PLAIN,
            lambda frames: (frames / "index.csv").unlink(),
            "index.csv: not there; run `python extract_video_frames.py`",
        ),
        (PLAIN, lambda frames: (frames / "index.csv").write_text("a,b\n"), "not an index of crops"),
        (PLAIN, lambda frames: relabel(frames / "index.csv"), "the label 'false'"),
        (PLAIN[:5], lambda frames: None, "need real and fake crops, found real/videos"),
        ([], lambda frames: None, "need real and fake crops, found no crop at all"),
        (
            PLAIN,
            lambda frames: (frames / PLAIN[0] / "000001.png").write_bytes(b"no"),
            "more than MAX_UNREADABLE = 0.01",
        ),
    ],
    ids=["no index", "another index", "another label", "one class", "nothing", "damaged"],
)
def test_frames_that_cannot_be_used_end_in_one_sentence(clone, tmp_path, videos, spoil, words):
    frames = tmp_path / "frames"
    frames.mkdir()
    spoil(write_frames(frames, videos))
    sentence = train(clone, "--frames-dir", frames, "--output-dir", tmp_path / "plots", status=1)
    assert words in sentence and sentence.count("\n") == 1 and not (tmp_path / "plots").exists()


def test_videos_that_wait_for_extraction_are_not_passed_over_for_the_sample(clone, tmp_path):
    folder = clone / "data" / "faceforensics"
    folder.mkdir()
    try:
        assert "run `python extract_video_frames.py`" in train(clone, "--output-dir", tmp_path, status=1)
    finally:
        folder.rmdir()


def relabel(index):
    """Call the fakes something else in an index."""
    index.write_text(index.read_text().replace(",fake,", ",false,"))


def test_features_of_another_experiment_are_refused(tmp_path):
    path = write_features(tmp_path / "features.pkl")
    with pytest.raises(UsageError, match="40 values a spectrum, expected N_BINS = 300"):
        _published_frames(settings_of("--published-test", path))
