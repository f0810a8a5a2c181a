"""The script as a user runs it, on the built-in sample: verdicts, warnings, what it writes, what it cannot judge."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
import skimage.data
from pictures import by_opencv, by_pillow, colour_picture, picture
from video_clips import ffmpeg, stairs, write_clip

import detect_fakes
from deepfake_spectra.sample.build import FAKE_SOURCES, PHOTOGRAPHS, REAL_SOURCES, photograph_of
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.image_files import read_gray
from deepfake_spectra.spectra_file import load_spectra_file, save_spectra_file
from deepfake_spectra.image_spectra import CLASS_NAMES

HELD_OUT = ("astronaut", "camera", "coffee", "gravel")
COLUMNS = ["path", "kind", "verdict", "score", "n_frames", "n_faces", "share_fake", "warnings", "error"]


def detect(folder, *arguments, status=0, script=None):
    """Run the script in a folder to its end; return what it printed, and what it said on stderr."""
    command = [sys.executable, script or folder / "detect_fakes.py", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def rows_of(path):
    """Return the lines of a CSV, by path."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    return {row["path"]: row for row in rows}


@pytest.fixture(scope="module")
def first_answer(clone):
    """Ask in a repository where nothing was ever run; return what is said of two crops, and the folder of crops."""
    images = clone / "data/built_in_sample/images"
    for left_by_other_tests in (clone / "data/spectra").glob("*.npz"):
        left_by_other_tests.unlink()
    before = sorted((clone / "plots").rglob("*"))
    crops = ["photographs_a/brick_00.png", "nearest_convolution/coffee_01.png"]
    out, _ = detect(clone, *(Path("data/built_in_sample/images") / crop for crop in crops))
    assert sorted((clone / "plots").rglob("*")) == before  # tables of one split are not for plots/
    return out, images


@pytest.fixture(scope="module")
def judge(clone, first_answer):
    """Return the detector of the sample."""
    return FakeDetector(load_spectra_file(clone / "data/spectra/built_in_sample_faces_hq.npz"))


@pytest.fixture(scope="module")
def held_out(judge, tmp_path_factory):
    """Return the sample's spectra without some of its photographs, as a file."""
    return without(judge.known, HELD_OUT, tmp_path_factory.mktemp("held_out") / "spectra.npz")


def without(known, photographs, path):
    """Save spectra without some photographs, whose groups are numbered by name."""
    left_out = [index for index, photo in enumerate(sorted(PHOTOGRAPHS)) if photo.name in photographs]
    dataset = known.dataset
    rows = np.flatnonzero(~np.isin(dataset.groups, left_out))
    arrays = {name: getattr(dataset, name)[rows] for name in ("spectra", "labels", "sources", "groups", "headers")}
    save_spectra_file(path, known._replace(dataset=replace(dataset, **arrays, paths=[])))
    return path


def test_without_any_spectra_the_sample_is_made_and_every_line_says_so(first_answer):
    out, _ = first_answer
    lines = out.splitlines()
    assert lines[0] == "no spectra of faces_hq are there: making those of the built-in sample"
    assert "built-in sample" in lines[1]
    judged = lines[4:6]
    for line, name in zip(judged, ("photographs_a/brick_00.png", "nearest_convolution/coffee_01.png")):
        verdict, score, path = line.split()[:3]
        assert verdict == CLASS_NAMES[float(score) >= 0.5] and path.endswith(name)
        assert "judged by the built-in sample" in line
    assert len(lines) == 7


def test_crops_of_photographs_that_were_held_out_are_told_apart(held_out, first_answer, clone, tmp_path):
    _, images = first_answer
    right = {0: [], 1: []}
    detect(clone, "--spectra", held_out, "--csv", tmp_path / "x.csv", images)
    for path, row in rows_of(tmp_path / "x.csv").items():
        source = Path(path).parent.name
        is_held_out = photograph_of(path) in HELD_OUT
        if source in REAL_SOURCES + FAKE_SOURCES:
            assert ("a training image" in row["warnings"]) == (not is_held_out), path
            if is_held_out:
                right[source in FAKE_SOURCES].append(row["verdict"] == CLASS_NAMES[source in FAKE_SOURCES])
    assert min(map(len, right.values())) >= 40
    assert (np.mean(right[0]) + np.mean(right[1])) / 2 > 0.65


def test_an_image_goes_through_the_very_preprocessing_of_training(judge, first_answer):
    _, images = first_answer
    rows = {row.tobytes() for row in judge.known.dataset.spectra}
    paths = [path for source in REAL_SOURCES + FAKE_SOURCES for path in (images / source).glob("*.png")]
    assert len(paths) == len(rows)
    assert {judge.spectrum(read_gray(path).gray).tobytes() for path in paths} == rows


def test_crops_of_a_video_equal_those_of_training_bit_for_bit(clone, judge, tmp_path):
    portrait = skimage.data.astronaut()[:301, :222, ::-1]
    frames = np.array([np.roll(portrait, 5 * number, axis=1) for number in range(7)])
    write_clip(tmp_path / "videos/real/clip.mp4", frames, "-c:v", "libx264", "-pix_fmt", "yuv444p", "-crf", "20")
    command = [sys.executable, "extract_video_frames.py", "--videos-dir", tmp_path / "videos", "--frames-dir",
               tmp_path / "frames", "--face-detector", "centre", "--frames-per-video", 7]  # fmt: skip
    subprocess.run(list(map(str, command)), cwd=clone, check=True, capture_output=True)
    written = [judge.spectrum(read_gray(path).gray) for path in sorted((tmp_path / "frames").rglob("*.png"))]
    settings = SimpleNamespace(frames_per_video=7, face_detector="centre", face_margin=1.3)
    judged = detect_fakes.judge_video(tmp_path / "videos/real/clip.mp4", judge, settings)
    assert judged["n_frames"] == 7 and np.array_equal(judged["spectrum"], np.mean(written, axis=0))
    assert judged["score"] == np.mean([judge.score(spectrum) for spectrum in written])


def test_a_video_of_the_sample_is_judged_by_others(clone, tmp_path):
    clips = sorted((clone / "data/built_in_sample/videos").glob("*/coffee_*.mp4"))
    spectra = clone / "data/spectra/built_in_sample_deepfake_detection.npz"
    if not clips or not spectra.exists():
        detect(clone, "--experiment", "deepfake_detection", "data/built_in_sample/images/blur/coffee_00.png")
        clips = sorted((clone / "data/built_in_sample/videos").glob("*/coffee_*.mp4"))
    others = without(load_spectra_file(spectra), ("coffee",), tmp_path / "others.npz")
    out, _ = detect(
        clone, "--spectra", others, "--face-detector", "centre", "--csv", tmp_path / "x.csv",
        "--frames-per-video", 6, *clips,
    )  # fmt: skip
    rows = rows_of(tmp_path / "x.csv")
    assert len(rows) == 4
    for name in ("coffee_0.mp4", "coffee_1.mp4"):
        fake, real = (
            next(row for path, row in rows.items() if f"{label}/{name}" in path) for label in ("fake", "real")
        )
        assert float(fake["score"]) > float(real["score"]) + 0.2
        assert (fake["kind"], fake["n_frames"], fake["n_faces"]) == ("video", "6", "0")
        assert float(fake["share_fake"]) * 6 == pytest.approx(round(float(fake["share_fake"]) * 6))
    assert "vote: fake" in out and "0 of 6 frames with a face" in out


def test_a_face_is_cut_out_of_images_and_counted_in_videos(clone, first_answer, tmp_path):
    portrait = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    (tmp_path / "astronaut.jpg").write_bytes(by_opencv(portrait, ".jpg"))
    clip = np.array([portrait] * 2 + [np.full_like(portrait, 90)] * 2)
    write_clip(tmp_path / "astronaut.mp4", clip)
    write_clip(tmp_path / "nobody.mp4", stairs(10))
    out, err = detect(clone, "--face", "--csv", tmp_path / "x.csv", "--frames-per-video", 4, tmp_path, status=1)
    rows = rows_of(tmp_path / "x.csv")
    image, video, nobody = (rows[str(tmp_path / name)] for name in ("astronaut.jpg", "astronaut.mp4", "nobody.mp4"))
    assert (image["n_frames"], image["n_faces"], image["share_fake"]) == ("1", "1", "")
    assert "x" in image["warnings"] and "512x512" not in image["warnings"]  # the size of the crop
    assert "a face crop, by a detector of whole images" in image["warnings"]
    assert (video["n_frames"], video["n_faces"]) == ("4", "2")
    assert "(2 of 4 frames)" in video["warnings"] and "face crops of a video" in video["warnings"]
    assert (nobody["verdict"], nobody["score"], nobody["error"]) == ("", "", "no face in any of 4 frames")
    assert "nobody.mp4: no face in any of 4 frames; not judged" in err
    assert out.splitlines()[-1].endswith("1 not judged")


def test_what_is_unlike_training_is_said(clone, first_answer, tmp_path):
    gray, colour = picture(3, (128, 128)), colour_picture(4, (128, 128))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    for name, content in {
        "same.png": by_opencv(gray),
        "larger.png": by_opencv(picture(3, (130, 128))),
        "compressed.jpg": by_opencv(gray, ".jpg"),
        "deep.png": by_opencv(gray.astype(np.uint16) * 256),
        "clear.png": by_pillow(colour, "PNG", "RGBA"),
        "turned.png": by_pillow(colour, "PNG", exif=exif),
        "noise.png": by_opencv(np.random.default_rng(0).integers(0, 2, (128, 128), dtype=np.uint8) * 255),
    }.items():
        (tmp_path / name).write_bytes(content)
    detect(clone, tmp_path, "--json", tmp_path / "x.json")
    files = json.loads((tmp_path / "x.json").read_text())["files"]
    warnings = {Path(row["path"]).name: "; ".join(row["warnings"]) for row in files}
    assert "as in training" not in warnings["same.png"]
    for name, text in {
        "larger.png": "128x130, not 128x128 as in training",
        "compressed.jpg": "JPEG, not PNG as in training",
        "deep.png": "16 bits a channel, reduced to 8",
        "clear.png": "transparency ignored",
        "turned.png": "turned or mirrored as its EXIF tag asks",
        "noise.png": "of the spectrum lies outside the training range",
    }.items():
        assert text in warnings[name], name


def test_what_cannot_be_judged_is_named_with_its_reason_and_the_rest_goes_on(clone, first_answer, tmp_path):
    folder = tmp_path / "mixed"
    (folder / "empty folder").mkdir(parents=True)
    jpeg = by_opencv(picture(0, (128, 128)), ".jpg")
    bad = {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut short or damaged JPEG"),
        "zero.jpg": (b"", "empty file"),
        "text.jpg": (b"hello", "not an image"),
        "blank.png": (by_opencv(np.full((128, 128), 9, np.uint8)), "blank: every pixel is 9"),
        "tiny.png": (by_opencv(picture(0, (8, 8))), "8x8: needs two sides of at least 9"),
        "moving.gif": (by_pillow(picture(0), "GIF", save_all=True), "GIF: expected"),
        "float.tif": (by_pillow(picture(0).astype(np.float32), "TIFF"), "32 bits a channel"),
        "text.mp4": (b"hello", "not a video"),
    }
    for name, (content, _) in bad.items():
        (folder / name).write_bytes(content)
    (folder / "good.png").write_bytes(by_opencv(picture(0, (128, 128))))
    (folder / "notes.txt").write_text("of no interest in a folder")
    (folder / ".hidden.png").write_bytes(b"nor this")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(folder / "sound.mp4"))
    os.mkfifo(tmp_path / "pipe.png")
    named = [folder / "notes.txt", tmp_path / "nowhere.png", folder / "empty folder", tmp_path / "pipe.png"]
    out, err = detect(clone, folder, *named, folder / "good.png", "--csv", tmp_path / "x.csv", status=1)
    rows = rows_of(tmp_path / "x.csv")
    assert list(rows)[: len(bad) + 2] == sorted(str(folder / name) for name in (*bad, "good.png", "sound.mp4"))
    expected = {str(folder / name): reason for name, (_, reason) in bad.items()} | {
        str(folder / "sound.mp4"): "audio only",
        str(folder / "notes.txt"): "neither an image nor a video",
        str(tmp_path / "nowhere.png"): "no such file or folder",
        str(folder / "empty folder"): "found no image and no video",
        str(tmp_path / "pipe.png"): "not a file",
    }
    assert {path for path, row in rows.items() if row["error"]} == set(expected)
    for path, reason in expected.items():
        assert reason in rows[path]["error"] and rows[path]["verdict"] == ""
        assert f"{path}: {rows[path]['error']}; not judged\n" in err
    assert rows[str(folder / "good.png")]["verdict"] in CLASS_NAMES
    assert err.count("\n") == len(expected)
    assert out.splitlines()[-1].endswith(f"{len(expected)} not judged")


def test_any_file_name_comes_back_from_csv_and_json(clone, first_answer, tmp_path):
    names = ["new\nline.png", 'quote "a,b".png', " space .png", "é.png", "-dash.png", os.fsdecode(b"latin \xe9.png")]
    folder = tmp_path / os.fsdecode(b"folder \xff")
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name).write_bytes(by_opencv(picture(number, (128, 128))))
    out, _ = detect(clone, folder, "--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json")
    expected = sorted(str(folder / name) for name in names)
    assert list(rows_of(tmp_path / "x.csv")) == expected
    files = json.loads((tmp_path / "x.json").read_text())["files"]
    assert [row["path"] for row in files] == expected
    assert len(out.splitlines()) == 3 + len(names) + 1  # a line each, whatever is in the name


def test_csv_json_and_the_terminal_say_the_same(clone, first_answer, held_out, tmp_path):
    _, images = first_answer
    out, _ = detect(
        clone, "--spectra", held_out, images / "blur", images / "nowhere.png", "--csv", tmp_path / "new/x.csv",
        "--json", tmp_path / "x.json", status=1,
    )  # fmt: skip
    written = json.loads((tmp_path / "x.json").read_text())
    rows = rows_of(tmp_path / "new/x.csv")
    assert (written["experiment"], written["built_in_sample"]) == ("faces_hq", True)
    assert written["calibration"]["n_held_out"]["real"] == written["calibration"]["n_held_out"]["fake"] > 40
    for row in written["files"]:
        assert list(row) == COLUMNS
        line = rows[row["path"]]
        if row["error"]:
            assert line["error"] == row["error"] and row["verdict"] is None
            continue
        assert float(line["score"]) == row["score"] and row["verdict"] == line["verdict"]
        assert row["verdict"] == CLASS_NAMES[row["score"] >= 0.5]
        assert line["warnings"] == "; ".join(row["warnings"])
        assert f"{row['verdict']}  {row['score']:.3f}  {row['path']}" in out
    assert len(rows) == len(written["files"])


def test_one_thread_and_many_give_the_same_and_each_file_once(clone, first_answer, tmp_path):
    _, images = first_answer
    for n_threads in (1, 4):
        asked = (images / "blur", images / "blur/brick_00.png", images / "blur")
        detect(clone, *asked, "--n-threads", n_threads, "--csv", tmp_path / f"{n_threads}.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "4.csv").read_bytes()
    assert len(rows_of(tmp_path / "1.csv")) == len(list((images / "blur").iterdir()))


def test_figures_are_drawn_for_all_that_was_judged(clone, first_answer, tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same $name$.png").write_bytes(by_opencv(picture(seed, (128, 128))))
    write_clip(tmp_path / "clip.mp4", np.array([picture(seed, (128, 128)) for seed in range(3)]))
    out, _ = detect(
        clone, tmp_path, tmp_path / "nowhere.png", "--plot", "--output-dir", tmp_path / "figures",
        "--face-detector", "centre", status=1,
    )  # fmt: skip
    figures = [matplotlib.image.imread(path) for path in (tmp_path / "figures").iterdir()]
    assert len(figures) == 3 and all(figure.std() > 0.05 for figure in figures)
    assert not any(np.array_equal(figures[0], other) for other in figures[1:])
    assert f"figures: {tmp_path / 'figures'}" in out


def test_spectra_of_the_data_set_go_before_those_of_the_sample(clone, judge, tmp_path):
    own = clone / "data/spectra/celeba.npz"
    save_spectra_file(own, judge.known._replace(experiment="celeba", is_sample=False))
    (tmp_path / "x.png").write_bytes(by_opencv(picture(0, (128, 128))))
    try:
        out, _ = detect(clone, "--experiment", "celeba", tmp_path / "x.png")
    finally:
        own.unlink()
    assert "judge: celeba:" in out and "built-in sample" not in out


def test_a_data_set_that_was_not_trained_on_yet_is_no_reason_to_take_the_sample(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(detect_fakes, "REPOSITORY", tmp_path)
    (tmp_path / "data/celeba").mkdir(parents=True)
    with pytest.raises(detect_fakes.ExperimentError, match="run `python train_celeba.py` first"):
        detect_fakes.make_sample_spectra("celeba")


def test_saved_spectra_judge_alike_elsewhere(clone, first_answer, tmp_path):
    _, images = first_answer
    asked = images / "blur/brick_00.png"
    said, _ = detect(clone, asked, "--save-spectra", tmp_path / "to a friend.npz")
    elsewhere, _ = detect(clone, asked, "--spectra", tmp_path / "to a friend.npz", "--experiment", "celeba")
    assert said.splitlines()[-1] == elsewhere.splitlines()[-1]
    assert "to a friend.npz: the spectra of this judge" in said


def test_wrong_calls_end_in_one_sentence(clone, first_answer, tmp_path):
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for status, *arguments in (
        (2,),
        (2, "x.png", "--no-such-flag"),
        (2, "x.png", "--experiment", "mnist"),
        (2, "x.png", "--frames-per-video", 0),
        (2, "x.png", "--spectra", tmp_path / "nowhere.npz"),
        (1, "x.png", "--spectra", tmp_path / "junk.npz"),
        (1, "x.png", "--csv", tmp_path / "junk.npz/x.csv"),
    ):
        out, err = detect(clone, *arguments, status=status)
        assert err.count("\n") == 1 and err.startswith("detect_fakes.py: "), (arguments, err)
        assert "not judged" not in out + err


@pytest.mark.parametrize(
    "flags",
    ["--face-margin nan", "--face-margin 0", "--n-threads 0", "--seed -1", "--csv .", "--csv same --json same",
     "--save-spectra same --csv same"],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_before_anything_is_done(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = detect_fakes.read_settings("detect_fakes", ["x.png", *flags.split()], ("paths", ""))
    with pytest.raises(detect_fakes.UsageError):
        detect_fakes.check_settings(settings)


def test_an_interrupted_run_leaves_no_half_of_a_file(clone, first_answer, tmp_path):
    (tmp_path / "images").mkdir()
    large = by_opencv(picture(0, (700, 700), blur=0.5))
    for number in range(400):
        (tmp_path / f"images/{number:03}.png").write_bytes(large)
    (tmp_path / "x.csv").write_text("of the last run")
    command = [sys.executable, "-u", clone / "detect_fakes.py", tmp_path / "images", "--csv", tmp_path / "x.csv",
               "--json", tmp_path / "x.json"]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), cwd=clone, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for line in process.stdout:
        if ".png" in line:
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.count("\n") == 1 and "of 400 files judged" in complaint and "x.json not written" in complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "x.csv"]
    assert (tmp_path / "x.csv").read_text() == "of the last run"


def test_ten_thousand_files_take_no_more_memory_than_a_few(judge, tmp_path):
    (tmp_path / "x.png").write_bytes(by_opencv(picture(0, (128, 128))))
    for number in range(600):
        os.link(tmp_path / "x.png", tmp_path / f"{number:04}.png")
    settings = SimpleNamespace(csv=tmp_path / "x.csv", json=tmp_path / "x.json", plot=False, face=False, n_threads=1)
    peaks = []
    for n_files in (100, 600):
        files = detect_fakes.list_files([str(tmp_path)])[:n_files]
        tracemalloc.start()
        counts = detect_fakes.judge_all(files, judge, settings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sum(counts.values()) == n_files and counts[None] == 0
    assert peaks[1] < peaks[0] + 1_000_000


def test_help_answers_before_scikit_learn_is_loaded(clone):
    code = "import sys, detect_fakes; print([name for name in sys.modules if name in ('sklearn', 'matplotlib')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
