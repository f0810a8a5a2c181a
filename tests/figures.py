"""What a figure shows, read from its lines and texts; and data to draw, of which the answer is known."""

import numpy as np
from datasets import make_dataset

from deepfake_spectra.dataset import FAKE, REAL


def panel(figure, title):
    """Return the axes of this title."""
    [ax] = [ax for ax in figure.axes if ax.get_title() == title]
    return ax


def lines_of(ax):
    """Return {label: line} of those that a legend names."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def legend_of(legend):
    """Return {text: handle} of a legend."""
    return {text.get_text(): handle for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)}


def looks(line):
    """Return the colour of a line, and what is left of its looks in grey print."""
    dashes = str(line._unscaled_dash_pattern)  # get_linestyle() is "--" for every pattern
    return line.get_color(), (dashes, line.get_linewidth(), line.get_marker())


def stepped_dataset(levels):
    """Return 4 spectra of 8 bins of each source: its level, rising by 1 a bin; the standard deviation is sqrt(2.5)."""
    dataset = make_dataset(4, n_bins=8, sources={name: FAKE if "fake" in name else REAL for name in levels})
    level = np.array([levels[name] for name in dataset.sources])
    dataset.spectra = level[:, None] + np.arange(8) + np.tile([-2.0, -1, 1, 2], len(levels))[:, None]
    return dataset
