"""The robustness experiment as a user runs it: what it writes, and how it ends when something is wrong."""

import numpy as np
import pytest
from frames import write_frames
from outputs import results_of, rows_where, table_lines
from pictures import by_opencv, picture, write_source
from video_clips import needs_videos

import measure_robustness
from deepfake_spectra import measurement, missing_spectra
from deepfake_spectra.alterations import alter, parse_steps
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.results import ROW_KEYS
from deepfake_spectra.robustness import expand
from deepfake_spectra.settings import read_settings

NAMED = ("--real-sources", "real_a", "real_b", "--fake-sources", "fake_a", "fake_b")
PANELS = ("--panels", "blur {0.5,2}", "{web,screenshot}")
FEW = (*NAMED, *PANELS, "--trained-altered", "noise 3", "--learning-altered", "jpeg 75", "--n-splits", 2)
CONDITIONS = ["as they are", "blur 0.5", "blur 2", "web", "screenshot"]
OUTPUTS = ["accuracy.csv", "accuracy.md", "files.txt", "results.json", "scores.csv.gz"]
OUTPUTS += [f"{name}.{ending}" for name in ("panels", "transfer", "learning") for ending in ("png", "pdf")]


def noisy(seed, level):
    """Return a picture with noise of so many grey levels: what the fakes have more of."""
    noise = np.random.default_rng(seed).normal(0, level, (64, 64))
    return np.clip(picture(seed, (64, 64), 2.0) + noise, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return a folder with 12 images of each of two real and two fake sources, the fakes noisier."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    for number, (source, level) in enumerate({"real_a": 2, "real_b": 2.5, "fake_a": 6, "fake_b": 7}.items()):
        (folder / source).mkdir(parents=True)
        for image in range(12):
            (folder / source / f"{image:02}.png").write_bytes(by_opencv(noisy(100 * number + image, level)))
    return folder


@pytest.fixture
def measure(call, tmp_path):
    """Return a function that runs the script with flags into `tmp_path / "out"`; it gives what the results hold."""

    def measure(*flags, experiment="robustness", subfolder=""):
        done = call("measure_robustness", "--n-threads", 1, "--output-dir", tmp_path / "out", *flags)
        assert (done.status, done.err) == (0, "")
        return done.out, results_of(tmp_path / "out" / subfolder, experiment)

    return measure


def mean_of(results, metric, **keys):
    """Return the mean of the one row with these keys."""
    [row] = rows_where(results, metric=metric, **keys)
    return row["mean"]


def test_the_constants_test_nothing_that_is_trained_on_and_name_known_alterations():
    settings = vars(read_settings("measure_robustness", []))
    tested = [steps for panel in settings["panels"] for steps in expand(panel).values()]
    assert len(tested) == len(set(tested)) == 64 and not set(tested) & set(settings["trained_altered"])
    for steps in settings["trained_altered"] + settings["learning_altered"]:
        parse_steps(steps)
    assert list(expand(settings["video_panels"][0])) == ["17", "23", "30", "40"]


def test_a_run_writes_its_files_and_every_condition_in_every_table(measure, faces, tmp_path):
    printed, results = measure("--data-dir", faces, *FEW)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"robustness_{end}" for end in OUTPUTS)
    assert all(list(row) == list(ROW_KEYS) for row in results["rows"])
    for table, n_sets in (("robustness", 1), ("robustness_trained_altered", 1), ("robustness_transfer", 4)):
        for metric in ("recall_real", "recall_fake", "roc_auc", "shift_real", "shift_fake"):
            rows = rows_where(results, table=table, metric=metric)
            assert [row["condition"] for row in rows] == [name for name in CONDITIONS for _ in range(n_sets)]
    assert {row["protocol"] for row in rows_where(results, table="robustness_transfer")} == {"held_out"}
    assert "48 spectra of" in printed and "5 to 20 images" not in printed
    head, *lines = table_lines((tmp_path / "out/robustness_accuracy.md").read_text(encoding="utf-8"), "Table 3")
    assert head == ["test images", "shift of reals", "shift of fakes"] and [line[0] for line in lines] == CONDITIONS
    assert lines[0][1:] == ["+0.00 (+0.00 to +0.00)"] * 2


def test_blurred_fakes_pass_for_real_and_the_recalls_and_the_shift_say_so(measure, faces):
    _, results = measure("--data-dir", faces, *FEW)
    keys = {"table": "robustness"}
    assert mean_of(results, "recall_fake", condition="as they are", **keys) > 0.9
    assert mean_of(results, "recall_real", condition="as they are", **keys) > 0.9
    assert mean_of(results, "recall_fake", condition="blur 2", **keys) < 0.2  # less noise is what reals have
    assert mean_of(results, "recall_real", condition="blur 2", **keys) > 0.9
    assert mean_of(results, "shift_fake", condition="blur 2", **keys) < -2


def test_an_altered_image_is_measured_as_its_file_would_be(measure, faces, tmp_path):
    _, results = measure("--data-dir", faces, *FEW, "--before", "blur 1")
    for source in ("real_a", "real_b", "fake_a", "fake_b"):
        (tmp_path / "blurred" / source).mkdir(parents=True)
        for path in (faces / source).iterdir():
            saved = by_opencv(alter(read_gray(path).gray, "blur 1"))
            (tmp_path / "blurred" / source / path.name).write_bytes(saved)
    _, of_files = measure("--data-dir", tmp_path / "blurred", *FEW)
    for table in ("robustness", "robustness_trained_altered", "learning_curve"):
        first, second = (rows_where(found, table=table) for found in (results, of_files))
        assert first == second and len(first) > 10


def test_a_second_run_takes_all_from_the_cache_and_gives_the_same(measure, faces):
    first, results = measure("--data-dir", faces, *FEW)
    assert "spectra of 6 alterations: 0 from" in first and "288 computed from 48 files" in first
    again, same_results = measure("--data-dir", faces, *FEW)
    assert "288 from" in again and "0 computed from 0 files" in again
    assert results["rows"] == same_results["rows"]


def test_each_file_is_decoded_once_for_all_alterations(measure, faces, monkeypatch):
    decoded, read_gray = [], measurement.read_gray
    monkeypatch.setattr(measurement, "read_gray", lambda path: decoded.append(path) or read_gray(path))
    measure("--data-dir", faces, *FEW)
    assert len(decoded) == 2 * 48  # once as they are, once for six alterations


def test_more_images_to_train_on_are_tested_on_the_same(measure, faces):
    _, results = measure("--data-dir", faces, *FEW, "--learning-sizes", 4, 20)
    rows = rows_where(results, table="learning_curve", metric="accuracy")
    assert [(row["condition"], row["n_samples"]) for row in rows] == [
        (state, size) for state in ("as they are", "jpeg 75") for size in (4, 20, 40)
    ]
    assert {tuple(row["n_test"]) for row in rows} == {(8, 8)}
    assert rows[2]["mean"] == mean_of(results, "accuracy", table="robustness", condition="as they are")


def test_without_images_the_sample_is_used_and_said(measure):
    printed, results = measure(*PANELS, "--n-splits", 2, "--learning-sizes", 20, subfolder="built_in_sample")
    assert "running on the built-in sample" in printed.splitlines()[0] and results["built_in_sample"]
    assert {row["protocol"] for row in rows_where(results, table="robustness")} == {"by_photograph"}
    assert {row["protocol"] for row in rows_where(results, table="robustness_transfer")} == {"by_photograph"}


def test_one_source_of_each_class_gives_no_transfer_and_removes_an_older_figure(measure, faces, tmp_path):
    measure("--data-dir", faces, *FEW)
    assert (tmp_path / "out/robustness_transfer.png").is_file()
    few = (*PANELS, "--n-splits", 2, "--trained-altered", "--learning-altered")
    _, results = measure("--data-dir", faces, "--real-sources", "real_a", "--fake-sources", "fake_a", *few)
    assert not rows_where(results, table="robustness_transfer")
    assert not rows_where(results, table="robustness_trained_altered")  # since none were named
    assert not (tmp_path / "out/robustness_transfer.png").exists()


def test_images_of_which_an_alteration_leaves_nothing_are_left_out_and_said(measure, tmp_path):
    for source in ("real_a", "real_b", "fake_a", "fake_b"):
        write_source(tmp_path / "data" / source, 12, first_seed=len(source))
        if source == "real_a":
            bright = np.full((48, 64), 240, np.uint8)
            bright[10:20, 10:20] = 230
            (tmp_path / "data/real_a/bright.png").write_bytes(by_opencv(bright))
    printed, results = measure("--data-dir", tmp_path / "data", *FEW, "--panels", "gain {2}", "--n-samples", 52)
    assert "gain 2: nothing is left of 1 of" in printed
    n_test = {row["condition"]: row["n_test"] for row in rows_where(results, table="robustness", metric="accuracy")}
    assert all(after <= before for after, before in zip(n_test["gain 2"], n_test["as they are"]))


def test_an_alteration_that_leaves_too_little_ends_the_run_in_a_sentence(call, faces, tmp_path):
    ended = call("measure_robustness", "--data-dir", faces, *FEW, "--panels", "crop {100x100}")
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "real_a: crop 100x100 leaves 0 of 12 images; leave that alteration out" in ended.err


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--panels",), "PANELS is empty: name at least one alteration"),
        (("--panels", "jpeg {90,x}"), "unknown alteration 'jpeg x'"),
        (("--panels", "jpeg {90}", "jpeg {80}"), "there is a panel of this kind; name its values in one"),
        (("--panels", "jpeg {80}", "--trained-altered", "jpeg 80"), "'jpeg 80': tested, and in TRAINED_ALTERED"),
        (("--before", "sharpen"), "unknown alteration 'sharpen'"),
        (("--learning-altered", "sharpen"), "unknown alteration 'sharpen'"),
        (("--learning-sizes", 0), "LEARNING_SIZES is 0: expected at least one number above 0"),
        (("--n-samples", 0), "N_SAMPLES is 0"),
        (("--frames-dir", "nowhere"), "name one of them"),
        (("--real-sources", "nobody"), "no source 'nobody' there"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence_before_an_image_is_read(call, faces, monkeypatch, flags, words):
    monkeypatch.setattr(missing_spectra, "measure_features", None)
    ended = call("measure_robustness", "--data-dir", faces, *NAMED, *flags)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert words in ended.err


VIDEOS = [f"{label}/videos/clip_{number}.mp4" for label in ("real", "fake") for number in range(6)]
OF_VIDEOS = ("--videos", "--panels", "blur {1}", "--trained-altered", "--learning-altered", "--n-splits", 2)


@needs_videos
def test_frames_are_split_by_video_and_compressed_by_h264(measure, tmp_path):
    frames = write_frames(tmp_path / "frames", VIDEOS, 4)
    printed, results = measure(
        *OF_VIDEOS, "--frames-dir", frames, "--video-panels", "h264 {10,30}", "--n-samples", 40,
        "--frame-counts", 1, 4, 20, experiment="robustness_videos",
    )  # fmt: skip
    rows = rows_where(results, table="robustness", metric="accuracy")
    assert [row["condition"] for row in rows] == ["as they are", "blur 1", "h264 10", "h264 30"]
    assert {row["protocol"] for row in rows} == {"by_video"} and not rows_where(results, table="robustness_transfer")
    shifts = [abs(mean_of(results, "shift_fake", table="robustness", condition=f"h264 {crf}")) for crf in (10, 30)]
    assert shifts[0] < shifts[1]
    counts = rows_where(results, table="frames_per_video", metric="accuracy")
    assert [row["condition"] for row in counts] == ["1", "4"]  # no video has 20
    assert "by identity left out" in printed and "Table 1. Trained on frames as they are" in printed
    assert "| frames trained on |" in printed and "images trained on" not in printed


def test_without_imageio_ffmpeg_h264_is_left_out_and_said(measure, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_robustness, "find_spec", lambda name: None)
    frames = write_frames(tmp_path / "frames", VIDEOS, 4)
    printed, results = measure(*OF_VIDEOS, "--frames-dir", frames, "--n-samples", 40, experiment="robustness_videos")
    assert "h264 left out: needs imageio-ffmpeg; run: pip install -r requirements-videos.txt" in printed
    assert {row["condition"] for row in rows_where(results, table="robustness")} == {"as they are", "blur 1"}
