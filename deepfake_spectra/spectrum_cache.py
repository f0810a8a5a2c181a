"""Spectra on disk, in files of 1,000 images that are written whole: a run goes on where the last one stopped."""

import hashlib
import json
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import IMAGE_HEADER, Feature
from deepfake_spectra.files import display_path, whole_file

IMAGES_PER_CACHE_FILE = 1000
CACHE_VERSION = 2  # of the arrays in a file


class Measured(NamedTuple):
    """What is computed, and cached, of one file."""

    spectrum: np.ndarray
    header: np.void
    remarks: tuple[str, ...]
    sha256: str


class FileKey(NamedTuple):
    """A file as the cache knows it: changed content shows in size or time; the folder it lies in may be moved."""

    path: str  # relative to the data folder
    size: int
    mtime_ns: int


class SpectrumCache:
    """Spectra of one feature in `<digest of the feature>-<time>.npz`; files are added and never rewritten.

    Length and normalisation of the rows come later: spectra are kept as they are measured, each at its own length.
    """

    def __init__(self, folder: Path, feature: Feature):
        self.folder = folder
        measured = {name: value for name, value in vars(feature).items() if name not in ("n_bins", "normalise")}
        self._feature = json.dumps({"cache_version": CACHE_VERSION} | measured, sort_keys=True)
        self._prefix = hashlib.sha256(self._feature.encode()).hexdigest()[:8]
        self._files = sorted(folder.glob(f"{self._prefix}-*.npz"))
        self._fresh = []
        self.n_written = 0
        self._known = set()  # paths with a spectrum of an older state of the file
        has_others = not self._files and any(folder.glob("[!.]*.npz"))  # a hidden one was cut off by a kill
        self._feature_changed = "; the cache holds other features only" if has_others else ""

    @property
    def reason(self) -> str:
        """Why something had to be computed, if that is not simply because it is new."""
        changed = f"; {len(self._known)} of them because the file has changed" if self._known else ""
        return self._feature_changed + changed

    def find(self, keys: Iterable[FileKey]) -> dict[FileKey, Measured]:
        """Return what is on disk of the keys."""
        wanted = {key.path: key for key in keys}
        found = {}
        outdated = set()
        for file in self._files:
            try:
                for key, measured in self._rows(file, wanted):
                    if wanted[key.path] == key:
                        found[key] = measured
                    else:
                        outdated.add(key.path)
            except (OSError, ValueError, KeyError, EOFError, IndexError, RuntimeError, MemoryError, zipfile.BadZipFile):
                print(f"{display_path(file)}: damaged, its spectra are computed again")
        self._known |= outdated - {key.path for key in found}
        return found

    def add(self, key: FileKey, measured: Measured) -> None:
        """Keep a spectrum; every 1,000 of them go to disk."""
        self._fresh.append((key, measured))
        if len(self._fresh) == IMAGES_PER_CACHE_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        if not self._fresh:
            return
        keys, measured = zip(*self._fresh)
        with whole_file(self.folder / f"{self._prefix}-{time.time_ns():x}.npz") as temporary:
            np.savez(
                temporary,
                feature=self._feature,
                paths=json.dumps([key.path for key in keys]),  # JSON holds every file name, also undecodable ones
                stats=np.array([(key.size, key.mtime_ns) for key in keys], dtype=np.int64),
                spectra=np.concatenate([row.spectrum for row in measured]),
                lengths=np.array([len(row.spectrum) for row in measured]),
                headers=np.array([row.header for row in measured], dtype=IMAGE_HEADER),
                remarks=np.array([",".join(row.remarks) for row in measured]),
                sha256=np.array([row.sha256 for row in measured]),
            )
        self.n_written += len(self._fresh)
        self._fresh = []  # only now: an interrupt while writing loses nothing

    def _rows(self, file, wanted) -> Iterator[tuple[FileKey, Measured]]:
        """Yield (key, Measured) of those rows of one file whose path is wanted."""
        with np.load(file, allow_pickle=False) as arrays:
            if str(arrays["feature"]) != self._feature:
                return
            paths = json.loads(str(arrays["paths"]))
            if wanted.keys().isdisjoint(paths):
                return
            rows = np.split(arrays["spectra"], np.cumsum(arrays["lengths"])[:-1])
            stats, headers = arrays["stats"].tolist(), arrays["headers"]
            remarks, digests = arrays["remarks"].tolist(), arrays["sha256"].tolist()
            columns = zip(paths, stats, rows, headers, remarks, digests, strict=True)
            for path, stat, spectrum, header, remark, digest in columns:
                if path in wanted:
                    keys_of_remarks = tuple(filter(None, remark.split(",")))
                    yield FileKey(path, *stat), Measured(spectrum.copy(), header, keys_of_remarks, digest)


def file_key(data_dir: Path, path: str) -> FileKey:
    """Return the key of a file; of one that is not there a key that no cache holds, and the reader will say why."""
    try:
        status = (data_dir / path).stat()
    except OSError:
        return FileKey(path, 0, 0)
    return FileKey(path, status.st_size, status.st_mtime_ns)
