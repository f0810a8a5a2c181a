"""Folders of images -> labelled spectra: list, read, compute on every core, keep on disk, go on where a run stopped.

    DIR/<source>/**     images of one source (a camera, a data set, a generator), searched recursively

A file is an image if its first bytes say so; its ending does not matter. Of every source the same number is drawn,
from the sorted listing, with a seed. What a header tells (size, format, JPEG quality, chroma subsampling) is kept
beside each spectrum: it is what a classifier could cheat with.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_spectra.alterations import alter, parse_steps
from deepfake_spectra.dataset import FAKE, IMAGE_HEADER, REAL, Feature, ImageFolder, SpectrumDataset
from deepfake_spectra.errors import ExperimentError, UnreadableImage
from deepfake_spectra.files import display_path, listed, printable
from deepfake_spectra.image_files import REMARKS, read_gray
from deepfake_spectra.image_folders import draw_files
from deepfake_spectra.measurement import measure_features, measure_file
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import SpectrumCache, file_key
from radial_spectrum import log_power_plane, normalise_by_first, resample_spectrum

FILES_AT_ONCE = 100  # whose spectra, in several states, are written together: a kill costs no more


def load_spectra(
    images: ImageFolder,
    feature: Feature,
    n_samples: int | None = None,
    *,
    seed: int = 0,
    n_threads: int = -1,
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
        A source without images, or too many unreadable files.
    KeyboardInterrupt
        With a word on what is kept; finished spectra are written before it leaves.
    """
    if feature.alteration:
        parse_steps(feature.alteration)  # a wrong one is the user's mistake, not that of every image
    labels = images.labels_of_sources
    draws, not_images = draw_files(images.path, labels, seed)
    _refuse_too_many(not_images, sum(map(len, draws.values())) + len(not_images), max_unreadable)
    takes_all = n_samples is None or images.group_of is not None
    n_of_source = {name: len(draw) if takes_all else max(2, n_samples // len(draws)) for name, draw in draws.items()}
    cache = SpectrumCache(images.cache_dir, feature)
    measured, unreadable = _measure_draws(images.path, draws, n_of_source, feature, cache, n_threads)
    _refuse_too_many(unreadable, len(measured) + len(unreadable), max_unreadable)
    rows = [(source, path) for source, draw in draws.items() for path in draw if path in measured]
    if not rows:
        raise ExperimentError(f"{display_path(images.path)}: no readable image in {listed(list(draws))}")
    spectra = _common_length([measured[path].spectrum for _, path in rows], feature.n_bins)
    headers = np.array([measured[path].header for _, path in rows], dtype=IMAGE_HEADER)
    remarks = Counter(key for _, path in rows for key in measured[path].remarks)
    dataset = SpectrumDataset(
        spectra=normalise_by_first(spectra) if feature.normalise else spectra,
        labels=np.array([labels[source] for source, _ in rows]),
        sources=np.array([source for source, _ in rows]),
        groups=np.array([images.group_of(path) if images.group_of else path for _, path in rows]),
        paths=[path for _, path in rows],
        feature=replace(feature, n_bins=spectra.shape[1]),
        headers=headers,
        digests=[measured[path].sha256 for _, path in rows],
        origin=images.origin,
        group_name=images.group_name,
        skipped=not_images + unreadable,
    )
    dataset.remarks += dataset.duplicate_remarks() + _size_remarks(headers) + _link_remarks(images.path, draws)
    dataset.remarks += [f"{remarks[key]} images: {REMARKS[key]}" for key in REMARKS if remarks[key]]
    return dataset


def load_altered(
    images: ImageFolder, dataset: SpectrumDataset, alterations: Sequence[str], n_threads: int = -1
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
    n_threads : int

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
    own = dataset.feature
    features = [replace(own, alteration=" + ".join(filter(None, (own.alteration, steps)))) for steps in alterations]
    for feature in features:
        parse_steps(feature.alteration)
    keys = [file_key(images.path, path) for path in dataset.paths]
    _measure_ahead(images, keys, features, n_threads)
    for feature in features:
        found = SpectrumCache(images.cache_dir, feature).find(keys)
        spectra = np.full(dataset.spectra.shape, np.nan)
        for row, key in enumerate(keys):
            if key in found:
                spectrum = resample_spectrum(found[key].spectrum, spectra.shape[1])
                spectra[row] = normalise_by_first(spectrum) if own.normalise else spectrum
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


def _refuse_too_many(unreadable, n_files, max_unreadable):
    """End the run where more of the files are unreadable than the user allows."""
    if len(unreadable) > max_unreadable * n_files:
        raise ExperimentError(
            f"{len(unreadable)} of {n_files} files are unreadable, more than MAX_UNREADABLE = {max_unreadable:g} "
            f"allows: {listed([f'{path} ({reason})' for path, reason in unreadable])}; remove them or "
            "raise --max-unreadable"
        )


def _measure_draws(data_dir, draws, n_of_source, feature, cache, n_threads):
    """Return {path: Measured} for the first readable images of each draw, and what was unreadable on the way."""
    measured, unreadable = {}, []
    waiting = {source: iter(draw) for source, draw in draws.items()}
    wanted = {source: min(n_of_source[source], len(draw)) for source, draw in draws.items()}
    n_cached = n_computed = 0
    with tqdm(total=sum(wanted.values()), unit="image", desc=_title(feature), disable=None, smoothing=0.05) as progress:
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
            for key, result in _measured_files(data_dir, missing, feature, cache, n_threads):
                progress.update()
                n_computed += 1
                if isinstance(result, UnreadableImage):
                    unreadable.append((key.path, str(result)))
                else:
                    measured[key.path] = result
            lost = {path for path in batch if path not in measured}
            wanted = {source: len(lost.intersection(draw)) for source, draw in draws.items()}
    print(f"{_title(feature)}: {n_cached} from {display_path(cache.folder)}, {n_computed} computed{cache.reason}")
    return measured, unreadable


def _title(feature):
    """Return which of a run's spectra these are, in a few words: in what they differ from those of images as is."""
    usual = Feature().measured
    return ", ".join(["spectra", *(value for name, value in feature.measured.items() if value != usual[name])])


def _measured_files(data_dir, keys, feature, cache, n_threads) -> Iterator[tuple]:
    """Yield (key, Measured or UnreadableImage) in order; what is finished goes to the cache, also when interrupted."""
    results = in_threads(lambda key: _measured_or_reason(data_dir / key.path, feature), keys, n_threads)
    try:
        for result, key in zip(results, keys, strict=True):
            if not isinstance(result, UnreadableImage):
                cache.add(key, result)
            yield key, result
    except KeyboardInterrupt:
        cache.flush()
        raise KeyboardInterrupt(f"{cache.n_written} new spectra are kept in {display_path(cache.folder)}") from None
    finally:
        results.close()
        cache.flush()


def _measure_ahead(images, keys, features, n_threads):
    """Write into the cache what it lacks of several features, decoding each file once for all of them."""
    caches = {feature: SpectrumCache(images.cache_dir, feature) for feature in features}
    lacking = {key: [] for key in keys}
    for feature, cache in caches.items():
        cached = cache.find(keys)
        for key in keys:
            if key not in cached:
                lacking[key].append(feature)
    lacking = {key: wanted for key, wanted in lacking.items() if wanted}

    def flush():
        for cache in caches.values():
            cache.flush()

    results = in_threads(lambda key: measure_features(images.path / key.path, lacking[key]), lacking, n_threads)
    progress = tqdm(results, "altered images", len(lacking), unit="image", disable=None, smoothing=0.05)
    try:
        for number, (found, (key, wanted)) in enumerate(zip(progress, lacking.items(), strict=True), 1):
            for feature, result in zip(wanted, found, strict=True):
                if not isinstance(result, UnreadableImage):
                    caches[feature].add(key, result)
            if number % FILES_AT_ONCE == 0:
                flush()
    except KeyboardInterrupt:
        flush()
        n_kept = sum(cache.n_written for cache in caches.values())
        raise KeyboardInterrupt(f"{n_kept} new spectra are kept in {display_path(images.cache_dir)}") from None
    finally:
        results.close()
        flush()
    n_computed = sum(map(len, lacking.values()))
    print(
        f"spectra of {len(caches)} alterations: {len(keys) * len(caches) - n_computed} from "
        f"{display_path(images.cache_dir)}, {n_computed} computed from {len(lacking)} files"
    )


def _measured_or_reason(path, feature):
    """Return what is measured of one file, or the reason why there is nothing."""
    try:
        return measure_file(path, feature)
    except UnreadableImage as reason:
        return reason


def _common_length(spectra, n_bins):
    """Return the spectra as rows of one length, the shortest of theirs unless another is asked for."""
    rows = np.empty((len(spectra), min(map(len, spectra)) if n_bins is None else n_bins))
    for row, spectrum in zip(rows, spectra):
        row[:] = resample_spectrum(spectrum, len(row))
    return rows


def _link_remarks(data_dir, sources):
    """Return a sentence where folders are links: nothing behind them has been read."""
    links = [
        os.path.relpath(path, data_dir)
        for source in sources
        for path in sorted((data_dir / source).rglob("*/"))
        if path.is_symlink()
    ]
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
