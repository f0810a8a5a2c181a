"""Figures of robustness: a line stands where its rows say, an undefined number is a gap, a class keeps its colour."""

import numpy as np
import pytest
from figures import lines_of, looks, panel

from deepfake_spectra.plots import COLOURS, ONE_COLUMN
from deepfake_spectra.robustness_plots import learning_figure, panels_figure, plot_band, transfer_figure

PANELS = {"jpeg": {"90": "jpeg 90", "50": "jpeg 50"}, "in one go": {"web": "web"}}
CONDITIONS = ("as they are", "jpeg 90", "jpeg 50", "web")
METRICS = ("recall_real", "recall_fake", "roc_auc", "shift_real", "shift_fake")


def rows_of_table(table, seed=0, **keys):
    """Return a row of each condition and metric, with a number of its own."""
    random = np.random.default_rng(seed)
    return [
        {"table": table, "condition": condition, "metric": metric, "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
        | keys
        for condition in CONDITIONS
        for metric in METRICS
        for mean in [float(random.uniform(0.2, 0.8))]
    ]


def means(rows, metric, conditions):
    """Return the means of a metric, in the order of the conditions."""
    return [
        next(row["mean"] for row in rows if (row["condition"], row["metric"]) == (name, metric)) for name in conditions
    ]


@pytest.fixture
def rows():
    """Return the rows of both trainings."""
    return rows_of_table("robustness") + rows_of_table("robustness_trained_altered", 1)


def test_a_panel_shows_recalls_and_auc_from_the_images_as_they_are_on(draw, rows):
    figure = draw(panels_figure, PANELS, rows, "title")
    shown = ["as they are", "jpeg 90", "jpeg 50"]
    lines = lines_of(panel(figure, "jpeg"))
    for number, name in enumerate(("real", "fake")):
        expected = 100 * np.array(means(rows[:20], f"recall_{name}", shown))
        np.testing.assert_allclose(lines[f"recall of {name}s"].get_ydata(), expected)
        assert lines[f"recall of {name}s"].get_color() == COLOURS[number][0]
        trained = 100 * np.array(means(rows[20:], f"recall_{name}", shown))
        np.testing.assert_allclose(lines[f"recall of {name}s, trained on altered ones, too"].get_ydata(), trained)
    np.testing.assert_allclose(lines["ROC AUC"].get_ydata(), 100 * np.array(means(rows[:20], "roc_auc", shown)))
    assert len({looks(line) for line in lines.values()}) == 5 and len(figure.axes) == 4


def test_below_it_stands_the_shift_of_either_class_with_the_points_named(draw, rows):
    figure = draw(panels_figure, PANELS, rows, "title")
    under = [ax for ax in figure.axes if not ax.get_title()][0]
    assert [label.get_text() for label in under.get_xticklabels()] == ["as is", "90", "50"]
    drawn = [line.get_ydata() for line in under.lines if len(line.get_xdata()) == 3]
    for name, shift in zip(("real", "fake"), drawn, strict=True):
        np.testing.assert_allclose(shift, means(rows, f"shift_{name}", ["as they are", "jpeg 90", "jpeg 50"]))
    low, high = under.get_ylim()
    assert low == -high and high >= 0.9


def test_a_number_that_is_not_defined_is_a_gap(draw, rows):
    rows[2]["mean"] = rows[0]["low"] = rows[0]["high"] = None
    lines = lines_of(panel(draw(panels_figure, PANELS, rows, "title"), "jpeg"))
    assert np.isnan(lines["ROC AUC"].get_ydata()).tolist() == [True, False, False]


def test_a_single_panel_is_a_column_wide_and_its_legend_is_whole(draw, rows):
    figure = draw(panels_figure, {"jpeg": PANELS["jpeg"]}, rows, "title")
    figure.draw_without_rendering()
    legend, under = figure.legends[0].get_window_extent(), figure.axes[1].get_window_extent()
    assert figure.get_figwidth() == ONE_COLUMN and 0 < legend.x0 < legend.x1 < figure.bbox.x1
    assert 0 < legend.y0 < legend.y1 < under.y0


def test_a_shift_of_less_than_one_has_ticks(draw, rows):
    for row in rows:
        row |= {"mean": row["mean"] / 10, "low": 0, "high": 0.1}
    under = draw(panels_figure, PANELS, rows, "title").axes[2]
    assert [text.get_text() for text in under.get_yticklabels()] == ["-1", "0", "+1"]


def test_a_single_number_has_its_interval_as_a_bar():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    plot_band(ax, [10], [{"mean": 0.5, "low": 0.4, "high": 0.7}], color="k")
    np.testing.assert_allclose(ax.collections[0].get_segments(), [[[10, 40], [10, 70]]])


def test_a_band_is_the_interval():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    plot_band(ax, [0, 1], [{"mean": 0.5, "low": 0.4, "high": 0.7}, {"mean": 1.0, "low": None, "high": None}], color="k")
    corners = {tuple(corner) for corner in ax.collections[0].get_paths()[0].vertices.round(6).tolist()}
    assert {(0, 40), (0, 70), (1, 100)} <= corners and not {y for _, y in corners} - {40, 70, 100}


def test_transfer_has_a_line_style_for_each_training_and_a_colour_for_each_class(draw):
    long_name = "b" * 240
    trainings = [["a", "c"], ["a", "d"], [long_name, "c"], [long_name, "d"]]
    rows = [
        row for n, names in enumerate(trainings) for row in rows_of_table("robustness_transfer", n, train_sources=names)
    ]
    lines = lines_of(panel(draw(transfer_figure, PANELS, rows, "title"), "jpeg"))
    assert len(lines) == 8 == len({looks(line) for line in lines.values()})
    for number, names in enumerate(trainings):
        line = lines[f"fakes, trained on {' + '.join(names)}".replace(long_name, "b" * 16 + " … " + "b" * 8)]
        expected = means(rows[20 * number : 20 * number + 20], "recall_fake", ["as they are", "jpeg 90", "jpeg 50"])
        np.testing.assert_allclose(line.get_ydata(), 100 * np.array(expected))


def test_learning_curves_stand_over_the_number_of_images_and_of_frames(draw):
    common = {"metric": "accuracy", "low": 0.5, "high": 0.9, "n_test": [8], "n_test_fake": [4]}
    rows = [
        common | {"table": "learning_curve", "condition": state, "n_samples": n, "mean": 0.6 + n / 1000}
        for state in ("as they are", "jpeg 75")
        for n in (10, 100)
    ]
    [ax] = draw(learning_figure, rows, "title").axes
    assert ax.get_xlabel() == "Images trained on"
    assert lines_of(ax).keys() == {"as they are", "jpeg 75"}
    assert lines_of(ax)["jpeg 75"].get_xdata().tolist() == [10, 100]
    np.testing.assert_allclose(lines_of(ax)["jpeg 75"].get_ydata(), [61, 70])
    rows += [common | {"table": "frames_per_video", "condition": str(n), "mean": 0.7} for n in (1, 5)]
    trained, ax = draw(learning_figure, rows, "title", "frames").axes
    assert trained.get_xlabel() == "Frames trained on"
    assert ax.get_xlabel() == "Frames a video is judged by" and ax.lines[-1].get_xdata().tolist() == [1, 5]
