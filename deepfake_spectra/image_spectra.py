"""Folders of images -> labelled spectra: list, read, compute on every core, keep on disk, go on where a run stopped.

    DIR/<source>/**     images of one source (a camera, a data set, a generator), searched recursively

A file is an image if its first bytes say so; its ending does not matter. Of every source the same number is drawn,
from the sorted listing, with a seed. What a header tells (size, format, JPEG quality, chroma subsampling) is kept beside
each spectrum: it is what a classifier could cheat with.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from deepfake_spectra.settings import ExperimentError, UsageError
from deepfake_spectra.file_names import shown
from deepfake_spectra.alterations import alter, parse_steps
from deepfake_spectra.image_files import IMAGE_HEADER, UnreadableImage, list_images, read_gray
from radial_spectrum import (
    SMALLEST_SIDE,
    Convention,
    centre_third,
    normalise_by_first,
    radial_spectrum,
    resample_spectrum,
)
from deepfake_spectra.spectrum_cache import Measured, SpectrumCache, file_key
from deepfake_spectra.parallel import in_threads

REAL, FAKE = 0, 1
CLASS_NAMES = ("real", "fake")

Crop = Literal["none", "centre_third"]

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
            raise UnreadableImage(
                f"blank: every pixel is {part[0, 0]}{'' if part is gray else ' once altered or cropped'}"
            )
        return radial_spectrum(part, self.convention, np.dtype(self.precision).type)


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
    cache = SpectrumCache(cache_dir, data_dir, features)
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
        raise UsageError(
            f"{data_dir}: some of {_listed(list(draws))} lie in each other; name folders that share no image"
        )
    return draws, pretenders


def _refuse_too_many(unreadable, n_files, max_unreadable):
    """End the run where more of the files are unreadable than the user allows."""
    if len(unreadable) > max_unreadable * n_files:
        raise ExperimentError(
            f"{len(unreadable)} of {n_files} files are unreadable, more than MAX_UNREADABLE = {max_unreadable:g} allows: "
            f"{_listed([f'{path} ({reason})' for path, reason in unreadable])}; remove them or raise --max-unreadable"
        )


def _measure_draws(data_dir, draws, n_per_source, features, cache, n_threads):
    """Return {path: Measured} for the first readable `n_per_source` of each draw, and what was unreadable on the way."""
    measured, unreadable = {}, []
    waiting = {source: iter(draw) for source, draw in draws.items()}
    wanted = {source: min(n_per_source, len(draw)) for source, draw in draws.items()}
    n_cached = n_computed = 0
    with tqdm(total=sum(wanted.values()), unit="image", desc="spectra", disable=None, smoothing=0.05) as progress:
        while True:  # more than once only where a file was unreadable
            batch = [path for source, n in wanted.items() for path in islice(waiting[source], n)]
            if not batch:
                break
            keys = {path: file_key(data_dir, path) for path in batch}
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
    print(f"spectra: {n_cached} from {shown(cache.folder)}, {n_computed} computed{cache.reason}")
    return measured, unreadable


def _measured_files(data_dir, keys, features, cache, n_threads) -> Iterator[tuple]:
    """Yield (key, Measured or UnreadableImage) in order; what is finished goes to the cache, also when interrupted."""
    results = in_threads(lambda key: _measure_file(data_dir / key.path, features), keys, n_threads)
    try:
        for result, key in zip(results, keys, strict=True):
            if not isinstance(result, UnreadableImage):
                cache.add(key, result)
            yield key, result
    except KeyboardInterrupt:
        cache.flush()
        raise KeyboardInterrupt(f"{cache.n_written} new spectra are kept in {shown(cache.folder)}") from None
    finally:
        results.close()
        cache.flush()


def _measure_file(path, features):
    """Return the spectrum and header of one file, or the reason why there is none."""
    try:
        image = read_gray(path)
        return Measured(features.spectrum(image.gray), image.header, image.remarks)
    except UnreadableImage as reason:
        return reason


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


def _counted(counts):
    """Return "5 of a, 3 of b, ..." with the most frequent first."""
    return _listed([f"{n} of {name}" for name, n in counts.most_common()])


def _listed(items, most=5):
    """Return items as a comma-separated text, cut after a few."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
