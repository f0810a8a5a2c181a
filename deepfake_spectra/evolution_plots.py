"""Figures of how generators change from epoch to epoch: arrays in, a file out."""

from itertools import cycle
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from deepfake_spectra.plots import new_figure, spectrum_label, square_axis
from deepfake_spectra.result_plots import metric_label, styled
from deepfake_spectra.robustness_plots import CURVES

SHADES = "viridis_r"  # of epochs: the later, the darker
DOTS_PER_INCH = 130  # of grids: more make a file of megabytes, and the PDF, which has every pixel, is for print
NAME_WIDTH = 18  # characters of a net's name beside its samples
Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # middle, low, high by epoch, from 1 on, each (n_epochs,)


def evolution_figure(
    path: Path,
    distances: dict[str, np.ndarray],
    grids: dict[str, dict[int, np.ndarray]],
    y_label: str,
    title: str,
) -> None:
    """Write how far the samples of nets are from real images, epoch by epoch, and nine samples of some epochs.

    Parameters
    ----------
    path : Path
    distances : {net: ndarray, (n_seeds, n_epochs)}
        From epoch 1 on. Drawn are the mean and a band from the lowest to the highest seed; on a logarithmic axis, which
        is linear about 0 where some are not above 0.
    grids : {net: {epoch: ndarray, (9, height, width, 3) uint8}}
        A row of each net, a column of each epoch: the same epochs of all.
    y_label : str
        What the distance is.
    title : str
    """
    epochs = list(next(iter(grids.values())))
    with new_figure(path, 3.0 + 1.35 * len(grids), title) as figure:
        rcParams["savefig.dpi"] = DOTS_PER_INCH  # until the figure is written
        above, below = figure.subfigures(2, 1, height_ratios=(2.8, 1.35 * len(grids)))
        ax = above.subplots()
        for epoch in epochs:
            ax.axvline(epoch, color="0.9", linewidth=0.8, zorder=0)
        plot_nets(ax, {net: seeds_band(values) for net, values in distances.items()})
        ax.set(ylabel=y_label)
        _set_log(ax, np.concatenate([values.ravel() for values in distances.values()]))
        above.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(distances), handlelength=4)
        axes = below.subplots(len(grids), len(epochs), squeeze=False)
        for row, (net, samples) in zip(axes, grids.items()):
            for ax, epoch in zip(row, epochs):
                ax.imshow(_montage(samples[epoch]), interpolation="auto")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            row[0].set_ylabel(fill(net, NAME_WIDTH))
        for ax, epoch in zip(axes[0], epochs):
            ax.set_title(f"epoch {epoch}")


def evolution_spectra_figure(
    path: Path,
    side: int,
    real: np.ndarray,
    spectra: dict[str, dict[int, np.ndarray]],
    detector: dict[str, Band],
    distance: dict[str, np.ndarray],
    title: str,
) -> None:
    """Write the mean spectra of nets at some epochs beside that of real images, and what they give away by epoch.

    Parameters
    ----------
    path : Path
    side : int
        Of the images, in pixels; the spectra are as `radial_spectrum` gives them of such.
    real : ndarray, (n, n_bins)
        20 ln|F|, of images that no net was trained on.
    spectra : {net: {epoch: ndarray, (n, n_bins)}}
        The same epochs of all nets. Below each panel stands the difference of the means, in decibels.
    detector : {net: (mean, low, high)}, each ndarray, (n_epochs,)
        Balanced accuracy of a detector, 0 to 1, from epoch 1 on.
    distance : {net: ndarray, (n_seeds, n_epochs)}
        From `image_distances.spectral_distance`, in decibels, from epoch 1 on.
    title : str
    """
    x, x_label = square_axis(side)
    with new_figure(path, 6.8, title) as figure:
        above, below = figure.subfigures(2, 1, height_ratios=(3.9, 2.7))
        axes = above.subplots(2, len(spectra), sharex=True, sharey="row", squeeze=False, height_ratios=(1.4, 1))
        for (over, under), (net, by_epoch) in zip(axes.T, spectra.items()):
            _plot_spectra(over, under, x, real, by_epoch)
            over.set_title(fill(net, 2 * NAME_WIDTH))
        above.supxlabel(x_label, fontsize=8)
        axes[0, 0].set_ylabel(spectrum_label(real))
        axes[1, 0].set_ylabel("Difference (dB)")
        above.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, handlelength=3)
        left, right = below.subplots(1, 2)
        plot_nets(left, {net: seeds_band(values) for net, values in distance.items()})
        left.set(ylabel="Distance of mean spectra\n(dB, root mean square)", ylim=(0, None))
        plot_nets(right, {net: tuple(100 * values for values in band) for net, band in detector.items()})
        right.axhline(50, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        right.set(ylabel=fill(metric_label("balanced_accuracy"), 24))
        below.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(distance), handlelength=4)


def seeds_band(values: np.ndarray) -> Band:
    """Return the mean, the lowest and the highest over seeds of values (n_seeds, n_epochs)."""
    return values.mean(axis=0), values.min(axis=0), values.max(axis=0)


def plot_nets(ax: Axes, bands: dict[str, Band]) -> Axes:
    """Draw a line and a band for each net over epochs from 1 on."""
    for (net, colour, marker), line in zip(styled(list(bands)), cycle(CURVES)):
        middle, low, high = bands[net]
        epochs = np.arange(1, len(middle) + 1)
        ax.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        every = max(1, len(epochs) // 10)
        ax.plot(epochs, middle, color=colour, linestyle=line, marker=marker, markersize=3, markevery=every, label=net)
    ax.set(xlabel="Epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def _set_log(ax, values):
    """Make the y axis logarithmic; where not all values are above 0, linear about it."""
    if values.min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(LogFormatter())  # 200, not 2 x 10^2
        ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    else:
        typical = np.median(np.abs(values)) or 1
        ax.set_yscale("symlog", linthresh=10 ** np.floor(np.log10(typical)))


def _plot_spectra(over, under, x, real, by_epoch):
    """Draw the mean of the reals with one standard deviation and those of epochs, and under it what these differ by."""
    mean, std = real.mean(axis=0), real.std(axis=0)
    over.fill_between(x, mean - std, mean + std, color="black", alpha=0.15, linewidth=0)
    over.plot(x, mean, color="black", linewidth=1.8, label="real, mean ± 1 s.d.")
    under.axhline(0, color="black", linewidth=0.8)
    for epoch, style in zip(by_epoch, _epoch_styles(len(by_epoch))):
        generated = by_epoch[epoch].mean(axis=0)
        over.plot(x, generated, label=f"epoch {epoch}", **style)
        under.plot(x, (generated - mean) / np.log(10), **style)  # 20 log10|F| = 20 ln|F| / ln 10


def _epoch_styles(n_epochs):
    """Return the looks of each epoch's line: the later, the darker, and the last one solid."""
    shades = colormaps[SHADES](np.linspace(0.15, 1, n_epochs))
    lines = [line for line, _ in zip(cycle(CURVES), shades)][::-1]
    return [{"color": shade, "linestyle": line, "linewidth": 1} for shade, line in zip(shades, lines)]


def _montage(images):
    """Return nine images (9, height, width, 3) in rows of three, a white line between them."""
    gap = max(1, images.shape[1] // 32)
    framed = np.pad(images, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    return np.hstack([np.vstack(framed[column::3]) for column in range(3)])[:-gap, :-gap]
