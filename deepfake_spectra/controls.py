"""Data sets with nothing fake to find: what a classifier tells apart in them is not generation."""

from dataclasses import replace

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset


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
        labels=np.where(is_altered, FAKE, REAL),
        sources=np.where(is_altered, "altered", "untouched"),
        skipped=altered.skipped,
    )


def one_against_other(dataset: SpectrumDataset, first: str, second: str) -> SpectrumDataset:
    """Return two sources of one class, the second labelled as the class to be found."""
    both = dataset.of_sources([first, second])
    return replace(both, labels=np.where(both.sources == second, FAKE, REAL))
