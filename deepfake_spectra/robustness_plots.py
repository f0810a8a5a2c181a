"""Figures of how results change with what is done to the test images: rows of results in, a file out."""

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from deepfake_spectra.dataset import CLASS_NAMES
from deepfake_spectra.files import shortened
from deepfake_spectra.plots import COLOURS, ONE_COLUMN, TWO_COLUMNS, new_figure
from deepfake_spectra.result_plots import metric_label, styled
from deepfake_spectra.robustness import AS_THEY_ARE
from deepfake_spectra.tables import leading_metric, rows_of

COLUMNS = 4
CURVES = ("-", "--", "-.", ":")
Panels = dict[str, dict[str, str]]  # title: {what stands at the axis: condition}


def means_of(rows: Sequence[dict]) -> np.ndarray:
    """Return the means of rows, (n_rows,), NaN where one is undefined."""
    return np.array([np.nan if row["mean"] is None else row["mean"] for row in rows])


def plot_band(ax: Axes, x: Sequence[float], rows: Sequence[dict], per_cent: bool = True, **style) -> Axes:
    """Draw the means of rows over x, with a band of their 95 % intervals, a bar of one; without any the line alone."""
    scale = 100 if per_cent else 1
    means = scale * means_of(rows)
    low, high = (
        [mean if row[end] is None else scale * row[end] for row, mean in zip(rows, means)] for end in ("low", "high")
    )
    if len(rows) > 1:
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    else:
        ax.vlines(x, low, high, color=style["color"], linewidth=1)
    ax.plot(x, means, **style)
    return ax


def panels_figure(path: Path, panels: Panels, rows: Sequence[dict], title: str) -> None:
    """Write recall of reals and of fakes, and below it the shift of their scores, a panel for each kind of alteration.

    Parameters
    ----------
    path : Path
    panels : {title: {what stands at the axis: condition}}
    rows : sequence of dict
        From `robustness.trial_rows`, of the tables `robustness` and `robustness_trained_altered`.
    title : str
    """
    row_of = {(row["table"], row.get("condition"), row["metric"]): row for row in rows}
    has_trained_altered = any(table == "robustness_trained_altered" for table, *_ in row_of)
    n_columns, n_lines = _grid(panels)
    width, below = (TWO_COLUMNS, 0.9) if n_columns > 1 else (ONE_COLUMN, 1.5)  # a narrow legend is a high one
    with new_figure(path, below + 2.3 * n_lines, f"{title}: trained once, threshold fixed", width) as figure:
        axes = figure.subplots(2 * n_lines, n_columns, height_ratios=[1.6, 1] * n_lines, squeeze=False)
        for ax in axes.reshape(n_lines, 2, n_columns).swapaxes(0, 1).reshape(2, -1)[:, len(panels) :].ravel():
            ax.remove()
        unders = []
        for number, (panel, conditions) in enumerate(panels.items()):
            line, column = divmod(number, n_columns)
            over, under = axes[2 * line : 2 * line + 2, column]
            unders.append(under)
            shown = [AS_THEY_ARE, *conditions.values()]
            x = np.arange(len(shown))
            of = partial(_rows_in, row_of, shown)
            for label, name in enumerate(CLASS_NAMES):
                style = {"color": COLOURS[label][0], "marker": "os"[label], "markersize": 2.5, "linewidth": 1.1}
                plot_band(over, x, of("robustness", f"recall_{name}"), label=f"recall of {name}s", **style)
                plot_band(under, x, of("robustness", f"shift_{name}"), per_cent=False, **style)
                dotted = style | {"marker": "", "linestyle": ":"}
                if has_trained_altered:
                    trained = 100 * means_of(of("robustness_trained_altered", f"recall_{name}"))
                    over.plot(x, trained, label=f"recall of {name}s, trained on altered ones, too", **dotted)
            over.plot(
                x,
                100 * means_of(of("robustness", "roc_auc")),
                color="0.3",
                linestyle="--",
                linewidth=0.8,
                label="ROC AUC",
            )
            _dress(over, x, [], panel)
            _dress(under, x, ["as is", *conditions])
            under.axhline(0, color="0.6", linewidth=0.6, linestyle=":")
            if column == 0:
                over.set_ylabel("Recall, AUC (%)")
                under.set_ylabel("Shift\n(clean s.d.)")
        widest = max(1.2, *(1.2 * np.abs(ax.get_ylim()).max() for ax in unders))  # 1 s.d. is always marked
        powers = 10.0 ** np.arange(np.ceil(np.log10(widest)))
        ticks = [*-powers[::-1], 0, *powers]
        for ax in unders:
            ax.set_yscale("symlog", linthresh=1)
            ax.set_ylim(-widest, widest)
            ax.set_yticks(ticks, [f"{tick:+g}" if tick else "0" for tick in ticks])
            ax.minorticks_off()
        figure.legend(*over.get_legend_handles_labels(), loc="outside lower center", ncols=3 if n_columns > 1 else 1)


def transfer_figure(path: Path, panels: Panels, rows: Sequence[dict], title: str) -> None:
    """Write recall of reals and of fakes of sources that were not trained on, a line style for each training.

    Parameters are those of `panels_figure`; rows are of the table `robustness_transfer`.
    """
    row_of = {(tuple(row["train_sources"]), row["condition"], row["metric"]): row for row in rows}
    trainings = list(dict.fromkeys(sources for sources, _, _ in row_of))
    n_columns, n_lines = _grid(panels)
    with new_figure(path, 1.3 + 1.5 * n_lines, title) as figure:
        axes = figure.subplots(n_lines, n_columns, sharey=True, squeeze=False)
        for ax in axes.ravel()[len(panels) :]:
            ax.remove()
        for ax, (panel, conditions) in zip(axes.ravel(), panels.items()):
            shown = [AS_THEY_ARE, *conditions.values()]
            x = np.arange(len(shown))
            for sources, line in zip(trainings, cycle(CURVES)):
                for label, name in enumerate(CLASS_NAMES):
                    recalls = 100 * means_of([row_of[sources, steps, f"recall_{name}"] for steps in shown])
                    named = f"{name}s, trained on {' + '.join(shortened(source, 26) for source in sources)}".replace(
                        "$", r"\$"
                    )
                    ax.plot(x, recalls, color=COLOURS[label][0], linestyle=line, linewidth=0.9, label=named)
            _dress(ax, x, ["as is", *conditions], panel)
        for ax in axes[:, 0]:
            ax.set_ylabel("Recall (%)")
        at = {"loc": "outside lower center", "ncols": 2} if n_columns > 1 else {"loc": "outside right center"}
        figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=6, **at)


def learning_figure(path: Path, rows: Sequence[dict], title: str, unit: str = "images") -> None:
    """Write accuracy by the number of images, or frames, trained on, and of videos by that of frames judged by.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Of the tables `learning_curve` and, of videos, `frames_per_video`.
    title : str
    unit : {"images", "frames"}
        What was trained on.
    """
    panels = {
        "learning_curve": (f"{unit.capitalize()} trained on", lambda row: row["n_samples"]),
        "frames_per_video": ("Frames a video is judged by", lambda row: int(row["condition"])),
    }
    panels = {table: panel for table, panel in panels.items() if rows_of(rows, table)}
    width = ONE_COLUMN if len(panels) == 1 else TWO_COLUMNS
    with new_figure(path, 3.0, title, width) as figure:
        for ax, (table, (x_label, x_of)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            found = rows_of(rows, table)
            curves = dict.fromkeys(row["condition"] for row in found) if table == "learning_curve" else {None: None}
            ax.axhline(50, color="0.6", linewidth=0.8, linestyle=":")
            for curve, colour, marker in styled(list(curves)):
                own = [row for row in found if curve in (None, row["condition"])]
                style = {"color": colour, "marker": marker, "markersize": 3, "label": curve}
                plot_band(ax, list(map(x_of, own)), own, **style)
            ticks = sorted(set(map(x_of, found)))
            ax.set(xscale="log", xlabel=x_label, ylabel=metric_label(leading_metric(rows, table)))
            ax.set_xticks(ticks, list(map(str, ticks)), rotation=45)
            ax.minorticks_off()
            ax.set_ylim(min(45, ax.get_ylim()[0]), 102)
            if len(curves) > 1:
                ax.legend(loc="lower right")


def _grid(panels):
    """Return the numbers of columns and lines that panels take."""
    n_columns = min(COLUMNS, len(panels))
    return n_columns, -(-len(panels) // n_columns)


def _rows_in(row_of, conditions, table, metric):
    """Return the row of each condition."""
    return [row_of[table, condition, metric] for condition in conditions]


def _dress(ax, x, labels, title=""):
    """Set limits, ticks and title of a panel; without labels it shares the axis of the one below."""
    ax.set_title(title, parse_math=False)
    ax.set_xlim(-0.3, len(x) - 0.7)
    ax.set_xticks(x, labels or [""] * len(x), rotation=90, fontsize=6, parse_math=False)
    if title:
        ax.axhline(50, color="0.7", linewidth=0.6, linestyle=":", zorder=0)
        ax.set(ylim=(-3, 103), yticks=(0, 50, 100))
