"""The script as a user runs it: what it writes, what it does again and what not, and what it says."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from video_clips import ffmpeg, stairs, write_clip

from deepfake_spectra.sample import build as built_in_sample
import extract_video_frames
from deepfake_spectra.settings import REPOSITORY
from deepfake_spectra.face_crops import detect_faces
from deepfake_spectra.opencv import cv2
from deepfake_spectra.video_crops import read_index

SCRIPT = REPOSITORY / "extract_video_frames.py"
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
ODD_NAMES = (
    "with space.mp4", "accent é.MOV", "new\nline.mp4", os.fsdecode(b"latin \xe9.mp4"), 'quote "a,b".mp4', "-v.mp4"
)  # fmt: skip


def command(videos, frames, *flags):
    """The call of the script, with the fast centre crop unless another detector is named."""
    detector = () if "--face-detector" in flags else ("--face-detector", "centre")
    call = [sys.executable, SCRIPT, "--videos-dir", videos, "--frames-dir", frames, *detector, *flags]
    return [str(word) for word in call]


def extract(videos, frames, *flags, status=0):
    """Run the script to its end; return what it printed, and on stderr."""
    done = subprocess.run(command(videos, frames, *flags), capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def files_in(folder):
    """{path: (mtime, content)} of all files below a folder."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def contents_in(folder):
    """{path: content} of all files below a folder but the measured speed, which is never twice the same."""
    return {path: content for path, (_, content) in files_in(folder).items() if path.name != "speed.json"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip to be copied to where a test wants it."""
    frames = np.random.default_rng(0).integers(0, 256, (30, 60, 80), dtype=np.uint8)
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


@pytest.fixture
def tree(clip, tmp_path):
    """A function that puts copies of the clip under the given names into a folder, and returns that."""

    def make(*names):
        for name in names:
            path = tmp_path / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, path)
        return tmp_path / "videos"

    return make


def test_official_layout_gives_sources_labels_and_identities(tree, tmp_path):
    videos = tree(
        "original_sequences/youtube/c23/videos/004.mp4",
        "original_sequences/youtube/raw/videos/004.mp4",
        "original_sequences/actors/c40/videos/01__walking.mp4",
        "manipulated_sequences/NeuralTextures/c23/videos/004_982.mp4",
        "manipulated_sequences/DeepFakeDetection/c0/videos/01_02__walking__ABCDEFGH.mp4",
        "manipulated_sequences/NeuralTextures/masks/videos/004_982.mp4",
    )
    extract(videos, tmp_path / "frames", "--frames-per-video", 3)
    rows = read_index(tmp_path / "frames")
    assert sorted({(row.label, row.source, row.video, row.target, row.source_id) for row in rows}) == [
        ("fake", "DeepFakeDetection_c0", "01_02__walking__ABCDEFGH.mp4", "01", "02"),
        ("fake", "NeuralTextures_c23", "004_982.mp4", "004", "982"),
        ("real", "actors_c40", "01__walking.mp4", "01", ""),
        ("real", "youtube_c23", "004.mp4", "004", ""),
        ("real", "youtube_raw", "004.mp4", "004", ""),
    ]
    assert [row.frame for row in rows] == [5, 15, 25] * 5
    assert rows[0].path == "real/actors_c40/01__walking.mp4/000005.png"
    assert [row.label for row in rows] == ["real"] * 9 + ["fake"] * 6
    written = {path for path in (tmp_path / "frames").rglob("*.png")}
    assert written == {tmp_path / "frames" / row.path for row in rows}


def test_plain_tree_gives_its_folders_as_sources_whatever_the_names(tree, tmp_path):
    videos = tree(*(f"real/{name}" for name in ODD_NAMES), "fake/a/b/clip.mkv")
    tree("fake/.hidden.mp4", "fake/notes.txt", "other/x.mp4")  # none of these is to be found
    extract(videos, tmp_path / "frames", "--frames-per-video", 2)
    rows = read_index(tmp_path / "frames")
    assert {(row.label, row.source, row.video) for row in rows} == {
        ("fake", "a_b", "clip.mkv"), *(("real", "videos", name) for name in ODD_NAMES)
    }  # fmt: skip
    for row in rows:
        assert (tmp_path / "frames" / row.path).is_file()


def test_a_crop_has_the_very_pixels_of_its_frame(tree, tmp_path):
    videos = tree("real/clip.mp4")
    extract(videos, tmp_path / "frames")
    rows = read_index(tmp_path / "frames")
    video = cv2.VideoCapture(str(videos / "real/clip.mp4"))
    frames = [video.read()[1] for _ in range(30)]
    assert len(rows) == 20 and {row.size for row in rows} == {60}
    for row in rows:
        crop = cv2.imread(str(tmp_path / "frames" / row.path))
        assert np.array_equal(crop, frames[row.frame][row.y : row.y + row.size, row.x : row.x + row.size])
        assert row.time == pytest.approx(row.frame / 25, abs=0.001)


def test_faces_are_cut_with_their_scores(tmp_path):
    portrait = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    write_clip(tmp_path / "videos/fake/astronaut.mp4", np.array([portrait] * 5))
    extract(tmp_path / "videos", tmp_path / "frames", "--face-detector", "centerface", "--face-margin", 1.5)
    rows = read_index(tmp_path / "frames")
    assert len(rows) == 5
    for row in rows:
        assert row.score > 0.8
        (face,) = detect_faces(cv2.imread(str(tmp_path / "frames" / row.path)))
        assert face.height == pytest.approx(row.size / 1.5, rel=0.1)


def test_broken_videos_are_named_with_the_reason_and_the_rest_goes_on(tree, clip, tmp_path):
    videos = tree("real/good.mp4")
    (videos / "real/empty.mp4").write_bytes(b"")
    (videos / "real/text.mp4").write_text("hello")
    (videos / "real/cut\nshort.mp4").write_bytes(clip.read_bytes()[:20_000])
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(videos / "real/sound.mp4"))
    ffmpeg("-ss", "0.9", "-i", str(clip), "-c", "copy", str(videos / "real/trimmed.mp4"))
    for _ in range(2):  # the second run remembers
        said = extract(videos, tmp_path / "frames")
        assert "skipped real/videos/empty.mp4: empty file\n" in said
        assert "skipped real/videos/text.mp4: not a video" in said
        assert "skipped 'real/videos/cut\\nshort.mp4': not a video, or truncated" in said
        assert "skipped real/videos/sound.mp4: audio only\n" in said
        assert "skipped real/videos/trimmed.mp4: only 7 of 30 frames can be decoded" in said
        assert "20 real and 0 fake crops of 1 videos, 5 skipped" in said
    assert "0 to do" in said
    assert {path.parent.name for path in (tmp_path / "frames").rglob("*.png")} == {"good.mp4"}
    assert {row.video for row in read_index(tmp_path / "frames")} == {"good.mp4"}


def test_a_video_without_a_face_is_named(tmp_path):
    write_clip(tmp_path / "videos/real/blank.mp4", stairs(10))
    said = extract(tmp_path / "videos", tmp_path / "frames", "--face-detector", "centerface", status=1)
    assert "skipped real/videos/blank.mp4: no face in any of 10 frames\n" in said
    assert "not one video gave a crop" in said
    assert not (tmp_path / "frames/index.csv").exists()


def test_calls_that_cannot_work_end_in_one_sentence(tree, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "found no video" in extract(empty, tmp_path / "frames", status=1)
    assert "no such folder" in extract(tmp_path / "nowhere", tmp_path / "frames", status=2)
    videos = tree("real/a/b/x.mp4", "real/a_b/x.mp4")
    assert "would share one folder" in extract(videos, tmp_path / "frames", status=1)
    assert "at least 1" in extract(videos, tmp_path / "frames", "--frames-per-video", 0, status=2)
    assert "not 0" in extract(videos, tmp_path / "frames", "--n-threads", 0, status=2)
    assert "invalid choice" in extract(videos, tmp_path / "frames", "--face-detector", "dlib", status=2)
    assert not (tmp_path / "frames").exists()


def test_a_second_run_does_nothing(tree, tmp_path):
    videos = tree("real/a.mp4", "fake/b.mp4")
    extract(videos, tmp_path / "frames")
    before = files_in(tmp_path / "frames")
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"real", "fake", "index.csv", "speed.json"}
    assert "2 finished before, 0 to do" in extract(videos, tmp_path / "frames")
    after = files_in(tmp_path / "frames")
    assert after.pop(Path("index.csv"))[1] == before.pop(Path("index.csv"))[1]
    assert after == before


def test_only_what_changed_is_done_again(tree, tmp_path):
    videos = tree(*(f"real/{letter}.mp4" for letter in "abcde"))
    frames = tmp_path / "frames"
    extract(videos, frames)
    before = files_in(frames)
    write_clip(videos / "real/a.mp4", stairs(10))
    next((frames / "real/videos/b.mp4").glob("*.png")).unlink()
    (videos / "real/d.mp4").unlink()
    os.utime(videos / "real/e.mp4")
    said = extract(videos, frames)
    assert "4 videos, 1 finished before, 3 to do, 3 of them made from another file" in said
    rows = read_index(frames)
    assert [sum(row.video == name for row in rows) for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4")] == [10, 20, 20, 0]
    assert len(list((frames / "real/videos/a.mp4").glob("*.png"))) == 10
    untouched = Path("real/videos/c.mp4")
    after = files_in(frames)
    assert {path: file for path, file in after.items() if untouched in path.parents} == {
        path: file for path, file in before.items() if untouched in path.parents
    }


def test_other_settings_do_all_again(tree, tmp_path):
    videos = tree("real/a.mp4")
    extract(videos, tmp_path / "frames")
    assert "0 finished before, 1 to do" in extract(videos, tmp_path / "frames", "--frames-per-video", 5)
    assert len(read_index(tmp_path / "frames")) == 5
    assert len(list((tmp_path / "frames").rglob("*.png"))) == 5


def start_and_wait_for_a_video(videos, frames):
    """Start the script on one thread; return its process when it has finished at least one video and not all."""
    process = subprocess.Popen(command(videos, frames, "--n-threads", 1), stderr=subprocess.PIPE, text=True)
    while not list(frames.glob("real/videos/*/crops.json")):
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.002)
    return process


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_is_completed_by_the_next(tree, tmp_path, how):
    videos = tree(*(f"real/{number:03}.mp4" for number in range(60)))
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "index.csv").write_text("of crops that are about to change")
    process = start_and_wait_for_a_video(videos, frames)
    process.send_signal(how)
    _, complaint = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert complaint.count("\n") == (how == signal.SIGINT), complaint
    assert not (frames / "index.csv").exists()
    finished = {path: file for path, file in files_in(frames).items() if path.parts[0] == "real"}
    n_finished = len({path.parent for path in finished})
    assert 0 < n_finished < 60
    for record in frames.glob("real/videos/*/crops.json"):
        assert len(list(record.parent.glob("*.png"))) == len(json.loads(record.read_text())["rows"]) == 20
    assert f"{n_finished} finished before, {60 - n_finished} to do" in extract(videos, frames)
    after = files_in(frames)
    assert {path: after[path] for path in finished} == finished
    extract(videos, tmp_path / "in_one_go")
    assert contents_in(frames) == contents_in(tmp_path / "in_one_go")


def test_one_thread_and_many_give_the_same(tree, tmp_path):
    videos = tree(*(f"fake/{number:03}_{number + 1:03}.mp4" for number in range(6)))
    extract(videos, tmp_path / "one", "--n-threads", 1)
    extract(videos, tmp_path / "many", "--n-threads", 4)
    assert contents_in(tmp_path / "one") == contents_in(tmp_path / "many")
    speed = json.loads((tmp_path / "one/speed.json").read_text())
    assert (speed["videos"], speed["frames"], speed["crops"], speed["threads"]) == (6, 6 * 30, 120, 1)
    assert 0 < speed["share_of_decoding"] < 1


def test_without_data_it_runs_on_the_sample_and_says_so_first(tree, tmp_path, monkeypatch, capsys):
    videos = tree("real/brick_0.mp4", "fake/brick_0.mp4")
    monkeypatch.setattr(extract_video_frames, "OFFICIAL_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(extract_video_frames, "SAMPLE_VIDEOS_DIR", tmp_path / "sample")
    monkeypatch.setattr(extract_video_frames, "SAMPLE_FRAMES_DIR", tmp_path / "sample_frames")
    monkeypatch.setattr(built_in_sample, "build_video_sample", videos.rename)
    monkeypatch.setattr(sys, "argv", ["extract_video_frames.py"])
    extract_video_frames.main()
    assert "built-in sample" in capsys.readouterr().out.splitlines()[0]
    rows = read_index(tmp_path / "sample_frames")
    assert {(row.label, row.size, row.score) for row in rows} == {("real", 60, None), ("fake", 60, None)}


def test_the_data_sets_own_folder_is_taken_where_it_is_there(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extract_video_frames, "OFFICIAL_FOLDER", tree("real/a.mp4"))
    monkeypatch.setattr(sys, "argv", ["x", "--frames-dir", str(tmp_path / "frames"), "--face-detector", "centre"])
    extract_video_frames.main()
    assert "sample" not in capsys.readouterr().out
    assert len(read_index(tmp_path / "frames")) == 20


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared clips are not here")
def test_clips_of_faceforensics_give_faces_all_through(tmp_path):
    videos = tmp_path / "videos"
    for source, target in (
        ("faceforensics/manipulated_sequences/Deepfakes/c23/videos/003_000.mp4", "fake/003_000.mp4"),
        ("dfdc/fake/yhffcuhhjy.mp4", "fake/upright.mp4"),  # 720x1280
    ):
        (videos / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHARED_DATA / source, videos / target)
    extract(videos, tmp_path / "frames", "--face-detector", "centerface")
    rows = read_index(tmp_path / "frames")
    assert len(rows) == 40
    assert min(row.score for row in rows) > 0.6
    assert 150 < min(row.size for row in rows) and max(row.size for row in rows) < 230
