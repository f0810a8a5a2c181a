"""Images that are there more than once: found by their bytes and by their spectra, and said."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from deepfake_spectra.files import listed


def equal_images(spectra: np.ndarray, digests: Sequence[str] | None = None) -> np.ndarray:
    """Return for each image the row of the first one that it equals, its own where there is none, (n_images,) int.

    Equal are files of one SHA-256 (copies, links), and spectra of the same bits (one picture in two formats).

    Parameters
    ----------
    spectra : (n_images, n_bins) float
    digests : (n_images,) str, optional
        SHA-256 of each file, where there are files.
    """
    of_spectra = [hashlib.sha256(row).digest() for row in np.ascontiguousarray(spectra)]
    return linked_rows(of_spectra, *([digests] if digests else []))


def linked_rows(*keys: Sequence) -> np.ndarray:
    """Return for each row the first one to which it is linked, by an equal key of some kind or over other rows, (n,).

    Parameters
    ----------
    *keys : sequences of the same length
        One for each kind of key: (n,) hashable.
    """
    from scipy.sparse import coo_array  # a script's --help needs none of it
    from scipy.sparse.csgraph import connected_components

    n_rows = len(keys[0])
    ends = np.concatenate([_first_rows(of_kind) for of_kind in keys])
    starts = np.tile(np.arange(n_rows), len(keys))
    links = coo_array((np.ones(len(ends)), (starts, ends)), shape=(n_rows, n_rows))
    return _first_rows(connected_components(links, directed=False)[1].tolist())


def duplicate_remarks(
    equal: np.ndarray, paths: Sequence[str], labels: np.ndarray, groups: np.ndarray, group_name: str
) -> list[str]:
    """Return what there is to be said of equal images, contradictions among their labels first.

    Parameters
    ----------
    equal : (n_images,) int
        From `equal_images`.
    paths, labels, groups, group_name
        Of the same images, as in a `SpectrumDataset`.
    """
    copies = np.flatnonzero(equal != np.arange(len(equal)))
    first = equal[copies]
    contradict = labels[copies] != labels[first]
    repeat = ~contradict & (groups[copies] == groups[first])

    def pairs(chosen):
        return listed([f"{paths[one]} = {paths[other]}" for one, other in zip(first[chosen], copies[chosen])], 3)

    remarks = []
    if contradict.any():
        remarks.append(
            f"called both real and fake, pictures: {len(np.unique(first[contradict]))}; the labels contradict each "
            f"other, and an accuracy on these data means little; put each picture into one class: {pairs(contradict)}"
        )
    others = ~contradict & ~repeat
    if others.any():
        remarks.append(
            f"{np.count_nonzero(others)} of {len(equal)} images equal an earlier one, by their bytes or their "
            f"spectrum; equal ones stay on one side of a split, and an interval counts them once: {pairs(others)}"
        )
    if repeat.any():
        remarks.append(
            f"{np.count_nonzero(repeat)} of {len(equal)} images repeat an earlier one of the same {group_name}: "
            f"{pairs(repeat)}"
        )
    return remarks


def _first_rows(keys: Iterable) -> np.ndarray:
    """Return for each row the first one with its key, (n,) int."""
    first = {}
    return np.array([first.setdefault(key, row) for row, key in enumerate(keys)])
