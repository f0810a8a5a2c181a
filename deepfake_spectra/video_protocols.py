"""How frames can be split: at random, by video, by people; each with what may be trained and tested on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from deepfake_spectra.dataset import (
    BUILT_IN_SAMPLE,
    CLASS_NAMES,
    FAKE,
    PUBLISHED_FEATURES,
    REAL,
    SpectrumDataset,
    Split,
)
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.sample import build as sample
from deepfake_spectra.splits import equal_split, held_out_identities, held_out_rows, leave_one_part_out, linked_people
from deepfake_spectra.video_files import COMPRESSIONS, identities

Sides = list[tuple[np.ndarray, np.ndarray]]  # per split, which frames it may train on and test on, (n_frames,) bool
ROWS_APART = 21  # between rows tested and rows trained on: as many as the longest of their videos seem to have
PEOPLE_PROTOCOLS = ("by_identity", "by_photograph")  # the second is the sample's


def protocol_sides(
    dataset: SpectrumDataset, test_share: float, n_splits: int, seed: int
) -> tuple[dict[str, Sides], list[str]]:
    """Return which frames the splits of each protocol may train and test on, and a sentence on each that cannot be had.

    Returns
    -------
    sides : {protocol: Sides}
        Protocols from the loosest to the strictest: "random", "by_video", and "by_identity" or, of the sample,
        "by_photograph". Frames that are neither are left out: fakes of two people, one of whom is tested on.
        Of the authors' features, whose blocks only stand for videos: "by_video_apart", without the rows to train on
        that lie within ROWS_APART of one tested, and before it "by_video_fewer", its control: as many rows to train on
        and the same tests, without that distance.
    sentences : list of str
        Why a protocol is left out, and what share of the frames a split by identity leaves out.
    """
    names = by_class(dataset).sources

    def by_groups(groups, split_seed):
        in_test = held_out_rows(names, groups, test_share, split_seed)
        return ~in_test, in_test

    sides_of = {
        "random": partial(by_groups, dataset.equal_images),
        "by_video": partial(by_groups, dataset.kept_together),
    }
    if dataset.identities:
        people = PEOPLE_PROTOCOLS[dataset.origin is BUILT_IN_SAMPLE]
        shown = _people_of_equal_frames(dataset)
        sides_of[people] = partial(held_out_identities, dataset.labels, shown, test_share)
    sides, sentences = {}, []
    for protocol, draw in sides_of.items():
        try:
            sides[protocol] = [draw(split_seed) for split_seed in range(seed, seed + n_splits)]
        except ExperimentError as reason:  # too few videos, or people, to have some on either side
            sentences.append(f"{protocol.replace('_', ' ')} left out: {reason}")
    if dataset.origin is PUBLISHED_FEATURES and "by_video" in sides:
        fewer, apart = _sides_apart(dataset, sides["by_video"], seed)
        if all(len(np.unique(dataset.labels[may_train])) == 2 for may_train, _ in apart):
            sides |= {"by_video_fewer": fewer, "by_video_apart": apart}
        else:
            sentences.append(f"by blocks with {ROWS_APART} rows between left out: it leaves no row to train on")
    parts = leave_one_part_out(shown) if "by_identity" in sides else []
    has_both = all(len(np.unique(dataset.labels[side])) == 2 for part in parts for side in part)
    if has_both and 2 <= len(parts) <= n_splits:
        sides["by_identity"] = parts
        sentences.append(f"by identity: {len(parts)} groups of people share no video; each of them is tested on once")
    elif "by_identity" in sides:
        share = np.mean([np.mean(~may_train & ~may_test) for may_train, may_test in sides["by_identity"]])
        sentences.append(
            f"by identity, {100 * share:.0f} % of the frames are left out of a split on average: fakes whose two "
            "identities fall on different sides"
        )
    return sides, sentences


def frame_splits(
    dataset: SpectrumDataset,
    sides: dict[str, Sides],
    sizes: Sequence[int],
    authors_split: Split | None = None,
    *,
    test_share: float,
    seed: int,
) -> Iterator[tuple[int, str, list[Split]]]:
    """Yield (n_samples, protocol, splits) to judge frames: as many real as fake ones on either side.

    Parameters
    ----------
    dataset : SpectrumDataset
    sides : {protocol: Sides}
        From `protocol_sides`.
    sizes : sequence of int
        Numbers of frames in total. Where one class has too few on a side, both get fewer there.
    authors_split : Split, optional
        From `published_frames`: comes last, as it is.
    test_share : float
    seed : int
        Of the first split's draw; the next has the next.
    """
    classes = by_class(dataset).sources
    for n_samples, (protocol, sides_of_splits) in product(sizes, sides.items()):
        yield n_samples, protocol, _equal_splits(classes, sides_of_splits, n_samples, test_share, seed)
    if authors_split:
        yield len(dataset), "authors_split", [authors_split]


def video_splits(
    dataset: SpectrumDataset,
    sides: dict[str, Sides],
    n_samples: int,
    authors_split: Split | None = None,
    *,
    test_share: float,
    seed: int,
) -> Iterator[tuple[int, str, list[Split]]]:
    """Yield (n_samples, protocol, splits) to judge videos: trained as in `frame_splits`, all frames of the rest tested.

    Not "random": its frames come from the videos that were trained on. Nor "by_video_fewer", a control of frames.
    """
    grouped = {name: of_splits for name, of_splits in sides.items() if name not in ("random", "by_video_fewer")}
    draw = {"test_share": test_share, "seed": seed}
    for n_trained, protocol, splits in frame_splits(dataset, grouped, [n_samples], authors_split, **draw):
        if protocol in grouped:
            tests = [np.flatnonzero(may_test) for _, may_test in grouped[protocol]]
            splits = [Split(split.train, test) for split, test in zip(splits, tests)]
        yield n_trained, protocol, splits


def transfer_splits(
    dataset: SpectrumDataset,
    sides: dict[str, Sides],
    n_samples: int,
    *,
    test_share: float,
    seed: int,
) -> Iterator[tuple[str, list[str], list[str], list[Split]]]:
    """Yield (protocol, train sources, test sources, splits) from each manipulation, or compression, to all of them.

    One thing changes at a time: the manipulation or the compression. Each fake source stands beside the reals of its
    compression. The protocol is the strictest that can be had; "random" frames would come from the videos that were
    trained on, so that there is nothing to yield. Splits without both classes on both sides are left out.
    """
    protocol = list(sides)[-1]
    if protocol == "random":
        return
    classes = by_class(dataset).sources
    fakes = dataset.sources_of(FAKE)
    for trained, tested in product(fakes, fakes) if len(fakes) > 1 else ():
        if manipulation(trained) != manipulation(tested) and compression(trained) != compression(tested):
            continue
        train_sources, test_sources = ([*reals_beside(source, dataset), source] for source in (trained, tested))
        in_train, in_test = (np.isin(dataset.sources, sources) for sources in (train_sources, test_sources))
        narrowed = [(may_train & in_train, may_test & in_test) for may_train, may_test in sides[protocol]]
        splits = _equal_splits(classes, narrowed, n_samples, test_share, seed)
        if splits := [split for split in splits if len(split.train) and len(split.test)]:
            yield protocol, train_sources, test_sources, splits


def size_matched_sides(dataset: SpectrumDataset, sides: dict[str, Sides], seed: int) -> dict[str, Sides]:
    """Return sides that train on as many reals as fakes of every size, drawn anew for each split: none can be learned.

    Parameters
    ----------
    dataset : SpectrumDataset
        With headers: rows are of one size where all that the headers tell is the same.
    sides : {protocol: Sides}
        From `protocol_sides`. What they test on stays as it is.
    seed : int
    """
    sizes = np.unique(dataset.headers, return_inverse=True)[1]

    def matched(may_train, split_seed):
        kept = np.zeros(len(dataset), dtype=bool)
        for size in np.unique(sizes):
            of_size = may_train & (sizes == size)
            fewest = min(np.count_nonzero(of_size & (dataset.labels == label)) for label in (REAL, FAKE))
            kept |= _drawn_of_each_class(dataset.labels, of_size, (fewest, fewest), split_seed)
        return kept

    return {
        protocol: [(matched(may_train, own_seed), may_test) for own_seed, (may_train, may_test) in enumerate(own, seed)]
        for protocol, own in sides.items()
    }


def independent_people(dataset: SpectrumDataset, protocol: str) -> np.ndarray | None:
    """Return what the frames of a protocol are independent by, (n_frames,), where that is more than their video.

    By identity that is everybody who shares a video with somebody who shares one, and so on; where this joins all
    people, the one whose video it was before it was faked. Of the sample, the photograph.
    """
    if protocol not in PEOPLE_PROTOCOLS:
        return None
    parts = linked_people(_people_of_equal_frames(dataset))
    return parts if parts.max() else np.array(first_identities(dataset))


def by_class(dataset: SpectrumDataset) -> SpectrumDataset:
    """Return the frames with their classes as sources: those, not the manipulations, stand in equal numbers."""
    return replace(dataset, sources=np.array(CLASS_NAMES)[dataset.labels])


def first_identities(dataset: SpectrumDataset) -> list[str]:
    """Return whose video each frame was before it was faked, the group for detect_fakes.py; the video if unknown."""
    if dataset.origin is BUILT_IN_SAMPLE:
        return [sample.photograph_of(video) for video in dataset.groups]
    return [identities(Path(video).name)[0] or video for video in dataset.groups]


def manipulation(source: str) -> str:
    """Return "Deepfakes" for "fake/Deepfakes_c23", the whole name where it tells no compression."""
    return source.partition("/")[2].removesuffix(f"_{compression(source)}")


def compression(source: str) -> str:
    """Return "c23" for "fake/Deepfakes_c23", "" where the name tells none."""
    last = source.rpartition("_")[2]
    return last if last in COMPRESSIONS else ""


def reals_beside(fake_source: str, dataset: SpectrumDataset) -> list[str]:
    """Return the real sources of the same compression, or all of them where the names do not tell."""
    reals = dataset.sources_of(REAL)
    return [name for name in reals if compression(name) == compression(fake_source)] or reals


def _sides_apart(dataset, sides, seed):
    """Return the sides (with as few rows, apart) of `protocol_sides` for those by blocks of the authors' rows."""
    runs = np.array([block.rpartition(",")[0] for block in dataset.groups])  # rows of one class and file, in its order
    fewer, apart = [], []
    for own_seed, (may_train, may_test) in enumerate(sides, seed):
        is_near = np.zeros(len(dataset), dtype=bool)
        for run in np.unique(runs):
            rows = np.flatnonzero(runs == run)
            distances = np.abs(np.subtract.outer(np.arange(len(rows)), np.flatnonzero(may_test[rows])))
            is_near[rows] = (distances <= ROWS_APART).any(axis=1)
        apart.append((may_train & ~is_near, may_test))
        numbers = [np.count_nonzero(apart[-1][0] & (dataset.labels == label)) for label in (REAL, FAKE)]
        fewer.append((_drawn_of_each_class(dataset.labels, may_train, numbers, own_seed), may_test))
    return fewer, apart


def _drawn_of_each_class(labels, allowed, numbers, seed):
    """Return a draw of the rows allowed, (n_rows,) bool: so many reals and so many fakes."""
    random = np.random.default_rng(seed)
    drawn = np.zeros(len(labels), dtype=bool)
    for label, number in zip((REAL, FAKE), numbers):
        drawn[random.permutation(np.flatnonzero(allowed & (labels == label)))[:number]] = True
    return drawn


def _people_of_equal_frames(dataset):
    """Return whom each frame shows, and its copies in other videos under other names."""
    people = [set() for _ in dataset.paths]
    for first, shown in zip(dataset.equal_images, dataset.identities):
        people[first] |= shown
    return [frozenset(people[first]) for first in dataset.equal_images]


def _equal_splits(classes, sides, n_samples, test_share, seed):
    """Return a split for each (may train, may test), as many reals as fakes on either side: none if one is missing."""
    return [equal_split(classes, *side, n_samples, test_share, own_seed) for own_seed, side in enumerate(sides, seed)]
