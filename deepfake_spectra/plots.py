"""Figures, ready for a paper: arrays in, axes or a file out.

Reals are drawn in blue and green with solid lines of several widths, fakes in orange and red with broken ones, so that
classes and sources stay apart in grey print, too.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from deepfake_spectra.alterations import altered_shape
from deepfake_spectra.dataset import CLASS_NAMES, FAKE, REAL, SpectrumDataset
from deepfake_spectra.files import SIGNATURE, printable, whole_file
from deepfake_spectra.metrics import Prediction, roc_points
from radial_spectrum import Convention, centre_third, normalise_by_first, spectrum_radii

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2  # inches, the column and the text width of most conference papers
CHARACTERS_PER_INCH = 14  # of a title

COLOURS = {  # of a class's sources; five colours and four lines: no two of twenty look alike
    REAL: ("#0072B2", "#009E73", "#56B4E9", "#004c6d", "#44AA99"),
    FAKE: ("#D55E00", "#AA3377", "#E69F00", "#882255", "#CC6677"),
}
LINES = {  # style and width
    REAL: (("-", 1.2), ("-", 2.4), ("-", 0.6), ("-", 1.8)),
    FAKE: (("--", 1.2), ("-.", 1.2), (":", 1.2), ((0, (5, 1, 1, 1, 1, 1)), 1.2)),
}
CLASSIFIER_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA3377", "#56B4E9", "#E69F00", "#882255")  # with these two:
_CURVES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (10, 2)))
CLASSIFIER_MARKERS = "o^DsvP"
STYLE = {
    "font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7, "axes.spines.top": False, "axes.spines.right": False,
    "lines.linewidth": 1.2, "figure.dpi": 100, "savefig.dpi": 300, "legend.frameon": False,
}  # fmt: skip


def frequency_axis(dataset: SpectrumDataset) -> tuple[np.ndarray, str]:
    """Return where each bin of the spectra stands, (n_bins,), and the label of that axis.

    Cycles per pixel where all images, once altered, are square and of one size; else the radius as a share of the
    longest, since then a bin holds other frequencies in other images, or along rows and columns.
    """
    feature, n_bins = dataset.feature, dataset.spectra.shape[1]
    stored = set(dataset.sizes())
    stored |= {shape[::-1] for shape in stored}  # a camera's image may have been turned by its EXIF
    shapes = {altered_shape(shape, feature.alteration) for shape in stored}
    if len(shapes) == 1:
        height, width = shapes.pop()
        if height == width:
            side = len(centre_third(np.empty((height, width)))) if feature.crop == "centre_third" else height
            radii, label = square_axis(side, feature.convention)
            return np.linspace(radii[0], radii[-1], n_bins), label
    return np.linspace(0, 1, n_bins), "Radius (0: first bin, 1: last bin)"


def square_axis(side: int, convention: Convention = "published") -> tuple[np.ndarray, str]:
    """Return where each value of the spectrum of a square image stands, in cycles per pixel, and that axis's label."""
    return spectrum_radii((side, side), convention, "cycles/pixel"), "Spatial frequency (cycles/pixel)"


def spectrum_label(spectra: np.ndarray) -> str:
    """Return what the values of spectra (n_images, n_bins) are, for an axis."""
    is_normalised = np.all(spectra[:, 0] == 1)
    return "Mean log power / that of the first bin" if is_normalised else "Mean log power, 20 ln|F|"


def plot_mean_spectra(ax: Axes, x: np.ndarray, dataset: SpectrumDataset, normalised: bool = False) -> Axes:
    """Draw the mean spectrum of each source over x (n_bins,), with a band of one standard deviation to either side.

    `normalised`: each is divided by its first value before; source by source, since a copy of all may be large.
    """
    label_of = dict(zip(dataset.sources, dataset.labels))
    names = sorted(dict.fromkeys(dataset.sources), key=label_of.get)  # reals first
    styles = {label: zip(cycle(COLOURS[label]), cycle(LINES[label])) for label in (REAL, FAKE)}
    for name in names:
        label = label_of[name]
        spectra = dataset.spectra[dataset.sources == name]
        spectra = normalise_by_first(spectra) if normalised else spectra
        colour, (line, width) = next(styles[label])
        mean, std = spectra.mean(axis=0), spectra.std(axis=0)
        ax.fill_between(x, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        named = name if name.startswith(CLASS_NAMES[label]) else f"{CLASS_NAMES[label]}: {name}"
        named = printable(named).replace("$", r"\$")  # no formula is meant
        ax.plot(x, mean, color=colour, linestyle=line, linewidth=width, label=f"{named} (n = {len(spectra)})")
    return ax


def spectrum_figure(path: Path, dataset: SpectrumDataset, weights: np.ndarray, classifier: str, title: str) -> None:
    """Write the figure of an experiment: mean spectra, their high-frequency end, and what the classifier weighs.

    Parameters
    ----------
    path : Path
        `.png` or any other format that matplotlib writes.
    dataset : SpectrumDataset
    weights : ndarray, (n_bins,)
        From `classification.standardised_weights`; positive where more power speaks for "fake".
    classifier : str
        What the weights are of.
    title : str
        What the images are.
    """
    x, x_label = frequency_axis(dataset)
    y_label = spectrum_label(dataset.spectra)
    with new_figure(path, 4.6, title) as figure:
        axes = figure.subplot_mosaic([["all", "high"], ["weights", "weights"]], height_ratios=(2, 1))
        plot_mean_spectra(axes["all"], x, dataset)
        axes["all"].set(title="Mean ± 1 standard deviation", xlabel=x_label, ylabel=y_label)
        first_high = len(x) * 3 // 4
        high = replace(dataset, spectra=dataset.spectra[:, first_high:])
        plot_mean_spectra(axes["high"], x[first_high:], high)
        axes["high"].set(title="The highest quarter", xlabel=x_label)
        axes["weights"].axhline(0, color="0.7", linewidth=0.8)
        axes["weights"].plot(x, weights, color="0.2", linewidth=0.8)
        axes["weights"].set(
            title=f"{classifier} on all rows: weight × standard deviation (above 0: speaks for fake)",
            xlabel=x_label,
            ylabel="Weight",
        )
        figure.legend(*axes["all"].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def sources_figure(path: Path, panels: dict[str, SpectrumDataset], title: str) -> None:
    """Write the mean spectrum of each source as the paper's figure has it: divided by its first value.

    Parameters
    ----------
    path : Path
    panels : {panel's title: SpectrumDataset}
        The same images in several states, one panel beside the other.
    title : str
    """
    with new_figure(path, 3.0, title) as figure:
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (panel_title, dataset) in zip(axes, panels.items()):
            x, x_label = frequency_axis(dataset)
            plot_mean_spectra(ax, x, dataset, normalised=True)
            ax.set(title=panel_title, xlabel=x_label)
        axes[0].set_ylabel("Mean log power / that of the first bin")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def crops_figure(path: Path, crops: dict[str, Sequence[np.ndarray]], dataset: SpectrumDataset, credit: str) -> None:
    """Write images of each source in a row, and beside them the mean spectra of all.

    Parameters
    ----------
    path : Path
    crops : {source: grey images (height, width) uint8}
        The same number of each source.
    dataset : SpectrumDataset
    credit : str
        Whom the pictures are owed to; stands below.
    """
    n_columns = len(next(iter(crops.values())))
    with new_figure(path, 2.9) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
        for row, (source, images) in zip(left.subplots(len(crops), n_columns, squeeze=False), crops.items()):
            for ax, gray in zip(row, images):
                ax.imshow(gray, cmap="gray", vmin=0, vmax=255)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            row[0].set_ylabel(source.replace("_", "\n"), fontsize=6)
        x, x_label = frequency_axis(dataset)
        ax = right.subplots()
        plot_mean_spectra(ax, x, dataset)
        ax.set(xlabel=x_label, ylabel=spectrum_label(dataset.spectra))
        ax.legend(loc="upper right", fontsize=6)
        figure.supxlabel(credit, fontsize=4.5, color="0.3", wrap=True)


def roc_figure(path: Path, panels: dict[str, dict[str, Sequence[Prediction]]], title: str) -> None:
    """Write ROC curves, one panel beside the other; the splits of a curve are pooled.

    Parameters
    ----------
    path : Path
    panels : {panel's title: {curve's name: predictions of all splits}}
        The same curves in each panel.
    title : str
    """
    with new_figure(path, 3.6, f"{title}: the tests of all splits together") as figure:
        for ax, (panel_title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            ax.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, linestyle=":")
            for (name, predictions), colour, line in zip(curves.items(), cycle(CLASSIFIER_COLOURS), cycle(_CURVES)):
                ax.plot(*roc_points(predictions), color=colour, linestyle=line, label=name)
            ax.set(title=panel_title, xlabel="Reals called fake", ylabel="Fakes called fake", aspect="equal")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def judged_figure(
    path: Path,
    x: np.ndarray,
    axis_labels: tuple[str, str],
    bands: dict[int, np.ndarray],
    spectrum: np.ndarray,
    evidence: np.ndarray,
    title: str,
) -> None:
    """Write one spectrum over those that its judge was trained on, and what each frequency contributed to the verdict.

    Parameters
    ----------
    path : Path
    x : ndarray, (n_bins,)
    axis_labels : (str, str)
        Of x and of the spectra.
    bands : {REAL: ndarray, FAKE: ndarray}, each (3, n_bins)
        Quantiles of the training spectra: 5 %, the median, 95 %.
    spectrum : ndarray, (n_bins,)
    evidence : ndarray, (n_bins,)
        Above 0 where a bin spoke for "fake". Those with the largest magnitudes, as few as make up half of the sum, are
        marked as the ones that decided.
    title : str
    """
    order = np.argsort(-np.abs(evidence))
    total = np.cumsum(np.abs(evidence[order]))
    decided = order[: 1 + np.searchsorted(total, total[-1] / 2)]
    with new_figure(path, 4.6, title, with_pdf=False) as figure:
        over, under = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        for label, (low, median, high) in bands.items():
            colour = COLOURS[label][0]
            over.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            named = f"{CLASS_NAMES[label]} training images: median and 5 to 95 %"
            over.plot(x, median, color=colour, linestyle=LINES[label][0][0], linewidth=0.8, label=named)
        over.plot(x, spectrum, color="black", linewidth=1, label="this file")
        for label, speaks in ((FAKE, evidence > 0), (REAL, evidence < 0)):
            marked = decided[speaks[decided]]
            marker = {"linestyle": "", "marker": "ox"[label == REAL], "markersize": 3, "color": COLOURS[label][0]}
            over.plot(x[marked], spectrum[marked], label=f"decided, for {CLASS_NAMES[label]}", **marker)
            under.plot(x[marked], evidence[marked], **marker)
        over.set(ylabel=axis_labels[1])
        over.legend()
        under.axhline(0, color="0.7", linewidth=0.8)
        under.plot(x, evidence, color="0.4", linewidth=0.6, zorder=1)
        under.set(
            title="Contribution to the decision value (above 0: speaks for fake)",
            xlabel=axis_labels[0],
            ylabel="Contribution",
        )


def image_figure(
    path: Path,
    gray: np.ndarray,
    log_power: np.ndarray,
    spectrum: np.ndarray,
    convention: Convention,
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
        `20 ln|F + 1e-8|`, DC at (height // 2, width // 2).
    spectrum : ndarray, (n_bins,)
        Of `gray`, whole, in this `convention`.
    convention : {"published", "published_2019", "centred"}
    highest : ndarray, (height, width)
        The image without all frequencies below `cut_off`.
    cut_off : float
        A share of the way from DC to the corner; drawn as a dotted line in both spectra.
    title : str
    """
    height, width = gray.shape
    cut = cut_off * np.hypot(height, width) / 2
    if height == width:
        radii, cut_on_axis = spectrum_radii(gray.shape, convention, "cycles/pixel"), cut / width
        x_label = "Spatial frequency (cycles/pixel)"
    else:
        radii, cut_on_axis = spectrum_radii(gray.shape, convention), cut
        x_label = "Radius in the 2-D spectrum (samples)"
    dotted = {"linestyle": ":", "linewidth": 1}
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    log_power, magnitude = shrunk(log_power), shrunk(np.abs(highest))  # signed, a large one would average to nothing
    panel_shape = np.clip(height / width, 0.6, 1.3)
    with new_figure(path, 0.9 + 0.74 * TWO_COLUMNS * panel_shape, title, with_pdf=False) as figure:
        ax = figure.subplot_mosaic(
            [["image", "image bar", "plane", "plane bar"], ["highest", "highest bar", "profile", "."]],
            width_ratios=(25, 1, 25, 1),
        )
        low, high = np.percentile(log_power, (0.5, 99.9))  # a few empty frequencies would take all the contrast
        for name, plane, colours, limits, panel_title, label in (
            ("image", shrunk(gray), "gray", (0, 255), "Image", "Grey level"),
            ("plane", log_power, "magma", (low, high), "2-D spectrum, DC in the middle", "Log power, 20 ln|F|"),
            ("highest", magnitude, "gray", (0, max(np.percentile(magnitude, 99.5), 1e-12)),
             "Image from its highest frequencies", "Magnitude (grey levels)"),
        ):  # fmt: skip
            shown = ax[name].imshow(plane, cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent)
            ax[name].set(title=panel_title, xticks=[], yticks=[])
            ax[name].spines[:].set_visible(False)
            figure.colorbar(shown, cax=ax[name + " bar"], label=label)
        ax["plane"].add_patch(Circle((width // 2, height // 2), cut, fill=False, color="white", **dotted))
        ax["profile"].plot(radii, spectrum, color=COLOURS[REAL][0])
        ax["profile"].axvline(cut_on_axis, color="0.3", **dotted)
        ax["profile"].set(title="Radial spectrum (dotted: cut-off)", xlabel=x_label, ylabel="Mean log power, 20 ln|F|")


@contextmanager
def new_figure(
    path: Path, height: float, title: str = "", width: float = TWO_COLUMNS, with_pdf: bool = True
) -> Iterator[Figure]:
    """Yield an empty figure in our style, and write it when the block ends well; needs no display.

    Parameters
    ----------
    path : Path
        `.png`, or any other format that matplotlib writes.
    height, width : float
        Inches.
    title : str
    with_pdf : bool
        Whether the same is written beside it as PDF.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        if title:
            lines = textwrap.wrap(title, int(CHARACTERS_PER_INCH * width), break_on_hyphens=False)
            figure.suptitle("\n".join(lines), fontsize=9, parse_math=False)
        yield figure
        for target in (path, path.with_suffix(".pdf")) if with_pdf else (path,):  # the layout depends on the order
            save_figure(figure, target)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole, with the signature that `files.FIGURE_MARK` finds; the same bytes for the same figure."""
    metadata = {"Creator": SIGNATURE, "CreationDate": None} if path.suffix == ".pdf" else {"Software": SIGNATURE}
    drawn = io.BytesIO()  # matplotlib's PDF writer has an error of its own where a disk is full
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # what the font lacks of a file's name is drawn as a box
        figure.savefig(drawn, format=path.suffix[1:], metadata=metadata)
    with whole_file(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())


def shrunk(plane: np.ndarray, most: int = 2000) -> np.ndarray:
    """Return a plane averaged over squares, where a side is longer than twice `most`: a print shows no more."""
    block = max(1, min(max(plane.shape) // most, *plane.shape))
    height, width = (side // block for side in plane.shape)
    return plane[: height * block, : width * block].reshape(height, block, width, block).mean(axis=(1, 3))
