"""Figures of pictures and 2-D spectra: arrays in, a file out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.patches import Circle

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.plots import COLOURS, LINES, new_figure, shrunk


def planes_figure(path: Path, planes_of_state: dict[str, tuple[np.ndarray, np.ndarray]], title: str) -> None:
    """Write the mean 2-D spectra of both classes, and their difference; a line for each state of the images.

    Parameters
    ----------
    path : Path
    planes_of_state : {state: (real, fake)}
        Means of `radial_spectrum.log_power_plane`, (height, width), of one size.
    title : str
    """
    with new_figure(path, 0.4 + 2.1 * len(planes_of_state), title) as figure:
        subplots = figure.subplots(len(planes_of_state), 3, squeeze=False)
        for axes, (state, (real, fake)) in zip(subplots, planes_of_state.items()):
            low, high = np.percentile([real, fake], (1, 99.9))
            difference = shrunk(fake - real, 128)
            most = np.percentile(np.abs(difference), 99.5)
            for ax, plane, heading, colours, limits in (
                (axes[0], shrunk(real, 128), f"Real, {state}", "magma", (low, high)),
                (axes[1], shrunk(fake, 128), f"Fake, {state}", "magma", (low, high)),
                (axes[2], difference, "Fake minus real", "RdBu_r", (-most, most)),
            ):
                image = ax.imshow(plane, cmap=colours, vmin=limits[0], vmax=limits[1])
                ax.set(title=heading, xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if ax is not axes[0]:
                    figure.colorbar(image, ax=ax, label="20 ln|F|")


def centres_figure(
    path: Path,
    plane: np.ndarray,
    curves: dict[str, np.ndarray],
    centres: dict[str, tuple[float, float]],
    title: str,
) -> None:
    """Write the mean 2-D spectrum of the reals with the rings of two centres, and the mean curves that they give.

    Parameters
    ----------
    path : Path
    plane : ndarray, (height, width)
        Mean of `radial_spectrum.log_power_plane`, DC at (height // 2, width // 2).
    curves : {name: ndarray (n_bins,)}
        Mean spectra over the share of the longest radius; those that `centres` names have its colours.
    centres : {name: (x, y)}
        Where the rings stand, pixels of the plane.
    title : str
    """
    height, width = plane.shape
    colours = dict(zip(centres, ("#56B4E9", "#E69F00")))
    with new_figure(path, 3.2, title) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
        low, high = np.percentile(plane, (0.5, 99.9))
        left.imshow(plane, cmap="gray", vmin=low, vmax=high)
        for name, (x, y) in centres.items():
            left.plot(x, y, marker="+", markersize=8, markeredgewidth=1.5, color=colours[name], linestyle="")
            for share in (0.2, 0.4, 0.6):
                radius = share * width
                left.add_patch(Circle((x, y), radius, fill=False, color=colours[name], linewidth=1))
        left.set(
            title="2-D log spectrum of the reals, mean", xticks=[], yticks=[], xlim=(-0.5, width - 0.5),
            ylim=(height - 0.5, -0.5),
        )  # fmt: skip
        for name, curve in curves.items():
            style = {"color": colours[name]} if name in colours else {"color": "black", "linestyle": "--"}
            right.plot(np.linspace(0, 1, len(curve)), curve, label=name, **style)
        for name, centre in centres.items():
            for share in ring_edges(centre, plane.shape):
                right.axvline(share, color=colours[name], linestyle=":", linewidth=0.8)
        right.text(
            0.99, 0.62, "dotted: rings reach DC,\nor an edge of the plane", ha="right", transform=right.transAxes
        )
        right.set(xlabel="Radius (0: first bin, 1: last bin)", ylabel="Mean log power / that of the first bin")
        right.legend(loc="upper right")


def ring_edges(centre: tuple[float, float], shape: tuple[int, int]) -> list[float]:
    """Return where the curve of rings around a centre has an edge, as shares of the way from its first bin to its last.

    That is where a ring reaches DC, if that is not in the middle, and where it reaches a side of the plane.

    Parameters
    ----------
    centre : (x, y)
        Pixels of the plane.
    shape : (height, width)
        DC stands at (height // 2, width // 2). Bins are those of `radial_spectrum`'s "published" conventions.
    """
    (x, y), (height, width) = centre, shape
    n_bins = int(np.hypot(max(x, width - 1 - x), max(y, height - 1 - y))) - 1
    radii = {round(distance, 6) for distance in (x, width - 1 - x, y, height - 1 - y)}
    to_dc = np.hypot(x - width // 2, y - height // 2)
    radii |= {to_dc} if to_dc >= 2 else set()
    return sorted((radius - 1.5) / (n_bins - 1) for radius in radii)


def pipeline_figure(
    path: Path,
    pictures: Sequence[np.ndarray],
    planes: Sequence[np.ndarray],
    radii: np.ndarray,
    spectra: Sequence[np.ndarray],
    verdicts: Sequence[str],
    credit: str,
) -> None:
    """Write the way from a photograph and its re-synthesis to a verdict: picture, 2-D spectrum, radial spectrum.

    Parameters
    ----------
    path : Path
    pictures : two grey images (height, width) uint8
        The photograph, and what a generator made of it.
    planes : two ndarrays, (height, width)
        Their `radial_spectrum.log_power_plane`.
    radii : ndarray, (n_bins,)
        Cycles per pixel.
    spectra : two ndarrays, (n_bins,)
    verdicts : two str
        What a classifier says that has seen neither.
    credit : str
    """
    low, high = np.percentile(planes, (1, 99.9))
    with new_figure(path, 2.9) as figure:
        axes = figure.subplot_mosaic(
            [["real", "real plane", "curves"], ["fake", "fake plane", "curves"]], width_ratios=(1, 1, 2.4)
        )
        for name, label, picture, plane, verdict in zip(("real", "fake"), (REAL, FAKE), pictures, planes, verdicts):
            axes[name].imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes[name].set_ylabel(("Photograph", "Re-synthesis")[label], color=COLOURS[label][0])
            axes[name + " plane"].imshow(plane, cmap="magma", vmin=low, vmax=high)
            axes[name + " plane"].set_xlabel(verdict, color=COLOURS[label][0], fontsize=8)
            for ax in (axes[name], axes[name + " plane"]):
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            axes["curves"].plot(
                radii, spectra[label], color=COLOURS[label][0], linestyle=LINES[label][0][0],
                label=("photograph", "re-synthesis, transposed convolution")[label],
            )  # fmt: skip
        axes["real"].set_title("1  Image, grey")
        axes["real plane"].set_title("2  2-D spectrum; verdict")
        axes["curves"].set(
            title="3  Mean over each ring: the radial spectrum", xlabel="Spatial frequency (cycles/pixel)",
            ylabel="Mean log power, 20 ln|F|",
        )  # fmt: skip
        axes["curves"].legend(loc="upper right")
        figure.supxlabel(credit, fontsize=5, color="0.3")
