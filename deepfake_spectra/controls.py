"""Data sets with nothing fake to find: what a classifier tells apart in them is not generation."""

from collections import Counter
from dataclasses import replace

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import printable

LEAST_LEFT = 4  # images of a source, to train and test on an altered and an untouched one


def checked_altered(dataset: SpectrumDataset, altered: SpectrumDataset) -> SpectrumDataset:
    """Return the altered state of a data set, if of each source as many images can be read in both as tests need.

    Raises
    ------
    ExperimentError
        The alteration leaves too few, and MAX_UNREADABLE let them pass.
    """
    in_both = set(dataset.paths) & set(altered.paths)
    n_left = Counter(source for source, path in zip(dataset.sources.tolist(), dataset.paths) if path in in_both)
    for source, n_images in dataset.counts().items():
        if n_left[source] < min(LEAST_LEFT, n_images):
            raise ExperimentError(
                f"{printable(source)}: {altered.feature.alteration} leaves {n_left[source]} of {n_images} images, need "
                f"{min(LEAST_LEFT, n_images)}; leave that alteration out, or name more images"
            )
    return altered


def half_altered(untouched: SpectrumDataset, altered: SpectrumDataset) -> SpectrumDataset:
    """Return images of one class, every second one altered and labelled as the class to be found.

    Parameters
    ----------
    untouched, altered : SpectrumDataset
        The same images of two features that differ by the alteration. One of which the alteration leaves nothing is
        left out.
    """
    row_of = {path: row for row, path in enumerate(altered.paths)}
    kept = untouched.of_rows([row for row, path in enumerate(untouched.paths) if path in row_of])
    spectra = altered.spectra[[row_of[path] for path in kept.paths]]
    is_altered = np.arange(len(kept)) % 2 == 1
    return replace(
        kept,
        spectra=np.where(is_altered[:, None], spectra, kept.spectra),
        groups=kept.kept_together,  # an altered image is no longer the equal of its untouched copy
        labels=np.where(is_altered, FAKE, REAL),
        sources=np.where(is_altered, "altered", "untouched"),
        skipped=altered.skipped,
    )


def one_against_other(dataset: SpectrumDataset, first: str, second: str) -> SpectrumDataset:
    """Return two sources of one class, the second labelled as the class to be found."""
    both = dataset.of_sources([first, second])
    return replace(both, labels=np.where(both.sources == second, FAKE, REAL))
