"""Spectra on disk, in shards of some 4,096 images: written whole, added to and never rewritten, read by memory map.

    <digest of the feature>-<digest of measured_by()>-<time>-<random>.npy     values, one spectrum behind the other
    ....npz                                                                  whose they are: the index, written last

A shard belongs to one feature and to one state of the code and of the packages that measured: `measured_by`. What
another state measured is left where it is and not used. Any number of processes, on any number of machines, may write
into a folder at once. Whatever stands in a shard is checked before it is used.
"""

import ast
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, NamedTuple

import numpy as np

import radial_spectrum
from deepfake_spectra import alterations, clips, image_checks, image_files, measurement, opencv, pillow
from deepfake_spectra.dataset import IMAGE_HEADER, Feature
from deepfake_spectra.errors import check
from deepfake_spectra.files import DAMAGED_NPZ, display_path, printable, whole_file
from deepfake_spectra.measurement import Measured, spectrum_length
from deepfake_spectra.packages import versions
from deepfake_spectra.parallel import in_threads

IMAGES_PER_SHARD = 4096
SECONDS_PER_SHARD = 60  # after which one is written, however few images it has: a kill costs no more
MEASURING_MODULES = (
    radial_spectrum, opencv, pillow, image_checks, image_files, clips, alterations, measurement, sys.modules[__name__],
)  # fmt: skip
MEASURING_PACKAGES = ("numpy", "scipy", "opencv", "pillow", "pillow-heif", "simplejpeg", "ducc0")
LOWEST_VALUE = 20 * np.log(radial_spectrum.EPSILON) - 1  # of any spectrum: where a frequency is empty
HIGHEST_VALUE = 20 * np.log(255 * image_files.MOST_PIXELS) + 1  # at DC, of the largest white image


class FileKey(NamedTuple):
    """A file as the cache knows it: changed content shows in size or time; the folder it lies in may be moved."""

    path: str  # relative to the data folder
    size: int
    mtime_ns: int


class CachedRows(NamedTuple):
    """What the cache holds of some images, row by row."""

    spectra: np.ndarray  # (n_images, n_bins) float64, NaN where there is nothing
    headers: np.ndarray  # (n_images,) IMAGE_HEADER
    remarks: list[str]  # keys of `image_files.REMARKS`, with commas
    digests: list[str]  # SHA-256 of each file


class _Shard(NamedTuple):
    """Some images whose spectra are on disk, row by row."""

    index: Path
    paths: list[str]
    stats: np.ndarray  # (n, 2) size and mtime_ns
    lengths: np.ndarray  # (n,)
    headers: np.ndarray  # (n,) IMAGE_HEADER
    remarks: np.ndarray  # (n,) str
    sha256: np.ndarray  # (n, 32) uint8
    values: np.ndarray  # (lengths.sum(),) mapped into memory, the spectra one behind the other
    values_sha256: str

    def spectrum(self, row: int) -> np.ndarray:
        """Return the spectrum of one row, (lengths[row],)."""
        end = self.lengths[: row + 1].sum()
        return np.array(self.values[end - self.lengths[row] : end], dtype=np.float64)

    def measured(self, row: int) -> Measured:
        """Return one row as it was measured."""
        remarks = _remark_keys(self.remarks[row].item())
        return Measured(self.spectrum(row), self.headers[row], remarks, self.sha256[row].tobytes().hex())


class SpectrumCache:
    """Spectra of one feature in a folder.

    Length and normalisation of the rows come with reading: spectra are kept as they are measured, each at its own
    length, in the precision of the feature. As float32 a value is 6e-8 of itself off, less than what the transform
    loses in that precision.
    """

    def __init__(self, folder: Path, feature: Feature):
        self.folder, self.feature = folder, feature
        self._texts = {"feature": json.dumps(feature.measured), "measured_by": json.dumps(measured_by())}
        of_feature, of_code = (hashlib.sha256(text.encode()).hexdigest()[:8] for text in self._texts.values())
        self._prefix = f"{of_feature}-{of_code}"
        outdated = () if self._indices() else folder.glob(f"{of_feature}-*.npz")
        self._outdated = sorted(outdated, key=lambda file: file.stem.split("-")[2:])  # the last is the latest
        self._fresh, self._fresh_since = [], 0.0
        self._whole, self._damaged = set(), set()  # indices whose values have been read once, and are right or wrong
        self._changed = set()  # paths with a spectrum of an older state of the file
        self.n_written = self._n_adopted = 0

    @property
    def reason(self) -> str:
        """Why something had to be computed, if that is not simply because it is new, and what had only moved."""
        outdated = f"; {_what_changed(self._outdated[-1])}" if self._outdated else ""
        changed = f"; {len(self._changed)} of them because the file has changed" if self._changed else ""
        return outdated + changed + (f"; {self._n_adopted} known by their SHA-256" if self._n_adopted else "")

    def lengths(self, keys: Sequence[FileKey]) -> np.ndarray:
        """Return how long the spectrum of each file is, (n,) int; 0 where it is not on disk."""
        lengths = np.zeros(len(keys), dtype=int)
        others = set()
        for shard, rows, places, places_of_others in self._matches(keys):
            lengths[places] = shard.lengths[rows]
            others.update(places_of_others.tolist())
        self._changed.update(keys[place].path for place in others if lengths[place] == 0)
        return lengths

    def read(self, keys: Sequence[FileKey], n_bins: int) -> CachedRows:
        """Return what is on disk of some files, resampled to so many values and normalised as the feature asks."""
        found = CachedRows(
            np.full((len(keys), n_bins), np.nan), np.zeros(len(keys), IMAGE_HEADER), [""] * len(keys), [""] * len(keys)
        )
        for shard, rows, places, _ in self._matches(keys):
            if len(rows) == 0:
                continue
            if (shard.lengths == n_bins).all():
                spectra = shard.values.reshape(-1, n_bins)[rows].astype(np.float64, copy=False)
            else:  # one by one: of many at once, the last bits would depend on how many
                spectra = np.array([radial_spectrum.resample_spectrum(shard.spectrum(row), n_bins) for row in rows])
            found.spectra[places] = radial_spectrum.normalise_by_first(spectra) if self.feature.normalise else spectra
            found.headers[places] = shard.headers[rows]
            for row, place in zip(rows, places):
                found.remarks[place] = shard.remarks[row].item()
                found.digests[place] = shard.sha256[row].tobytes().hex()
        return found

    def adopt(self, data_dir: Path, keys: Sequence[FileKey], n_threads: int) -> int:
        """Take over what is on disk of files that were only moved, copied or touched: of one name, size and SHA-256.

        Returns the number of these files.
        """
        n_before, wanted = self._n_adopted, defaultdict(list)
        for key in keys:
            wanted[_name(key.path), key.size].append(key)
        candidates = defaultdict(list)
        for shard in self._shards():
            for row, (path, (size, _)) in enumerate(zip(shard.paths, shard.stats.tolist())):
                for key in wanted.get((_name(path), size), ()):
                    candidates[key].append((shard, row))
        digests = in_threads(lambda key: _sha256_of_file(data_dir / key.path), candidates, n_threads)
        with closing(digests):
            for (key, rows), digest in zip(candidates.items(), digests):
                same = next(((shard, row) for shard, row in rows if shard.sha256[row].tobytes() == digest), None)
                if same and self._is_whole(same[0]):
                    self.add(key, same[0].measured(same[1]))
                    self._changed.discard(key.path)
                    self._n_adopted += 1
        self.flush()
        return self._n_adopted - n_before

    def add(self, key: FileKey, measured: Measured) -> None:
        """Keep a spectrum; from time to time they go to disk."""
        self._fresh_since = self._fresh_since if self._fresh else time.monotonic()
        self._fresh.append((key, measured))
        if len(self._fresh) >= IMAGES_PER_SHARD or time.monotonic() - self._fresh_since > SECONDS_PER_SHARD:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        if not self._fresh:
            return
        keys, measured = zip(*self._fresh)
        stem = f"{self._prefix}-{time.time_ns():x}-{secrets.token_hex(4)}"
        values = np.concatenate([row.spectrum for row in measured]).astype(self.feature.precision, copy=False)
        arrays = {name: np.array(text) for name, text in self._texts.items()} | {
            "paths": np.frombuffer(json.dumps([key.path for key in keys]).encode(), np.uint8),  # undecodable names, too
            "stats": np.array([(key.size, key.mtime_ns) for key in keys], dtype=np.int64),
            "lengths": np.array([len(row.spectrum) for row in measured], dtype=np.int64),
            "headers": np.array([row.header for row in measured], dtype=IMAGE_HEADER),
            "remarks": np.array([",".join(row.remarks) for row in measured]),
            "sha256": np.array([list(bytes.fromhex(row.sha256)) for row in measured], dtype=np.uint8),
            "values_sha256": np.array(hashlib.sha256(values).hexdigest()),
        }
        with _synced_file(self.folder / f"{stem}.npy") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
            file.write(values.data)  # `np.save` would not tell of a full disk what the system says
        with _synced_file(self.folder / f"{stem}.npz") as file:
            np.savez(file, **arrays, seal=np.array(seal_of(arrays)))
        self.n_written += len(self._fresh)
        self._fresh = []  # only now: an interrupt while writing loses nothing

    def _indices(self):
        """Return the index of each shard, as far as it is written by now."""
        return sorted(self.folder.glob(f"{self._prefix}-*.npz"))

    def _shards(self) -> Iterator["_Shard"]:
        """Yield each shard whose index is as it was written, one at a time in memory."""
        for file in self._indices():
            if file not in self._damaged:
                try:
                    shard = self._read_index(file)
                except DAMAGED_NPZ:  # a cache, and no more: anybody can edit it
                    self._leave_out(file)
                else:
                    yield shard

    def _matches(self, keys) -> Iterator[tuple["_Shard", np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (shard, its rows of these files, their places in `keys`, places of files of another size or time)."""
        place_of = {key.path: place for place, key in enumerate(keys)}
        stats = np.array([key[1:] for key in keys], dtype=np.int64).reshape(-1, 2)
        is_found = np.zeros(len(keys), dtype=bool)
        for shard in self._shards():
            places = np.array([place_of.get(path, -1) for path in shard.paths])
            rows = np.flatnonzero(places >= 0)
            is_same = (stats[places[rows]] == shard.stats[rows]).all(axis=1)
            others, rows = places[rows[~is_same]], rows[is_same]
            rows = rows[~is_found[places[rows]]]  # two processes may have measured one file
            if len(rows) == 0 or self._is_whole(shard):
                is_found[places[rows]] = True
                yield shard, rows, places[rows], others

    def _is_whole(self, shard):
        """Tell whether the values of a shard are those that were written, reading all of them the first time."""
        if shard.index not in self._whole | self._damaged:
            try:
                check(hashlib.sha256(shard.values).hexdigest() == shard.values_sha256, "not as it was written")
                check(LOWEST_VALUE <= shard.values.min() <= shard.values.max() <= HIGHEST_VALUE, "a value")  # or NaN
                self._whole.add(shard.index)
            except DAMAGED_NPZ:
                self._leave_out(shard.index)
        return shard.index in self._whole

    def _leave_out(self, index):
        """Say that a shard is damaged, and read it no more."""
        print(f"{display_path(index)}: damaged, its spectra are computed again")
        self._damaged.add(index)

    def _read_index(self, file):
        """Return a shard, its values not looked at yet; raises where anything in its index is wrong."""
        with np.load(file, allow_pickle=False) as arrays:
            columns = {name: array for name, array in arrays.items() if name != "seal"}
            check(arrays["seal"].item() == seal_of(columns), "not as it was written")
        for name, text in self._texts.items():
            check(columns.pop(name).item() == text, f"of another {name}")
        check(columns["paths"].ndim == 1, "paths")
        paths = json.loads(columns.pop("paths").tobytes())
        values_sha256 = columns.pop("values_sha256").item()
        values = np.load(file.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        shard = _Shard(file, paths, values=values, values_sha256=values_sha256, **columns)
        _check_shard(shard, self.feature)
        return shard


def known_files(folder: Path) -> set[FileKey]:
    """Return the files whose spectra, of whatever feature, lie in a folder: they are images, without a look."""
    known = set()
    for index in folder.glob("*-*.npz"):
        try:
            with np.load(index, allow_pickle=False) as arrays:
                known.update(map(FileKey, json.loads(arrays["paths"].tobytes()), *arrays["stats"].T.tolist()))
        except DAMAGED_NPZ:  # whoever wants a spectrum out of it will say so
            continue
    return known


@cache
def measured_by() -> dict[str, str]:
    """Return what a spectrum depends on besides the file and the feature: the code that measures, and its packages.

    Comments and docstrings do not matter; the version of Python does, since syntax trees differ between them.
    """
    code = "\n".join([*map(code_of, MEASURING_MODULES), str(IMAGE_HEADER.descr)])
    return {"code": hashlib.sha256(code.encode()).hexdigest()} | versions(*MEASURING_PACKAGES)


def code_of(module: ModuleType) -> str:
    """Return what a module does, as text: its syntax tree less the docstrings of itself, its classes and functions."""
    tree = ast.parse(Path(module.__file__).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


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


def _name(path):
    """Return a file's name without its folders, faster than pathlib does."""
    return path.rpartition("/")[2]


@contextmanager
def _synced_file(path) -> Iterator[BinaryIO]:
    """Yield a file as `whole_file` has it; what is written there is on the disk before it gets its name."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sha256_of_file(path):
    """Return the digest of a file's bytes, or b"" where it cannot be read: whoever measures it will say why."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


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


def _check_shard(shard, feature):
    """Raise ValueError unless an index is what `flush` writes of images; of the values only their number is checked."""
    paths, n = shard.paths, len(shard.paths)
    check(isinstance(paths, list) and all(isinstance(path, str) for path in paths), "paths")
    check(len(set(paths)) == n, "a path twice")
    for array, shape, kind in (
        (shard.stats, (n, 2), "i8"), (shard.lengths, (n,), "i8"), (shard.headers, (n,), IMAGE_HEADER),
        (shard.sha256, (n, 32), "u1"), (shard.values, (shard.lengths.sum(),), feature.precision),
    ):  # fmt: skip
        check(array.shape == shape and array.dtype == kind, "an array of another form")
    check(shard.remarks.shape == (n,) and shard.remarks.dtype.kind == "U", "texts")
    check((shard.stats >= 0).all() and (shard.lengths > 0).all(), "a number below 0")
    check(
        all(set(_remark_keys(text)) <= image_files.REMARKS.keys() for text in set(shard.remarks.tolist())), "a remark"
    )
    headers = shard.headers
    check(np.isin(headers["format"], image_files.READ_FORMATS).all(), "a format")
    check(((headers["jpeg_quality"] >= 0) & (headers["jpeg_quality"] <= 100)).all(), "a quality")
    check(all(re.fullmatch(r"(\d:\d:\d)?", text) for text in set(headers["subsampling"].tolist())), "a subsampling")
    for height, width, length in set(
        zip(*(column.tolist() for column in (headers["height"], headers["width"], shard.lengths)))
    ):
        check(min(height, width) > 0 and height * width <= image_files.MOST_PIXELS, "a size")
        check(length in _lengths((height, width), feature), "a length that is not the image's")


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
