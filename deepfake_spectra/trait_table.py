"""The traits of many files: as columns for a classifier, and as a table to read, one column a source."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from deepfake_spectra.file_records import FileRecord
from deepfake_spectra.jpeg_grid import GRID_FOUND

HEADER_TRAITS = {  # what the bytes say, no pixel decoded: how it is called -> its kind, its value
    "width": ("i4", lambda record: record.width),
    "height": ("i4", lambda record: record.height),
    "format": ("U8", lambda record: record.format),
    "JPEG quality": ("i4", lambda record: record.jpeg_quality),
    "JPEG tables": ("U8", lambda record: record.traits.tables),
    "chroma subsampling": ("U8", lambda record: record.subsampling),
    "coding": ("U16", lambda record: record.traits.coding),
    "layout": ("U200", lambda record: record.traits.layout),
    "pixels": ("U60", lambda record: ", ".join(record.remarks)),
    "tags": ("U24", lambda record: record.traits.tags),
    "camera": ("U60", lambda record: record.traits.camera),
    "software": ("U60", lambda record: record.traits.software),
    "IPTC source type": ("U60", lambda record: record.traits.source_type),
    "Content Credentials": ("U3", lambda record: "yes" if record.traits.has_credentials else ""),
}
PAST_TRAITS = {"earlier JPEG": ("U3", lambda record: _grid_said(record.grid))}  # what the pixels say of it
CONTENT_TRAITS = {  # in which the picture has a part, so that generation may show in them
    "bytes a pixel": ("f8", lambda record: record.n_bytes / (record.width * record.height)),
    "brightness": ("f8", lambda record: record.brightness),
    "contrast": ("f8", lambda record: record.contrast),
}
MOST_VALUES = 3  # of a trait that a table names


def trait_array(records: Sequence[FileRecord]) -> np.ndarray:
    """Return a structured array (n_files,), one field for each trait."""
    traits = HEADER_TRAITS | PAST_TRAITS | CONTENT_TRAITS
    kinds = [(name, kind) for name, (kind, _) in traits.items()]
    return np.array([tuple(value(record) for _, value in traits.values()) for record in records], dtype=kinds)


def most_frequent(records: Sequence[FileRecord], *fields: str) -> tuple:
    """Return the combination of values of some fields that most records have, the first of several."""
    return Counter(tuple(getattr(record, field) for field in fields) for record in records).most_common(1)[0][0]


def summarised(values: np.ndarray) -> str:
    """Return the values (n,) of a trait in a few words: the most frequent with their numbers, or median and range."""
    if values.dtype.kind == "f":
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
        return f"{median:.3g} ({low:.3g}–{high:.3g})"
    counted = Counter(values.tolist()).most_common()
    named = [f"{value or '-'}" if len(counted) == 1 else f"{value or '-'} ({n})" for value, n in counted[:MOST_VALUES]]
    more = len(counted) - MOST_VALUES
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _grid_said(grid):
    """Return whether the grid of an earlier JPEG was found, "" where it was not looked for."""
    return "" if grid is None else ("no", "yes")[grid > GRID_FOUND]
