"""Videos -> square face crops as PNG, cut from the original pixels, with an index of where each came from.

    python extract_video_frames.py                        # data/faceforensics if it is there, else the built-in sample
    python extract_video_frames.py --videos-dir DIR --frames-dir DIR

VIDEOS_DIR is FaceForensics++ in its official layout (DeepFakeDetection is a part of it), or a plain tree, or both:

    original_sequences/{youtube,actors}/{raw,c0,c23,c40}/videos/*           real, source youtube_c23, actors_c40, ...
    manipulated_sequences/<method>/{raw,c0,c23,c40}/videos/*                fake, source Deepfakes_c23, ...
    real/**, fake/**                                                        source: the folders between, or "videos"

Writes FRAMES_DIR/{real,fake}/<source>/<video file name>/<frame, 6 digits>.png, and at the very end
FRAMES_DIR/index.csv, one row per crop. A video that was finished before, with the same settings, is not touched; a run
that was killed is completed by the next. Videos that give no crop are named with the reason. 8 clips of
FaceForensics++ give 160 crops in 9 s on two cores.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import joblib
from tqdm import tqdm

from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError, read_settings, run
from deepfake_spectra.face_crops import (
    DETECTION_SIDE,
    FACE_THRESHOLD,
    FRAMES_EACH_SIDE,
    VIDEO_ENDINGS,
    Crop,
    Detector,
    NoCrops,
    face_crops,
    sampled_frames,
)
from deepfake_spectra.file_names import shown
from deepfake_spectra.opencv import cv2
from deepfake_spectra.video_crops import COMPRESSIONS, INDEX_NAME, SAMPLE_FRAMES_DIR, CropRow, identities, write_index
from deepfake_spectra.files import whole_file
from deepfake_spectra.parallel import in_threads

# data
VIDEOS_DIR: Path | None = None  # folder of videos; none: data/faceforensics, else the built-in sample
FRAMES_DIR: Path = Path("data/deepfake_detection")  # crops and index; of the sample: data/built_in_sample/...

# crops
FRAMES_PER_VIDEO: int = 20  # evenly over the video; the paper has about 20
FACE_DETECTOR: Detector = "centerface"  # "centre": the middle of the frame, no detector
FACE_MARGIN: float = 1.3  # side of the crop over the longer side of the face's box; FaceForensics++'s
N_THREADS: int = -1  # videos at a time; -1: one per core

OFFICIAL_FOLDER = REPOSITORY / "data/faceforensics"
SAMPLE_VIDEOS_DIR = REPOSITORY / "data/built_in_sample/videos"
RECORD_NAME = "crops.json"
PARTIAL_NAME = ".partial-videos"


class Video(NamedTuple):
    """A video file and where it belongs."""

    path: Path
    label: str  # "real" or "fake"
    source: str

    @property
    def folder(self) -> str:
        """Folder of its crops, relative to FRAMES_DIR."""
        return f"{self.label}/{self.source}/{self.path.name}"


def choose_input(settings: SimpleNamespace) -> SimpleNamespace:
    """Return the settings with VIDEOS_DIR filled in; those of the sample where no data is there."""
    if settings.frames_per_video < 1 or not settings.face_margin > 0 or settings.n_threads == 0:
        raise UsageError("FRAMES_PER_VIDEO must be at least 1, FACE_MARGIN above 0 and N_THREADS not 0")
    if settings.videos_dir or OFFICIAL_FOLDER.is_dir():
        chosen = {"videos_dir": settings.videos_dir or OFFICIAL_FOLDER}
        if not chosen["videos_dir"].is_dir():
            raise UsageError(f"{chosen['videos_dir']}: no such folder; set VIDEOS_DIR or --videos-dir")
    else:
        print(
            "data/faceforensics is not there: extracting from the built-in sample, clips of photographs and "
            "re-syntheses of them; it holds no faces, so the middle of each frame is cut, with no detector"
        )
        from deepfake_spectra.sample.build import build_video_sample

        chosen = {"videos_dir": SAMPLE_VIDEOS_DIR, "face_detector": "centre"}
        if settings.frames_dir == REPOSITORY / FRAMES_DIR:  # not named by the user
            chosen["frames_dir"] = SAMPLE_FRAMES_DIR
        build_video_sample(chosen["videos_dir"])
    return SimpleNamespace(**vars(settings) | chosen)


def list_videos(videos_dir: Path) -> list[Video]:
    """Return the videos under a folder, the reals first, then by source and name."""
    found = []
    for label, tree in (("real", "original_sequences"), ("fake", "manipulated_sequences")):
        for path in video_files(videos_dir / tree, "*/*/videos/*"):
            method, compression = path.parts[-4:-2]
            if compression in COMPRESSIONS:  # beside them lie masks, which are videos too
                found.append(Video(path, label, f"{method}_{compression}"))
        for path in video_files(videos_dir / label, "**/*"):
            folders = path.relative_to(videos_dir / label).parent.parts
            found.append(Video(path, label, "_".join(folders) or "videos"))
    if not found:
        raise ExperimentError(
            f"{shown(videos_dir)}: found no video ({' '.join(sorted(VIDEO_ENDINGS))}) in real/, fake/, "
            "original_sequences/ or manipulated_sequences/; `python extract_video_frames.py --help` shows the layout"
        )
    videos = {}
    for video in sorted(found, key=lambda video: (video.label != "real", video.folder)):
        if video.folder in videos:
            raise ExperimentError(
                f"{videos[video.folder].path} and {video.path} would share one folder of crops; rename one of them"
            )
        videos[video.folder] = video
    return list(videos.values())


def video_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that have a video's ending and are not hidden."""
    for path in folder.glob(pattern):
        if path.suffix.lower() in VIDEO_ENDINGS and path.is_file() and not path.name.startswith("."):
            yield path


def made_from(video: Video, settings: SimpleNamespace) -> dict:
    """Return all that the crops of a video depend on."""
    status = video.path.stat()
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "frames_per_video": settings.frames_per_video,
        "face_detector": settings.face_detector,
        "face_margin": settings.face_margin,
        "detection": [DETECTION_SIDE, FACE_THRESHOLD, FRAMES_EACH_SIDE],
    }


def finished_record(video: Video, settings: SimpleNamespace) -> dict | None:
    """Return the record of a video that needs no work: made from the same, every crop still there."""
    folder = settings.frames_dir / video.folder
    try:
        record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    complete = all((settings.frames_dir / row[0]).is_file() for row in record["rows"])
    return record if complete and record["made_from"] == made_from(video, settings) else None


def extract(video: Video, settings: SimpleNamespace) -> dict:
    """Write the crops of one video into a folder of its own, all or nothing, and return the record that lies there."""
    folder = settings.frames_dir / video.folder
    partial = settings.frames_dir / PARTIAL_NAME / video.folder
    partial.mkdir(parents=True)
    record = {"made_from": made_from(video, settings), "skipped": None, "rows": []}
    spent = Counter()
    start = time.perf_counter()
    try:
        frames = timed(sampled_frames(video.path, settings.frames_per_video), spent, "decoding")
        crops = face_crops(frames, settings.face_detector, settings.face_margin)
        for crop in timed(crops, spent, "decoding and detection"):
            name = f"{crop.index:06}.png"
            (partial / name).write_bytes(cv2.imencode(".png", crop.image)[1])
            record["rows"].append(crop_row(video, name, crop))
    except NoCrops as reason:
        record |= {"skipped": str(reason), "rows": []}
        for path in partial.iterdir():
            path.unlink()
    (partial / RECORD_NAME).write_text(json.dumps(record), encoding="utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    spent["all"] = time.perf_counter() - start
    return record | {"spent": spent}


def crop_row(video: Video, name: str, crop: Crop) -> CropRow:
    """Return the row of the index that tells where a crop came from."""
    score = None if crop.score is None else round(crop.score, 4)
    return CropRow(
        f"{video.folder}/{name}", video.label, video.source, video.path.name, crop.index, round(crop.time, 4),
        crop.x, crop.y, crop.size, score, *identities(video.path.name),
    )  # fmt: skip


def timed(items: Iterable, spent: Counter, part: str) -> Iterator:
    """Yield frames or crops; adds the seconds until each came to `spent[part]`, and keeps `spent["frames"]`."""
    items = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(items, None)
        finally:
            spent[part] += time.perf_counter() - start
        if item is None:
            return
        spent["frames"] = max(spent["frames"], item.index + 1)
        yield item


def extract_all(videos: list[Video], settings: SimpleNamespace) -> dict[str, dict]:
    """Extract videos, several at a time, and return {folder: record}; prints how fast it went, and keeps that."""
    (settings.frames_dir / INDEX_NAME).unlink(missing_ok=True)  # it would name crops that are about to change
    start = time.perf_counter()
    records, spent = {}, Counter()
    with closing(in_threads(lambda video: extract(video, settings), videos, settings.n_threads)) as work:
        for video, record in zip(videos, tqdm(work, "videos", len(videos), unit="video", disable=None)):
            spent += record.pop("spent")
            records[video.folder] = record
    seconds = time.perf_counter() - start
    shutil.rmtree(settings.frames_dir / PARTIAL_NAME)
    speed = {
        "videos": len(videos),
        "frames": spent["frames"],
        "crops": sum(len(record["rows"]) for record in records.values()),
        "threads": min(joblib.effective_n_jobs(settings.n_threads), len(videos)),
        "seconds": round(seconds, 2),
        "frames_per_second": round(spent["frames"] / seconds, 1),
        "share_of_decoding": round(spent["decoding"] / spent["all"], 3),
        "share_of_detection": round((spent["decoding and detection"] - spent["decoding"]) / spent["all"], 3),
    }
    with whole_file(settings.frames_dir / "speed.json") as path:
        path.write_text(json.dumps(speed, indent=1) + "\n")
    print(
        f"{len(videos)} videos, {spent['frames']:,} frames decoded in {seconds:.1f} s on {speed['threads']} threads: "
        f"{speed['frames_per_second']:.0f} frames a second; decoding {speed['share_of_decoding']:.0%}, detection "
        f"{speed['share_of_detection']:.0%}, the rest writing"
    )
    return records


def report(videos: list[Video], records: dict[str, dict], settings: SimpleNamespace) -> None:
    """Print what there is now, and each skipped video with its reason."""
    n_crops = Counter()
    for video in videos:
        n_crops[video.label] += len(records[video.folder]["rows"])
    skipped = [(video, records[video.folder]["skipped"]) for video in videos if records[video.folder]["skipped"]]
    for video, reason in skipped:
        name = video.folder if video.folder.isprintable() else ascii(video.folder)
        print(f"skipped {name}: {reason}")
    print(
        f"{shown(settings.frames_dir / INDEX_NAME)}: {n_crops['real']} real and {n_crops['fake']} fake crops of "
        f"{len(videos) - len(skipped)} videos, {len(skipped)} skipped"
    )


def main():
    settings = choose_input(read_settings(__name__))
    videos = list_videos(settings.videos_dir)
    shutil.rmtree(settings.frames_dir / PARTIAL_NAME, ignore_errors=True)  # of a run that was killed
    records = {video.folder: finished_record(video, settings) for video in videos}
    records = {folder: record for folder, record in records.items() if record}
    missing = [video for video in videos if video.folder not in records]
    n_outdated = sum((settings.frames_dir / video.folder).exists() for video in missing)
    outdated = f", {n_outdated} of them made from another file or with other settings" if n_outdated else ""
    print(f"{shown(settings.videos_dir)}: {len(videos)} videos, {len(records)} finished before, "
          f"{len(missing)} to do{outdated}")  # fmt: skip
    if missing:
        records |= extract_all(missing, settings)
    rows = [CropRow(*row) for video in videos for row in records[video.folder]["rows"]]
    report(videos, records, settings)
    if not rows:
        raise ExperimentError(f"{shown(settings.videos_dir)}: not one video gave a crop; the reasons stand above")
    write_index(settings.frames_dir, rows)


if __name__ == "__main__":
    run(main)
