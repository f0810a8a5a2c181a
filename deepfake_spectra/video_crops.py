"""Folders of videos -> folders of face crops with an index, resumable; and the identities that names of videos carry.

VIDEOS_DIR/original_sequences/{youtube,actors}/{raw,c0,c23,c40}/videos/*    real, FaceForensics++'s official layout
VIDEOS_DIR/manipulated_sequences/<method>/{raw,c0,c23,c40}/videos/*         fake
VIDEOS_DIR/real/**, VIDEOS_DIR/fake/**                                      a plain tree

FRAMES_DIR/{real,fake}/<source>/<video file name>/<frame, 6 digits>.png     crops
FRAMES_DIR/{real,fake}/<source>/<video file name>/crops.json                how they were made
FRAMES_DIR/index.csv                                one row per crop, written last: no index, not finished
"""

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from deepfake_spectra.errors import ExperimentError, NoCrops
from deepfake_spectra.face_crops import (
    DETECTION_SIDE,
    FACE_THRESHOLD,
    FRAMES_EACH_SIDE,
    VIDEO_ENDINGS,
    Crop,
    Detector,
    face_crops,
    require_for_crops,
    sampled_frames,
)
from deepfake_spectra.files import csv_text, display_path, from_cell, printable, write_text
from deepfake_spectra.image_files import visible_files
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads

INDEX_NAME = "index.csv"
INDEX_MARK = rb"\Apath,label,source,video,"  # see `files.check_outputs`
RECORD_NAME = "crops.json"
PARTIAL_NAME = ".partial-videos"
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # FaceForensics++'s; a source's name ends in one, "Deepfakes_c23"


class CropRow(NamedTuple):
    """One row of the index; the fields are its columns."""

    path: str  # of the PNG, relative to FRAMES_DIR, "/" between folders; its folder is the video
    label: str  # "real" or "fake"
    source: str  # "youtube_c23", "Deepfakes_c40", ...; every source uses the same file names
    video: str  # file name
    frame: int  # index in the video, from 0
    time: float  # seconds
    x: int  # of the square in the frame, pixels
    y: int
    size: int
    score: float | None  # of the frame's largest face, None without a detector
    target: str  # identity whose video it is, "" where the name tells none
    source_id: str  # identity whose face was put there, "" for a real video or where the name tells none


class Video(NamedTuple):
    """A video file and where it belongs."""

    path: Path
    label: str  # "real" or "fake"
    source: str

    @property
    def folder(self) -> str:
        """Folder of its crops, relative to FRAMES_DIR."""
        return f"{self.label}/{self.source}/{self.path.name}"


class CropOptions(NamedTuple):
    """What the crops of a video depend on, besides the file."""

    frames_per_video: int = 20
    face_detector: Detector = "centerface"
    face_margin: float = 1.3


def identities(video_name: str) -> tuple[str, str]:
    """Return (target, source) identities from the file name of a video, "" for what it does not tell.

    FaceForensics++ calls a real video `004.mp4` and a fake `<target>_<source>.mp4`, `004_982.mp4`. DeepFakeDetection
    has 28 actors, `<actor>__<scene>.mp4` and `<target>_<source>__<scene>__<code>.mp4`. The first have three digits
    and the second two, so that one set's identity is never taken for one of the other.
    """
    stem = Path(video_name).stem
    match = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", stem) or re.fullmatch(r"(\d\d)(?:_(\d\d))?__.+", stem, re.DOTALL)
    return (match[1], match[2] or "") if match else ("", "")


def extract_videos(videos_dir: Path, frames_dir: Path, options: CropOptions, n_threads: int = -1) -> None:
    """Write the crops of all videos under a folder, and the index; print what there is then, and what was skipped.

    Parameters
    ----------
    videos_dir : Path
        One of the layouts in the head of this module.
    frames_dir : Path
        A video that was finished before, from the same file with the same options, is not touched.
    options : CropOptions
    n_threads : int
        Videos at a time; -1: one per core.

    Raises
    ------
    ExperimentError
        No video there, or not one of them gives a crop.
    """
    videos = list_videos(videos_dir)
    shutil.rmtree(frames_dir / PARTIAL_NAME, ignore_errors=True)  # of a run that was killed
    records = {video.folder: finished_record(video, frames_dir, options) for video in videos}
    missing = [video for video in videos if not records[video.folder]]
    for folder in (frames_dir / video.folder for video in missing):
        if folder.exists() and not (folder / RECORD_NAME).exists():  # it would be removed
            raise ExperimentError(
                f"{display_path(folder)}: is there and not of this script's making; move it away, or name another "
                "--frames-dir"
            )
    n_outdated = sum((frames_dir / video.folder).exists() for video in missing)
    outdated = f", {n_outdated} of them made from another file or with other settings" if n_outdated else ""
    print(f"{display_path(videos_dir)}: {len(videos)} videos, {len(videos) - len(missing)} finished before, "
          f"{len(missing)} to do{outdated}")  # fmt: skip
    if missing:
        require_for_crops(options.face_detector)
        (frames_dir / INDEX_NAME).unlink(missing_ok=True)  # it would name crops that are about to change
        results = in_threads(lambda video: extract_video(video, frames_dir, options), missing, n_threads)
        with closing(results):
            for video, record in zip(missing, tqdm(results, "videos", len(missing), unit="video", disable=None)):
                records[video.folder] = record
        shutil.rmtree(frames_dir / PARTIAL_NAME)
    skipped = [(video, records[video.folder]["skipped"]) for video in videos if records[video.folder]["skipped"]]
    for video, reason in skipped:
        print(f"skipped {printable(video.folder)}: {reason}")
    rows = [CropRow(*row) for video in videos for row in records[video.folder]["rows"]]
    n_crops = Counter(row.label for row in rows)
    if not rows:
        raise ExperimentError(f"{display_path(videos_dir)}: not one video gave a crop; the reasons stand above")
    write_index(frames_dir, rows)
    print(
        f"{display_path(frames_dir / INDEX_NAME)}: {n_crops['real']} real and {n_crops['fake']} fake crops of "
        f"{len(videos) - len(skipped)} videos, {len(skipped)} skipped"
    )


def list_videos(videos_dir: Path) -> list[Video]:
    """Return the videos under a folder, the reals first, then by source and name."""
    found = []
    for label, tree in (("real", "original_sequences"), ("fake", "manipulated_sequences")):
        for folder in (videos_dir / tree).glob("*/*/videos"):
            method, compression = folder.parts[-3:-1]
            if compression in COMPRESSIONS:  # beside them lie masks, which are videos too
                found += [Video(path, label, f"{method}_{compression}") for path in _video_files(folder)]
        if (videos_dir / label).is_dir():
            for path in _video_files(videos_dir / label):
                folders = path.relative_to(videos_dir / label).parent.parts
                found.append(Video(path, label, "_".join(folders) or "videos"))
    if not found:
        raise ExperimentError(
            f"{display_path(videos_dir)}: found no video ({' '.join(sorted(VIDEO_ENDINGS))}) in real/, fake/, "
            "original_sequences/ or manipulated_sequences/; `python extract_video_frames.py --help` shows the layout"
        )
    videos = {}
    for video in sorted(found, key=lambda video: (video.label != "real", video.folder)):
        if video.folder in videos:
            raise ExperimentError(
                f"{display_path(videos[video.folder].path)} and {display_path(video.path)} would share one folder of "
                "crops; rename one of them"
            )
        videos[video.folder] = video
    return list(videos.values())


def finished_record(video: Video, frames_dir: Path, options: CropOptions) -> dict | None:
    """Return the record of a video that needs no work: made from the same, every crop still there."""
    try:
        record = json.loads((frames_dir / video.folder / RECORD_NAME).read_text(encoding="utf-8"))
        is_ours = record["made_from"] == _made_from(video, options)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return record if is_ours and all((frames_dir / row[0]).is_file() for row in record["rows"]) else None


def extract_video(video: Video, frames_dir: Path, options: CropOptions) -> dict:
    """Write the crops of one video into a folder of its own, all or nothing, and return the record that lies there."""
    folder, partial = frames_dir / video.folder, frames_dir / PARTIAL_NAME / video.folder
    partial.mkdir(parents=True)
    record = {"made_from": _made_from(video, options), "skipped": None, "rows": []}
    try:
        frames = sampled_frames(video.path, options.frames_per_video)
        for crop in face_crops(frames, options.face_detector, options.face_margin):
            name = f"{crop.index:06}.png"
            (partial / name).write_bytes(cv2.imencode(".png", crop.image)[1])
            record["rows"].append(_crop_row(video, name, crop))
    except NoCrops as reason:
        record |= {"skipped": str(reason), "rows": []}
        for path in partial.iterdir():
            path.unlink()
    (partial / RECORD_NAME).write_text(json.dumps(record), encoding="utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return record


def write_index(frames_dir: Path, rows: list[CropRow]) -> None:
    """Write `FRAMES_DIR/index.csv`, whole."""
    write_text(frames_dir / INDEX_NAME, csv_text(CropRow._fields, rows))


def read_index(frames_dir: Path) -> list[CropRow]:
    """Return the rows of `FRAMES_DIR/index.csv`, in its order.

    Raises
    ------
    ExperimentError
        No index there, or not one of ours.
    """
    path = frames_dir / INDEX_NAME
    if not path.exists():
        raise ExperimentError(
            f"{display_path(path)}: not there; run `python extract_video_frames.py` to make the crops, to its end"
        )
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            header, *rows = csv.reader(file)
            if tuple(header) != CropRow._fields:
                raise ValueError("other columns")
            return [_parse_row([from_cell(cell) for cell in row]) for row in rows]
        except ValueError as error:
            raise ExperimentError(
                f"{display_path(path)}: not an index of crops ({error}); run `python extract_video_frames.py` again"
            ) from None


def _video_files(folder) -> Iterator[Path]:
    """Yield the files under a folder that have a video's ending and are not hidden."""
    return (path for path in visible_files(folder) if path.suffix.lower() in VIDEO_ENDINGS)


def _made_from(video, options):
    """Return all that the crops of a video depend on."""
    status = video.path.stat()
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        **options._asdict(),
        "detection": [DETECTION_SIDE, FACE_THRESHOLD, FRAMES_EACH_SIDE],
    }


def _crop_row(video: Video, name: str, crop: Crop) -> CropRow:
    """Return the row of the index that tells where a crop came from."""
    score = None if crop.score is None else round(crop.score, 4)
    return CropRow(
        f"{video.folder}/{name}", video.label, video.source, video.path.name, crop.index, round(crop.time, 4),
        crop.x, crop.y, crop.size, score, *identities(video.path.name),
    )  # fmt: skip


def _parse_row(texts):
    """Return the CropRow of one line's texts."""
    row = CropRow(*texts) if len(texts) == len(CropRow._fields) else None
    if row is None:
        raise ValueError(f"a row of {len(texts)} columns")
    if row.label not in ("real", "fake"):
        raise ValueError(f"the label {row.label!r}")
    return row._replace(
        frame=int(row.frame), time=float(row.time), x=int(row.x), y=int(row.y), size=int(row.size),
        score=float(row.score) if row.score else None,
    )  # fmt: skip
