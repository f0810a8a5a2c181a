"""Spectra on disk, in files of 1,000 images that are written whole: a run goes on where the last one stopped.

A file belongs to one feature and to one state of the code and of the packages that measured: `measured_by`. What
another state measured is left where it is and not used. Whatever stands in a file is checked before it is used.
"""

import ast
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import radial_spectrum
from deepfake_spectra import alterations, clips, image_checks, image_files, measurement, opencv, pillow
from deepfake_spectra.dataset import IMAGE_HEADER, Feature
from deepfake_spectra.errors import check
from deepfake_spectra.files import DAMAGED_NPZ, display_path, printable, whole_file
from deepfake_spectra.measurement import Measured, spectrum_length
from deepfake_spectra.packages import versions

IMAGES_PER_CACHE_FILE = 1000
MEASURING_MODULES = (
    radial_spectrum, opencv, pillow, image_checks, image_files, clips, alterations, measurement, sys.modules[__name__],
)  # fmt: skip
MEASURING_PACKAGES = {
    "numpy": "numpy", "scipy": "scipy", "opencv": "cv2", "pillow": "PIL", "pillow-heif": "pillow_heif",
    "simplejpeg": "simplejpeg",
}  # fmt: skip
LOWEST_VALUE = 20 * np.log(radial_spectrum.EPSILON) - 1  # of any spectrum: where a frequency is empty
HIGHEST_VALUE = 20 * np.log(255 * image_files.MOST_PIXELS) + 1  # at DC, of the largest white image


class FileKey(NamedTuple):
    """A file as the cache knows it: changed content shows in size or time; the folder it lies in may be moved."""

    path: str  # relative to the data folder
    size: int
    mtime_ns: int


class SpectrumCache:
    """Spectra of one feature in `<digest of the feature>-<digest of measured_by()>-<time>.npz`, never rewritten.

    Length and normalisation of the rows come later: spectra are kept as they are measured, each at its own length.
    """

    def __init__(self, folder: Path, feature: Feature):
        self.folder, self.feature = folder, feature
        self._texts = {"feature": json.dumps(feature.measured), "measured_by": json.dumps(measured_by())}
        of_feature, of_code = (hashlib.sha256(text.encode()).hexdigest()[:8] for text in self._texts.values())
        self._prefix = f"{of_feature}-{of_code}"
        self._files = sorted(folder.glob(f"{self._prefix}-*.npz"))
        outdated = () if self._files else folder.glob(f"{of_feature}-*.npz")
        self._outdated = sorted(outdated, key=lambda file: file.stem.rpartition("-")[2])  # the last is the latest
        self._fresh = []
        self.n_written = 0
        self._known = set()  # paths with a spectrum of an older state of the file

    @property
    def reason(self) -> str:
        """Why something had to be computed, if that is not simply because it is new."""
        changed = f"; {len(self._known)} of them because the file has changed" if self._known else ""
        return (f"; {_what_changed(self._outdated[-1])}" if self._outdated else "") + changed

    def find(self, keys: Iterable[FileKey]) -> dict[FileKey, Measured]:
        """Return what is on disk of the keys."""
        wanted = {key.path: key for key in keys}
        found = {}
        outdated = set()
        for file in self._files:
            try:
                rows = list(self._rows(file, wanted))
            except DAMAGED_NPZ:  # a cache, and no more: anybody can edit it
                print(f"{display_path(file)}: damaged, its spectra are computed again")
                continue
            for key, measured in rows:
                if wanted[key.path] == key:
                    found[key] = measured
                else:
                    outdated.add(key.path)
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
        arrays = {name: np.array(text) for name, text in self._texts.items()} | {
            "paths": np.array(json.dumps([key.path for key in keys])),  # JSON holds undecodable names, too
            "stats": np.array([(key.size, key.mtime_ns) for key in keys], dtype=np.int64),
            "spectra": np.concatenate([row.spectrum for row in measured]),
            "lengths": np.array([len(row.spectrum) for row in measured], dtype=np.int64),
            "headers": np.array([row.header for row in measured], dtype=IMAGE_HEADER),
            "remarks": np.array([",".join(row.remarks) for row in measured]),
            "sha256": np.array([row.sha256 for row in measured]),
        }
        with whole_file(self.folder / f"{self._prefix}-{time.time_ns():x}.npz") as temporary:
            np.savez(temporary, **arrays, seal=np.array(seal_of(arrays)))
        self.n_written += len(self._fresh)
        self._fresh = []  # only now: an interrupt while writing loses nothing

    def _rows(self, file, wanted) -> Iterator[tuple[FileKey, Measured]]:
        """Yield (key, Measured) of those rows of one file whose path is wanted; raises where anything is wrong."""
        with np.load(file, allow_pickle=False) as arrays:
            for name, text in self._texts.items():
                check(arrays[name].item() == text, f"of another {name}")
            paths = json.loads(arrays["paths"].item())
            if wanted.keys().isdisjoint(paths):
                return
            columns = {name: array for name, array in arrays.items() if name != "seal"}
            check(arrays["seal"].item() == seal_of(columns), "not as it was written")
        for name in ("paths", *self._texts):
            del columns[name]
        _check_columns(paths, self.feature, **columns)
        spectra = np.split(columns["spectra"], np.cumsum(columns["lengths"])[:-1])
        lists = (columns[name].tolist() for name in ("stats", "remarks", "sha256"))
        for path, spectrum, header, stat, remark, digest in zip(paths, spectra, columns["headers"], *lists):
            if path in wanted:
                yield FileKey(path, *stat), Measured(spectrum.copy(), header, _remark_keys(remark), digest)


@cache
def measured_by() -> dict[str, str]:
    """Return what a spectrum depends on besides the file and the feature: the code that measures, and its packages.

    Comments and docstrings do not matter; the version of Python does, since syntax trees differ between them.
    """
    trees = [_without_docstrings(ast.parse(Path(module.__file__).read_bytes())) for module in MEASURING_MODULES]
    code = "\n".join([*map(ast.dump, trees), str(IMAGE_HEADER.descr)])
    return {"code": hashlib.sha256(code.encode()).hexdigest()} | versions(MEASURING_PACKAGES)


def seal_of(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of all that a file of the cache holds: a value changed by hand would be as likely as any."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.descr} {arrays[name].shape} ".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def file_key(data_dir: Path, path: str) -> FileKey:
    """Return the key of a file; of one that is not there a key that no cache holds, and the reader will say why."""
    try:
        status = (data_dir / path).stat()
    except OSError:
        return FileKey(path, 0, 0)
    return FileKey(path, status.st_size, status.st_mtime_ns)


def _what_changed(file):
    """Return in words how what measured a file of the cache differs from what measures now."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            then = json.loads(arrays["measured_by"].item())
        changed = [(name, then[name], now) for name, now in measured_by().items() if then[name] != now]
    except DAMAGED_NPZ:
        changed = []
    packages = [f"{name} {old} has become {new}" for name, old, new in changed if name != "code"]
    if packages:
        return printable(f"{', '.join(packages)} since the cache was written")
    return "the code that measures has changed since the cache was written"


def _check_columns(paths, feature, *, stats, spectra, lengths, headers, remarks, sha256):
    """Raise ValueError unless the arrays of a file of the cache are what `flush` writes of images."""
    n = len(paths)
    check(isinstance(paths, list) and all(isinstance(path, str) for path in paths), "paths")
    check(len(set(paths)) == n, "a path twice")
    for array, shape, kind in (
        (stats, (n, 2), "i8"), (lengths, (n,), "i8"), (spectra, (lengths.sum(),), "f8"), (headers, (n,), IMAGE_HEADER),
    ):  # fmt: skip
        check(array.shape == shape and array.dtype == kind, "an array of another form")
    check(remarks.shape == sha256.shape == (n,) and remarks.dtype.kind == sha256.dtype.kind == "U", "texts")
    check((stats >= 0).all() and (lengths > 0).all(), "a number below 0")
    check(((spectra >= LOWEST_VALUE) & (spectra <= HIGHEST_VALUE)).all(), "a value that no spectrum has")  # or NaN
    check(all(re.fullmatch("[0-9a-f]{64}", text) for text in sha256.tolist()), "a digest")
    check(all(set(_remark_keys(text)) <= image_files.REMARKS.keys() for text in remarks.tolist()), "a remark")
    check(np.isin(headers["format"], image_files.READ_FORMATS).all(), "a format")
    check(((headers["jpeg_quality"] >= 0) & (headers["jpeg_quality"] <= 100)).all(), "a quality")
    check(all(re.fullmatch(r"(\d:\d:\d)?", text) for text in headers["subsampling"].tolist()), "a subsampling")
    for header, length in zip(headers, lengths.tolist()):
        shape = int(header["height"]), int(header["width"])
        check(min(shape) > 0 and shape[0] * shape[1] <= image_files.MOST_PIXELS, "a size")
        check(length in _lengths(shape, feature), "a length that is not the image's")


def _lengths(shape, feature) -> Iterator[int]:
    """Yield how long the spectrum of an image may be whose header tells this size: it may have been turned."""
    for turned in {shape, shape[::-1]}:
        try:
            yield spectrum_length(turned, feature)
        except ValueError:  # there is no spectrum of that shape, but perhaps of the other
            continue


def _remark_keys(text):
    """Return the keys of remarks that are written as one text."""
    return tuple(filter(None, text.split(",")))


def _without_docstrings(tree):
    """Return a syntax tree less the docstrings of its module, classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree
