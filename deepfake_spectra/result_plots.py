"""Figures of results: rows of results in, a file out."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from deepfake_spectra.dataset import CLASS_NAMES, FAKE, REAL
from deepfake_spectra.files import shortened
from deepfake_spectra.plots import CLASSIFIER_COLOURS, CLASSIFIER_MARKERS, COLOURS, ONE_COLUMN, new_figure
from deepfake_spectra.tables import heading, leading_metric, rows_of


def styled(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each name with a colour and a marker of its own."""
    return zip(names, cycle(CLASSIFIER_COLOURS), cycle(CLASSIFIER_MARKERS))


def metric_label(metric: str) -> str:
    """Return the label of the axis of a metric in per cent."""
    return f"{heading(metric).capitalize()} (%), 50 is chance"


def plot_intervals(ax: Axes, rows: Sequence[dict], positions: np.ndarray, along: str, **style) -> Axes:
    """Draw the means of rows, in per cent, with their 95 % intervals, at positions along the other axis.

    Parameters
    ----------
    ax : Axes
    rows : sequence of dict
        From `classification.result_rows`. Where no interval is defined, the point is drawn alone.
    positions : ndarray, (n_rows,)
    along : {"x", "y"}
        The axis of the per cent.
    **style
        Of `Axes.plot`, with `color` and `label`.
    """
    means = [100 * row["mean"] for row in rows]
    low, high = ([100 * row["mean" if row[end] is None else end] for row in rows] for end in ("low", "high"))
    if along == "x":
        ax.hlines(positions, low, high, color=style["color"], linewidth=1)
        ax.plot(means, positions, **style)
    else:
        ax.vlines(positions, low, high, color=style["color"], linewidth=1)
        ax.plot(positions, means, **style)
    return ax


def control_figure(path: Path, rows: Sequence[dict], panels: dict[str, str], title: str) -> None:
    """Write the accuracies of control tables, see `tables.leading_metric`, with their 95 % intervals, a line each.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Accuracies, with `condition` set.
    panels : {table: panel's title}
        One below the other; one without rows is left out.
    title : str
    """
    rows = [row for row in rows if row["protocol"] != "held_out"]  # k-means: as the paper has it, on all rows
    metric = leading_metric(rows, *panels)
    rows_of_table = {table: rows_of(rows, table, (metric,)) for table in panels}
    rows_of_table = {table: found for table, found in rows_of_table.items() if found}
    conditions = {
        table: list(dict.fromkeys(row["condition"] for row in rows_of_table[table])) for table in rows_of_table
    }
    n_lines = list(map(len, conditions.values()))
    classifiers = list(dict.fromkeys(row["classifier"] for found in rows_of_table.values() for row in found))
    with new_figure(path, 1.3 + 0.24 * sum(n_lines), title) as figure:
        axes = figure.subplots(len(n_lines), 1, sharex=True, height_ratios=n_lines, squeeze=False)[:, 0]
        for ax, (table, found) in zip(axes, rows_of_table.items()):
            ax.axvline(50, color="0.6", linewidth=0.8, linestyle=":")
            for number, (name, colour, marker) in enumerate(styled(classifiers)):
                own = [row for row in found if row["classifier"] == name]
                heights = np.array([conditions[table].index(row["condition"]) for row in own])
                shift = 0.6 / len(classifiers) * (number - (len(classifiers) - 1) / 2)
                style = {"color": colour, "marker": marker, "markersize": 3.5, "linestyle": "", "label": heading(name)}
                plot_intervals(ax, own, heights + shift, "x", **style)
            ax.set_title(panels[table])
            ax.set_yticks(range(len(conditions[table])), conditions[table], parse_math=False)
            ax.set_ylim(len(conditions[table]) - 0.5, -0.5)
        axes[-1].set(xlabel=metric_label(metric), xlim=(min(30, axes[-1].get_xlim()[0]), 102))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(classifiers)))


def audit_figure(path: Path, rows: Sequence[dict], panels: dict[str, str], title: str) -> None:
    """Write the accuracies of an audit with their 95 % intervals, one line each, one panel a table.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        With `condition` set; where a table has several classifiers, they are named, too.
    panels : {table: panel's title}
        One below the other; one without rows is left out.
    title : str
    """
    found = {table: rows_of(rows, table) for table in panels}
    found = {table: own for table, own in found.items() if own}
    metric = leading_metric(rows, *found)
    n_lines = list(map(len, found.values()))
    names = {"svm_linear": "spectrum", "headers_only": "headers alone"}
    with new_figure(path, 0.9 + 0.4 * len(found) + 0.17 * sum(n_lines), title) as figure:
        axes = figure.subplots(len(found), 1, sharex=True, height_ratios=n_lines, squeeze=False)[:, 0]
        for ax, (table, own) in zip(axes, found.items()):
            ax.axvline(50, color="0.6", linewidth=0.8, linestyle=":")
            is_spectrum = [row["classifier"] == "svm_linear" for row in own]
            for shown, colour, marker in ((True, COLOURS[REAL][0], "o"), (False, COLOURS[FAKE][0], "D")):
                at = [number for number, is_shown in enumerate(is_spectrum) if is_shown == shown]
                style = {"color": colour, "marker": marker, "markersize": 3.5, "linestyle": ""}
                plot_intervals(ax, [own[number] for number in at], np.array(at), "x", **style)
            several = len({row["classifier"] for row in own}) > 1
            labels = [
                f"{heading(row['classifier'], names)}, " * several + fill(shortened(row["condition"]), 55)
                for row in own
            ]
            ax.set_title(panels[table])
            ax.set_yticks(range(len(own)), labels, parse_math=False)
            ax.set_ylim(len(own) - 0.5, -0.5)
        axes[-1].set(xlabel=metric_label(metric), xlim=(min(30, axes[-1].get_xlim()[0]), 102))


def sizes_figure(path: Path, rows: Sequence[dict], paper: Sequence[dict], title: str) -> None:
    """Write accuracy by sample size, each classifier a line with its 95 % intervals, the paper's dashed.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Accuracies of table `sample_sizes`; k-means as fitted and scored on all rows.
    paper : sequence of dict
        From `results.paper_rows`; may be empty.
    title : str
    """
    rows = [row for row in rows if row["protocol"] != "held_out" and row["classifier"] != "majority_class"]
    sizes = sorted({row["n_samples"] for row in [*rows, *paper]})
    classifiers = list(dict.fromkeys(row["classifier"] for row in rows))
    with new_figure(path, 3.2, title, ONE_COLUMN) as figure:
        ax = figure.subplots()
        ax.axhline(50, color="0.6", linewidth=0.8, linestyle=":")
        for number, (name, colour, marker) in enumerate(styled(classifiers)):
            own = sorted((row for row in rows if row["classifier"] == name), key=lambda row: row["n_samples"])
            shift = 1.05 ** (number - (len(classifiers) - 1) / 2)  # side by side on the logarithmic axis
            at = shift * np.array([row["n_samples"] for row in own])
            style = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 0.9, "label": heading(name)}
            plot_intervals(ax, own, at, "y", **style)
            published = sorted((row for row in paper if row["classifier"] == name), key=lambda row: row["n_samples"])
            if published:
                ax.plot(
                    [row["n_samples"] for row in published], [100 * row["mean"] for row in published], color=colour,
                    linestyle="--", linewidth=0.9, marker=marker, markersize=3, markerfacecolor="none",
                )  # fmt: skip
        if paper:
            ax.plot([], [], color="0.3", linestyle="--", linewidth=0.9, label="the paper's")
        ax.set(xscale="log", xlabel="Images in total", ylabel=metric_label(rows[0]["metric"]))
        ax.set_xlim(sizes[0] / 1.6, sizes[-1] * 1.6)
        ax.set_xticks(sizes, [str(size) for size in sizes], rotation=45)
        ax.minorticks_off()
        ax.set_ylim(min(45, ax.get_ylim()[0]), 102)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def protocols_figure(path: Path, rows: Sequence[dict], names: dict[str, str], title: str) -> None:
    """Write accuracies of frames by how training and test were parted, side by side, with 95 % intervals.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Accuracies of one sample size.
    names : {protocol or classifier: text}
    title : str
    """
    rows = [row for row in rows if row["classifier"] != "majority_class"]  # the dotted line
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    classifiers = list(dict.fromkeys(row["classifier"] for row in rows))
    with new_figure(path, 3.1, title, ONE_COLUMN) as figure:
        ax = figure.subplots()
        ax.axhline(50, color="0.6", linewidth=0.8, linestyle=":")
        for number, (classifier, colour, marker) in enumerate(styled(classifiers)):
            own = [row for row in rows if row["classifier"] == classifier]
            at = np.array([protocols.index(row["protocol"]) for row in own]) + 0.12 * (
                number - (len(classifiers) - 1) / 2
            )
            style = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ""}
            plot_intervals(ax, own, at, "y", label=heading(classifier, names), **style)
        ax.set_xticks(range(len(protocols)), [fill(heading(protocol, names), 12) for protocol in protocols])
        ax.set(ylabel=metric_label(rows[0]["metric"]), xlim=(-0.5, len(protocols) - 0.5))
        ax.set_ylim(min(20, ax.get_ylim()[0]), 102)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def scores_figure(
    path: Path, panels: dict[str, dict[tuple[str, int], np.ndarray]], classifier: str, title: str
) -> None:
    """Write the held-out decision values of each source with their median, one panel beside the other.

    Parameters
    ----------
    path : Path
    panels : {panel's title: {(source, label): scores (n,)}}
        Reals first.
    classifier, title : str
    """
    about = "held-out decision values, an image once for each split that tested it; bars: medians"
    with new_figure(path, 2.8, f"{title}: {about}") as figure:
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for ax, (panel_title, scores_of_source) in zip(axes, panels.items()):
            ax.axvline(0, color="0.5", linewidth=0.8, linestyle=":")
            for height, ((_, label), scores) in enumerate(scores_of_source.items()):
                jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(scores))
                ax.plot(
                    scores, height + jitter, linestyle="", marker="ox"[label == FAKE], markersize=1.5,
                    color=COLOURS[label][0], alpha=0.5,
                )  # fmt: skip
                ax.plot([np.median(scores)] * 2, [height - 0.4, height + 0.4], color="black", linewidth=1.2)
            ax.set(title=panel_title, xlabel=f"{classifier}: decision value, fake above 0")
            ax.set_yticks(
                range(len(scores_of_source)),
                [f"{CLASS_NAMES[label]}: {source}" for source, label in scores_of_source],
                parse_math=False,  # no formula is meant
            )
        axes[0].invert_yaxis()


def claims_figure(path: Path, claims: Sequence[dict]) -> None:
    """Write each of the paper's accuracies beside what was measured here, as published and honestly.

    Parameters
    ----------
    path : Path
    claims : sequence of dict
        `claim` (text), `paper` (per cent), and rows of results or None: `published` (by the paper's protocol),
        `honest`, `header` (headers or size alone); `honest_is` (text): in what it is more honest.
    """
    styles = {
        "paper": {"color": "black", "marker": "|", "markersize": 11, "markeredgewidth": 1.8},
        "published": {"color": COLOURS[REAL][0], "marker": "o", "markersize": 4},
        "honest": {"color": COLOURS[FAKE][0], "marker": "D", "markersize": 4},
        "header": {"color": "0.45", "marker": "x", "markersize": 4},
    }
    labels = {
        "paper": "the paper",
        "published": "here, as the paper measured",
        "honest": "here, honest: as named at the left",
        "header": "here, headers or crop size alone: no spectrum",
    }
    with new_figure(path, 0.9 + 0.42 * len(claims)) as figure:
        ax = figure.subplots()
        ax.axvline(50, color="0.6", linewidth=0.8, linestyle=":")
        for kind, style in styles.items():
            named = labels[kind]
            for height, claim in enumerate(claims):
                if claim[kind] is None:
                    continue
                at = height + {"paper": 0, "published": -0.13, "honest": 0.13, "header": 0.3}[kind]
                if kind == "paper":
                    ax.plot(claim[kind], at, linestyle="", label=named, **style)
                else:
                    plot_intervals(ax, [claim[kind]], np.array([at]), "x", label=named, linestyle="", **style)
                named = "_"  # in the legend once
        ax.set_yticks(range(len(claims)), [f"{claim['claim']}\n{claim['honest_is']}" for claim in claims])
        ax.set(xlabel=metric_label("accuracy"), xlim=(min(30, ax.get_xlim()[0]), 102))
        ax.invert_yaxis()
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def differences_figure(
    path: Path, rows: Sequence[dict], title_of: Callable[[str], str], names: dict[str, str], title: str
) -> None:
    """Write how much balanced accuracy each contender gains over the reference, a panel for each condition.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Of the table "difference", metric "balanced_accuracy_gained", with their intervals; others are passed over.
    title_of : callable
        Contender, as a row's `classifier` has it -> text.
    names : {condition: text}
    title : str
    """
    gained = rows_of(rows, "difference", ("balanced_accuracy_gained",))
    conditions = list(dict.fromkeys(row["condition"] for row in gained))
    contenders = list(dict.fromkeys(row["classifier"] for row in gained))
    with new_figure(path, 1.1 + 0.2 * len(contenders), title) as figure:
        axes = figure.subplots(1, len(conditions), sharex=True, sharey=True, squeeze=False)[0]
        for ax, condition in zip(axes, conditions):
            ax.axvline(0, color="0.6", linewidth=0.8, linestyle=":")
            own = [row for row in gained if row["condition"] == condition]
            heights = np.array([contenders.index(row["classifier"]) for row in own])
            plot_intervals(ax, own, heights, "x", color=COLOURS[REAL][0], marker="o", markersize=3.5, linestyle="")
            ax.set_title(heading(condition, names))
        axes[0].set_yticks(range(len(contenders)), list(map(title_of, contenders)), parse_math=False)
        axes[0].set_ylim(len(contenders) - 0.5, -0.5)
        figure.supxlabel("Points of balanced accuracy gained over the radial spectrum, 95 % interval", fontsize=8)


def coverage_figure(
    path: Path,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    points: dict[str, tuple[float, float]],
    goal: float,
    title: str,
) -> None:
    """Write which share of the answers is wrong, by how many files are answered, a line for each state of the files.

    Parameters
    ----------
    path : Path
    curves : {state: (share answered, share of the answers that is wrong), each (n,)}
        From `answers.risk_by_coverage`.
    points : {state: (share answered, share wrong)}
        By the rule; a state without answers is left out.
    goal : float
        Share that may be wrong, drawn as a dotted line.
    title : str
    """
    with new_figure(path, 3.0, title, ONE_COLUMN) as figure:
        ax = figure.subplots()
        ax.axhline(100 * goal, color="0.6", linewidth=0.8, linestyle=":")
        for name, colour, marker in styled(list(curves)):
            answered, wrong = curves[name]
            ax.plot(100 * answered, 100 * wrong, color=colour, linewidth=0.9, label=name)
            if name in points:
                ax.plot(*(100 * np.array(points[name])), color=colour, marker=marker, markersize=5, clip_on=False)
        ax.plot([], [], color="0.3", linestyle="", marker="o", markersize=5, label="the rule's answers")
        ax.set(
            xlabel="Answered, the surest first (%)", ylabel="Wrong, of the answers (%)", xlim=(0, 100), ylim=(0, 100)
        )
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
