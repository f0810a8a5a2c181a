"""Folders of videos -> crops and their index: what is found, cut, done again or left as it is, and named as broken."""

import json
import os
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from conftest import linux_only
from video_clips import ffmpeg, stairs, write_clip

from deepfake_spectra import face_crops, video_crops
from deepfake_spectra.crop_index import CropRow, read_index, write_index
from deepfake_spectra.errors import ExperimentError, NoCrops, NoCropsNow, UsageError
from deepfake_spectra.face_crops import detect_faces
from deepfake_spectra.folder_lock import only_writer
from deepfake_spectra.opencv import cv2
from deepfake_spectra.video_crops import CropOptions, extract_videos
from deepfake_spectra.video_files import identities, list_videos

CENTRE = CropOptions(face_detector="centre")
ODD_NAMES = (
    "with space.mp4", "accent é.MOV", "new\nline.mp4", "latin \udce9.mp4", 'quote "a,b".mp4', "-v.mp4"
)  # fmt: skip


def files_in(folder):
    """{path: (mtime, content)} of all files below a folder."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def contents_in(folder):
    """{path: content} of all files below a folder."""
    return {path: content for path, (_, content) in files_in(folder).items()}


def full_disk(*_):
    """Stands for `face_crops` where the first crop finds no room."""
    raise OSError(28, "No space left on device")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of 30 frames to be copied to where a test wants it."""
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


@pytest.fixture
def extract(tmp_path, capsys):
    """A function that extracts into `tmp_path / "frames"`, without a detector, and returns what was printed."""

    def run(videos, options=CENTRE, n_threads=2, frames=tmp_path / "frames", label=None):
        extract_videos(videos, frames, options, n_threads, label)
        return capsys.readouterr().out

    return run


# --- names, layouts, the index


@pytest.mark.parametrize(
    "name, target, source",
    [
        ("004.mp4", "004", ""),
        ("004_982.mp4", "004", "982"),
        ("28__walking_outside_cafe_disgusted.mp4", "28", ""),
        ("01_02__exit_phone_room__YVGY8LOK.mp4", "01", "02"),
        ("lynaeydofd.mp4", "", ""),
        ("004_982_2.mp4", "", ""),
        ("0004.mp4", "", ""),
        ("2019_03__holiday.mp4", "", ""),
        ("brick_0.mp4", "", ""),
        ("", "", ""),
    ],
)
def test_identities_in_a_name(name, target, source):
    assert identities(name) == (target, source)


def test_index_reads_back_as_it_was_written(tmp_path):
    name = 'a, "b"\n\udce9 é.mp4'
    rows = [
        CropRow(f"real/videos/{name}/000001.png", "real", "videos", name, 1, 0.04, 5, 0, 90, 0.8765, "", ""),
        CropRow("fake/x/004_982.mp4/000010.png", "fake", "x", "004_982.mp4", 10, 0.4, 0, 7, 91, None, "004", "982"),
        CropRow("fake/@x/=1.mp4/000010.png", "fake", "@x", "=1.mp4", 10, 0.4, -3, 7, 91, None, "", ""),
    ]
    write_index(tmp_path, rows)
    assert read_index(tmp_path) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["index.csv"]
    header = b"path,label,source,video,frame,time,x,y,size,score,target,source_id\r\n"
    assert (tmp_path / "index.csv").read_bytes().startswith(header)


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "not there; run `python extract_video_frames.py`"),
        ("", "not an index"),
        ("path,label\n", "other columns"),
        (",".join(CropRow._fields) + "\nx,real\n", "2 columns"),
        (",".join(CropRow._fields) + "\nx,real,s,v,one,0,0,0,9,,,\n", "'one'"),
        (",".join(CropRow._fields) + "\nx,false,s,v,1,0,0,0,9,,,\n", "the label 'false'"),
    ],
)
def test_a_missing_or_foreign_index_is_said(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "index.csv").write_text(content)
    with pytest.raises(ExperimentError, match=reason):
        read_index(tmp_path)


def test_official_layout_gives_sources_labels_and_identities_but_no_masks(tree, tmp_path, extract):
    videos = tree(
        "original_sequences/youtube/c23/videos/004.mp4",
        "original_sequences/youtube/raw/videos/004.mp4",
        "original_sequences/actors/c40/videos/01__walking.mp4",
        "manipulated_sequences/NeuralTextures/c23/videos/004_982.mp4",
        "manipulated_sequences/DeepFakeDetection/c0/videos/01_02__walking__ABCDEFGH.mp4",
        "manipulated_sequences/NeuralTextures/masks/videos/004_982.mp4",
    )
    extract(videos, CropOptions(3, "centre"))
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
    assert set((tmp_path / "frames").rglob("*.png")) == {tmp_path / "frames" / row.path for row in rows}


@linux_only
def test_plain_tree_gives_its_folders_as_sources_whatever_the_names(tree, tmp_path, extract):
    videos = tree(*(f"real/{name}" for name in ODD_NAMES), "fake/a/b/clip.mkv")
    tree("fake/.hidden.mp4", "fake/.trash/x.mp4", "fake/notes.txt", "other/x.mp4")  # none of these is to be found
    extract(videos, CropOptions(2, "centre"))
    rows = read_index(tmp_path / "frames")
    assert {(row.label, row.source, row.video) for row in rows} == {
        ("fake", "a_b", "clip.mkv"), *(("real", "videos", name) for name in ODD_NAMES)
    }  # fmt: skip
    assert len(rows) == 14 and all((tmp_path / "frames" / row.path).is_file() for row in rows)


def test_folders_without_a_video_or_with_two_of_one_name_are_said(tree, tmp_path, extract):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExperimentError, match="empty: found no video"):
        extract(tmp_path / "empty")
    with pytest.raises(ExperimentError, match="a/b/x.mp4 .*would share one folder"):
        extract(tree("real/a/b/x.mp4", "real/a_b/x.mp4"))
    assert not (tmp_path / "frames").exists()


def test_a_folder_that_cannot_be_listed_ends_the_run(tree, monkeypatch):
    videos = tree("real/a.mp4", "real/locked/b.mp4")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # a mode would not stop the administrator
    with pytest.raises(PermissionError, match="locked"):
        list_videos(videos)


@pytest.mark.parametrize("locked", ["manipulated_sequences", "Face2Face"])
def test_a_folder_of_the_official_layout_that_cannot_be_listed_ends_the_run(tree, monkeypatch, locked):
    videos = tree("original_sequences/youtube/c23/videos/004.mp4", "manipulated_sequences/Face2Face/c23/videos/x.mp4")
    listed = Path.iterdir

    def refuse(path):
        if path.name == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(PermissionError, match=locked):
        list_videos(videos)


@linux_only
def test_loose_videos_are_of_the_class_that_is_named_and_the_index_grows(tree, tmp_path, extract):
    videos = tree("holiday/-a.mp4", "holiday/café/b\n.mp4", "swaps/a.mp4")
    assert "frames/index.csv: 40 real and 0 fake crops of 2 videos" in extract(videos / "holiday", label="real")
    assert "frames/index.csv: 40 real and 20 fake crops of 3 videos" in extract(videos / "swaps", label="fake")
    shutil.copy(videos / "swaps/a.mp4", videos / "swaps/c.mp4")
    said = extract(videos / "swaps", label="fake")
    assert "2 videos, 1 finished before, 1 to do" in said and "40 real and 40 fake crops of 4 videos" in said
    found = {(row.label, row.source, row.video) for row in read_index(tmp_path / "frames")}
    assert found == {
        ("real", "holiday", "-a.mp4"), ("real", "holiday_café", "b\n.mp4"),
        ("fake", "swaps", "a.mp4"), ("fake", "swaps", "c.mp4"),
    }  # fmt: skip


def test_crops_of_one_index_are_made_alike(tree, tmp_path, extract):
    videos = tree("holiday/a.mp4", "swaps/a.mp4")
    extract(videos / "holiday", label="real")
    before = files_in(tmp_path / "frames")
    with pytest.raises(ExperimentError, match="real/holiday/a.mp4: face_margin was 1.3, and the crops of one index"):
        extract(videos / "swaps", CENTRE._replace(face_margin=1.2), label="fake")
    assert files_in(tmp_path / "frames") == before


def test_what_was_kept_of_other_sources_outlasts_a_run_that_breaks_off(tree, tmp_path, extract, monkeypatch):
    videos = tree("holiday/a.mp4", "swaps/a.mp4")
    extract(videos / "holiday", label="real")
    with monkeypatch.context() as context:
        context.setattr("deepfake_spectra.video_crops.face_crops", full_disk)
        with pytest.raises(OSError, match="No space"):
            extract(videos / "swaps", label="fake")
    assert not (tmp_path / "frames/index.csv").exists()
    assert "20 real and 20 fake crops" in extract(videos / "swaps", label="fake")


def test_rows_of_a_run_that_ended_meanwhile_are_not_lost(tree, tmp_path, extract, monkeypatch):
    videos = tree("holiday/a.mp4", "swaps/a.mp4")
    lock = video_crops.only_writer

    def lock_late(folder):
        monkeypatch.undo()
        extract(videos / "holiday", label="real")
        return lock(folder)

    monkeypatch.setattr(video_crops, "only_writer", lock_late)
    with pytest.raises(ExperimentError, match="frames: another run has just ended there; start this one again"):
        extract(videos / "swaps", label="fake")
    assert "20 real and 20 fake crops" in extract(videos / "swaps", label="fake")


def test_the_index_is_written_before_the_next_run_may_write(tree, tmp_path, extract, monkeypatch):
    def refused(frames_dir, rows):
        with pytest.raises(ExperimentError, match="is writing there"):
            with only_writer(frames_dir):
                pass
        write_index(frames_dir, rows)

    monkeypatch.setattr(video_crops, "write_index", refused)
    videos = tree("real/a.mp4")
    assert "1 to do" in extract(videos)
    (tmp_path / "frames/index.csv").unlink()
    assert "0 to do" in extract(videos) and len(read_index(tmp_path / "frames")) == 20


def test_loose_videos_without_a_label_are_counted_and_the_flag_is_named(tree, extract):
    videos = tree("a.mp4", "b/c.mp4")
    with pytest.raises(UsageError, match="found 2 videos, and no folder real/ or fake/ .* say --label real or --label"):
        extract(videos)


# --- the crops


def test_a_crop_has_the_very_pixels_of_its_frame(tree, tmp_path, extract):
    videos = tree("real/clip.mp4")
    extract(videos)
    rows = read_index(tmp_path / "frames")
    video = cv2.VideoCapture(str(videos / "real/clip.mp4"))
    frames = [video.read()[1] for _ in range(30)]
    assert len(rows) == 20 and {(row.x, row.y, row.size, row.score) for row in rows} == {(10, 0, 60, None)}
    for row in rows:
        crop = cv2.imread(str(tmp_path / "frames" / row.path))
        assert np.array_equal(crop, frames[row.frame][row.y : row.y + row.size, row.x : row.x + row.size])
        assert row.time == pytest.approx(row.frame / 25, abs=0.001)


def test_faces_are_cut_with_their_scores(tmp_path, extract):
    portrait = np.ascontiguousarray(skimage.data.astronaut()[::2, ::2, ::-1])
    write_clip(tmp_path / "videos/fake/astronaut.mp4", np.array([portrait] * 3))
    extract(tmp_path / "videos", CropOptions(20, "centerface", 2.0))
    rows = read_index(tmp_path / "frames")
    assert len(rows) == 3
    for row in rows:
        assert row.score > 0.7
        (face,) = detect_faces(cv2.imread(str(tmp_path / "frames" / row.path)))
        assert face.height == pytest.approx(row.size / 2, rel=0.15)


@linux_only
def test_broken_videos_are_named_with_the_reason_and_the_rest_goes_on(tree, clip, tmp_path, extract):
    videos = tree("real/good.mp4")
    (videos / "real/empty.mp4").write_bytes(b"")
    (videos / "real/text.mp4").write_text("hello")
    (videos / "real/cut\nshort.mp4").write_bytes(clip.read_bytes()[:20_000])
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(videos / "real/sound.mp4"))
    ffmpeg("-ss", "0.9", "-i", str(clip), "-c", "copy", str(videos / "real/trimmed.mp4"))
    for to_do in (6, 0):  # the second run remembers
        said = extract(videos)
        assert f"6 videos, {6 - to_do} finished before, {to_do} to do\n" in said
        assert "skipped real/videos/empty.mp4: empty file\n" in said
        assert "skipped real/videos/text.mp4: not a video" in said
        assert "skipped real/videos/cut\\nshort.mp4: not a video, or truncated" in said
        assert "skipped real/videos/sound.mp4: audio only\n" in said
        assert "skipped real/videos/trimmed.mp4: only 7 of 30 frames can be decoded" in said
        assert "20 real and 0 fake crops of 1 videos, 5 skipped" in said
    assert {path.parent.name for path in (tmp_path / "frames").rglob("*.png")} == {"good.mp4"}
    assert {row.video for row in read_index(tmp_path / "frames")} == {"good.mp4"}


@linux_only
def test_a_video_that_cannot_be_read_now_is_said_and_tried_again(tree, tmp_path, extract, capsys, monkeypatch):
    videos = tree("real/a.mp4", "real/b.mp4", "real/c.mp4")
    (videos / "real/gone.mp4").symlink_to(tmp_path / "on a disk that is not mounted.mp4")
    read = face_crops.sampled_frames

    def fail(path, n_frames):
        yield from islice(read(path, n_frames), 5 if path.name == "b.mp4" else None)
        if path.name == "b.mp4":
            raise NoCropsNow("Input/output error")

    monkeypatch.setattr("deepfake_spectra.video_crops.sampled_frames", fail)
    with pytest.raises(ExperimentError, match="videos: 2 of 4 videos could not be read now"):
        extract(videos)
    said = capsys.readouterr().out
    assert "not read real/videos/b.mp4: Input/output error\n" in said
    assert "not read real/videos/gone.mp4: No such file or directory\n" in said
    frames = tmp_path / "frames"
    assert {path.name for path in (frames / "real/videos").iterdir()} == {"a.mp4", "c.mp4"}
    assert {path.name for path in frames.iterdir()} == {"real"}
    monkeypatch.undo()
    (videos / "real/gone.mp4").unlink()
    assert "3 videos, 2 finished before, 1 to do\n" in extract(videos)


def test_a_disk_that_fails_is_not_taken_for_a_damaged_video(clip, tmp_path, monkeypatch):
    ffmpeg("-i", str(clip), "-c", "copy", str(tmp_path / "a.mkv"))
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content[: len(content) // 2])  # what could be read of it
    with pytest.raises(NoCrops, match="truncated"):
        list(face_crops.sampled_frames(tmp_path / "a.mkv", 20))
    monkeypatch.setattr(Path, "open", lambda path, *_: fail_to_read())
    with pytest.raises(NoCropsNow, match="Input/output error"):
        list(face_crops.sampled_frames(tmp_path / "a.mkv", 20))


def fail_to_read():
    """Stand for a disk that fails."""
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("error", [MemoryError(), face_crops.cv2.error("(-4:Insufficient memory)")])
def test_too_little_memory_says_nothing_about_the_video(tree, tmp_path, extract, monkeypatch, capsys, error):
    error.code = -4

    def fail(*_):
        raise error

    monkeypatch.setattr(face_crops, "_cut", fail)
    with pytest.raises(ExperimentError, match="1 of 1 videos could not be read now"):
        extract(tree("real/a.mp4"))
    assert "not read real/videos/a.mp4: not enough memory\n" in capsys.readouterr().out
    assert not list((tmp_path / "frames").rglob("crops.json"))


def test_a_full_disk_is_said_of_the_folder_that_was_to_be_written(tree, tmp_path, extract, monkeypatch):
    monkeypatch.setattr("deepfake_spectra.video_crops.face_crops", full_disk)
    with pytest.raises(OSError, match="No space") as raised:
        extract(tree("real/a.mp4"))
    assert raised.value.filename == str(tmp_path / "frames/real/videos/a.mp4")
    assert not list((tmp_path / "frames").iterdir())


def test_a_folder_where_no_video_gives_a_crop_is_said(tmp_path, capsys):
    write_clip(tmp_path / "videos/real/blank.mp4", stairs(10))
    with pytest.raises(ExperimentError, match="videos: not one video gave a crop"):
        extract_videos(tmp_path / "videos", tmp_path / "frames", CropOptions())
    assert "skipped real/videos/blank.mp4: no face in any of 10 frames\n" in capsys.readouterr().out
    assert not (tmp_path / "frames/index.csv").exists()


# --- what is done again


def test_a_second_run_touches_no_crop(tree, tmp_path, extract):
    videos = tree("real/a.mp4", "fake/b.mp4")
    said = extract(videos)
    assert "2 videos, 0 finished before, 2 to do\n" in said and "20 real and 20 fake crops of 2 videos, 0 skip" in said
    before = files_in(tmp_path / "frames")
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"real", "fake", "index.csv"}
    assert "2 finished before, 0 to do\n" in extract(videos)
    after = files_in(tmp_path / "frames")
    assert after.pop(Path("index.csv"))[1] == before.pop(Path("index.csv"))[1]
    assert after == before


def test_only_what_changed_is_done_again(tree, tmp_path, extract):
    videos = tree(*(f"real/{letter}.mp4" for letter in "abcdef"))
    frames = tmp_path / "frames"
    extract(videos)
    before = files_in(frames)
    write_clip(videos / "real/a.mp4", stairs(10))  # another file
    next((frames / "real/videos/b.mp4").glob("*.png")).unlink()
    (videos / "real/d.mp4").unlink()
    os.utime(videos / "real/e.mp4")
    (frames / "real/videos/f.mp4/crops.json").write_text("[]")  # not what we wrote
    said = extract(videos)
    assert "5 videos, 1 finished before, 4 to do\n" in said
    assert (
        "frames: the crops of 4 videos are replaced: the video is another (2), some are missing (1), their record is "
        "damaged (1)\n" in said
    )
    assert "frames: 1 videos of the last index are not among these and leave the index; their crops stay\n" in said
    n_crops = [sum(row.video == f"{letter}.mp4" for row in read_index(frames)) for letter in "abcdef"]
    assert n_crops == [10, 20, 20, 0, 20, 20]
    assert len(list((frames / "real/videos/a.mp4").glob("*.png"))) == 10
    after = files_in(frames)
    changed = {path.parent.name for path in after if path.parts[0] == "real" and after[path] != before.get(path)}
    assert changed == {"a.mp4", "b.mp4", "e.mp4", "f.mp4"}
    redone = Path("real/videos/e.mp4")
    assert {path: after[path][1] for path in after if redone in path.parents and path.suffix == ".png"} == {
        path: before[path][1] for path in before if redone in path.parents and path.suffix == ".png"
    }


@pytest.mark.parametrize(
    "options, was",
    [
        (CENTRE._replace(frames_per_video=5), "frames_per_video was 20"),
        (CENTRE._replace(face_margin=1.2), "face_margin was 1.3"),
    ],
)
def test_other_settings_do_all_again_and_say_so_before(tree, tmp_path, extract, options, was):
    videos = tree("real/a.mp4")
    extract(videos)
    said = extract(videos, options)
    assert "0 finished before, 1 to do\n" in said
    assert f"frames: the crops of 1 videos are replaced: {was} (1)\n" in said
    n_crops = options.frames_per_video
    assert len(read_index(tmp_path / "frames")) == len(list((tmp_path / "frames").rglob("*.png"))) == n_crops


def test_a_run_that_breaks_off_leaves_no_index_and_is_completed(tree, tmp_path, extract, monkeypatch):
    videos = tree("real/a.mp4", "real/b.mp4")
    extract(videos)
    tree("real/c.mp4", "real/d.mp4")
    cut = face_crops.face_crops

    def fail_in_the_middle(frames, *options):
        for number, crop in enumerate(cut(frames, *options)):
            if number == 7 and done:
                raise OSError(28, "No space left on device")
            yield crop
        done.append(number)

    done = []
    monkeypatch.setattr("deepfake_spectra.video_crops.face_crops", fail_in_the_middle)
    with pytest.raises(OSError, match="No space"):
        extract(videos, n_threads=1)
    monkeypatch.undo()
    frames = tmp_path / "frames"
    assert not (frames / "index.csv").exists()  # it would not name the crops of c
    assert {path.name for path in (frames / "real/videos").iterdir()} == {"a.mp4", "b.mp4", "c.mp4"}
    assert "3 finished before, 1 to do\n" in extract(videos)
    extract(videos, frames=tmp_path / "in_one_go")
    assert contents_in(frames) == contents_in(tmp_path / "in_one_go")


def test_a_folder_that_is_not_ours_is_not_removed(tree, tmp_path, extract):
    videos = tree("real/a/x.mp4")
    theirs = tmp_path / "frames/real/a/x.mp4/000000.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"cut by another program")
    with pytest.raises(ExperimentError, match="x.mp4: is there and not of this script's making"):
        extract(videos)
    assert theirs.read_bytes() == b"cut by another program"
    video = (videos / "real/a/x.mp4").read_bytes()
    with pytest.raises(ExperimentError, match="x.mp4: is there and not of this script's making"):
        extract(videos, frames=videos)  # crops into the folder of the videos
    assert (videos / "real/a/x.mp4").read_bytes() == video


@linux_only
def test_what_is_not_ours_in_a_folder_of_crops_is_not_removed(tree, tmp_path, extract):
    videos = tree("real/a.mp4")
    extract(videos)
    os.utime(videos / "real/a.mp4")  # to be made again
    note = tmp_path / "frames/real/videos/a.mp4/notes.txt"
    note.write_text("looked at these by hand")
    before = files_in(tmp_path / "frames")
    with pytest.raises(ExperimentError, match="notes.txt: not of this script's making"):
        extract(videos)
    assert files_in(tmp_path / "frames") == before
    note.unlink()
    before = files_in(tmp_path / "frames")
    moved = note.parent.rename(tmp_path / "on another disk")
    note.parent.symlink_to(moved)
    with pytest.raises(ExperimentError, match="a.mp4: is there and not of this script's making"):
        extract(videos)
    note.parent.unlink()
    moved.rename(note.parent)
    assert files_in(tmp_path / "frames") == before
    extract(videos)


def test_crops_that_may_not_be_replaced_stay_whole(tree, tmp_path, extract, monkeypatch):
    videos = tree("real/a.mp4")
    extract(videos)
    os.utime(videos / "real/a.mp4")  # to be made again
    before = contents_in(tmp_path / "frames/real")
    rename = Path.rename

    def refuse(path, target):
        if path == tmp_path / "frames/real/videos/a.mp4":
            raise PermissionError(13, "Permission denied", str(path), None, str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError, match="frames/real/videos/a.mp4"):
        extract(videos)
    assert contents_in(tmp_path / "frames/real") == before


@pytest.mark.parametrize("theirs", ["name,score\nalice,1\n", "", 'x"' * 100_000])
def test_an_index_of_another_program_is_not_replaced(tree, tmp_path, extract, theirs):
    index = tmp_path / "frames/index.csv"
    index.parent.mkdir()
    index.write_text(theirs)
    with pytest.raises(ExperimentError, match="index.csv: would be replaced and is not of this script's making"):
        extract(tree("real/a.mp4"))
    assert index.read_text() == theirs and os.listdir(index.parent) == ["index.csv"]


def test_a_folder_that_cannot_be_written_is_read_where_nothing_is_to_do(tree, tmp_path, extract, monkeypatch):
    videos = tree("real/a.mp4")
    extract(videos)

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("deepfake_spectra.video_crops.write_index", refuse)
    monkeypatch.setattr("deepfake_spectra.video_crops.only_writer", refuse)
    assert "1 finished before, 0 to do\n" in extract(videos)


def test_one_thread_and_many_give_the_same(tree, tmp_path, extract):
    videos = tree(*(f"fake/{number:03}_{number + 1:03}.mp4" for number in range(6)))
    extract(videos, n_threads=1, frames=tmp_path / "one")
    extract(videos, n_threads=4, frames=tmp_path / "many")
    assert contents_in(tmp_path / "one") == contents_in(tmp_path / "many")
    record = json.loads((tmp_path / "one/fake/videos/000_001.mp4/crops.json").read_text())
    assert len(record["rows"]) == 20 and record["skipped"] is None


@pytest.mark.parametrize(
    "edit, said_of_it",
    [(lambda record: "[" * 100_000, "their record is damaged"),
     (lambda record: record.replace("1.3", '"\\u001b[31m"'), r"face_margin was \x1b[31m")],
)  # fmt: skip
def test_a_record_edited_by_hand_is_named_on_a_clean_terminal(tree, tmp_path, extract, edit, said_of_it):
    videos = tree("real/a.mp4")
    extract(videos)
    record = tmp_path / "frames/real/videos/a.mp4/crops.json"
    record.write_text(edit(record.read_text()))
    said = extract(videos)
    assert said_of_it in said and "\x1b" not in said
