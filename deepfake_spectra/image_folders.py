"""Which images: the sources that are named, their files, the order of the draw, the sizes that can be had."""

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL, ImageFolder
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY, display_path, listed, printable
from deepfake_spectra.image_files import list_images
from deepfake_spectra.sample.build import sample_images
from deepfake_spectra.spectrum_cache import FileKey, file_key, known_files

FACES_HQ_SOURCES = {  # the paper's, as its archive names the folders
    "celebA-HQ_10K": REAL, "Flickr-Faces-HQ_10K": REAL, "100KFake_10K": FAKE, "thispersondoesntexists_10K": FAKE,
}  # fmt: skip


def label_sources(real_sources: Sequence[str], fake_sources: Sequence[str]) -> dict[str, int]:
    """Return {source: REAL or FAKE}, or raise UsageError where the names cannot make two classes."""
    for setting, sources in (("REAL_SOURCES", real_sources), ("FAKE_SOURCES", fake_sources)):
        if not sources:
            raise UsageError(f"{setting} is empty: need at least one folder of each class")
    both = sorted(set(real_sources) & set(fake_sources))
    if both:
        raise UsageError(f"{', '.join(both)}: named both as a real and as a fake source; name it once")
    unprintable = [name for name in (*real_sources, *fake_sources) if not name.isprintable()]
    if unprintable:
        raise UsageError(f"source {unprintable[0]!a}: a table cannot show that name; rename the folder")
    return dict.fromkeys(real_sources, REAL) | dict.fromkeys(fake_sources, FAKE)


def find_images(
    experiment: str, data_dir: Path | None, labels_of_sources: dict[str, int], paper_sources: dict[str, int]
) -> ImageFolder:
    """Return the images of an experiment: those of the folder named, else of `data/<experiment>`, else the sample's.

    Raises
    ------
    UsageError
        The folder named is not there; or none was named, `data/<experiment>` is not there, and the sources are not the
        paper's: whoever names sources does not want the sample.
    """
    folder = data_dir or REPOSITORY / "data" / experiment
    if folder.is_dir():
        return ImageFolder(folder, labels_of_sources, REPOSITORY / "data/spectra" / experiment)
    if data_dir:
        raise UsageError(
            f"{display_path(data_dir)}: no such folder; set DATA_DIR or --data-dir to the folder that holds the sources"
        )
    if labels_of_sources != paper_sources:
        raise UsageError(f"{display_path(folder)}: no such folder; the sources you named need DATA_DIR or --data-dir")
    print(
        f"data/{experiment} is not there: running on the built-in sample, crops of 11 photographs and "
        "re-syntheses of them; its numbers show how the method works and are no reproduction of the paper"
    )
    return sample_images(experiment)


class Listing(NamedTuple):
    """What lies in the sources of an image folder."""

    files: dict[str, list[FileKey]]  # of each source, sorted
    not_images: list[tuple[str, str]]  # (path, reason) of files that only look like images
    linked_folders: list[str]  # in which nothing is read


def list_sources(images: ImageFolder) -> Listing:
    """Return what lies in the sources of an image folder, listed once: what comes later belongs to the next run.

    Raises
    ------
    UsageError
        A source is not there, or lies in another.
    ExperimentError
        A source without images.
    """
    if images.listing is None:
        images.listing = _listing(images.path, images.labels_of_sources, known_files(images.cache_dir))
    return images.listing


def count_images(images: ImageFolder) -> dict[str, int]:
    """Return {source: number of its files that look like images}, before any of them is decoded."""
    return {source: len(files) for source, files in list_sources(images).files.items()}


def say_sizes(counts: dict[str, int], sample_sizes: Sequence[int]) -> None:
    """Print, before the work begins, what of the sample sizes cannot be had; see `sizes_that_fit`."""
    for sentence in sizes_that_fit(counts, sample_sizes)[1]:
        print(sentence)


def sizes_that_fit(counts: dict[str, int], sample_sizes: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return the sample sizes that the data can give, in equal numbers per source, and a sentence for each change.

    A size that is larger than what is there becomes all that is there.

    Parameters
    ----------
    counts : {source: number of images}
    sample_sizes : sequence of int

    Raises
    ------
    ExperimentError
        Not even two images of each source.
    """
    scarcest = min(counts, key=counts.get)
    has = f"{printable(scarcest)} has {counts[scarcest]} images"
    least = 2 * len(counts)
    sizes, sentences = [], []
    for asked in sample_sizes:
        size = min(asked // len(counts), counts[scarcest]) * len(counts)
        if size < least:
            found = has if asked >= least else f"{len(counts)} sources"
            sentences.append(f"sample size {asked} left out: {found}, need 2 images of each source, {least} in total")
            continue
        sizes.append(size)
        if size < asked - asked % len(counts):
            sentences.append(
                f"sample size {asked} became {size}: {has}, and {len(counts)} sources are drawn in equal numbers"
            )
        elif size < asked:
            sentences.append(f"sample size {asked} became {size}: equal numbers of {len(counts)} sources")
    if not sizes:
        raise ExperimentError("; ".join(sentences))
    return list(dict.fromkeys(sizes)), sentences


def draw_files(images: ImageFolder, seed: int) -> dict[str, list[FileKey]]:
    """Return {source: its files that look like images, in the order of the draw}; raises as `list_sources` does."""
    return {
        source: [files[index] for index in np.random.default_rng(seed).permutation(len(files))]
        for source, files in list_sources(images).files.items()
    }


def _listing(data_dir, sources, known):
    """Return the Listing of some sources; files that are `known` are not opened."""
    files, not_images, linked_folders = {}, [], []
    beginning = f"{data_dir.as_posix().rstrip('/')}/"  # pathlib's `relative_to` takes as long as all else

    def is_known(path):
        keys[path] = file_key(data_dir, path.as_posix().removeprefix(beginning))
        return keys[path] in known

    for source in sources:
        folder = data_dir / source
        if Path(source).is_absolute() or not folder.is_dir():
            folders = sorted(folder.name for folder in data_dir.glob("[!.]*") if folder.is_dir())
            raise UsageError(
                f"{display_path(data_dir)}: no source {source!r} there; found {listed(folders) or 'no folder at all'}"
            )
        keys = {}
        found, skipped = list_images(folder, is_known)
        not_images += [(path.relative_to(data_dir).as_posix(), reason) for path, reason in skipped]
        if not found:
            raise ExperimentError(f"{display_path(folder)}: found no image, need at least one")
        files[source] = [keys[path] for path in found]
        linked_folders += _linked_folders(data_dir, folder)
    folders = [(data_dir / source).resolve() for source in files]
    if any(inner.is_relative_to(outer) for inner, outer in permutations(folders, 2)):
        raise UsageError(
            f"{display_path(data_dir)}: some of {listed(list(files))} lie in each other; name folders that share no "
            "image"
        )
    return Listing(files, not_images, linked_folders)


def _linked_folders(data_dir, folder):
    """Return the links to folders in a folder, as seen from the data folder, sorted."""
    found = (Path(parent, name) for parent, names, _ in os.walk(folder) for name in names)
    return sorted(os.path.relpath(path, data_dir) for path in found if path.is_symlink())
