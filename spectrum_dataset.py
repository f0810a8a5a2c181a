"""Folders of images -> labelled spectra: list, read, compute on every core, keep on disk, go on where a run stopped.

    DIR/<source>/**     images of one source (a camera, a data set, a generator), searched recursively

A file is an image if its first bytes say so; its ending does not matter. Of every source the same number is drawn,
from the sorted listing, with a seed. What a header tells (size, format, JPEG quality, chroma subsampling) is kept beside
each spectrum: it is what a classifier could cheat with.
"""
import hashlib
import io
import json
import os
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import joblib
import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin
from tqdm import tqdm

from experiment_settings import ExperimentError, UsageError
from image_alterations import alter, parse_steps
from opencv import cv2
from radial_spectrum import (
    SMALLEST_SIDE,
    Convention,
    centre_third,
    normalise_by_first,
    radial_spectrum,
    resample_spectrum,
)
from whole_files import whole_file

REAL, FAKE = 0, 1
CLASS_NAMES = ("real", "fake")

Crop = Literal["none", "centre_third"]

IMAGE_HEADER = np.dtype(
    [("width", "i4"), ("height", "i4"), ("format", "U8"), ("jpeg_quality", "i2"), ("subsampling", "U8")]
)  # as stored, before any turn by EXIF; jpeg_quality is 0 and subsampling "" where the format has none

IMAGES_PER_CACHE_FILE = 1000
MOST_PIXELS = 100_000_000  # larger ones are refused from their header: the transform would need more than 3 GB
Image.MAX_IMAGE_PIXELS = None  # Pillow would warn from 89 million on; ours is the limit that counts
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files: `read_gray` gives the reason, if there is one
warnings.filterwarnings("ignore", r"\d+ tasks", module=r"joblib\.")  # of work that Ctrl-C has cut off

IMAGE_ENDINGS = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"}
READ_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_REMARKS = {
    "16-bit": "hold 16 bits a channel; reduced to 8, as the paper's reader does",
    "alpha": "hold transparency; it was ignored",
    "CMYK": "are CMYK; converted to grey",
    "grey": "are grey already",
    "turned": "were turned or mirrored as their EXIF tag asks",
}


@dataclass(frozen=True)
class Features:
    """Which spectrum is computed of an image: everything that a cached spectrum depends on besides the file."""

    convention: Convention = "published"
    crop: Crop = "none"
    precision: Literal["float64", "float32"] = "float64"
    alteration: str = ""  # what is done to every image first, for controls; see `image_alterations.alter`

    def __post_init__(self):
        parse_steps(self.alteration)  # a wrong one is the user's mistake, not that of every image

    def spectrum(self, gray: np.ndarray) -> np.ndarray:
        """Return the spectrum of one grey image (height, width), at its own length.

        Raises
        ------
        UnreadableImage
            What is left of the image after alteration and crop is blank or too small.
        """
        part = alter(gray, self.alteration)
        if self.crop == "centre_third":
            part = centre_third(part)
        if min(part.shape) < SMALLEST_SIDE:
            once = ", too small once altered or cropped" if min(gray.shape) >= SMALLEST_SIDE else ""
            raise UnreadableImage(f"{gray.shape[1]}x{gray.shape[0]}{once}: needs two sides of at least {SMALLEST_SIDE}")
        if part.min() == part.max():
            raise UnreadableImage(f"blank: every pixel is {part[0, 0]}{'' if part is gray else ' once altered or cropped'}")
        return radial_spectrum(part, self.convention, np.dtype(self.precision).type)


class UnreadableImage(Exception):
    """The reason why a file gives no spectrum, in a few words."""


class GrayImage(NamedTuple):
    """An image as the paper reads it, and what its header says."""

    gray: np.ndarray  # (height, width) uint8
    header: np.void  # one IMAGE_HEADER
    remarks: tuple[str, ...]  # keys of what had to be changed on reading: "16-bit", "alpha", ...


@dataclass
class SpectrumDataset:
    """Spectra of one experiment, one row an image; all arrays share their first axis.

    `groups` names what must not stand on both sides of a split (a photograph, a video); it is the path itself where
    images are independent. `headers` is None for published features, which come without files.
    """

    spectra: np.ndarray  # (n_images, n_bins) float64
    labels: np.ndarray  # (n_images,) int, REAL or FAKE
    sources: np.ndarray  # (n_images,) str
    groups: np.ndarray  # (n_images,) str
    paths: list[str]  # relative to the data folder, "/" between folders
    headers: np.ndarray | None  # (n_images,) IMAGE_HEADER
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (path, reason)
    remarks: list[str] = field(default_factory=list)  # sentences on what was changed or is to be known

    def __len__(self):
        return len(self.labels)

    @property
    def is_grouped(self) -> bool:
        """Whether several images share a group, so that they are not independent of each other."""
        return len(np.unique(self.groups)) < len(self)

    def counts(self) -> dict[str, int]:
        """Return {source: number of images} in the order of the sources."""
        return dict(Counter(self.sources.tolist()))

    def sizes(self) -> list[tuple[int, int]]:
        """Return the stored (height, width) of each image; empty for published features."""
        if self.headers is None or "width" not in self.headers.dtype.names:
            return []
        return list(zip(self.headers["height"].tolist(), self.headers["width"].tolist()))

    def sources_of(self, label: int) -> list[str]:
        """Return the sources of one class, in order."""
        return list(dict.fromkeys(self.sources[self.labels == label].tolist()))

    def of_sources(self, names: Sequence[str]) -> "SpectrumDataset":
        """Return the images of some sources only."""
        return self.of_rows(np.flatnonzero(np.isin(self.sources, names)))

    def of_rows(self, rows: Sequence[int]) -> "SpectrumDataset":
        """Return some images only."""
        arrays = {name: getattr(self, name)[rows] for name in ("spectra", "labels", "sources", "groups")}
        headers = None if self.headers is None else self.headers[rows]
        return replace(self, **arrays, paths=[self.paths[row] for row in rows], headers=headers)


class _Measured(NamedTuple):
    """What is computed, and cached, of one file."""

    spectrum: np.ndarray
    header: np.void
    remarks: tuple[str, ...]


class _FileKey(NamedTuple):
    """A file as the cache knows it: changed content shows in size or time."""

    path: str
    size: int
    mtime_ns: int


def read_gray(path: Path) -> GrayImage:
    """Return an image as `cv2.imread(path, cv2.IMREAD_GRAYSCALE)` gives it, and what its header says.

    Raises
    ------
    UnreadableImage
        Not an image, cut short, animated, of 32 bits a channel, or of a size that has no spectrum.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(error.strerror) from None
    return decode_gray(content)


def decode_gray(content: bytes) -> GrayImage:
    """Return what `read_gray` does, from the bytes of the file."""
    header, remarks = _read_header(content)
    # imdecode, not imread: it refuses a JPEG cut short, where imread fills in grey and returns a full picture
    try:
        gray = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # a size that Pillow read otherwise
        gray = None
    if gray is None:
        raise UnreadableImage(f"cut short or damaged {header['format']}")
    return GrayImage(gray, header, remarks)


def list_images(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the images under a folder, sorted by path, and the files that have an image's ending but are none."""
    images, others = [], []
    for path in visible_files(folder):
        if looks_like_image(path):
            images.append(path)
        elif path.suffix.lower() in IMAGE_ENDINGS:
            others.append((path, "not an image" if path.stat().st_size else "empty file"))
    return sorted(images), sorted(others)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files under a folder. Hidden files and folders are passed over, links to folders are not followed."""
    for directory, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(directory, name) for name in names if not name.startswith(".")):
            if path.is_file():
                yield path


def looks_like_image(path: Path) -> bool:
    """Tell from its first bytes whether a file is JPEG, PNG, BMP, TIFF, WebP or GIF."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return path.suffix.lower() in IMAGE_ENDINGS  # let the reader name the reason
    return (
        start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF8"))
        or (start[:4] == b"RIFF" and start[8:] == b"WEBP")
        or (start[:2] == b"BM" and start[6:10] == b"\0\0\0\0")
    )


def load_spectra(
    data_dir: Path,
    labels_of_sources: dict[str, int],
    n_per_source: int,
    features: Features,
    cache_dir: Path,
    *,
    n_bins: int | None = None,
    normalise: bool = False,
    group_of: Callable[[Path], str] | None = None,
    seed: int = 0,
    n_threads: int = -1,
    max_unreadable: float = 0.01,
) -> SpectrumDataset:
    """Return the spectra of a seeded draw of images from each source, computing only what the cache does not hold.

    Parameters
    ----------
    data_dir : Path
        Holds one folder per source.
    labels_of_sources : dict of str to int
        Folder, as "celebA-HQ_10K" or "real/youtube_c23", -> REAL or FAKE.
    n_per_source : int
        Images to draw from each source; where a source has fewer, all of them. An unreadable one is replaced by the
        next of the draw.
    features : Features
        What is computed. Spectra of other features in the cache are left there.
    cache_dir : Path
        Spectra are kept here in `.npz` files of 1,000 images, each written whole.
    n_bins : int, optional
        Length of the rows; default the shortest spectrum of the run. Others are resampled.
    normalise : bool
        Divide each (resampled) spectrum by its first value.
    group_of : callable, optional
        Path -> the group (photograph, video) that it belongs to; default: each image its own.
    seed : int
        Of the draw. The same files are drawn for every `features`.
    n_threads : int
        Threads, each working on one file; -1: one per core.
    max_unreadable : float
        Share of unreadable files above which the run ends.

    Returns
    -------
    SpectrumDataset
        Sources in the order of `labels_of_sources`, images in the order of the draw: the first k rows of a source are
        the draw of k images.

    Raises
    ------
    UsageError
        `data_dir` or one of the sources is not there.
    ExperimentError
        A source without images, or too many unreadable files.
    KeyboardInterrupt
        With a word on what is kept; finished spectra are written before it leaves.
    """
    draws, pretenders = _draw_files(data_dir, labels_of_sources, seed)
    _refuse_too_many(pretenders, sum(map(len, draws.values())) + len(pretenders), max_unreadable)
    cache = _SpectrumCache(cache_dir, data_dir, features)
    measured, unreadable = _measure_draws(data_dir, draws, n_per_source, features, cache, n_threads)
    _refuse_too_many(unreadable, len(measured) + len(unreadable), max_unreadable)
    rows = [(source, path) for source, draw in draws.items() for path in draw if path in measured]
    if not rows:
        raise ExperimentError(f"{data_dir}: no readable image in {_listed(list(draws))}")
    spectra = _common_length([measured[path].spectrum for _, path in rows], n_bins)
    headers = np.array([measured[path].header for _, path in rows], dtype=IMAGE_HEADER)
    return SpectrumDataset(
        spectra=normalise_by_first(spectra) if normalise else spectra,
        labels=np.array([labels_of_sources[source] for source, _ in rows]),
        sources=np.array([source for source, _ in rows]),
        groups=np.array([group_of(Path(path)) if group_of else path for _, path in rows]),
        paths=[path for _, path in rows],
        headers=headers,
        skipped=pretenders + unreadable,
        remarks=_size_remarks(headers) + _counted_remarks(measured[path].remarks for _, path in rows),
    )


def in_threads(function: Callable, items: Iterable, n_threads: int) -> Iterator:
    """Yield function(item) for each item, in order, from several threads; when this is closed, all of them have ended."""
    other_threads = set(threading.enumerate())
    results = joblib.Parallel(n_jobs=n_threads, prefer="threads", return_as="generator")(
        joblib.delayed(function)(item) for item in items
    )
    try:
        yield from results
    finally:
        results.close()
        for worker in set(threading.enumerate()) - other_threads:
            worker.join(timeout=10)  # Python aborts if it ends while one is inside a C++ library


def _draw_files(data_dir, labels_of_sources, seed):
    """Return {source: its images in the order of the draw} and the files that only pretend to be images."""
    if not data_dir.is_dir():
        raise UsageError(f"{data_dir}: no such folder; set DATA_DIR or --data-dir to the folder that holds the sources")
    present = sorted(entry.name for entry in data_dir.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    draws, pretenders = {}, []
    for source in labels_of_sources:
        if Path(source).is_absolute() or not (data_dir / source).is_dir():
            raise UsageError(f"{data_dir}: no source {source!r} there; found {_listed(present) or 'no folder at all'}")
        images, others = list_images(data_dir / source)
        pretenders += [(path.relative_to(data_dir).as_posix(), reason) for path, reason in others]
        if not images:
            raise ExperimentError(f"{data_dir / source}: found no image, need at least one")
        order = np.random.default_rng(seed).permutation(len(images))
        draws[source] = [images[index].relative_to(data_dir).as_posix() for index in order]
    if len(set().union(*draws.values())) < sum(map(len, draws.values())):
        raise UsageError(f"{data_dir}: some of {_listed(list(draws))} lie in each other; name folders that share no image")
    return draws, pretenders


def _refuse_too_many(unreadable, n_files, max_unreadable):
    """End the run where more of the files are unreadable than the user allows."""
    if len(unreadable) > max_unreadable * n_files:
        raise ExperimentError(
            f"{len(unreadable)} of {n_files} files are unreadable, more than MAX_UNREADABLE = {max_unreadable:g} allows: "
            f"{_listed([f'{path} ({reason})' for path, reason in unreadable])}; remove them or raise --max-unreadable"
        )


def _measure_draws(data_dir, draws, n_per_source, features, cache, n_threads):
    """Return {path: _Measured} for the first readable `n_per_source` of each draw, and what was unreadable on the way."""
    measured, unreadable = {}, []
    waiting = {source: iter(draw) for source, draw in draws.items()}
    wanted = {source: min(n_per_source, len(draw)) for source, draw in draws.items()}
    n_cached = n_computed = 0
    with tqdm(total=sum(wanted.values()), unit="image", desc="spectra", disable=None, smoothing=0.05) as progress:
        while True:  # more than once only where a file was unreadable
            batch = [path for source, n in wanted.items() for path in islice(waiting[source], n)]
            if not batch:
                break
            keys = {path: _file_key(data_dir, path) for path in batch}
            cached = cache.find(keys.values())
            n_cached += len(cached)
            progress.update(len(cached))
            measured |= {key.path: found for key, found in cached.items()}
            missing = [key for key in keys.values() if key not in cached]
            for key, result in _measured_files(data_dir, missing, features, cache, n_threads):
                progress.update()
                n_computed += 1
                if isinstance(result, UnreadableImage):
                    unreadable.append((key.path, str(result)))
                else:
                    measured[key.path] = result
            lost = {path for path in batch if path not in measured}
            wanted = {source: len(lost.intersection(draw)) for source, draw in draws.items()}
    print(f"spectra: {n_cached} from {_shown(cache.folder)}, {n_computed} computed{cache.reason}")
    return measured, unreadable


def _measured_files(data_dir, keys, features, cache, n_threads) -> Iterator[tuple]:
    """Yield (key, _Measured or UnreadableImage) in order; what is finished goes to the cache, also when interrupted."""
    results = in_threads(lambda key: _measure_file(data_dir / key.path, features), keys, n_threads)
    try:
        for result, key in zip(results, keys, strict=True):
            if not isinstance(result, UnreadableImage):
                cache.add(key, result)
            yield key, result
    except KeyboardInterrupt:
        cache.flush()
        raise KeyboardInterrupt(f"{cache.n_written} new spectra are kept in {_shown(cache.folder)}") from None
    finally:
        results.close()
        cache.flush()


def _measure_file(path, features):
    """Return the spectrum and header of one file, or the reason why there is none."""
    try:
        image = read_gray(path)
        return _Measured(features.spectrum(image.gray), image.header, image.remarks)
    except UnreadableImage as reason:
        return reason


def _read_header(content):
    """Return the IMAGE_HEADER and the remarks of an encoded image, without decoding its pixels."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UnreadableImage(f"{image.width}x{image.height}: more than {MOST_PIXELS:,} pixels")
            form = "JPEG" if image.format == "MPO" else image.format  # a phone's JPEG with a preview behind it
            if form not in READ_FORMATS:
                raise UnreadableImage(f"{image.format}: expected {', '.join(READ_FORMATS)}")
            if form != "JPEG" and getattr(image, "n_frames", 1) > 1:
                raise UnreadableImage(f"{form} with {image.n_frames} frames: expected a still image")
            header = np.zeros((), dtype=IMAGE_HEADER)
            header["width"], header["height"], header["format"] = image.width, image.height, form
            if form == "JPEG":
                header["jpeg_quality"] = _jpeg_quality(image.quantization)
                header["subsampling"] = ("4:4:4", "4:2:2", "4:2:0", "")[JpegImagePlugin.get_sampling(image)]
            return header[()], tuple(_header_remarks(image, content))
    except (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError) as error:
        reason = "empty file" if not content else f"damaged header ({type(error).__name__})"  # Pillow's many ways
        raise UnreadableImage(reason) from None


def _header_remarks(image, content) -> Iterator[str]:
    """Yield the keys of `_REMARKS` that an opened image calls for."""
    bits = 16 if image.mode.startswith("I;16") else 8
    if image.format == "PNG":  # Pillow opens 16-bit colour as 8-bit
        bits = content[24]
    elif image.format == "TIFF":
        bits = int(np.max(image.tag_v2.get(258, 8)))
    if bits > 16 or image.mode == "F":
        raise UnreadableImage(f"{bits} bits a channel: expected 8 or 16")
    if bits == 16:
        yield "16-bit"
    if "A" in image.getbands() or "transparency" in image.info:
        yield "alpha"
    if image.mode == "CMYK":
        yield "CMYK"
    if image.mode in ("L", "LA", "1") or image.mode.startswith("I;16"):
        yield "grey"
    may_have_exif = image.format != "PNG" or b"eXIf" in content  # Pillow would decode a whole PNG to look for it
    if may_have_exif and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        yield "turned"


# The luminance table of the JPEG standard (ITU-T T.81, table K.1), row by row; libjpeg scales it by the quality.
_STANDARD_LUMINANCE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120,
    101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


def _jpeg_quality(tables):
    """Return the libjpeg quality 1-100 whose luminance table is the nearest to a JPEG's own, 0 if it has none."""
    if 0 not in tables:
        return 0
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    standard = np.clip((_STANDARD_LUMINANCE * scales[:, None] + 50) // 100, 1, 255)
    return int(qualities[np.abs(standard - np.array(tables[0])).sum(axis=1).argmin()])


def _common_length(spectra, n_bins):
    """Return the spectra as rows of one length, the shortest of theirs unless another is asked for."""
    rows = np.empty((len(spectra), min(map(len, spectra)) if n_bins is None else n_bins))
    for row, spectrum in zip(rows, spectra):
        row[:] = resample_spectrum(spectrum, len(row))
    return rows


def _size_remarks(headers):
    """Return a warning where the images are not of one size."""
    sizes = Counter(f"{header['width']}x{header['height']}" for header in headers)
    if len(sizes) == 1:
        return []
    return [
        f"{_counted(sizes)}: sizes differ, so the spectra were resampled to one length; an image's size alone then shows "
        "in its spectrum, and a classifier that tells the classes apart may have learned their sizes"
    ]


def _counted_remarks(remarks):
    """Return one sentence for each thing that had to be changed on reading, with its count."""
    counts = Counter(key for keys in remarks for key in keys)
    return [f"{counts[key]} images {text}" for key, text in _REMARKS.items() if counts[key]]


class _SpectrumCache:
    """Spectra on disk: `<digest of data folder and features>-<time>.npz`, 1,000 images each, added to and never rewritten."""

    def __init__(self, folder, data_dir, features):
        self.folder = folder
        self._settings = json.dumps({"data_dir": str(data_dir.resolve())} | vars(features), sort_keys=True)
        self._prefix = hashlib.sha256(self._settings.encode()).hexdigest()[:8]
        self._files = sorted(folder.glob(f"{self._prefix}-*.npz"))
        self._fresh = []
        self.n_written = 0
        self._known = set()  # paths with a spectrum of an older state of the file
        has_others = not self._files and any(folder.glob("[!.]*.npz"))  # a hidden one was cut off by a kill
        self._settings_changed = "; the cache holds spectra of other settings or folders only" if has_others else ""

    @property
    def reason(self):
        """Why something had to be computed, if that is not simply because it is new."""
        changed = f"; {len(self._known)} of them because the file has changed" if self._known else ""
        return self._settings_changed + changed

    def find(self, keys):
        """Return {key: _Measured} for those of the keys that are on disk."""
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
                print(f"{_shown(file)}: damaged, its spectra are computed again")
        self._known |= outdated - {key.path for key in found}
        return found

    def add(self, key, measured):
        """Keep a spectrum; every 1,000 of them go to disk."""
        self._fresh.append((key, measured))
        if len(self._fresh) == IMAGES_PER_CACHE_FILE:
            self.flush()

    def flush(self):
        """Write what is still in memory."""
        if not self._fresh:
            return
        keys, measured = zip(*self._fresh)
        with whole_file(self.folder / f"{self._prefix}-{time.time_ns():x}.npz") as temporary:
            np.savez(
                temporary,
                settings=self._settings,
                paths=json.dumps([key.path for key in keys]),  # JSON holds every file name, also undecodable ones
                stats=np.array([(key.size, key.mtime_ns) for key in keys], dtype=np.int64),
                spectra=np.concatenate([row.spectrum for row in measured]),
                lengths=np.array([len(row.spectrum) for row in measured]),
                headers=np.array([row.header for row in measured], dtype=IMAGE_HEADER),
                remarks=np.array([",".join(row.remarks) for row in measured]),
            )
        self.n_written += len(self._fresh)
        self._fresh = []  # only now: an interrupt while writing loses nothing

    def _rows(self, file, wanted):
        """Yield (key, _Measured) of those rows of one file whose path is wanted."""
        with np.load(file, allow_pickle=False) as arrays:
            if str(arrays["settings"]) != self._settings:
                return
            paths = json.loads(str(arrays["paths"]))
            if wanted.keys().isdisjoint(paths):
                return
            rows = np.split(arrays["spectra"], np.cumsum(arrays["lengths"])[:-1])
            stats, headers, remarks = arrays["stats"].tolist(), arrays["headers"], arrays["remarks"].tolist()
            for path, stat, spectrum, header, remark in zip(paths, stats, rows, headers, remarks, strict=True):
                if path in wanted:
                    yield _FileKey(path, *stat), _Measured(spectrum.copy(), header, tuple(filter(None, remark.split(","))))


def _file_key(data_dir, path):
    """Return the key of a file, (path, size, time of change)."""
    status = (data_dir / path).stat()
    return _FileKey(path, status.st_size, status.st_mtime_ns)


def _raise(error):
    """Let the error travel that `os.walk` would swallow."""
    raise error


def _shown(path):
    """Return a path as a reader of the terminal wants it: from the current folder if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _counted(counts):
    """Return "5 of a, 3 of b, ..." with the most frequent first."""
    return _listed([f"{n} of {name}" for name, n in counts.most_common()])


def _listed(items, most=5):
    """Return items as a comma-separated text, cut after a few."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
