"""The frames of videos -> labelled spectra: where they come from, and whom they show."""

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from deepfake_spectra.crop_index import read_index
from deepfake_spectra.dataset import (
    BUILT_IN_SAMPLE,
    CLASS_NAMES,
    FAKE,
    IMAGES,
    PUBLISHED_FEATURES,
    REAL,
    Feature,
    ImageFolder,
    Origin,
    SpectrumDataset,
    Split,
)
from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY, display_path, printable
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.published_features import check_published, load_published_features, original_lengths
from deepfake_spectra.sample import build as sample
from deepfake_spectra.video_crops import CropOptions, extract_videos

ROWS_PER_BLOCK = 20  # the authors' features name no video; about 20 neighbouring rows come from one


def find_frames(frames_dir: Path | None) -> ImageFolder:
    """Return the face crops of the folder named, else of `data/deepfake_detection`, else of the sample's clips.

    Raises
    ------
    UsageError
        The folder named is not there.
    ExperimentError
        There is no index of crops in it, or it names only one class; or videos are there whose crops are not.
    """
    folder = frames_dir or REPOSITORY / "data/deepfake_detection"
    if folder.is_dir():
        return _crops_in(folder, REPOSITORY / "data/spectra/deepfake_detection", IMAGES)
    if frames_dir:
        raise UsageError(f"{display_path(frames_dir)}: no such folder; set FRAMES_DIR or --frames-dir")
    if (REPOSITORY / "data/faceforensics").is_dir():
        raise ExperimentError(
            "data/faceforensics is there, its face crops are not: run `python extract_video_frames.py`"
        )
    print(
        "data/deepfake_detection is not there: running on the built-in sample, clips of 11 photographs and "
        "re-syntheses of them; its numbers show how the method works and are no reproduction of the paper"
    )
    sample.build_video_sample(sample.VIDEOS_DIR)
    extract_videos(sample.VIDEOS_DIR, sample.FRAMES_DIR, CropOptions(face_detector="centre"))
    return _crops_in(sample.FRAMES_DIR, sample.sample_cache("deepfake_detection"), BUILT_IN_SAMPLE)


def count_frames(images: ImageFolder) -> dict[str, int]:
    """Return {class: number of frames that the index of a folder of crops names}."""
    return dict(Counter(row.label for row in read_index(images.path)))


def load_frames(
    images: ImageFolder,
    feature: Feature,
    n_threads: int = -1,
    max_unreadable: float = 0.01,
    scheduler: str | None = None,
) -> SpectrumDataset:
    """Return the spectra of all frames that the index of a folder of crops names, grouped by video.

    Parameters
    ----------
    images : ImageFolder
        From `find_frames`.
    feature : Feature
    n_threads, max_unreadable, scheduler
        As in `image_spectra.load_spectra`.

    Returns
    -------
    SpectrumDataset
        With `identities` (of the sample: the photograph) where the names of all videos tell them.
    """
    index = {row.path: row for row in read_index(images.path)}
    dataset = load_spectra(images, feature, n_threads=n_threads, max_unreadable=max_unreadable, scheduler=scheduler)
    dataset.skipped.extend(
        (path, "not there, though the index names it")
        for path in sorted(index.keys() - set(dataset.paths) - {path for path, _ in dataset.skipped})
    )
    rows = [row for row, path in enumerate(dataset.paths) if path in index]
    if len(rows) < len(dataset):
        dataset.remarks.append(f"{len(dataset) - len(rows)} images left out: the index of the crops does not name them")
    dataset = dataset.of_rows(rows)
    if images.origin is BUILT_IN_SAMPLE:
        return replace(dataset, identities=[frozenset([sample.photograph_of(video)]) for video in dataset.groups])
    found = (index[path] for path in dataset.paths)
    people = [frozenset(filter(None, (row.target, row.source_id))) for row in found]
    if all(people):
        return replace(dataset, identities=people)
    dataset.remarks.append("by identity left out: the names of the videos do not tell whom they show")
    return dataset


def published_frames(train: Path | None, test: Path, feature: Feature) -> tuple[SpectrumDataset, Split | None]:
    """Return the authors' features; blocks of neighbouring rows stand for the videos that they do not name.

    Parameters
    ----------
    train, test : Path
        `train_3200.pkl` or None, `test_1000.pkl`.
    feature : Feature
        What the user asks for: it must be what the files hold. Whether the spectra are normalised is read off them.

    Returns
    -------
    dataset : SpectrumDataset
        Its headers hold one number, the length that each spectrum had before it was resampled.
    authors_split : Split or None
        Training on the one file and testing on the other, if there are two.

    Raises
    ------
    UsageError
        The same file twice, another feature, or spectra of another length.
    ExperimentError
        See `published_features.load_published_features`.
    """
    if train == test:
        raise UsageError("PUBLISHED_TRAIN and PUBLISHED_TEST are one file: name two, or PUBLISHED_TEST alone")
    files = {"train": train, "test": test} if train else {"test": test}
    parts = {name: load_published_features(path, fake_label=0) for name, path in files.items()}
    for name, (spectra, _) in parts.items():
        check_published(files[name], spectra, feature, Feature(crop="centre_third"))
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
        feature=replace(feature, n_bins=spectra.shape[1], normalise=bool(np.all(spectra[:, 0] == 1))),
        headers=np.array(list(zip(original_lengths(spectra))), dtype=[("spectrum_length", "i4")]),
        origin=PUBLISHED_FEATURES,
        group_name="video",
        remarks=[
            f"the authors' features name no videos: blocks of {ROWS_PER_BLOCK} neighbouring rows of a class stand for "
            "them, and a video may straddle two; by identity is left out",
            "size alone is the length that each spectrum had before it was resampled, recovered from the features",
        ],
    )
    dataset.remarks += dataset.duplicate_remarks()
    if train is None:
        return dataset, None
    authors_split = Split(*(np.flatnonzero(names == name) for name in files))
    if n_equal := np.count_nonzero(np.isin(*(dataset.equal_images[rows] for rows in reversed(authors_split)))):
        dataset.remarks.append(f"authors' files: {n_equal} rows that are tested equal rows that are trained on")
    return dataset, authors_split


def _crops_in(frames_dir: Path, cache_dir: Path, origin: Origin) -> ImageFolder:
    """Return the crops that a folder's index names, grouped by video."""
    return ImageFolder(frames_dir, _sources_of_index(frames_dir), cache_dir, origin, _video_of, "video")


def _sources_of_index(frames_dir):
    """Return {folder: label} of the crops that an index names, if it names both classes."""
    found = sorted({(CLASS_NAMES.index(row.label), f"{row.label}/{row.source}") for row in read_index(frames_dir)})
    if len({label for label, _ in found}) < 2:
        named = ", ".join(printable(folder) for _, folder in found) or "no crop at all"
        raise ExperimentError(
            f"{display_path(frames_dir)}: need real and fake crops, found {named}; extract videos of both"
        )
    return {folder: label for label, folder in found}


def _video_of(path):
    """Return the folder of a crop, which is its video."""
    return Path(path).parent.as_posix()
