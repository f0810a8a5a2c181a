"""Folders of images -> labelled spectra: list, read, compute on every core, keep on disk, go on where a run stopped.

    DIR/<source>/**     images of one source (a camera, a data set, a generator), searched recursively

A file is an image if its first bytes say so; its ending does not matter. Of every source the same number is drawn,
from the sorted listing, with a seed. What a header tells (size, format, JPEG quality, chroma subsampling) is kept
beside each spectrum: it is what a classifier could cheat with.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_spectra.alterations import alter, parse_steps
from deepfake_spectra.dataset import FAKE, REAL, Feature, ImageFolder, SpectrumDataset
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import display_path, listed, printable
from deepfake_spectra.image_files import REMARKS, read_gray
from deepfake_spectra.image_folders import draw_files, list_sources
from deepfake_spectra.missing_spectra import falls_to, measure_missing
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import SpectrumCache
from radial_spectrum import log_power_plane


def load_spectra(
    images: ImageFolder,
    feature: Feature,
    n_samples: int | None = None,
    *,
    seed: int = 0,
    n_threads: int = -1,
    scheduler: str | None = None,
    max_unreadable: float = 0.01,
) -> SpectrumDataset:
    """Return the spectra of a seeded draw of images from each source, computing only what the cache does not hold.

    Parameters
    ----------
    images : ImageFolder
    feature : Feature
        Spectra of other features in the cache are left there.
    n_samples : int, optional
        Images to draw in total, equal numbers from each source and at least two; where a source has fewer, all of
        them; default all. Where images belong to groups, all are taken: a draw would tear the groups apart. An
        unreadable image is replaced by the next of the draw.
    seed : int
        Of the draw. The same files are drawn for every feature.
    n_threads : int
        Threads, each working on one file; -1: one per core.
    scheduler : str, optional
        Of dask, as "tcp://host:8786": its workers measure, and write into `images.cache_dir`.
    max_unreadable : float
        Share of unreadable files above which the run ends.

    Returns
    -------
    SpectrumDataset
        Sources in the order of the folder's labels, images in the order of the draw: the first k rows of a source are
        the draw of k images.

    Raises
    ------
    UsageError
        The folder or one of the sources is not there, or the feature asks for an unknown alteration.
    ExperimentError
        A source without images, or too many unreadable files; or a scheduler that cannot be used.
    KeyboardInterrupt
        With a word on what is kept; finished spectra are written before it leaves.
    """
    if feature.alteration:
        parse_steps(feature.alteration)  # a wrong one is the user's mistake, not that of every image
    draws, not_images = draw_files(images, seed), list_sources(images).not_images
    refuse_too_many(not_images, sum(map(len, draws.values())) + len(not_images), max_unreadable)
    cache = SpectrumCache(images.cache_dir, feature)
    n_of_source = _numbers_drawn(images, draws, n_samples)
    drawn, unreadable = _measure_draws(images.path, draws, n_of_source, cache, n_threads, scheduler)
    keys = [key for of_source in drawn.values() for key in of_source]
    refuse_too_many(unreadable, len(keys) + len(unreadable), max_unreadable)
    if not keys:
        raise ExperimentError(f"{display_path(images.path)}: no readable image in {listed(list(draws))}")
    paths = [key.path for key in keys]
    lengths = cache.lengths(keys)
    if not lengths.all():
        lost = listed([key.path for key, length in zip(keys, lengths) if not length])
        raise ExperimentError(f"{lost}: measured, and gone from {display_path(cache.folder)} since; run again")
    rows = cache.read(keys, feature.n_bins or int(lengths.min()))
    sources = [source for source, of_source in drawn.items() for _ in of_source]
    remarks = Counter(key for text in rows.remarks for key in filter(None, text.split(",")))
    dataset = SpectrumDataset(
        spectra=rows.spectra,
        labels=np.array([images.labels_of_sources[source] for source in sources]),
        sources=np.array(sources),
        groups=np.array(paths if images.group_of is None else list(map(images.group_of, paths))),
        paths=paths,
        feature=replace(feature, n_bins=rows.spectra.shape[1]),
        headers=rows.headers,
        digests=rows.digests,
        origin=images.origin,
        group_name=images.group_name,
        skipped=not_images + unreadable,
    )
    dataset.remarks += dataset.duplicate_remarks() + _size_remarks(rows.headers) + _link_remarks(images)
    dataset.remarks += [f"{remarks[key]} images: {REMARKS[key]}" for key in REMARKS if remarks[key]]
    return dataset


def measure_part(
    part: str,
    images: ImageFolder,
    feature: Feature,
    n_samples: int | None = None,
    others: Sequence[Feature] = (),
    n_others: int | None = None,
    *,
    seed: int = 0,
    n_threads: int = -1,
) -> None:
    """Measure what falls to one part of the images that an experiment draws, say how many these are, load nothing.

    When each part has been measured, by however many processes on however many machines that share `images.cache_dir`,
    `load_spectra` finds all of it there.

    Parameters
    ----------
    part : str
        As "3/16"; see `missing_spectra.falls_to`.
    images, feature, n_samples, seed, n_threads
        As in `load_spectra`.
    others : sequence of Feature
        Of the images in other states; a file is decoded once for all of them.
    n_others : int, optional
        Images to draw for these, in total and in equal numbers from each source; default all there are.

    Raises
    ------
    UsageError, ExperimentError, KeyboardInterrupt
        As in `load_spectra`; but unreadable files, however many, are only named.
    """
    draws = draw_files(images, seed)
    most = len(draws) * min(map(len, draws.values()))
    said, n_wanted, n_computed, unreadable = [], 0, 0, {}
    for features, n in ([feature], n_samples), (dict.fromkeys(others), n_others and min(n_others, most)):
        if not features:
            continue
        n_of_source = _numbers_drawn(images, draws, n)
        drawn = [key for source, draw in draws.items() for key in draw[: n_of_source[source]]]
        keys = [key for key in drawn if falls_to(part, key.path)]
        caches = [SpectrumCache(images.cache_dir, feature) for feature in features]
        outcome = measure_missing(images.path, keys, caches, f"part {part}", n_threads)
        said.append(f"{len(keys)} of {len(drawn)} images, spectra of each: {len(caches)}")
        n_wanted += len(keys) * len(caches)
        n_computed += outcome.n_computed
        unreadable = outcome.unreadable | unreadable  # of a file the first reason
    print(
        f"part {part} is done: {'; '.join(said)}; {n_wanted - n_computed} from {display_path(images.cache_dir)}, "
        f"{n_computed} computed"
    )
    if unreadable:
        print(f"without a spectrum: {listed([f'{path} ({reason})' for path, reason in unreadable.items()])}")


def load_altered(
    images: ImageFolder,
    dataset: SpectrumDataset,
    alterations: Sequence[str],
    n_threads: int = -1,
    scheduler: str | None = None,
) -> Iterator[np.ndarray]:
    """Yield the spectra of the images of a data set in several states, decoding each file once for all of them.

    What the cache does not hold is measured first; then one state at a time is in memory.

    Parameters
    ----------
    images : ImageFolder
        That the data set was loaded from.
    dataset : SpectrumDataset
    alterations : sequence of str
        What is done to the images, after what the data set's own feature does; see `alterations.alter`.
    n_threads, scheduler
        As in `load_spectra`.

    Yields
    ------
    ndarray of float64, (n_images, n_bins)
        In the order of the data set; NaN in the rows of images of which nothing is left, being blank or too small.

    Raises
    ------
    UsageError
        An unknown alteration.
    ExperimentError
        Less than half of the images of a source are left.
    KeyboardInterrupt
        With a word on what is kept.
    """
    features = [dataset.feature.altered(steps) for steps in alterations]
    for feature in features:
        parse_steps(feature.alteration)
    key_of = {key.path: key for files in list_sources(images).files.values() for key in files}
    keys = [key_of[path] for path in dataset.paths]
    caches = {feature: SpectrumCache(images.cache_dir, feature) for feature in features}
    outcome = measure_missing(images.path, keys, list(caches.values()), "altered images", n_threads, scheduler)
    print(
        f"spectra of {len(caches)} alterations: {len(keys) * len(caches) - outcome.n_computed} from "
        f"{display_path(images.cache_dir)}, {outcome.n_computed} computed from {outcome.n_files} files"
    )
    for feature in features:
        spectra = caches[feature].read(keys, dataset.spectra.shape[1]).spectra
        for source, n_images in dataset.counts().items():
            n_left = np.isfinite(spectra[dataset.sources == source, 0]).sum()
            if 2 * n_left < n_images:
                raise ExperimentError(
                    f"{printable(source)}: {feature.alteration} leaves {n_left} of {n_images} images; "
                    "leave that alteration out"
                )
        yield spectra


def mean_log_power_plane(folder: Path, paths: Sequence[str], alteration: str = "", n_threads: int = -1) -> np.ndarray:
    """Return the mean of `radial_spectrum.log_power_plane` over images of one size, altered first, (height, width)."""

    def plane_of(path):
        return log_power_plane(alter(read_gray(folder / path).gray, alteration))

    with closing(in_threads(plane_of, paths, n_threads)) as planes:
        return sum(tqdm(planes, "2-D spectra", len(paths), unit="image", leave=False, disable=None)) / len(paths)


def mean_planes(folder: Path, dataset: SpectrumDataset, n_images: int, n_threads: int = -1) -> list[np.ndarray]:
    """Return the mean 2-D log spectra [real, fake] over some images of each class, evenly over its rows."""
    planes = []
    for label in (REAL, FAKE):
        rows = np.flatnonzero(dataset.labels == label)
        chosen = rows[np.linspace(0, len(rows) - 1, min(n_images, len(rows))).astype(int)]
        paths = [dataset.paths[row] for row in chosen]
        planes.append(mean_log_power_plane(folder, paths, dataset.feature.alteration, n_threads))
    return planes


def refuse_too_many(unreadable: Sequence[tuple[str, str]], n_files: int, max_unreadable: float) -> None:
    """End the run where more of the files are unreadable, (path, reason), than the user allows (ExperimentError)."""
    if len(unreadable) > max_unreadable * n_files:
        raise ExperimentError(
            f"{len(unreadable)} of {n_files} files are unreadable, more than MAX_UNREADABLE = {max_unreadable:g} "
            f"allows: {listed([f'{path} ({reason})' for path, reason in unreadable])}; remove them or "
            "raise --max-unreadable"
        )


def _numbers_drawn(images, draws, n_samples):
    """Return {source: number of images to take of its draw}."""
    takes_all = n_samples is None or images.group_of is not None
    return {name: len(draw) if takes_all else max(2, n_samples // len(draws)) for name, draw in draws.items()}


def _measure_draws(data_dir, draws, n_of_source, cache, n_threads, scheduler):
    """Return {source: keys of the first readable images of its draw} and what was unreadable on the way."""
    unreadable, n_computed = {}, 0
    while True:  # more than once only where a file was unreadable
        drawn = {
            source: list(islice((key for key in draw if key.path not in unreadable), n_of_source[source]))
            for source, draw in draws.items()
        }
        keys = [key for of_source in drawn.values() for key in of_source]
        outcome = measure_missing(data_dir, keys, [cache], _title(cache.feature), n_threads, scheduler)
        n_computed += outcome.n_computed
        unreadable |= outcome.unreadable
        if not outcome.unreadable:
            break
    n_cached = len(keys) + len(unreadable) - n_computed
    print(f"{_title(cache.feature)}: {n_cached} from {display_path(cache.folder)}, {n_computed} computed{cache.reason}")
    return drawn, list(unreadable.items())


def _title(feature):
    """Return which of a run's spectra these are, in a few words: in what they differ from those of images as is."""
    usual = Feature().measured
    return ", ".join(["spectra", *(value for name, value in feature.measured.items() if value != usual[name])])


def _link_remarks(images):
    """Return a sentence where folders are links: nothing behind them has been read."""
    links = list_sources(images).linked_folders
    return [f"links to folders are not followed, their images are not among these: {listed(links)}"] if links else []


def _size_remarks(headers):
    """Return a warning where the images are not of one size."""
    sizes = Counter(f"{header['width']}x{header['height']}" for header in headers)
    if len(sizes) == 1:
        return []
    return [
        f"{listed([f'{n} of {size}' for size, n in sizes.most_common()])}: sizes differ, so the spectra were "
        "resampled to one length; an image's size alone then shows in its spectrum, and a classifier that tells the "
        "classes apart may have learned their sizes"
    ]
