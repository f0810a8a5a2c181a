"""The script as a user runs it: verdicts, warnings, what it writes, what it cannot judge."""

import csv
import html
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from conftest import linux_only
from pictures import by_opencv, by_pillow, colour_picture, picture, write_source
from test_file_traits import MANIFEST, with_chunk
from video_clips import ffmpeg, needs_videos, stairs, write_clip

from deepfake_spectra import face_crops, plots
from deepfake_spectra.alterations import alter
from deepfake_spectra.answers import UNSURE
from deepfake_spectra.dataset import CLASS_NAMES, FAKE, IMAGES, REAL, Feature, ImageFolder
from deepfake_spectra.detector import FakeDetector
from deepfake_spectra.detector_file import new_judge, read_judge, save_judge
from deepfake_spectra.face_crops import Face
from deepfake_spectra.files import from_cell
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.judgement import File, Moment, deciding_moments, judge, list_files
from deepfake_spectra.opencv import cv2
from deepfake_spectra.sample.build import FAKE_SOURCES, REAL_SOURCES, photograph_of, sample_images
from deepfake_spectra.video_crops import CropOptions, extract_videos
from deepfake_spectra.video_frames import find_frames, load_frames

LINEAR = {"kernel": "linear", "C": 1.0}
RBF = {"kernel": "rbf", "C": 6.37, "gamma": 0.86}
COLUMNS = ["path", "kind", "verdict", "score", "reasons", "lowest_copy", "highest_copy", "flipped_by"]
COLUMNS += [
    "n_frames",
    "n_faces",
    "share_fake",
    "decided_at",
    "face",
    "box",
    "warnings",
    "remarks",
    "error",
    "judge",
    "figure",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder of PNG pictures, 64x48, and `judge`, made of them.

    There are 12 each in `images/real`, `images/fake` (blurred more), `others/real` and `others/fake`.
    """
    folder = tmp_path_factory.mktemp("trained")
    for number, name in enumerate(("images", "others")):
        write_source(folder / name / "real", 12, first_seed=200 * number)
        write_source(folder / name / "fake", 12, first_seed=200 * number + 100, blur=1.5)
    make_judge(folder / "judge", folder, Feature())
    return folder


def make_judge(path, pictures, feature, experiment="faces_hq", origin=IMAGES):
    """Save a detector of the pictures of `trained`."""
    labels = {"images/real": REAL, "others/real": REAL, "images/fake": FAKE, "others/fake": FAKE}
    folder = ImageFolder(pictures, labels, path.with_name(f"{path.name} cache"), origin)
    save_judge(path, new_judge(experiment, LINEAR, load_spectra(folder, feature, n_threads=1)))


@pytest.fixture
def detect(call, trained):
    """Return a function that runs the script, by the judge of `trained` unless another is named."""

    def detect(*words, status=0):
        named = {"--judge", "--experiment"} & set(map(str, words))
        done = call("detect_fakes", *words, *([] if named else ["--judge", trained / "judge"]))
        assert done.status == status, done.err
        return done

    return detect


def read_csv(path):
    """Return the lines of a CSV, by path."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS and len({row["path"] for row in rows}) == len(rows)
    return {row["path"]: row for row in rows}


def test_where_nothing_was_trained_the_sample_judges_and_every_line_says_so(detect, built_sample, tmp_path):
    images = built_sample / "images"
    asked = [images / "photographs_a/brick_00.png", images / "nearest_convolution/coffee_01.png"]
    lines = detect("--experiment", "faces_hq", *asked).out.splitlines()
    assert [line.split(":")[0] for line in lines[:6]] == ["judge", "spectra", "trained", "any size", "score", "answers"]
    assert lines[0] == "judge: the built-in sample's, made now; plots/built_in_sample holds none"
    assert "faces_hq on the built-in sample, which shows how it works and knows no faces" in lines[2]
    for line, path in zip(lines[6:8], asked, strict=True):
        verdict, score, named = line.split()[:3]
        assert verdict in (UNSURE, CLASS_NAMES[float(score.strip("<>")) >= 0.5]) and named == str(path)
        assert "[a training image: the verdict only repeats what was said of it; " in line
        assert line.endswith("judged by the built-in sample]  remarks: no camera tags")
    assert len(lines) == 9 and not (tmp_path / "repository/plots").exists()


def test_crops_of_photographs_that_were_held_out_score_apart(detect, built_sample, tmp_path):
    held_out = ("astronaut", "camera", "coffee", "gravel")
    dataset = load_spectra(sample_images("faces_hq"), Feature(), n_threads=1)
    rows = np.flatnonzero(~np.isin(dataset.groups, held_out))
    save_judge(tmp_path / "others", new_judge("faces_hq", {"kernel": "linear", "C": 0.01}, dataset.of_rows(rows)))
    sources = [built_sample / "images" / source for source in REAL_SOURCES + FAKE_SOURCES]
    done = detect("--judge", tmp_path / "others", "--csv", tmp_path / "x.csv", *sources)
    right = {source.name: [] for source in sources}
    for path, row in read_csv(tmp_path / "x.csv").items():
        source = Path(path).parent.name
        is_held_out = photograph_of(path) in held_out
        assert ("a training image" in row["warnings"]) == (not is_held_out), path
        if is_held_out:
            right[source].append((float(row["score"]) >= 0.5) == (source in FAKE_SOURCES))
    assert min(map(len, right.values())) >= 20
    assert np.mean([np.mean(of_source) for of_source in right.values()]) > 0.65
    assert "judged by the built-in sample" in done.out


@pytest.mark.parametrize(
    "feature",
    [Feature(), Feature(n_bins=15, normalise=True), Feature("centred", "centre_third", "float32", n_bins=8)],
    ids=["whole", "normalised", "cropped"],
)
def test_an_image_goes_through_the_very_preprocessing_of_training(feature, detect, trained, tmp_path):
    make_judge(tmp_path / "judge", trained, feature)
    done = detect("--judge", tmp_path / "judge", "--json", tmp_path / "x.json", trained / "images")
    written = json.loads((tmp_path / "x.json").read_text())
    assert len(written["files"]) == 24
    assert all(any("a training image" in text for text in row["warnings"]) for row in written["files"])
    assert ("divided by the first" in done.out) == feature.normalise
    assert ("the middle third of each face crop" in done.out) == (feature.crop == "centre_third")
    assert f"resampled to {written['feature']['n_bins']} values" in done.out
    assert written["feature"] == vars(feature) | {"n_bins": written["feature"]["n_bins"]}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Return a folder of clips, `real` and `fake` (blurred more), 6 each, their face crops, and a judge by 5 each."""
    folder = tmp_path_factory.mktemp("clips")
    for label, blur in (("real", 0.8), ("fake", 2.0)):
        for number in range(6):
            frames = np.array([picture(100 * number + frame, (96, 112), blur) for frame in range(4)])
            write_clip(folder / ("videos" if number else "unseen") / label / f"{number}.mp4", frames)
    extract_videos(folder / "videos", folder / "frames", CropOptions(3, "centre"), n_threads=1)
    feature = Feature(crop="centre_third", n_bins=20, normalise=True)
    dataset = load_frames(replace(find_frames(folder / "frames"), cache_dir=folder / "cache"), feature, n_threads=1)
    save_judge(folder / "judge", new_judge("deepfake_detection", RBF, dataset))
    return folder


def test_crops_of_a_video_are_those_of_training(detect, clips, tmp_path):
    flags = ("--judge", clips / "judge", "--face-detector", "centre", "--csv", tmp_path / "x.csv")
    detect(*flags, clips / "videos", "--frames-per-video", 3)
    rows = read_csv(tmp_path / "x.csv").values()
    assert len(rows) == 10
    for row in rows:
        known = "a training image: the verdict only repeats what was said of it (3 of 3 frames)"
        source = CLASS_NAMES[float(row["score"]) < 0.5]  # of which a second would be needed
        assert row["warnings"] == f"{known}; only one {source} source in training"
        assert (row["verdict"], row["reasons"]) == (UNSURE, "score")


def test_a_videos_score_is_the_mean_over_its_crops_and_the_vote_their_share(detect, clips, tmp_path):
    flags = ("--judge", clips / "judge", "--face-detector", "centre", "--csv", tmp_path / "x.csv")
    done = detect(*flags, clips / "unseen", "--frames-per-video", 4)
    detector = read_judge(clips / "judge").detector(n_threads=1)
    for label, path in ((name, clips / f"unseen/{name}/0.mp4") for name in CLASS_NAMES):
        crops = tmp_path / "crops"
        extract_videos(clips / "unseen", crops, CropOptions(4, "centre"), n_threads=1)
        scores = [
            judge(File(crop, "image"), detector, CropOptions())[0].score for crop in (crops / label).rglob("*.png")
        ]
        row = read_csv(tmp_path / "x.csv")[str(path)]
        assert len(scores) == 4 and float(row["score"]) == pytest.approx(np.mean(scores), abs=1e-12)
        assert (row["kind"], row["verdict"], row["n_frames"], row["n_faces"]) == ("video", UNSURE, "4", "0")
        share = np.mean(np.array(scores) >= 0.5)
        assert float(row["share_fake"]) == share
        vote = (
            f"unsure  {detector.score_text(np.mean(scores))}  {path}  vote: {label}, {100 * share:.0f} % of crops fake"
        )
        assert f"{vote}, 0 of 4 frames with a face" in done.out


def test_a_detector_of_crops_asks_for_the_face_of_an_image_and_judges_that(detect, clips, tmp_path):
    colour = colour_picture(0, (96, 112))
    for name, pixels in (("whole.png", colour), ("middle.png", colour[:, 8:-8])):
        (tmp_path / name).write_bytes(by_opencv(pixels))
    whole, middle = (detect("--judge", clips / "judge", tmp_path / name).out for name in ("whole.png", "middle.png"))
    assert "an image, by a detector of face crops of videos; --face cuts the face out" in whole
    flags = ("--judge", clips / "judge", "--face", "--face-detector", "centre", tmp_path / "whole.png")
    cut = detect(*flags).out
    assert "an image, by a detector of face crops of videos]" in cut and "unsure" in cut.splitlines()[-1]
    score, of_middle, of_whole = (text.splitlines()[-1].split()[1] for text in (cut, middle, whole))
    assert score == of_middle != of_whole


def test_a_face_is_cut_out_of_images_and_counted_in_videos(detect, tmp_path):
    portrait = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    (tmp_path / "astronaut.jpg").write_bytes(by_opencv(portrait, ".jpg"))
    (tmp_path / "noise.png").write_bytes(by_opencv(picture()))
    write_clip(tmp_path / "astronaut.mp4", np.array([portrait] * 2 + [np.full_like(portrait, 90)] * 2))
    write_clip(tmp_path / "nobody.mp4", stairs(10))
    names = ("astronaut.jpg", "noise.png", "astronaut.mp4", "nobody.mp4")
    done = detect(
        "--face", "--frames-per-video", 4, "--csv", tmp_path / "x.csv", *(tmp_path / name for name in names), status=1
    )
    rows = read_csv(tmp_path / "x.csv")
    image, noise, video, nobody = (rows[str(tmp_path / name)] for name in names)
    assert (image["n_frames"], image["n_faces"], image["share_fake"]) == ("1", "1", "")
    width, height = map(int, image["warnings"].split(",")[0].split("x"))
    assert width == height < 300  # the size of the crop, not of the picture
    assert "JPEG, not PNG as in training" in image["warnings"]  # the format of the picture
    assert "a face crop, by a detector of whole images" in image["warnings"]
    assert (video["n_frames"], video["n_faces"]) == ("4", "2")
    assert "(2 of 4 frames)" in video["warnings"] and "face crops of a video" in video["warnings"]
    assert (noise["verdict"], noise["score"], noise["error"]) == ("", "", "no face found")
    assert (nobody["verdict"], nobody["error"]) == ("", "no face in any of 4 frames")
    assert f"{tmp_path / 'nobody.mp4'}: no face in any of 4 frames; not judged\n" in done.err
    assert done.out.splitlines()[-1].endswith("2 not judged")


def test_what_is_unlike_training_is_said(detect, tmp_path):
    gray, colour = picture(200), colour_picture(70)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    folder = tmp_path / "asked"
    folder.mkdir()
    for name, content in {
        "same.png": by_opencv(gray),
        "larger.png": by_opencv(picture(200, (50, 64))),
        "compressed.jpg": by_opencv(gray, ".jpg"),
        "deep.png": by_opencv(gray.astype(np.uint16) * 256),
        "clear.png": by_pillow(colour, "PNG", "RGBA"),
        "turned.png": by_pillow(colour, "PNG", exif=exif),
        "noise.png": by_opencv(np.random.default_rng(0).integers(0, 2, (48, 64), dtype=np.uint8) * 255),
    }.items():
        (folder / name).write_bytes(content)
    detect(folder, "--json", tmp_path / "x.json")
    files = json.loads((tmp_path / "x.json").read_text())["files"]
    warnings = {Path(row["path"]).name: "; ".join(row["warnings"]) for row in files}
    assert "as in training" not in warnings["same.png"] and "grey" not in warnings["same.png"]
    for name, text in {
        "larger.png": "64x50, not 64x48 as in training",
        "compressed.jpg": "JPEG, not PNG as in training",
        "deep.png": "16 bits a channel, reduced to 8",
        "clear.png": "transparency ignored",
        "turned.png": "turned or mirrored as the EXIF tag asks",
        "noise.png": "of the spectrum lies outside the training range",
    }.items():
        assert text in warnings[name], name


@linux_only
def test_what_cannot_be_judged_is_named_with_its_reason_and_the_rest_goes_on(detect, tmp_path):
    folder = tmp_path / "mixed"
    (folder / "empty folder").mkdir(parents=True)
    jpeg = by_opencv(picture(), ".jpg")
    bad = {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut short or damaged JPEG"),
        "zero.jpg": (b"", "empty file"),
        "text.jpg": (b"hello", "not an image"),
        "blank.png": (by_opencv(np.full((48, 64), 9, np.uint8)), "blank: every pixel is 9"),
        "tiny.png": (by_opencv(picture(0, (8, 8))), "8x8: needs two sides of at least 9"),
        "moving.gif": (by_pillow(picture(0), "GIF", save_all=True), "GIF: expected"),
        "float.tif": (by_pillow(picture(0).astype(np.float32), "TIFF"), "32 bits a channel"),
        "text.mp4": (b"hello", "not a video"),
    }
    for name, (content, _) in bad.items():
        (folder / name).write_bytes(content)
    (folder / "good.png").write_bytes(by_opencv(picture()))
    (folder / "notes.txt").write_text("of no interest in a folder")
    (folder / ".hidden.png").write_bytes(b"nor this")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(folder / "sound.mp4"))
    os.mkfifo(tmp_path / "pipe.png")
    long_name = tmp_path / ("x" * 300 + ".png")
    named = [folder / "notes.txt", tmp_path / "nowhere.png", folder / "empty folder", tmp_path / "pipe.png", long_name]
    done = detect(folder, *named, folder / "good.png", "--csv", tmp_path / "x.csv", status=1)
    rows = read_csv(tmp_path / "x.csv")
    assert list(rows)[: len(bad) + 2] == sorted(str(folder / name) for name in (*bad, "good.png", "sound.mp4"))
    expected = {str(folder / name): reason for name, (_, reason) in bad.items()} | {
        str(folder / "sound.mp4"): "audio only",
        str(folder / "notes.txt"): "neither an image nor a video",
        str(tmp_path / "nowhere.png"): "no such file or folder",
        str(folder / "empty folder"): "found no image and no video",
        str(tmp_path / "pipe.png"): "not a file",
        str(long_name): "ile name too long",
    }
    assert {path for path, row in rows.items() if row["error"]} == set(expected)
    for path, reason in expected.items():
        assert reason in rows[path]["error"] and rows[path]["verdict"] == ""
        assert f"detect_fakes.py: {path}: {rows[path]['error']}; not judged\n" in done.err
    assert rows[str(folder / "good.png")]["verdict"] in CLASS_NAMES
    assert done.err.count("\n") == len(expected)
    assert done.out.splitlines()[-1].endswith(f"{len(expected)} not judged")


@linux_only
def test_any_file_name_comes_back_from_csv_and_json_and_takes_one_line(detect, tmp_path):
    names = ["new\nline.png", 'quote "a,b".png', " space .png", "é.png", "-dash.png", os.fsdecode(b"latin \xe9.png")]
    folder = tmp_path / os.fsdecode(b"folder \xff")
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name).write_bytes(by_opencv(picture(number)))
    done = detect(folder, "--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json")
    expected = sorted(str(folder / name) for name in names)
    assert list(read_csv(tmp_path / "x.csv")) == expected
    files = json.loads((tmp_path / "x.json").read_text())["files"]
    assert [row["path"] for row in files] == expected
    assert len(done.out.splitlines()) == 5 + len(names) + 4 + 1  # who judges; each; the table of the folder; all


def test_a_name_that_a_spreadsheet_would_run_is_a_text_in_the_csv_alone(detect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("=cmd|' C calc'!A0.png", "@x.png", "+1.png", "'=2.png")
    for number, name in enumerate(names):
        Path(name).write_bytes(by_opencv(picture(number)))
    detect(*names, "--csv", "x.csv", "--json", "x.json")
    assert list(read_csv("x.csv")) == [f"'{name}" for name in names]
    assert [from_cell(cell) for cell in read_csv("x.csv")] == list(names)
    assert [row["path"] for row in json.loads(Path("x.json").read_text())["files"]] == list(names)


def test_half_is_fake(detect, trained, monkeypatch):
    for score, verdict in ((0.5, "fake"), (0.4999, "real")):
        monkeypatch.setattr(FakeDetector, "score", lambda self, spectrum, score=score: score)
        assert f"{verdict}  0.500  " in detect(trained / "images/real/000.png").out


def test_csv_json_and_the_terminal_say_the_same(detect, trained, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/unlike.jpg").write_bytes(by_opencv(picture(0, (100, 100)), ".jpg"))
    asked = (trained / "images/fake", tmp_path / "nowhere.png", tmp_path / "real")
    done = detect(*asked, "--csv", tmp_path / "new/x.csv", "--json", tmp_path / "x.json", status=1)
    written, rows = json.loads((tmp_path / "x.json").read_text()), read_csv(tmp_path / "new/x.csv")
    assert (written["experiment"], written["built_in_sample"]) == ("faces_hq", False)
    assert (written["classifier"], sum(written["sources"].values())) == (LINEAR, 48)
    calibration = written["calibration"]
    assert calibration["n_held_out"] == {"real": 24, "fake": 24} and calibration["n_folds"] == 5
    low, high = calibration["lowest_score"], calibration["highest_score"]
    assert (low, high) == (1 / 26, 25 / 26) and ">0.962" in done.out
    right = calibration["n_right"]
    assert f"held out in 5 folds; there {right['real']} of 24 real and {right['fake']} of 24 fake images" in done.out
    assert [row["path"] for row in written["files"]] == list(rows)
    for row in written["files"]:
        assert list(row) == COLUMNS
        line = rows[row["path"]]
        if row["error"]:
            assert line["error"] == row["error"] and row["verdict"] is None
            continue
        assert float(line["score"]) == row["score"] and row["verdict"] == line["verdict"]
        is_unlike = row["path"].endswith(".jpg")
        assert CLASS_NAMES[row["score"] >= 0.5] == Path(row["path"]).parent.name
        assert row["verdict"] == ("unsure" if is_unlike else "fake")
        assert line["reasons"] == "; ".join(row["reasons"]) and ("format" in row["reasons"]) == is_unlike
        assert line["warnings"] == "; ".join(row["warnings"])
        said = row["score"] == low and "<0.038" or row["score"] == high and ">0.962" or f"{row['score']:.3f}"
        assert row["remarks"] == ["no camera tags"]
        assert f"{row['verdict']}  {said}  {row['path']}  [{line['warnings']}]  remarks: no camera tags\n" in done.out
    assert len(written["files"][-1]["warnings"]) >= 2
    assert done.out.endswith("\n12 fake, 0 real, 1 unsure, 1 not judged\n")


def test_the_page_says_what_the_csv_says_and_replaces_an_earlier_one_alone(detect, trained, tmp_path):
    page = tmp_path / "new/<page>.html"
    words = (trained / "images/real", tmp_path / "nowhere.png", "--report", page, "--csv", tmp_path / "x.csv")
    for _ in range(2):
        detect(*words, status=1)
        text = html.unescape(page.read_text(encoding="utf-8"))
        for path, row in read_csv(tmp_path / "x.csv").items():
            said = f"not judged: {row['error']}" if row["error"] else f"{row['verdict']}</span>, score "
            of_file = text[text.index(f"<dd>{path}</dd>") - 9000 : text.index(f"<dd>{path}</dd>")]
            assert said in of_file[of_file.rindex("<h3>") :]
            assert all(f"<li>{warning}</li>" in of_file for warning in filter(None, row["warnings"].split("; ")))
    page.write_text("<!DOCTYPE html>\n<html><title>mine</title></html>\n")
    assert f"{page}: is there, and no earlier output of this kind" in detect(*words, status=2).err
    assert (
        "named twice" in detect(trained / "images", "--report", tmp_path / "y", "--csv", tmp_path / "y", status=2).err
    )


def test_one_thread_and_many_give_the_same_and_each_file_once(detect, trained, tmp_path):
    asked = (trained / "images/fake", trained / "images/fake/003.png", trained / "images/fake")
    for n_threads in (1, 4):
        detect(*asked, "--n-threads", n_threads, "--csv", tmp_path / f"{n_threads}.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "4.csv").read_bytes()
    assert len(read_csv(tmp_path / "1.csv")) == 12


def test_a_file_named_by_two_paths_is_judged_once(trained, monkeypatch):
    monkeypatch.chdir(trained / "images")
    path = trained / "images/real/003.png"
    assert list_files(["real/003.png", "./real/003.png", path]) == [File(Path("real/003.png"), "image")]


def test_the_seed_draws_the_folds_of_the_calibration(detect, trained, tmp_path):
    asked = tmp_path / "between.png"
    asked.write_bytes(by_opencv(picture(0, blur=1.2)))
    scores = []
    for seed in (0, 1):
        detect(asked, "--seed", seed, "--csv", tmp_path / "x.csv")
        scores.append(float(read_csv(tmp_path / "x.csv")[str(asked)]["score"]))
        [judged] = judge(File(asked, "image"), read_judge(trained / "judge").detector(seed, 1), CropOptions())
        assert scores[seed] == pytest.approx(judged.score, abs=1e-12)
    assert scores[0] != scores[1]


def test_a_figure_of_each_file_shows_it_over_the_training_spectra(detect, trained, tmp_path, monkeypatch):
    drawn = {}
    draw = plots.judged_figure
    monkeypatch.setattr(
        plots, "judged_figure", lambda path, *others: (drawn.update({path.name: others}), draw(path, *others))
    )
    for folder, seed in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same $name$.png").write_bytes(by_opencv(picture(seed)))
    asked = (tmp_path / "a", tmp_path / "b", tmp_path / "nowhere.png")
    done = detect(*asked, "--plot", "--output-dir", tmp_path / "figures", "--csv", tmp_path / "x.csv", status=1)
    assert sorted(drawn) == sorted(path.name for path in (tmp_path / "figures").iterdir()) and len(drawn) == 2
    assert f"figures: {tmp_path / 'figures'}\n" in done.out
    figures = [row["figure"] for row in read_csv(tmp_path / "x.csv").values()]
    assert figures[2] == "" and {Path(figure).name for figure in figures[:2]} == set(drawn)
    assert all(Path(figure).is_file() for figure in figures[:2])
    detector = read_judge(trained / "judge").detector(n_threads=1)
    dataset, row = detector.dataset, read_csv(tmp_path / "x.csv")[str(tmp_path / "a/same $name$.png")]
    _, _, bands, spectrum, evidence, title = next(
        others for others in drawn.values() if np.allclose(others[3], detector.spectrum(picture(0)))
    )
    for label in (REAL, FAKE):
        quantiles = np.percentile(dataset.spectra[dataset.labels == label], (5, 50, 95), axis=0)
        assert np.allclose(bands[label], quantiles)
    assert np.array_equal(evidence, detector.evidence(spectrum))
    said = f"real, score {detector.score_text(float(row['score']))} [{row['warnings']}]"
    assert row["warnings"] and title == f"same $name$.png: {said}"


def test_the_first_line_says_which_judge_it_is_of_when_and_made_by_which_command(detect, trained, tmp_path):
    judge = read_judge(trained / "judge")._replace(
        made="2026-11-23 14:05 UTC", command="python train_faces_hq.py", commit=f"0398d7c{'0' * 33}+changes"
    )
    save_judge(tmp_path / "faces_hq_judge.safetensors", judge)
    done = detect("--judge", tmp_path, trained / "images/real/000.png", "--csv", tmp_path / "x.csv")
    said = f"{tmp_path / 'faces_hq_judge.safetensors'}, made 2026-11-23 14:05 UTC"
    assert done.out.splitlines()[0] == (f"judge: {said} by python train_faces_hq.py (commit 0398d7c with changes)")
    assert [row["judge"] for row in read_csv(tmp_path / "x.csv").values()] == [said]


def test_of_several_judges_in_a_folder_the_one_of_the_experiment_named_judges(detect, trained, tmp_path):
    (tmp_path / "x.png").write_bytes(by_opencv(picture(200)))
    judge, asked = read_judge(trained / "judge"), ("--judge", tmp_path, tmp_path / "x.png")
    save_judge(tmp_path / "celeba_judge.safetensors", judge._replace(experiment="celeba"))
    assert "trained: celeba: SVM" in detect(*asked).out  # the only one
    assert "found no faces_hq judge there" in detect(*asked, "--experiment", "faces_hq", status=2).err
    save_judge(tmp_path / "faces_hq_judge.safetensors", judge)
    complaint = detect(*asked, status=2).err
    assert "holds the judges faces_hq, celeba; name one with --experiment" in complaint
    for experiment in ("celeba", "faces_hq"):
        assert f"trained: {experiment}: SVM" in detect(*asked, "--experiment", experiment).out
    asked = ("--judge", tmp_path / "celeba_judge.safetensors", tmp_path / "x.png", "--experiment", "faces_hq")
    assert "EXPERIMENT is faces_hq, the judge named of celeba" in detect(*asked, status=2).err


def test_another_run_on_the_sample_does_not_become_the_judge(detect, trained, tmp_path):
    folder = tmp_path / "repository/plots/built_in_sample"
    save_judge(folder / "celeba_judge.safetensors", read_judge(trained / "judge")._replace(experiment="celeba"))
    asked = ("--judge", folder, trained / "images/real/000.png")
    assert detect(*asked).out.startswith("judge: the built-in sample's, made now")
    save_judge(folder / "faces_hq_judge.safetensors", read_judge(trained / "judge"))
    assert detect(*asked).out.startswith(f"judge: {folder / 'faces_hq_judge.safetensors'}, made ")


def test_a_copied_judge_says_the_same_elsewhere(detect, trained, tmp_path):
    (tmp_path / "x.png").write_bytes(by_opencv(picture(200)))
    (tmp_path / "to a friend").write_bytes((trained / "judge").read_bytes())
    said, elsewhere = (
        detect(tmp_path / "x.png", "--judge", path).out for path in (trained / "judge", tmp_path / "to a friend")
    )
    assert said.splitlines()[1:] == elsewhere.splitlines()[1:]


def test_a_picture_is_not_replaced_by_what_is_said_of_it(detect, trained, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(by_opencv(picture()))
    for words in (["--csv", "a.png", "a.png"], ["--csv", "b.png", "a.png"], ["--json", "b.png", "a.png"]):
        detect(*(tmp_path / word if word.endswith("png") else word for word in words), status=2)
    assert all((tmp_path / name).read_bytes() == by_opencv(picture()) for name in ("a.png", "b.png"))


def test_verdicts_and_figures_of_an_earlier_run_are_replaced_and_nobody_elses(detect, trained, tmp_path):
    words = (trained / "images/real/000.png", "--csv", tmp_path / "x", "--json", tmp_path / "y", "--plot")
    words += ("--output-dir", tmp_path / "figures")
    first, second = (detect(*words), detect(*words))
    assert first.out == second.out
    [figure] = (tmp_path / "figures").iterdir()
    for path in (tmp_path / "x", tmp_path / "y", figure):
        before = path.read_bytes()
        path.write_bytes(by_opencv(picture()))
        assert f"{path}: is there, and no earlier output of this kind" in detect(*words, status=2).err
        path.write_bytes(before)


@linux_only
@pytest.mark.parametrize(
    "words, reason",
    [
        ("", "PATHS"),
        ("x.png --no-such-flag", "--no-such-flag"),
        ("x.png --experiment mnist", "mnist"),
        ("x.png --frames-per-video 0", "FRAMES_PER_VIDEO is 0"),
        ("x.png --false-alarm-rate 0.6", "FALSE_ALARM_RATE is 0.6"),
        ("x.png --face-margin nan", "FACE_MARGIN is nan"),
        ("x.png --judge nowhere", "nowhere: no such file"),
        ("x.png --judge folder", "folder: found no judge there"),
        ("x.png --experiment celeba", "plots/built_in_sample: found no celeba judge there"),
        ("x.png --csv .", "a folder"),
        ("x.png --csv same --json same", "named twice"),
        ("x.png --csv x.png", "x.png: is, or lies in, what is read"),
        ("x.png --json link.png", "link.png: is, or lies in, what is read"),
        ("x.png --csv judge --judge judge", "judge: is, or lies in, what is read"),
        ("folder --csv new.csv --json folder/new.json", "new.json: is, or lies in, what is read"),
        ("x.png --csv mine.csv", "mine.csv: is there, and no earlier output of this kind"),
        ("x.png --json mine.csv", "mine.csv: is there, and no earlier output of this kind"),
        ("x.png --plot --output-dir mine.csv", "OUTPUT_DIR"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence_before_anything_is_done(
    words, reason, call, trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name in ("x.png", "folder/y.png"):
        Path(name).write_bytes(by_opencv(picture()))
    Path("link.png").symlink_to("x.png")
    Path("mine.csv").write_text("path,rating\n")
    Path("judge").write_bytes((trained / "judge").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = call("detect_fakes", *words.split())
    assert (done.status, done.out) == (2, "") and reason in done.err
    assert done.err.startswith("detect_fakes.py: ") and done.err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_table_that_cannot_be_written_is_known_before_anything_is_judged(detect, trained, tmp_path):
    (tmp_path / "file").touch()
    done = detect(trained / "images", "--csv", tmp_path / "file/x.csv", status=1)
    assert done.out == "" and done.err.count("\n") == 1 and str(tmp_path / "file") in done.err


def run_script(clone, *words, **options):
    """Start the script in a process of its own, with Python's usual buffers, and a terminal that knows ASCII only."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment["PYTHONIOENCODING"] = "ascii"
    command = [sys.executable, clone / "detect_fakes.py", *words]
    return subprocess.Popen(list(map(str, command)), text=True, stdout=subprocess.PIPE, env=environment, **options)


def test_in_one_pipe_each_line_is_whole_and_stands_where_its_file_does(clone, trained, tmp_path):
    for name in ("é.png", "real.png"):
        (tmp_path / name).write_bytes(by_opencv(picture()))
    names = ("nowhere.png", "é.png", "nor here.png", "real.png", "nor there.png")
    script = run_script(clone, "--judge", trained / "judge", *names, cwd=tmp_path, stderr=subprocess.STDOUT)
    lines = script.communicate()[0].splitlines()
    assert script.returncode == 1
    assert [line.split(":")[0] for line in lines[:5]] == ["judge", "trained", "any size", "score", "answers"]
    scores = [line.split()[1] for line in (lines[6], lines[8])]
    trained_on = "[a training image: the verdict only repeats what was said of it]  remarks: no camera tags"
    assert lines[5:] == [
        "detect_fakes.py: nowhere.png: no such file or folder; not judged",
        f"real  {scores[0]}  \\xe9.png  {trained_on}",
        "detect_fakes.py: nor here.png: no such file or folder; not judged",
        f"real  {scores[1]}  real.png  {trained_on}",
        "detect_fakes.py: nor there.png: no such file or folder; not judged",
        "0 fake, 2 real, 0 unsure, 3 not judged",
    ]


@linux_only
def test_an_interrupted_run_keeps_what_was_judged(clone, trained, tmp_path):
    (tmp_path / "images").mkdir()
    large = by_opencv(picture(0, (700, 700), blur=0.5))
    for number in range(400):
        (tmp_path / f"images/{number:03}.png").write_bytes(large)
    (tmp_path / "x.csv").write_text(",".join(COLUMNS))  # of an earlier run
    words = ("--judge", trained / "judge", tmp_path / "images", "--csv", tmp_path / "x.csv", "--json")
    process = run_script(clone, *words, tmp_path / "x.json", stderr=subprocess.PIPE)
    for line in process.stdout:  # each comes when its file is judged, not in the end
        if ".png" in line:
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    n_judged = len(read_csv(tmp_path / "x.csv"))
    assert 0 < n_judged < 400 and len(json.loads((tmp_path / "x.json").read_text())["files"]) == n_judged
    assert complaint.count("\n") == 1 and f"{n_judged} of 400 files judged, which {tmp_path / 'x.csv'}" in complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "x.csv", "x.json"]


def test_help_answers_before_scikit_learn_is_loaded(clone):
    code = "import sys, detect_fakes; print([name for name in ('sklearn', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_image_of_a_kind_that_is_not_read_is_named_in_its_folder_and_alone(tmp_path):
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a")
    (tmp_path / "b.dng").write_bytes(by_pillow(colour_picture(), "TIFF"))
    (tmp_path / "notes.txt").touch()
    in_folder, alone = list_files([tmp_path]), list_files([tmp_path / "a.jxl", tmp_path / "b.dng"])
    assert in_folder == alone
    assert [file.error.partition(",")[0] for file in alone] == ["JXL: expected JPEG", "DNG: expected JPEG"]


def test_an_answer_that_a_copy_flips_is_none_and_the_copy_is_named(detect, trained, tmp_path):
    (tmp_path / "x.png").write_bytes(by_opencv(picture(300, blur=1.1)))
    words = (tmp_path / "x.png", trained / "images/real/000.png", "--csv", tmp_path / "x.csv", "--json")
    done = detect(*words, tmp_path / "x.json", "--stability")
    row = read_csv(tmp_path / "x.csv")[str(tmp_path / "x.png")]
    detector = read_judge(trained / "judge").detector(n_threads=1)
    gray, scores = picture(300, blur=1.1), {}
    for name, steps in {
        "JPEG 90": "jpeg 90", "JPEG 75": "jpeg 75", "JPEG 60": "jpeg 60", "scaled by 0.75": "resize 48x36",
        "scaled by 0.5": "resize 32x24", "8 pixels cut off": "crop 48x32",
    }.items():  # fmt: skip
        scores[name] = detector.score(detector.spectrum(alter(gray, steps)))
    own = detector.score(detector.spectrum(gray))
    flipped = [name for name, score in scores.items() if (score >= 0.5) != (own >= 0.5)]
    assert flipped and row["flipped_by"] == "; ".join(flipped)
    assert (row["verdict"], row["reasons"]) == ("unsure", "copies")
    assert float(row["lowest_copy"]) == min(own, *scores.values())
    assert float(row["highest_copy"]) == max(own, *scores.values())
    said = [line for line in done.out.splitlines() if str(tmp_path / "x.png") in line]
    assert len(said) == 1 and f"flipped by {', '.join(flipped)}" in said[0]
    in_json = json.loads((tmp_path / "x.json").read_text())["files"][0]
    assert in_json["flipped_by"] == flipped and in_json["reasons"] == ["copies"]
    assert detect(tmp_path / "x.png").out.splitlines()[-1].startswith("real ")  # nobody asked the copies


def test_an_image_too_small_for_a_copy_is_asked_about_in_the_others(detect, tmp_path):
    for name, shape in (("tiny.png", (9, 9)), ("narrow.png", (12, 64))):
        (tmp_path / name).write_bytes(by_opencv(picture(0, shape)))
    done = detect(tmp_path / "tiny.png", tmp_path / "narrow.png", "--stability", "--csv", tmp_path / "x.csv")
    assert all(row["lowest_copy"] and row["verdict"] == "unsure" for row in read_csv(tmp_path / "x.csv").values())
    assert done.out.count("copies: ") == 2


def test_crops_of_a_video_are_copied_too_and_their_mean_is_what_flips(detect, clips, tmp_path):
    flags = ("--judge", clips / "judge", "--face-detector", "centre", "--csv", tmp_path / "x.csv", "--stability")
    detect(*flags, clips / "unseen/real/0.mp4", "--frames-per-video", 2)
    [row] = read_csv(tmp_path / "x.csv").values()
    assert float(row["lowest_copy"]) <= float(row["score"]) <= float(row["highest_copy"])


def test_the_judge_describes_itself_without_any_file(detect, trained):
    lines = detect("--describe").out.splitlines()
    assert [line.split(":")[0] for line in lines[:6]] == [
        "judge",
        "trained",
        "any size",
        "score",
        "answers",
        "held out",
    ]
    assert "each of images/fake, images/real, others/fake, others/real as a whole" in lines[5]
    table = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines if line.startswith("| ")}
    detector = read_judge(trained / "judge").detector(n_threads=1)
    answers = np.array(detector.held_out_answers())
    for name in ("images/real", "others/fake"):
        label = name.split("/")[1]
        said = answers[detector.dataset.sources == name]
        right, unsure = np.count_nonzero(said == label), np.count_nonzero(said == UNSURE)
        counts = [int(cell) for cell in table[f"{label}: {name}"][:3]]
        assert counts == [right, len(said) - right - unsure, unsure] and right > 0
    assert [sum(int(cell) for cell in table[name][:3]) for name in ("PNG, 64x48", "all")] == [48, 48]
    assert any(line.startswith("Cllr: 0.") for line in lines) and lines[-1].startswith("not for: ")


@pytest.mark.parametrize("flags", [("--csv", "x"), ("--json", "x"), ("--report", "x"), ("--plot",)])
def test_what_is_written_of_files_needs_a_file(call, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    ended = call("detect_fakes", "--describe", *flags)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1) and not (tmp_path / "x").exists()
    assert f"no image, video or folder is named for {flags[0]}; name one, or leave that out" in ended.err


def test_the_false_alarm_rate_moves_the_limit_and_the_rate_reached_is_said(detect, trained):
    limits = []
    for rate in (0, 0.5):
        said = detect("--describe", "--false-alarm-rate", rate).out.splitlines()[4]
        assert said.startswith("answers: fake above ") and "% (" in said and "lie; real below" in said
        limits.append(read_judge(trained / "judge").detector(0, 1, rate).limits.fake_above)
        assert f"fake above {max(0.5, limits[-1]):.3f}" in said
    assert limits[0] > limits[1]


def test_remarks_stand_behind_the_reasons_and_change_no_verdict(detect, tmp_path):
    plain = by_pillow(colour_picture(70), "PNG")
    for name, content in {"plain.png": plain, "signed.png": with_chunk(plain, b"caBX", MANIFEST)}.items():
        (tmp_path / name).write_bytes(content)
    words = ("--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json")
    done = detect(tmp_path / "plain.png", tmp_path / "signed.png", *words)
    unsigned, signed = read_csv(tmp_path / "x.csv").values()
    said = ["carries Content Credentials (not verified)", "IPTC says trainedAlgorithmicMedia", "no camera tags"]
    assert [row["remarks"] for row in json.loads((tmp_path / "x.json").read_text())["files"]] == [said[2:], said]
    assert (unsigned["remarks"], signed["remarks"]) == (said[2], "; ".join(said))
    assert all(unsigned[name] == signed[name] for name in ("verdict", "score", "reasons", "warnings"))
    [line] = [line for line in done.out.splitlines() if "signed.png" in line]
    assert line.endswith(f"  remarks: {'; '.join(said)}")


def test_a_folder_ends_with_what_was_said_of_each_of_its_folders(detect, trained, tmp_path):
    asked = tmp_path / "asked"
    for name in ("real", "unlike |\nnew"):
        (asked / name).mkdir(parents=True)
    for number in range(4):
        content = (trained / f"images/real/{number:03}.png").read_bytes()
        (asked / f"real/{number}.png").write_bytes(content)
        (asked / f"unlike |\nnew/{number}.jpg").write_bytes(by_opencv(picture(number), ".jpg"))
    (asked / "real/broken.png").write_bytes(b"")
    done = detect(asked, "--json", tmp_path / "x.json", status=1)
    lines = done.out.splitlines()
    folder, judged, real, fake, unsure, why = (cell.strip() for cell in lines[-5].split("|")[1:-1])
    assert (folder, judged, why) == (str(asked / "real"), "4", "")
    assert (real, fake, unsure) == ("4: 100 % (51-100)", "0: 0 % (0-49)", "0: 0 % (0-49)")
    assert "unlike \\|\\nnew" in lines[-4] and "| 4: 100 % (51-100) | format 4" in lines[-4]
    assert lines[-3].startswith("| all folders ") and "| 4: 50 % (22-78) " in lines[-3]
    assert "that one is missing means nothing" in lines[-2] and lines[-1] == "0 fake, 4 real, 4 unsure, 1 not judged"
    files = json.loads((tmp_path / "x.json").read_text())
    real, unlike, both = files["folders"]
    assert (real["n_judged"], real["n_not_judged"], both["folder"], both["n_judged"]) == (4, 1, "all folders", 8)
    assert real["real"] == {"n": 4, "share": 1, "low": pytest.approx(0.5101, abs=1e-4), "high": 1}
    assert unlike["why_unsure"]["format"] == 4 == unlike["unsure"]["n"]


def test_files_that_are_named_one_by_one_have_no_table(detect, trained):
    assert " folder " not in detect(trained / "images/real/000.png", trained / "images/real/001.png").out


def test_a_folder_in_which_nothing_can_be_judged_has_no_shares(detect, tmp_path):
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked/x.png").touch()
    done = detect(tmp_path / "asked", "--json", tmp_path / "x.json", status=1)
    assert "| 0      | 0    | 0    | 0      |" in done.out
    [folder] = json.loads((tmp_path / "x.json").read_text())["folders"]
    assert (folder["n_judged"], folder["n_not_judged"], folder["fake"]["share"]) == (0, 1, None)


def test_the_frames_that_decided_are_named_by_their_time(detect, clips, tmp_path):
    frames = [picture(number, (96, 112), 2.0 if number in (2, 5) else 0.8) for number in range(8)]
    write_clip(tmp_path / "x.mp4", np.repeat(frames, 25, axis=0))  # a second each
    words = ("--judge", clips / "judge", "--face-detector", "centre", "--frames-per-video", 8, tmp_path / "x.mp4")
    done = detect(*words, "--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json")
    [video] = json.loads((tmp_path / "x.json").read_text())["files"]
    assert video["score"] < 0.5 and video["share_fake"] == 0.25
    moments = video["decided_at"]
    assert len(moments) == 3 and all(moment["score"] < 0.5 for moment in moments)
    assert [moment["seconds"] for moment in moments] == sorted(moment["seconds"] for moment in moments)
    times = [f"00:{int(moment['seconds']):02}" for moment in moments]
    assert [moment["time"] for moment in moments] == times and not {"00:02", "00:05"} & set(times)
    assert read_csv(tmp_path / "x.csv")[str(tmp_path / "x.mp4")]["decided_at"] == "; ".join(times)
    assert f"8 frames with a face, decided at {', '.join(times)}" in done.out


def test_the_moments_of_a_fake_are_its_highest_in_minutes_and_seconds():
    scores = {3600: 0.9, 65.9: 0.7, 0: 0.6, 59.99: 0.8, 1: 0.1}
    moments = [Moment(seconds, score) for seconds, score in scores.items()]
    assert list(map(str, deciding_moments(moments, 0.62))) == ["00:59", "01:05", "60:00"]
    assert list(map(str, deciding_moments(moments, 0.4))) == ["00:01"]


def astronauts(n_small=1):
    """Return a group picture: an astronaut, and behind her the same at half the size, (512, 768, 3) uint8."""
    large = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    small = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
    return np.hstack([large, np.vstack([small if n_small else np.full_like(small, 90), np.full_like(small, 90)])])


@needs_videos
def test_each_face_of_a_group_has_a_line_of_its_own_and_a_portrait_keeps_its_name(detect, tmp_path):
    portrait, group = tmp_path / "portrait.png", tmp_path / "a group.png"
    portrait.write_bytes(by_opencv(astronauts(n_small=0)))
    group.write_bytes(by_opencv(astronauts()))
    flags = ("--face", "--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json")
    done = detect(*flags, "--plot", "--output-dir", tmp_path / "figures", portrait, group)
    alone, first, second = json.loads((tmp_path / "x.json").read_text())["files"]
    assert [row["path"] for row in (alone, first, second)] == [str(portrait), f"{group}#1", f"{group}#2"]
    assert [row["face"] for row in (alone, first, second)] == [None, 1, 2]
    assert list(read_csv(tmp_path / "x.csv")) == [str(portrait), f"{group}#1", f"{group}#2"]
    assert f"  {group}#2  [" in done.out and done.out.endswith("0 fake, 0 real, 3 unsure\n")
    for row in (alone, first, second):
        size = row["box"][2]
        assert f"{size}x{size}, not 64x48 as in training" in row["warnings"]
        assert Path(row["figure"]).is_file()
    assert first["box"][2] > second["box"][2] and second["box"][0] >= 512
    x, y, size = second["box"]
    (tmp_path / "cut.png").write_bytes(by_opencv(astronauts()[y : y + size, x : x + size]))
    detect(tmp_path / "cut.png", "--json", tmp_path / "x.json")
    [cut] = json.loads((tmp_path / "x.json").read_text())["files"]
    assert cut["score"] == second["score"] and cut["box"] is None


@needs_videos
def test_a_face_too_small_to_be_judged_is_named_and_the_others_are_judged(detect, tmp_path, monkeypatch):
    boxes = [Face(100, 100, 60, 60, 0.9), Face(10, 10, 5, 5, 0.8)]
    monkeypatch.setattr(face_crops, "detect_faces", lambda image: boxes)
    path = tmp_path / "group.png"
    path.write_bytes(by_opencv(astronauts()))
    done = detect("--face", path, "--csv", tmp_path / "x.csv", status=1)
    first, second = read_csv(tmp_path / "x.csv").values()
    assert first["verdict"] == UNSURE and first["error"] == "" and first["box"] == "91; 91; 78"
    assert second["verdict"] == "" and "needs two sides of at least" in second["error"]
    assert f"{path}#2: {second['error']}; not judged" in done.err
