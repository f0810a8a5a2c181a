"""One data set in several states -> a data set of all of them, so that no state tells the classes apart.

    dataset = joined_states([load_spectra(images, Feature(alteration=steps, n_bins=91)) for steps in ("jpeg 90", ...)])

All states of an image are one group, and each has the header that its file would have.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepfake_spectra.alterations import altered_shape
from deepfake_spectra.dataset import SpectrumDataset


def joined_states(states: Sequence[SpectrumDataset]) -> SpectrumDataset:
    """Return the images of all states, one state after the other.

    Parameters
    ----------
    states : sequence of SpectrumDataset
        Of the same sources and n_bins, their features differing by the alteration.
    """
    first = states[0]
    return replace(
        first,
        spectra=np.concatenate([state.spectra for state in states]),
        labels=np.concatenate([state.labels for state in states]),
        sources=np.concatenate([state.sources for state in states]),
        groups=np.concatenate([state.groups for state in states]),
        paths=[path for state in states for path in state.paths],
        digests=[digest for state in states for digest in state.digests],
        headers=np.concatenate([altered_headers(state) for state in states]),
        feature=replace(first.feature, alteration=""),
        identities=None,
    )


def altered_headers(state: SpectrumDataset) -> np.ndarray:
    """Return the headers that the images of a state would have as files, (n_images,) IMAGE_HEADER.

    A JPEG where that is the last step, else PNG, which changes nothing; the stored ones where there is no alteration.
    """
    steps = state.feature.alteration
    headers = state.headers.copy()
    if not steps:
        return headers
    name, _, value = steps.split(" + ")[-1].partition(" ")
    headers["format"], headers["jpeg_quality"], headers["subsampling"] = (
        ("JPEG", int(value), "4:2:0") if name == "jpeg" else ("PNG", 0, "")
    )
    for header in headers:
        header["height"], header["width"] = altered_shape((header["height"], header["width"]), steps)
    return headers
