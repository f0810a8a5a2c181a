"""Videos -> folders of face crops with an index, resumable.

FRAMES_DIR/{real,fake}/<source>/<video file name>/<frame, 6 digits>.png     crops
FRAMES_DIR/{real,fake}/<source>/<video file name>/crops.json                how they were made
FRAMES_DIR/index.csv                                one row per crop, written last: no index, not finished
FRAMES_DIR/.index-before.csv                        the index of the run before, as long as there is no other
"""

import json
import os
import re
import shutil
from collections import Counter
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from deepfake_spectra.crop_index import INDEX_NAME, CropRow, read_rows, write_index
from deepfake_spectra.errors import ExperimentError, NoCrops, NoCropsNow
from deepfake_spectra.face_crops import (
    DETECTION_SIDE,
    FACE_THRESHOLD,
    FRAMES_EACH_SIDE,
    Crop,
    Detector,
    face_crops,
    require_for_crops,
    sampled_frames,
)
from deepfake_spectra.files import display_path, printable
from deepfake_spectra.folder_lock import only_writer
from deepfake_spectra.opencv import cv2
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.video_files import Label, Video, identities, list_videos

INDEX_BEFORE_NAME = ".index-before.csv"
RECORD_NAME = "crops.json"
PARTIAL_NAME = ".partial-videos"


class CropOptions(NamedTuple):
    """What the crops of a video depend on, besides the file."""

    frames_per_video: int = 20
    face_detector: Detector = "centerface"
    face_margin: float = 1.3


def extract_videos(
    videos_dir: Path, frames_dir: Path, options: CropOptions, n_threads: int = -1, label: Label | None = None
) -> None:
    """Write the crops of all videos under a folder, and the index; print what there is then, and what was skipped.

    Parameters
    ----------
    videos_dir : Path
        One of the layouts in the head of `video_files`.
    frames_dir : Path
        A video that was finished before, from the same file with the same options, is not touched.
    options : CropOptions
    n_threads : int
        Videos at a time; -1: one per core.
    label : {"real", "fake"}, optional
        Class of all videos of a folder that has no tree. What the index names of other sources stays in it.

    Raises
    ------
    UsageError
        A tree and a label, or neither.
    ExperimentError
        No video there, not one of them gives a crop, or some cannot be read at present. Another process writes or
        has just written into `frames_dir`, or what would be replaced there is not of this script's making.
    """
    videos = list_videos(videos_dir, label)
    before = _rows_before(frames_dir)
    kept = _rows_of_other_sources(before, videos, frames_dir, options) if label else []
    records = {video.folder: finished_record(video, frames_dir, options) for video in videos}
    missing = [video for video in videos if not records[video.folder]]
    for video in missing:
        _check_replaceable(frames_dir / video.folder)
    print(
        f"{display_path(videos_dir)}: {len(videos)} videos, {len(videos) - len(missing)} finished before, "
        f"{len(missing)} to do"
    )
    _say_what_goes(videos, missing, frames_dir, options, folders_gone=_folders(before) - _folders(kept))
    if missing:
        require_for_crops(options.face_detector)
    is_writer = missing or not (frames_dir / INDEX_NAME).exists()  # where nothing is to do, it may be read-only
    with only_writer(frames_dir) if is_writer else nullcontext():
        if _rows_before(frames_dir) != before:  # rows of the run that held it meanwhile would be lost
            raise ExperimentError(f"{display_path(frames_dir)}: another run has just ended there; start this one again")
        if missing:
            records |= _extract_missing(missing, frames_dir, options, n_threads)
        _say_skipped(videos, records)
        _check_all_read(videos_dir, records)
        rows = kept + [row for video in videos for row in records[video.folder]["rows"]]
        if not rows:
            raise ExperimentError(f"{display_path(videos_dir)}: not one video gave a crop; the reasons stand above")
        rows.sort(key=lambda row: (row.label != "real", _folder_of(row)))
        _finish_index(frames_dir, rows, before)
    n_crops = Counter(row.label for row in rows)
    n_skipped = sum(record["skipped"] is not None for record in records.values())
    print(
        f"{display_path(frames_dir / INDEX_NAME)}: {n_crops['real']} real and {n_crops['fake']} fake crops of "
        f"{len(_folders(rows))} videos, {n_skipped} skipped"
    )


def finished_record(video: Video, frames_dir: Path, options: CropOptions) -> dict | None:
    """Return the record of a video that needs no work: made from the same, every crop still there."""
    record = _read_record(frames_dir / video.folder)
    try:
        is_ours = bool(record) and record["made_from"] == _made_from(video, options)
    except OSError:  # the video cannot be looked at: `extract_video` says why
        return None
    return record if is_ours and all((frames_dir / row.path).is_file() for row in record["rows"]) else None


def extract_video(video: Video, frames_dir: Path, options: CropOptions) -> dict:
    """Write the crops of one video into a folder of its own, all or nothing, and return the record that lies there.

    Raises
    ------
    NoCropsNow
        The video cannot be read at present: nothing is recorded.
    """
    try:
        made_from = _made_from(video, options)
    except OSError as error:
        raise NoCropsNow(error.strerror) from None
    folder, partial = frames_dir / video.folder, frames_dir / PARTIAL_NAME / video.folder
    replaced = frames_dir / PARTIAL_NAME / "replaced" / video.folder
    try:
        partial.mkdir(parents=True)
        record = {"made_from": made_from, **_write_crops(video, partial, options)}
        (partial / RECORD_NAME).write_text(json.dumps(record), encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():  # out of the way in one step, so that it stays whole where it may not be replaced
            replaced.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(replaced)
        partial.rename(folder)
    except OSError as error:
        error.filename = str(folder)  # a full disk names none, and nobody knows `partial`
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return record


def _write_crops(video, folder, options):
    """Write the crops of one video into an empty folder, and return the record's "skipped" and "rows"."""
    frames = sampled_frames(video.path, options.frames_per_video)
    rows = []
    try:
        for crop in face_crops(frames, options.face_detector, options.face_margin):
            name = f"{crop.index:06}.png"
            (folder / name).write_bytes(cv2.imencode(".png", crop.image)[1])
            rows.append(_crop_row(video, name, crop))
    except NoCropsNow:
        raise
    except NoCrops as reason:
        for path in folder.iterdir():
            path.unlink()
        return {"skipped": str(reason), "rows": []}
    return {"skipped": None, "rows": rows}


def _rows_before(frames_dir):
    """Return the rows of the last run's index, where there is one; ExperimentError if it is not ours to replace."""
    for path in (frames_dir / INDEX_NAME, frames_dir / INDEX_BEFORE_NAME):
        if os.path.lexists(path):
            try:
                return read_rows(path)
            except ValueError as error:
                raise ExperimentError(
                    f"{display_path(path)}: would be replaced and is not of this script's making ({error}); move it "
                    "away, or name another --frames-dir"
                ) from None
    return []


def _rows_of_other_sources(before, videos, frames_dir, options):
    """Return the rows of an index that this run has nothing to do with, if their crops were made in the same way."""
    sources = {(video.label, video.source) for video in videos}
    kept = [row for row in before if (row.label, row.source) not in sources]
    for folder in sorted(_folders(kept)):
        if difference := _difference(_read_record(frames_dir / folder), options):
            raise ExperimentError(
                f"{display_path(frames_dir / folder)}: {difference}, and the crops of one index are made alike; take "
                "the same settings, or name another --frames-dir"
            )
    return kept


def _check_replaceable(folder):
    """End the run where the folder of a video is there and holds anything but crops of ours: it would be removed."""
    if not os.path.lexists(folder):
        return
    is_folder = folder.is_dir() and not folder.is_symlink()
    names = sorted(os.listdir(folder)) if is_folder else []
    if not is_folder or (names and RECORD_NAME not in names):
        raise ExperimentError(
            f"{display_path(folder)}: is there and not of this script's making; move it away, or name another "
            "--frames-dir"
        )
    for name in names:
        if name != RECORD_NAME and not re.fullmatch(r"\d{6,}\.png", name):
            raise ExperimentError(
                f"{display_path(folder / name)}: not of this script's making, in a folder that is to be made again; "
                "move it away"
            )


def _say_what_goes(videos, missing, frames_dir, options, folders_gone):
    """Print which crops are about to be replaced, and why, and which leave the index."""
    there = [video for video in missing if os.path.lexists(frames_dir / video.folder)]
    causes = Counter(_why_made_again(video, frames_dir, options) for video in there)
    if causes:
        reasons = ", ".join(f"{cause} ({n})" for cause, n in causes.items())
        print(f"{display_path(frames_dir)}: the crops of {len(there)} videos are replaced: {reasons}")
    if n_gone := len(folders_gone - {video.folder for video in videos}):
        print(
            f"{display_path(frames_dir)}: {n_gone} videos of the last index are not among these and leave the index; "
            "their crops stay"
        )


def _why_made_again(video, frames_dir, options):
    """Return why the crops of a video that are there are not those that are asked for."""
    record = _read_record(frames_dir / video.folder)
    if not record:
        return "their record is damaged"
    if difference := _difference(record, options):
        return difference
    with suppress(OSError):  # the video cannot be looked at
        if record["made_from"] == _made_from(video, options):
            return "some are missing"
    return "the video is another"


def _extract_missing(videos, frames_dir, options, n_threads):
    """Return {folder: record} of videos, after the work; of one that cannot be read now, NoCropsNow."""

    def extract(video):
        try:
            return extract_video(video, frames_dir, options)
        except NoCropsNow as reason:
            return reason

    with suppress(FileNotFoundError):  # it names crops that are about to change
        (frames_dir / INDEX_NAME).replace(frames_dir / INDEX_BEFORE_NAME)
    shutil.rmtree(frames_dir / PARTIAL_NAME, ignore_errors=True)  # of a run that was killed
    try:
        with closing(in_threads(extract, videos, n_threads)) as results:
            progress = tqdm(results, "videos", len(videos), unit="video", disable=None)
            return {video.folder: record for video, record in zip(videos, progress)}
    finally:
        shutil.rmtree(frames_dir / PARTIAL_NAME, ignore_errors=True)


def _say_skipped(videos, records):
    """Print a line for each video that has no crops."""
    for video in videos:
        record = records[video.folder]
        if isinstance(record, NoCropsNow):
            print(f"not read {printable(video.folder)}: {record}")
        elif record["skipped"]:
            print(f"skipped {printable(video.folder)}: {record['skipped']}")


def _check_all_read(videos_dir, records):
    """End the run where a video could not be read at present."""
    if n_unread := sum(isinstance(record, NoCropsNow) for record in records.values()):
        raise ExperimentError(
            f"{display_path(videos_dir)}: {n_unread} of {len(records)} videos could not be read now, as said above, "
            "and without them no index is written; mend that, or move them away, and run the same command again"
        )


def _finish_index(frames_dir, rows, before):
    """Write the index, unless it is there already, as it is in a folder that cannot be written."""
    if rows != before or not (frames_dir / INDEX_NAME).exists():
        write_index(frames_dir, rows)
    (frames_dir / INDEX_BEFORE_NAME).unlink(missing_ok=True)


def _folder_of(row):
    """Return the folder of a row's video, relative to FRAMES_DIR."""
    return row.path.rpartition("/")[0]


def _folders(rows):
    """Return the folders of the videos that rows name."""
    return {_folder_of(row) for row in rows}


def _read_record(folder):
    """Return the record of a folder of crops, its rows as CropRow; {} where there is none of ours."""
    try:
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        return {
            "made_from": dict(record["made_from"]),
            "skipped": record["skipped"],
            "rows": [CropRow(*row) for row in record["rows"]],
        }
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _made_from(video, options):
    """Return all that the crops of a video depend on."""
    status = video.path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, **_making(options)}


def _making(options):
    """Return what the crops of every video depend on."""
    return {**options._asdict(), "detection": [DETECTION_SIDE, FACE_THRESHOLD, FRAMES_EACH_SIDE]}


def _difference(record, options):
    """Return with which other options crops were made, in words; "" if with the same."""
    made_from = record.get("made_from", {})
    return ", ".join(
        printable(f"{name} was {made_from.get(name, 'not noted')}")
        for name, value in _making(options).items()
        if made_from.get(name) != value
    )


def _crop_row(video: Video, name: str, crop: Crop) -> CropRow:
    """Return the row of the index that tells where a crop came from."""
    score = None if crop.score is None else round(crop.score, 4)
    return CropRow(
        f"{video.folder}/{name}", video.label, video.source, video.path.name, crop.index, round(crop.time, 4),
        crop.x, crop.y, crop.size, score, *identities(video.path.name),
    )  # fmt: skip
