"""Figures of results: each point and interval at its value, in the place of what it is of, and named in the legend."""

import numpy as np
import pytest
from figures import legend_of, lines_of, looks, panel

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.plots import COLOURS, save_figure
from deepfake_spectra.result_plots import (
    audit_figure,
    claims_figure,
    control_figure,
    coverage_figure,
    differences_figure,
    protocols_figure,
    scores_figure,
    sizes_figure,
)  # fmt: skip
from deepfake_spectra.tables import paper_rows

CONTROL_PANELS = {"control": "Fakes against fakes", "alike": "Both altered alike"}


def intervals_of(ax):
    """Return the intervals of each classifier as they are drawn, a list of (n, low and high end, x and y)."""
    return [np.array(lines.get_segments()) for lines in ax.collections]


# --- controls


def control_row(table, condition, classifier, mean, low=None, high=None, metric="accuracy"):
    """Return a row of a control table."""
    keys = {"table": table, "condition": condition, "classifier": classifier, "metric": metric, "protocol": "random"}
    return keys | {"mean": mean, "low": low, "high": high}


@pytest.mark.parametrize("n_fake, label, drawn_at", [(5, "Accuracy", 90), (2, "Balanced accuracy", 70)])
def test_the_figure_of_controls_shows_the_balanced_accuracy_where_classes_are_of_unequal_size(
    draw, n_fake, label, drawn_at
):
    means = {"accuracy": 0.9, "balanced_accuracy": 0.7}
    rows = [control_row("alike", "as they are", "svm_linear", mean, metric=name) for name, mean in means.items()]
    rows = [row | {"n_test": [10], "n_test_fake": [n_fake]} for row in rows]
    [ax] = draw(control_figure, rows, CONTROL_PANELS, "Test").axes
    assert ax.get_xlabel() == f"{label} (%), 50 is chance"
    assert lines_of(ax)["SVM, linear"].get_xdata() == pytest.approx([drawn_at])


def test_each_point_and_interval_of_the_controls_is_that_of_its_row(draw):
    rows = [
        control_row("alike", "as they are", "svm_linear", 0.9, 0.8, 0.95),
        control_row("alike", "as they are", "svm_linear", 0.1, 0, 1, metric="recall_fake"),
        control_row("control", "untouched", "svm_linear", 0.5, 0.4, 0.61),
        control_row("control", "untouched", "k_means", 0.55, 0.5, 0.6),
        control_row("control", "crop 9x9 + jpeg 50", "svm_linear", 0.7, 0.66, 0.81),
        control_row("control", "crop 9x9 + jpeg 50", "k_means", 1.0),  # its interval is not defined
        control_row("sample_sizes", None, "svm_linear", 0.2, 0.1, 0.3),
    ]
    figure = draw(control_figure, rows, CONTROL_PANELS, "Test")
    handles = legend_of(*figure.legends)
    assert list(handles) == ["SVM, linear", "k-means"]
    expected = {
        "Fakes against fakes": {
            "SVM, linear": [(50, 40, 61), (70, 66, 81)], "k-means": [(55, 50, 60), (100, 100, 100)],
        },
        "Both altered alike": {"SVM, linear": [(90, 80, 95)], "k-means": []},
    }  # fmt: skip
    for title, of_classifier in expected.items():
        ax = panel(figure, title)
        lines = lines_of(ax)
        assert list(lines) == list(of_classifier)
        for (name, points), intervals in zip(of_classifier.items(), ax.collections, strict=True):
            assert looks(lines[name]) == looks(handles[name])
            assert lines[name].get_xdata() == pytest.approx([mean for mean, _, _ in points])
            heights = lines[name].get_ydata()
            assert np.round(heights).tolist() == list(range(len(points)))  # the line of its condition
            for (_, low, high), height, ends in zip(points, heights, intervals.get_segments(), strict=True):
                assert ends.ravel() == pytest.approx([low, height, high, height])
        assert ax.get_xlim()[0] <= 30 and ax.get_xlim()[1] >= 100 and ax.yaxis_inverted()
    texts = [text.get_text() for text in panel(figure, list(expected)[0]).get_yticklabels()]
    assert texts == ["untouched", "crop 9x9 + jpeg 50"]


def test_a_classifier_that_misses_a_condition_keeps_to_the_lines_of_its_own(draw):
    rows = [control_row("control", condition, "svm_linear", 0.5) for condition in ("a", "b", "c")]
    rows += [control_row("control", "c", "svm_rbf", 0.9)]
    ax = draw(control_figure, rows, CONTROL_PANELS, "Test").axes[0]
    assert np.round(lines_of(ax)["SVM, RBF"].get_ydata()).tolist() == [2]


@pytest.mark.parametrize("n_classifiers", [1, 5, 12])
def test_any_number_of_classifiers_look_different_stand_at_their_line_and_fit_the_figure(draw, n_classifiers):
    names = [f"classifier_number_{number}" for number in range(n_classifiers)]
    rows = [control_row("control", condition, name, 0.7, 0.6, 0.8) for condition in ("a", "b") for name in names]
    figure = draw(control_figure, rows, CONTROL_PANELS, "Test")
    lines = lines_of(figure.axes[0])
    assert len(lines) == len({looks(line) for line in lines.values()}) == n_classifiers
    heights = np.sort(np.concatenate([line.get_ydata() for line in lines.values()]))
    assert np.round(heights).tolist() == [0] * n_classifiers + [1] * n_classifiers and np.all(np.diff(heights) > 0)
    figure.draw_without_rendering()
    extent = figure.legends[0].get_window_extent()
    assert 0 <= extent.x0 and extent.x1 <= figure.bbox.width


def test_a_source_of_a_long_name_leaves_room_in_the_figure_of_an_audit(draw):
    rows = [control_row("control", "x" * 240, "svm_linear", 0.5, 0.4, 0.6)]
    figure = draw(audit_figure, rows, {"control": "Test"}, "Test")
    figure.draw_without_rendering()
    [label] = figure.axes[0].get_yticklabels()
    assert label.get_window_extent().x0 > 0 and figure.axes[0].bbox.width > 0.3 * figure.bbox.width


def test_a_folders_name_is_no_formula_in_the_figures_of_results(draw, tmp_path):
    row = control_row("control", "a$\\no$ against b$c$", "svm_linear", 0.5, 0.4, 0.6)
    scores = {"as they are": {("a$\\no$", REAL): np.zeros(3), ("b$c$", FAKE): np.ones(3)}}
    for arguments, named in (
        ((control_figure, [row], {"control": "Test"}, "$\\no$"), ["a$\\no$ against b$c$"]),
        ((scores_figure, scores, "Linear SVM", "$\\no$"), ["real: a$\\no$", "fake: b$c$"]),
    ):
        figure = draw(*arguments)
        save_figure(figure, tmp_path / "figure.png")
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == named


# --- accuracy by sample size


def size_row(n_samples, classifier, mean, low=None, high=None, protocol="random"):
    """Return a row of the table of sample sizes."""
    return {
        "table": "sample_sizes", "metric": "accuracy", "n_samples": n_samples, "classifier": classifier,
        "protocol": protocol, "mean": mean, "low": low, "high": high,
    }  # fmt: skip


SIZE_ROWS = [
    size_row(600, "svm_linear", 0.99, 0.97, 1.0),
    size_row(20, "svm_linear", 0.9, 0.5, 0.95),
    size_row(100, "svm_linear", 1.0),  # its interval is not defined
    size_row(600, "k_means", 0.81, 0.78, 0.84, "all_rows"),
    size_row(600, "k_means", 0.2, 0.1, 0.3, "held_out"),
    size_row(600, "majority_class", 0.5, 0.4, 0.6),
    size_row(600, "headers_only", 0.7, 0.6, 0.8),
]
PAPER_SIZES = {"paper": {4000: {"svm_linear": 100, "k_means": 82}, 20: {"svm_linear": 98, "k_means": 75}}}


def test_each_classifier_is_a_line_over_the_sample_sizes_and_the_papers_is_dashed_beside_it(draw):
    figure = draw(sizes_figure, SIZE_ROWS, paper_rows(PAPER_SIZES), "Test")
    [ax] = figure.axes
    expected = {  # size: mean, low, high
        "SVM, linear": {20: (90, 50, 95), 100: (100, 100, 100), 600: (99, 97, 100)},
        "k-means": {600: (81, 78, 84)}, "headers only": {600: (70, 60, 80)},
    }  # fmt: skip
    lines = lines_of(ax)
    assert list(lines) == [*expected, "the paper's"] == list(legend_of(*figure.legends))
    for (name, points), ends in zip(expected.items(), intervals_of(ax), strict=True):
        assert lines[name].get_linestyle() == "-" and looks(lines[name]) == looks(legend_of(*figure.legends)[name])
        assert lines[name].get_xdata() == pytest.approx(list(points), rel=0.06)  # side by side
        assert lines[name].get_ydata() == pytest.approx([mean for mean, _, _ in points.values()])
        assert ends[:, 0, 0].tolist() == ends[:, 1, 0].tolist() == lines[name].get_xdata().tolist()
        assert ends[:, :, 1] == pytest.approx(np.array([limits for _, *limits in points.values()]))
    at_600 = [line.get_xdata()[-1] for name, line in lines.items() if name in expected]
    assert sorted(set(at_600)) == at_600 and np.prod(at_600) == pytest.approx(600**3)  # about their size
    dashed = {line.get_color(): line for line in ax.lines if line.get_linestyle() == "--" and len(line.get_xdata())}
    assert dashed[lines["SVM, linear"].get_color()].get_xydata().tolist() == [[20, 98], [4000, 100]]
    assert dashed[lines["k-means"].get_color()].get_xydata().tolist() == [[20, 75], [4000, 82]]
    assert len(dashed) == 2 and lines["the paper's"].get_linestyle() == "--"


def test_sample_sizes_stand_on_a_logarithmic_axis_with_chance_dotted(draw):
    figure = draw(sizes_figure, SIZE_ROWS, paper_rows(PAPER_SIZES), "Test")
    [ax] = figure.axes
    assert ax.get_xscale() == "log" and ax.get_xticks().tolist() == [20, 100, 600, 4000]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["20", "100", "600", "4000"]
    assert not len(ax.get_xticks(minor=True)) and ax.get_ylim()[0] <= 45 and ax.get_ylim()[1] > 100
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Images in total", "Accuracy (%), 50 is chance")
    assert set(ax.lines[0].get_ydata()) == {50} and figure.get_suptitle() == "Test"


def test_without_the_papers_numbers_nothing_is_said_to_be_the_papers(draw):
    figure = draw(sizes_figure, SIZE_ROWS, [], "Test")
    assert "the paper's" not in legend_of(*figure.legends)
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]


# --- protocols


def test_each_accuracy_stands_over_the_protocol_that_it_was_measured_by(draw):
    rows = [
        size_row(100, "svm_rbf", 0.9, 0.84, 0.95), size_row(100, "svm_rbf", 0.6, 0.5, 0.7, "by_identity"),
        size_row(100, "headers_only", 0.7, 0.6, 0.8, "by_video"), size_row(100, "majority_class", 0.5, 0.4, 0.6),
        size_row(100, "svm_rbf", 0.8, 0.7, 0.9, "by_video"),
    ]  # fmt: skip
    names = {"random": "random frames", "headers_only": "size alone"}
    figure = draw(protocols_figure, rows, names, "100 frames")
    [ax] = figure.axes
    protocols = [text.get_text() for text in ax.get_xticklabels()]
    assert protocols == ["random\nframes", "by identity", "by video"] and ax.get_xticks().tolist() == [0, 1, 2]
    lines = lines_of(ax)
    assert list(lines) == ["SVM, RBF", "size alone"] == list(legend_of(*figure.legends))
    expected = {"SVM, RBF": {0: (90, 84, 95), 1: (60, 50, 70), 2: (80, 70, 90)}, "size alone": {2: (70, 60, 80)}}
    for (name, points), ends in zip(expected.items(), intervals_of(ax), strict=True):
        found = zip(np.round(lines[name].get_xdata()), lines[name].get_ydata(), *ends[:, :, 1].T)
        assert {at: values for at, *values in found} == {at: pytest.approx(list(v)) for at, v in points.items()}
        assert ends[:, 0, 0].tolist() == ends[:, 1, 0].tolist() == lines[name].get_xdata().tolist()
        assert looks(lines[name]) == looks(legend_of(*figure.legends)[name])
    assert lines["SVM, RBF"].get_xdata()[2] < 2 < lines["size alone"].get_xdata()[0]  # side by side
    assert ax.get_ylim() == (20, 102) and set(ax.lines[0].get_ydata()) == {50}
    assert figure.get_suptitle() == "100 frames" and ax.get_ylabel() == "Accuracy (%), 50 is chance"


# --- decision values


def test_the_scores_of_a_source_stand_in_its_row_with_their_median(draw):
    of_source = {
        ("photos", REAL): np.array([-3.0, -2.0, -0.5]), ("faces", REAL): np.array([-1.0, 0.5]),
        ("gan", FAKE): np.array([2.0, 3.0, 7.0]),
    }  # fmt: skip
    turned = {source: -scores for source, scores in of_source.items()}
    figure = draw(scores_figure, {"as they are": of_source, "jpeg 75": turned}, "Linear SVM", "Test")
    assert figure.get_suptitle().replace("\n", " ").startswith("Test: held-out decision values, ")
    for title, scores_of in (("as they are", of_source), ("jpeg 75", turned)):
        ax = panel(figure, title)
        zero, *lines = ax.lines
        assert set(zero.get_xdata()) == {0} and ax.get_xlabel() == "Linear SVM: decision value, fake above 0"
        assert not ax.xaxis_inverted() and ax.yaxis_inverted()  # the first source is on top
        for row, ((_, label), scores) in enumerate(scores_of.items()):
            points, median = lines[2 * row : 2 * row + 2]
            assert points.get_xdata().tolist() == scores.tolist()
            assert np.abs(points.get_ydata() - row).max() < 0.5 and np.ptp(points.get_ydata()) > 0
            assert (points.get_color(), points.get_marker()) == (COLOURS[label][0], "ox"[label])
            assert set(median.get_xdata()) == {np.median(scores)} and np.mean(median.get_ydata()) == row
        assert len(lines) == 6 and ax.get_yticks().tolist() == [0, 1, 2]
    texts = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert texts == ["real: photos", "real: faces", "fake: gan"]


# --- the paper's claims


def test_each_number_of_a_claim_stands_at_its_value_and_at_the_height_of_its_claim(draw):
    def row(mean, low=None, high=None):
        return {"mean": mean, "low": low, "high": high}

    claims = [
        {"claim": "one", "paper": 100, "published": row(0.99, 0.9, 1.0), "honest": row(0.6, 0.5, 0.7),
         "header": row(0.98, 0.95, 1.0), "honest_is": "cropped alike"},
        {"claim": "two", "paper": 82, "published": row(0.81), "honest": None, "header": None, "honest_is": ""},
        {"claim": "three", "paper": 76, "published": row(0.7, 0.65, 0.75), "honest": row(0.25, 0.2, 0.3),
         "header": None, "honest_is": "by identity"},
    ]  # fmt: skip
    figure = draw(claims_figure, claims)
    [ax] = figure.axes
    handles = legend_of(*figure.legends)
    kinds = {
        "paper": "the paper", "published": "here, as the paper measured",
        "honest": "here, honest: as named at the left",
        "header": "here, headers or crop size alone: no spectrum",
    }  # fmt: skip
    assert list(handles) == list(kinds.values())
    chance, *markers = ax.lines
    assert set(chance.get_xdata()) == {50}
    found = {}
    for marker in markers:
        [kind] = [kind for kind, text in kinds.items() if looks(handles[text]) == looks(marker)]
        [(at, height)] = marker.get_xydata()
        assert (kind, round(height)) not in found
        found[kind, round(height)] = at
    assert found == pytest.approx({
        ("paper", 0): 100, ("published", 0): 99, ("honest", 0): 60, ("header", 0): 98,
        ("paper", 1): 82, ("published", 1): 81, ("paper", 2): 76, ("published", 2): 70, ("honest", 2): 25,
    })  # fmt: skip
    limits = {(round(ends[0, 1]), *ends[:, 0].round(6)) for [ends] in intervals_of(ax)}
    assert limits == {(0, 90, 100), (0, 50, 70), (0, 95, 100), (1, 81, 81), (2, 65, 75), (2, 20, 30)}
    assert ax.get_yticks().tolist() == [0, 1, 2] and ax.yaxis_inverted()
    texts = [text.get_text() for text in ax.get_yticklabels()]
    assert texts == ["one\ncropped alike", "two\n", "three\nby identity"]
    assert ax.get_xlim()[0] < 20 and ax.get_xlim()[1] > 100  # nothing is cut off


# --- differences


def test_each_difference_stands_in_its_contenders_line_with_its_interval(draw):
    def gained(condition, classifier, mean, low, high, metric="balanced_accuracy_gained"):
        values = {"condition": condition, "classifier": classifier, "metric": metric}
        return values | {"table": "difference", "mean": mean, "low": low, "high": high}

    rows = [
        gained("", "a, svm", 0.1, 0.02, 0.18), gained("", "b, svm", -0.05, -0.1, 0.0),
        gained("jpeg 75", "a, svm", 0.2, 0.1, 0.3), gained("jpeg 75", "b, svm", 0.03, 0.03, 0.03),
        gained("", "a, svm", 0.5, None, None, "p_value"), gained("", "a, svm", 0.5, None, None) | {"table": "alike"},
    ]  # fmt: skip
    figure = draw(differences_figure, rows, lambda name: name[0].upper(), {"": "as they are"}, "60 images")
    assert [ax.get_title() for ax in figure.axes] == ["as they are", "jpeg 75"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["A", "B"]
    expected = [{0: (10, 2, 18), 1: (-5, -10, 0)}, {0: (20, 10, 30), 1: (3, 3, 3)}]
    for ax, of_panel in zip(figure.axes, expected, strict=True):
        zero, points = ax.lines
        assert set(zero.get_xdata()) == {0} and ax.yaxis_inverted()
        [ends] = [np.array(lines.get_segments()) for lines in ax.collections]
        assert ends[:, 0, 1].tolist() == ends[:, 1, 1].tolist() == points.get_ydata().tolist()
        found = zip(points.get_ydata(), points.get_xdata(), ends[:, 0, 0], ends[:, 1, 0])
        assert {at: values for at, *values in found} == {at: pytest.approx(list(v)) for at, v in of_panel.items()}
    assert figure.get_suptitle() == "60 images"


# --- answers


def test_the_risk_of_each_state_is_drawn_over_its_coverage_and_the_rule_as_a_point(draw):
    curves = {"as they are": (np.array([0.5, 1]), np.array([0, 0.25])), "jpeg 75": (np.array([1.0]), np.array([0.5]))}
    figure = draw(coverage_figure, curves, {"as they are": (0.5, 0.0)}, 0.05, "title")
    [ax] = figure.axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["as they are"] == [[50, 0], [100, 25]] and drawn["jpeg 75"] == [[100, 50]]
    points = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() not in ("None", "")]
    assert [[50, 0]] in points and len(points) == 2  # and the one in the legend
    assert list(ax.lines[0].get_ydata()) == pytest.approx([5, 5])
    assert {"as they are", "jpeg 75"} <= {text.get_text() for text in figure.legends[0].get_texts()}
