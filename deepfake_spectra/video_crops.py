"""What a folder of face crops says of itself: its index, and the identities that the names of videos carry.

FRAMES_DIR/{real,fake}/<source>/<video file name>/<frame, 6 digits>.png
FRAMES_DIR/index.csv                                        # one row per crop, written last: no index, not finished
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from deepfake_spectra.settings import REPOSITORY, ExperimentError
from deepfake_spectra.files import whole_file

INDEX_NAME = "index.csv"
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # FaceForensics++'s; a source's name ends in one, "Deepfakes_c23"
SAMPLE_FRAMES_DIR = REPOSITORY / "data/built_in_sample/deepfake_detection"  # the crops of the built-in sample's clips


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


def identities(video_name: str) -> tuple[str, str]:
    """Return (target, source) identities from the file name of a video, "" for what it does not tell.

    FaceForensics++ calls a real video `004.mp4` and a fake `<target>_<source>.mp4`, `004_982.mp4`. DeepFakeDetection
    has 28 actors, `<actor>__<scene>.mp4` and `<target>_<source>__<scene>__<code>.mp4`. The first have three digits
    and the second two, so that one set's identity is never taken for one of the other.
    """
    stem = Path(video_name).stem
    match = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", stem) or re.fullmatch(r"(\d\d)(?:_(\d\d))?__.+", stem, re.DOTALL)
    return (match[1], match[2] or "") if match else ("", "")


def write_index(frames_dir: Path, rows: list[CropRow]) -> None:
    """Write `FRAMES_DIR/index.csv`, whole."""
    with whole_file(frames_dir / INDEX_NAME) as path:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(CropRow._fields)
            writer.writerows(rows)


def read_index(frames_dir: Path) -> list[CropRow]:
    """Return the rows of `FRAMES_DIR/index.csv`, in its order.

    Raises
    ------
    ExperimentError
        No index there, or not one of ours.
    """
    path = frames_dir / INDEX_NAME
    if not path.exists():
        raise ExperimentError(f"{path}: not there; run `python extract_video_frames.py` to make the crops, to its end")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            header, *rows = csv.reader(file)
            if tuple(header) != CropRow._fields:
                raise ValueError("other columns")
            return [_parse_row(row) for row in rows]
        except ValueError as error:
            raise ExperimentError(
                f"{path}: not an index of crops ({error}); run `python extract_video_frames.py` again"
            ) from None


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
