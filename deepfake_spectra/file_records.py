"""Every image file of a data set -> what its header, its bytes and a look at its pixels tell, kept on disk as it grows.

The pixels are looked at as far as a thumbnail needs them: of a JPEG only so many frequencies of each block are decoded.
What other formats hold is decoded whole, for the grid of an earlier JPEG.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from deepfake_spectra import file_traits, jpeg_grid, near_duplicates
from deepfake_spectra.errors import UnreadableImage, check
from deepfake_spectra.file_traits import FileTraits
from deepfake_spectra.files import display_path, write_text
from deepfake_spectra.image_files import decode_gray, file_content, read_header
from deepfake_spectra.jpeg_grid import grid_strength
from deepfake_spectra.near_duplicates import THUMBNAIL_SIDE, perceptual_hash
from deepfake_spectra.opencv import cv2
from deepfake_spectra.packages import simplejpeg
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import FileKey, file_key, measured_by

RECORDS_PER_FILE = 1000
SMALLEST_DECODED = 2 * THUMBNAIL_SIDE  # pixels a side, of a JPEG at reduced size


class FileRecord(NamedTuple):
    """What is known of one image file."""

    width: int  # as stored, before any turn by EXIF
    height: int
    format: str
    jpeg_quality: int  # libjpeg's, the nearest; 0 where the format has none
    subsampling: str  # "4:2:0", "" where the format has none
    remarks: tuple[str, ...]  # keys of `image_files.REMARKS`
    traits: FileTraits
    n_bytes: int
    sha256: str
    brightness: float  # mean of the grey levels of the thumbnail
    contrast: float  # their standard deviation
    grid: float | None  # see `jpeg_grid.grid_strength`; None of a JPEG, which has one anyway
    hash: str  # see `near_duplicates.perceptual_hash`


def read_record(path: Path) -> FileRecord:
    """Return the record of one image file, or raise UnreadableImage with the reason why there is none."""
    content = file_content(path)
    header, remarks, _ = read_header(content)
    form = str(header["format"])
    gray = _small_gray(content) if form == "JPEG" else decode_gray(content).gray
    thumbnail = cv2.resize(gray, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return FileRecord(
        *header.item(),
        remarks=remarks,
        traits=file_traits.file_traits(content),
        n_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        brightness=float(thumbnail.mean()),
        contrast=float(thumbnail.std()),
        grid=None if form == "JPEG" else grid_strength(gray),
        hash=perceptual_hash(thumbnail),
    )


def read_records(
    folder: Path, paths: Sequence[str], cache_dir: Path, n_threads: int = -1
) -> tuple[dict[str, FileRecord], dict[str, str]]:
    """Return {path: record} of image files, reading only what the cache does not hold, and {path: reason} of others.

    Parameters
    ----------
    folder : Path
    paths : sequence of str
        From that folder on.
    cache_dir : Path
        Gets a file of every 1,000 records as they are made, and of what is there when the run is interrupted.
    n_threads : int
        -1: one per core.

    Raises
    ------
    KeyboardInterrupt
        With a word on what is kept.
    """
    keys = {path: file_key(folder, path) for path in paths}
    kept = _cached(cache_dir)
    records = {path: kept[key] for path, key in keys.items() if key in kept}
    missing = [key for path, key in keys.items() if path not in records]
    unreadable = {}
    print(f"files: {len(records)} known from {display_path(cache_dir)}, {len(missing)} to be read")
    for key, record in tqdm(_new_records(folder, missing, cache_dir, n_threads), "files", len(missing), unit="file",
                            disable=None, smoothing=0.05):  # fmt: skip
        if isinstance(record, UnreadableImage):
            unreadable[key.path] = str(record)
        else:
            records[key.path] = record
    return {path: records[path] for path in paths if path in records}, unreadable


def _new_records(folder, keys, cache_dir, n_threads) -> Iterator[tuple[FileKey, FileRecord | UnreadableImage]]:
    """Yield (key, record or the reason why there is none) in order; what is finished is kept, also when interrupted."""
    fresh, n_written = [], 0
    results = in_threads(lambda key: _record_or_reason(folder / key.path), keys, n_threads)
    try:
        for key, record in zip(keys, results, strict=True):
            if isinstance(record, FileRecord):
                fresh.append((*key, *record))
            if len(fresh) == RECORDS_PER_FILE:
                n_written += _write_rows(cache_dir, fresh)
                fresh = []
            yield key, record
    except KeyboardInterrupt:
        n_written += _write_rows(cache_dir, fresh)
        fresh = []
        raise KeyboardInterrupt(f"{n_written} new records are kept in {display_path(cache_dir)}") from None
    finally:
        results.close()
        _write_rows(cache_dir, fresh)


def _record_or_reason(path):
    """Return the record of one file, or the reason why there is none."""
    try:
        return read_record(path)
    except UnreadableImage as reason:
        return reason


def _small_gray(content):
    """Return the grey image of a JPEG, as small as a thumbnail allows; whole where libjpeg complains."""
    try:
        return simplejpeg.decode_jpeg(content, "GRAY", min_height=SMALLEST_DECODED, min_width=SMALLEST_DECODED)[..., 0]
    except ValueError:
        return decode_gray(content).gray


def _write_rows(cache_dir, rows):
    """Write rows of key and record, if there are any, with a seal, and return their number."""
    if rows:
        text = json.dumps(rows)
        made_by = _made_by()
        seal = hashlib.sha256((made_by + text).encode()).hexdigest()
        write_text(cache_dir / f"{made_by[:8]}-{time.time_ns():x}.json", f"{seal}\n{text}\n")
    return len(rows)


def _cached(cache_dir):
    """Return {key: record} of all that is on disk and was made by this code."""
    made_by = _made_by()
    found = {}
    for file in sorted(cache_dir.glob(f"{made_by[:8]}-*.json")):
        try:
            seal, text, _ = file.read_text(encoding="utf-8").split("\n")
            check(seal == hashlib.sha256((made_by + text).encode()).hexdigest(), "not as it was written")
        except (OSError, ValueError):  # a cache, and no more
            print(f"{display_path(file)}: damaged, its files are read again")
            continue
        for path, size, mtime_ns, *fields in json.loads(text):
            record = FileRecord(*fields)
            record = record._replace(remarks=tuple(record.remarks), traits=FileTraits(*record.traits))
            found[FileKey(path, size, mtime_ns)] = record
    return found


def _made_by():
    """Return what a record depends on besides its file, as a digest: the code that reads, and its packages."""
    own = [Path(module.__file__).read_bytes() for module in (file_traits, jpeg_grid, near_duplicates)]
    own.append(Path(__file__).read_bytes())
    return hashlib.sha256(b"\0".join([json.dumps(measured_by()).encode(), *own])).hexdigest()
