"""The frames of the video experiment: where they come from, whom they show, and how they can be split."""

import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from deepfake_spectra.sample.build import photograph_of
from deepfake_spectra.experiment_data import ALL_IMAGES, ExperimentData
from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError
from deepfake_spectra.published_features import load_published_features
from radial_spectrum import original_lengths
from deepfake_spectra.image_spectra import CLASS_NAMES, FAKE, REAL, Features, SpectrumDataset, load_spectra
from deepfake_spectra.splits import Split, held_out_identities, held_out_rows
from deepfake_spectra.video_crops import COMPRESSIONS, SAMPLE_FRAMES_DIR, identities, read_index

ROWS_PER_BLOCK = 20  # the authors' features name no video; about 20 neighbouring rows come from one


class Frames(NamedTuple):
    """The spectra of the frames, grouped by video, and whom they show."""

    data: ExperimentData
    identities: list[set[str]] | None = None  # per frame; None where the names of the videos do not tell
    authors_split: Split | None = None  # of the authors' two files


def load_frames(settings: SimpleNamespace, features: Features, default_sizes: tuple[int, ...]) -> Frames:
    """Return the frames that the settings ask for: the authors' features, crops of videos, or the sample's.

    Parameters
    ----------
    settings : SimpleNamespace
        `frames_dir`, `published_train`, `published_test`, `sample_sizes`, `n_bins`, `convention`, `crop`, `n_threads` and
        `max_unreadable` are read. A `frames_dir` of None means `data/deepfake_detection` if that is there, else the
        sample, whose clips are extracted first.
    features : Features
    default_sizes : tuple of int
        The script's own sample sizes; the sample brings others where the user named none.

    Raises
    ------
    UsageError
        A folder or file that was named is not there, or is of another experiment.
    ExperimentError
        What is there cannot be read, or holds one class only.
    """
    if settings.published_test:
        return _published_frames(settings)
    if settings.published_train:
        raise UsageError("--published-train needs --published-test: the authors' two files belong together")
    frames_dir = settings.frames_dir or REPOSITORY / "data/deepfake_detection"
    is_sample = settings.frames_dir is None and not frames_dir.is_dir()
    if is_sample:
        if (REPOSITORY / "data/faceforensics").is_dir():
            raise ExperimentError(
                "data/faceforensics is there, its face crops are not: run `python extract_video_frames.py`"
            )
        print("data/deepfake_detection is not there: running on the built-in sample, clips of 11 photographs and "
              "re-syntheses of them; its numbers show how the method works and are no reproduction of the paper")  # fmt: skip
        extract = [sys.executable, REPOSITORY / "extract_video_frames.py", "--frames-dir", SAMPLE_FRAMES_DIR]
        if subprocess.run(extract).returncode:
            raise ExperimentError("the sample's frames could not be extracted; see above")
        frames_dir = SAMPLE_FRAMES_DIR
    elif not frames_dir.is_dir():
        raise UsageError(f"{frames_dir}: no such folder; set FRAMES_DIR or --frames-dir")
    index = {row.path: row for row in read_index(frames_dir)}
    folders = sorted({(CLASS_NAMES.index(row.label), f"{row.label}/{row.source}") for row in index.values()})
    if len({label for label, _ in folders}) < 2:
        found = ", ".join(folder for _, folder in folders) or "no crop at all"
        raise ExperimentError(f"{frames_dir}: need real and fake crops, found {found}; extract videos of both")
    dataset = load_spectra(
        frames_dir,
        {folder: label for label, folder in folders},
        ALL_IMAGES,
        features,
        REPOSITORY / "data/spectra" / ("built_in_sample_" * is_sample + "deepfake_detection"),
        n_bins=settings.n_bins,
        normalise=True,
        group_of=lambda path: path.parent.as_posix(),
        n_threads=settings.n_threads,
        max_unreadable=settings.max_unreadable,
    )
    dataset = _as_indexed(dataset, index)
    if is_sample:
        people = [{photograph_of(group)} for group in dataset.groups]
        own_sizes = (len(dataset), 200, 20)
        sizes = own_sizes if settings.sample_sizes == default_sizes else settings.sample_sizes
        return Frames(ExperimentData(dataset, "built_in_sample", sizes), people)
    people = [{name for name in (index[path].target, index[path].source_id) if name} for path in dataset.paths]
    data = ExperimentData(dataset, "images", settings.sample_sizes)
    if all(people):
        return Frames(data, people)
    dataset.remarks.append("by identity left out: the names of the videos do not tell whom they show")
    return Frames(data)


def protocol_masks(
    frames: Frames, settings: SimpleNamespace
) -> tuple[dict[str, list[tuple[np.ndarray, np.ndarray]]], list[str]]:
    """Return which frames the splits of each protocol may train and test on, and a sentence on each that cannot be had.

    Parameters
    ----------
    frames : Frames
    settings : SimpleNamespace
        `test_share`, `n_splits` and `seed` are read.

    Returns
    -------
    masks : {protocol: [(may train, may test) of each split]}
        Two (n_frames,) bool each; protocols from the loosest to the strictest. Frames that are neither are left out:
        fakes of two people, one of whom is tested on.
    sentences : list of str
        Why a protocol is left out.
    """
    dataset = frames.data.dataset
    names = class_names(dataset)

    def by_groups(groups, seed):
        in_test = held_out_rows(names, groups, settings.test_share, seed)
        return ~in_test, in_test

    sides = {
        "published": partial(by_groups, np.arange(len(dataset))),
        "by_video": partial(by_groups, dataset.groups),
    }
    if frames.identities:
        sides["by_photograph" if frames.data.is_sample else "by_identity"] = partial(
            held_out_identities, dataset.labels, frames.identities, settings.test_share
        )
    masks, sentences = {}, []
    for protocol, sides_of in sides.items():
        try:
            masks[protocol] = [sides_of(seed) for seed in range(settings.seed, settings.seed + settings.n_splits)]
        except ValueError as reason:  # too few videos, or people, to have some on either side
            sentences.append(f"{protocol.replace('_', ' ')} left out: {reason}")
    return masks, sentences


def class_names(dataset: SpectrumDataset) -> np.ndarray:
    """Return "real" or "fake" for each frame: the classes, not the sources, stand in equal numbers."""
    return np.array(CLASS_NAMES)[dataset.labels]


def first_identity(video: str, is_sample: bool) -> str:
    """Return whose video it was before it was faked, which is the group for detect_fakes.py; the video if unknown."""
    return photograph_of(video) if is_sample else identities(Path(video).name)[0] or video


def manipulation(source: str) -> str:
    """Return "Deepfakes" for "fake/Deepfakes_c23", the whole name where it tells no compression."""
    return source.partition("/")[2].removesuffix(f"_{compression(source)}")


def is_of_the_paper(source: str) -> bool:
    """Tell whether a source belongs to DeepFakeDetection, the part of FaceForensics++ that the paper used."""
    return source.startswith(("real/actors_", "fake/DeepFakeDetection_"))


def compression(source: str) -> str:
    """Return "c23" for "fake/Deepfakes_c23", "" where the name tells none."""
    last = source.rpartition("_")[2]
    return last if last in COMPRESSIONS else ""


def reals_beside(fake_source: str, dataset: SpectrumDataset) -> list[str]:
    """Return the real sources of the same compression, or all of them where the names do not tell."""
    reals = dataset.sources_of(REAL)
    return [name for name in reals if compression(name) == compression(fake_source)] or reals


def _as_indexed(dataset, index):
    """Return the frames that the index names, with a word on those that it does not, or that are not there."""
    dataset.skipped.extend(
        (path, "not there, though the index names it")
        for path in sorted(index.keys() - set(dataset.paths) - {path for path, _ in dataset.skipped})
    )
    rows = [row for row, path in enumerate(dataset.paths) if path in index]
    if len(rows) < len(dataset):
        dataset.remarks.append(f"{len(dataset) - len(rows)} images left out: the index of the crops does not name them")
    return dataset.of_rows(rows)


def _published_frames(settings):
    """Return the authors' features; blocks of neighbouring rows stand for the videos that they do not name."""
    if settings.frames_dir:
        raise UsageError("found both FRAMES_DIR and PUBLISHED_TEST: name one of them")
    if (settings.convention, settings.crop) != ("published", "centre_third"):
        raise UsageError(
            "PUBLISHED_TEST is of the published convention and crop: leave CONVENTION and CROP as they are"
        )
    if settings.published_train == settings.published_test:
        raise UsageError("PUBLISHED_TRAIN and PUBLISHED_TEST are one file: name two, or PUBLISHED_TEST alone")
    files = {"train": settings.published_train, "test": settings.published_test}
    parts = {name: load_published_features(path, fake_label=0) for name, path in files.items() if path}
    for name, (spectra, _) in parts.items():
        if spectra.shape[1] != settings.n_bins:
            raise UsageError(
                f"{files[name]}: {spectra.shape[1]} values a spectrum, expected N_BINS = {settings.n_bins}; it is of "
                "another experiment"
            )
    spectra, labels = (np.concatenate(arrays) for arrays in zip(*parts.values()))
    names = np.concatenate([[name] * len(labels_of_part) for name, (_, labels_of_part) in parts.items()])
    groups = np.empty(len(labels), dtype=object)
    for name, label in product(parts, (REAL, FAKE)):
        rows = np.flatnonzero((names == name) & (labels == label))
        blocks = np.arange(len(rows)) // ROWS_PER_BLOCK
        groups[rows] = [f"{name}, {CLASS_NAMES[label]}, block {block}" for block in blocks]
    dataset = SpectrumDataset(
        spectra,
        labels,
        sources=np.array(CLASS_NAMES)[labels],
        groups=groups.astype(str),
        paths=[f"{files[name].name} row {row}" for name, part in parts.items() for row in range(len(part[1]))],
        headers=np.array(list(zip(original_lengths(spectra))), dtype=[("spectrum_length", "i4")]),
        remarks=[
            f"the authors' features name no videos: blocks of {ROWS_PER_BLOCK} neighbouring rows of a class stand for "
            "them, and a video may straddle two; by identity is left out",
            "size alone is the length that each spectrum had before it was resampled, recovered from the features",
        ],
    )
    authors_split = Split(*(np.flatnonzero(names == name) for name in files)) if len(parts) == 2 else None
    return Frames(ExperimentData(dataset, "published_features", settings.sample_sizes), None, authors_split)
