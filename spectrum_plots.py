"""Figures, ready for a paper: arrays in, axes or a file out. The only importer of matplotlib.

Reals are drawn in blue and green with solid lines, fakes in orange and red with broken ones, so that the classes stay
apart in grey print, too.
"""
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radial_spectrum import centre_third, spectrum_radii
from spectrum_dataset import CLASS_NAMES, FAKE, REAL, Features, SpectrumDataset
from whole_files import whole_file

TWO_COLUMNS = 7.2  # inches, the text width of most conference papers

_COLOURS = {REAL: ("#0072B2", "#009E73", "#56B4E9", "#004c6d"), FAKE: ("#D55E00", "#AA3377", "#E69F00", "#882255")}
_LINES = {REAL: ("-",), FAKE: ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))}
_STYLE = {
    "font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7, "axes.spines.top": False, "axes.spines.right": False,
    "lines.linewidth": 1.2, "figure.dpi": 100, "savefig.dpi": 300, "legend.frameon": False,
}  # fmt: skip


def frequency_axis(dataset: SpectrumDataset, features: Features) -> tuple[np.ndarray, str]:
    """Return where each bin of the spectra stands, (n_bins,), and the label of that axis.

    Cycles per pixel where all images are square and of one size; else the radius as a share of the longest, since
    then a bin holds other frequencies in other images, or along rows and columns.
    """
    n_bins = dataset.spectra.shape[1]
    sizes = set() if dataset.headers is None else {(int(h["height"]), int(h["width"])) for h in dataset.headers}
    if len(sizes) == 1:
        height, width = sizes.pop()
        if height == width:
            side = len(centre_third(np.empty((height, width)))) if features.crop == "centre_third" else height
            radii = spectrum_radii((side, side), features.convention, "cycles/pixel")
            return np.linspace(radii[0], radii[-1], n_bins), "Spatial frequency (cycles/pixel)"
    return np.linspace(0, 1, n_bins), "Radius (share of the way from DC to the corner)"


def plot_mean_spectra(ax: Axes, x: np.ndarray, dataset: SpectrumDataset) -> Axes:
    """Draw the mean spectrum of each source over x (n_bins,), with a band of one standard deviation to either side."""
    names = list(dict.fromkeys(dataset.sources))
    label_of = dict(zip(dataset.sources, dataset.labels))
    drawn = {REAL: 0, FAKE: 0}
    for name in names:
        label = label_of[name]
        spectra = dataset.spectra[dataset.sources == name]
        colour = _COLOURS[label][drawn[label] % len(_COLOURS[label])]
        line = _LINES[label][drawn[label] % len(_LINES[label])]
        drawn[label] += 1
        mean, std = spectra.mean(axis=0), spectra.std(axis=0)
        ax.fill_between(x, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        named = f"{CLASS_NAMES[label]}: {name} (n = {len(spectra)})" if name != CLASS_NAMES[label] else (
            f"{name} (n = {len(spectra)})")
        ax.plot(x, mean, color=colour, linestyle=line, label=named)
    return ax


def spectrum_figure(
    path: Path, dataset: SpectrumDataset, features: Features, weights: np.ndarray, title: str
) -> None:
    """Write the figure of an experiment: mean spectra, their high-frequency end, and what the classifier weighs.

    Parameters
    ----------
    path : Path
        `.png` or any other format that matplotlib writes.
    dataset : SpectrumDataset
    features : Features
    weights : ndarray, (n_bins,)
        From `classification.standardised_weights`; positive where more power speaks for "fake".
    title : str
        What the images are.
    """
    x, x_label = frequency_axis(dataset, features)
    is_normalised = np.all(dataset.spectra[:, 0] == 1)
    y_label = "Mean log power / that of the first bin" if is_normalised else "Mean log power, 20 ln|F|"
    with rc_context(_STYLE):
        figure = Figure(figsize=(TWO_COLUMNS, 4.6), layout="constrained")
        axes = figure.subplot_mosaic([["all", "high"], ["weights", "weights"]], height_ratios=(2, 1))
        figure.suptitle(title, fontsize=9)
        plot_mean_spectra(axes["all"], x, dataset)
        axes["all"].set(title="Mean ± 1 standard deviation", xlabel=x_label, ylabel=y_label)
        first_high = len(x) * 3 // 4
        high = SpectrumDataset(**vars(dataset) | {"spectra": dataset.spectra[:, first_high:]})
        plot_mean_spectra(axes["high"], x[first_high:], high)
        axes["high"].set(title="The highest quarter", xlabel=x_label)
        axes["weights"].axhline(0, color="0.7", linewidth=0.8)
        axes["weights"].plot(x, weights, color="0.2", linewidth=0.8)
        axes["weights"].set(
            title="Linear SVM on all rows: weight × standard deviation (above 0: speaks for fake)",
            xlabel=x_label,
            ylabel="Weight",
        )
        figure.legend(*axes["all"].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        save_figure(figure, path)


def image_figure(
    path: Path,
    gray: np.ndarray,
    log_power: np.ndarray,
    radii: np.ndarray,
    spectrum: np.ndarray,
    radius_label: str,
    highest: np.ndarray,
    cut_off: float,
    title: str,
) -> None:
    """Write one image beside its 2-D spectrum, its radial spectrum, and itself from its highest frequencies only.

    Parameters
    ----------
    path : Path
    gray : ndarray, (height, width) uint8
    log_power : ndarray, (height, width)
        `20 ln|F + 1e-8|`, DC in the middle.
    radii, spectrum : ndarray, (n_bins,)
    radius_label : str
    highest : ndarray, (height, width)
        The image without all frequencies below `cut_off`, a share of the way from DC to the corner.
    cut_off : float
    title : str
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(TWO_COLUMNS, TWO_COLUMNS * 0.9), layout="constrained")
        (image, plane), (profile, rebuilt) = figure.subplots(2, 2)
        figure.suptitle(title, fontsize=9, parse_math=False)
        image.imshow(gray, cmap="gray", vmin=0, vmax=255)
        image.set_title("Image, grey")
        low, high = np.percentile(log_power, (0.5, 99.9))  # a few empty frequencies would take all the contrast
        shown = plane.imshow(log_power, cmap="magma", vmin=low, vmax=high)
        plane.set_title("2-D spectrum, DC in the middle")
        figure.colorbar(shown, ax=plane, label="20 ln|F|", shrink=0.8)
        profile.plot(radii, spectrum, color=_COLOURS[REAL][0])
        profile.axvline(radii[0] + cut_off * (radii[-1] - radii[0]), color="0.6", linewidth=0.8, linestyle=":")
        profile.set(title="Radial spectrum (dotted: cut for the last panel)", xlabel=radius_label,
                    ylabel="Mean log power, 20 ln|F|")  # fmt: skip
        spread = max(np.percentile(np.abs(highest), 99.5), 1e-12)
        shown = rebuilt.imshow(highest, cmap="gray", vmin=-spread, vmax=spread)
        rebuilt.set_title("Image from its highest frequencies only")
        figure.colorbar(shown, ax=rebuilt, label="Grey levels", shrink=0.8)
        for ax in (image, plane, rebuilt):
            ax.set(xticks=[], yticks=[])
        save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole; needs no display."""
    with whole_file(path) as temporary:
        figure.savefig(temporary)
