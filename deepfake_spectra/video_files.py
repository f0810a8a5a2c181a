"""Folders of videos: which class and source each video is of, and the identities that names of videos carry.

VIDEOS_DIR/original_sequences/{youtube,actors}/{raw,c0,c23,c40}/videos/*    real, FaceForensics++'s official layout
VIDEOS_DIR/manipulated_sequences/<method>/{raw,c0,c23,c40}/videos/*         fake
VIDEOS_DIR/real/**, VIDEOS_DIR/fake/**                                      a plain tree
VIDEOS_DIR/**                                                               loose videos, of one class that is named
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.face_crops import VIDEO_ENDINGS
from deepfake_spectra.files import display_path
from deepfake_spectra.image_files import visible_files

Label = Literal["real", "fake"]
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # FaceForensics++'s; a source's name ends in one, "Deepfakes_c23"
OFFICIAL_TREES = {"original_sequences": "real", "manipulated_sequences": "fake"}
PLAIN_TREES = ("real", "fake")


class Video(NamedTuple):
    """A video file and where it belongs."""

    path: Path
    label: str  # "real" or "fake"
    source: str

    @property
    def folder(self) -> str:
        """Folder of its crops, relative to FRAMES_DIR."""
        return f"{self.label}/{self.source}/{self.path.name}"


def identities(video_name: str) -> tuple[str, str]:
    """Return (target, source) identities from the file name of a video, "" for what it does not tell.

    FaceForensics++ calls a real video `004.mp4` and a fake `<target>_<source>.mp4`, `004_982.mp4`. DeepFakeDetection
    has 28 actors, `<actor>__<scene>.mp4` and `<target>_<source>__<scene>__<code>.mp4`. The first have three digits
    and the second two, so that one set's identity is never taken for one of the other.
    """
    stem = Path(video_name).stem
    match = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", stem) or re.fullmatch(r"(\d\d)(?:_(\d\d))?__.+", stem, re.DOTALL)
    return (match[1], match[2] or "") if match else ("", "")


def list_videos(videos_dir: Path, label: Label | None = None) -> list[Video]:
    """Return the videos under a folder, the reals first, then by source and name; without a tree, all of one label.

    Raises
    ------
    UsageError
        A tree and a label, or neither.
    ExperimentError
        No video, or two that would share one folder of crops.
    OSError
        A folder cannot be looked into.
    """
    found = _videos_of_trees(videos_dir)
    loose = _video_files(videos_dir)
    if label:
        if found:
            raise UsageError(
                f"{display_path(videos_dir)}: found folders that say of {len(found)} videos whether they are real or "
                "fake; --label is for a folder without them"
            )
        name = Path(os.path.abspath(videos_dir)).name
        found = [Video(path, label, _joined(name, *path.relative_to(videos_dir).parent.parts)) for path in loose]
    elif not found and (n_loose := sum(1 for _ in loose)):
        raise UsageError(
            f"{display_path(videos_dir)}: found {n_loose} videos, and no folder real/ or fake/ that says which they "
            "are; say --label real or --label fake, or sort them into such folders"
        )
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


def _videos_of_trees(videos_dir):
    """Return the videos that lie in folders which say what they are."""
    found = []
    for tree, label in OFFICIAL_TREES.items():
        for method in _folders_in(videos_dir / tree):
            for compression in _folders_in(method):
                if compression.name in COMPRESSIONS and _is_folder(compression / "videos"):  # beside it lie masks
                    source = f"{method.name}_{compression.name}"
                    found += [Video(path, label, source) for path in _video_files(compression / "videos")]
    for label in PLAIN_TREES:
        folder = videos_dir / label
        if _is_folder(folder):
            found += [
                Video(path, label, _joined(*path.relative_to(folder).parent.parts)) for path in _video_files(folder)
            ]
    return found


def _video_files(folder) -> Iterator[Path]:
    """Yield the files under a folder that have a video's ending and are not hidden."""
    return (path for path in visible_files(folder) if path.suffix.lower() in VIDEO_ENDINGS)


def _folders_in(folder):
    """Return the folders in a folder, none if that is not there."""
    return sorted(path for path in folder.iterdir() if _is_folder(path)) if _is_folder(folder) else []


def _is_folder(path):
    """Tell whether a path is a folder; `Path.is_dir`, of a later Python, also says no where it may not look."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _joined(*folders):
    """Return a source's name from those of its folders."""
    return "_".join(filter(None, folders)) or "videos"
