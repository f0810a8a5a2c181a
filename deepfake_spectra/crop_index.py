"""The index of a folder of crops, index.csv: where each crop came from, one row per crop."""

import csv
from pathlib import Path
from typing import NamedTuple

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import csv_text, display_path, from_cell, write_text

INDEX_NAME = "index.csv"


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
    try:
        return read_rows(path)
    except ValueError as error:
        raise ExperimentError(
            f"{display_path(path)}: not an index of crops ({error}); run `python extract_video_frames.py` again"
        ) from None


def read_rows(path: Path) -> list[CropRow]:
    """Return the rows of an index, in its order; ValueError where it is none of ours."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        try:
            header, *rows = list(csv.reader(file)) or [()]
        except csv.Error as error:
            raise ValueError(error) from None
    if tuple(header) != CropRow._fields:
        raise ValueError("other columns")
    return [_parse_row([from_cell(cell) for cell in row]) for row in rows]


def _parse_row(texts):
    """Return the CropRow of one line's texts."""
    if len(texts) != len(CropRow._fields):
        raise ValueError(f"a row of {len(texts)} columns")
    row = CropRow(*texts)
    if row.label not in ("real", "fake"):
        raise ValueError(f"the label {row.label!r}")
    return row._replace(
        frame=int(row.frame), time=float(row.time), x=int(row.x), y=int(row.y), size=int(row.size),
        score=float(row.score) if row.score else None,
    )  # fmt: skip
