"""Results are written whole, tidy and without NaN, and tables say no more than was measured."""

import csv
import gzip
import json
import shutil
import subprocess

import numpy as np
import pytest
from conftest import linux_only
from datasets import make_dataset, make_prediction
from sklearn.linear_model import LogisticRegression

from deepfake_spectra import results
from deepfake_spectra.classification import result_rows, score_classifiers, score_k_means
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, FAKE, IMAGES, PUBLISHED_FEATURES, REAL
from deepfake_spectra.metrics import METRICS, Prediction
from deepfake_spectra.results import ROW_KEYS, write_csv, write_results, write_scores
from deepfake_spectra.splits import random_splits, source_splits
from deepfake_spectra.tables import (
    headers_warning,
    heading,
    interval_text,
    leading_metric,
    markdown_table,
    metric_said,
    paper_rows,
    percent_text,
    result_table,
    rows_of,
    signed_text,
)

AWKWARD = ["a/with space.png", "a/Zoë.png", 'a/"quote".png', "a/new\nline.png", "a/\udcff.png"]
RIGHT, THREE_RIGHT = [0, 0, 1, 1], [0, 1, 1, 1]


def measured(predicted=RIGHT, **keys):
    """Return the rows of a test of two reals and two fakes, done twice."""
    keys = {"table": "sample_sizes", "protocol": "random", "n_samples": 100, "classifier": "svm_linear"} | keys
    return result_rows([make_prediction([0, 0, 1, 1], np.array(predicted) - 0.5)] * 2, **keys)


def table_cells(table):
    """Return the cells of a Markdown table, line by line, without its rule."""
    lines = [[text.strip() for text in line.strip("|").split(" | ")] for line in table.splitlines()]
    return lines[:1] + lines[2:]


# --- files


@pytest.fixture
def write(tmp_path, capsys):
    """Return a function that writes an experiment into `tmp_path`, and gives its results and what was printed."""

    def write(rows=(), origin=IMAGES, figures=None):
        dataset = make_dataset(2, n_bins=7, sources={"a": REAL, "b\n": FAKE})
        dataset.paths, dataset.origin = AWKWARD[:4], origin
        dataset.skipped, dataset.remarks = [(AWKWARD[4], "empty file")], ["turned"]
        settings = {"SAMPLE_SIZES": [100, 20], "N_BINS": None}
        tables = [("Table 1", "| a |"), ("Table 2", "| b |")]
        write_results(tmp_path, "test", "Test", dataset, settings, rows, tables, ["left out"], figures or {})
        text = (tmp_path / "test_results.json").read_text()
        found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the results"))
        return found, capsys.readouterr().out

    return write


def test_results_have_the_one_shape(write, tmp_path):
    rows = measured(THREE_RIGHT) + measured(table="transfer", train_sources=["a"], test_sources=["b", "c"])
    found, _ = write(rows)
    assert list(found) == [
        "experiment", "built_in_sample", "settings", "versions", "commit", "skipped", "remarks", "rows",
    ]  # fmt: skip
    assert found["experiment"] == "test" and found["settings"] == {"SAMPLE_SIZES": [100, 20], "N_BINS": None}
    assert {"python", "numpy", "scipy", "scikit-learn", "opencv", "pillow"} <= found["versions"].keys()
    assert found["skipped"] == [{"path": AWKWARD[4], "reason": "empty file"}]
    assert [list(row) for row in found["rows"]] == [list(ROW_KEYS)] * 2 * len(METRICS)
    assert found["rows"] == [dict.fromkeys(ROW_KEYS) | row for row in rows]


def test_an_undefined_number_is_null_in_the_results_and_blank_elsewhere(write, tmp_path):
    only_fakes = Prediction(np.arange(3), np.ones(3, int), np.ones(3, int), np.ones(3))
    rows = result_rows([only_fakes], table="videos", protocol="random", n_samples=3, classifier="svm_linear")
    found = {row["metric"]: row for row in write(rows)[0]["rows"]}
    assert found["roc_auc"]["mean"] is None and found["roc_auc"]["scores"] == [None]
    assert found["accuracy"]["mean"] == 1 and found["accuracy"]["std"] is None
    with (tmp_path / "test_accuracy.csv").open(newline="", encoding="utf-8") as file:
        lines = {line["metric"]: line for line in csv.DictReader(file)}
    assert (lines["roc_auc"]["mean"], lines["accuracy"]["mean"]) == ("", "1.0")
    assert table_cells(result_table(rows, ("classifier",), ("metric",)))[1][2:5] == ["100.0 (44–100)", "", ""]


def test_what_is_printed_is_what_the_md_file_holds(write, tmp_path):
    _, printed = write()
    text = (tmp_path / "test_accuracy.md").read_text(encoding="utf-8")
    assert printed.startswith("\n" + text + "\n")
    assert text == (
        "# Test\n\n4 spectra of 7 values: a 2, b\\n 2.\n\nTable 1\n\n| a |\n\nTable 2\n\n| b |\n\nNote: left out\n"
        "\nNote: 1 files skipped: a/\\udcff.png (empty file)\n\nNote: turned\n"
    )


def test_the_list_of_files_has_a_line_for_every_name(write, tmp_path):
    write()
    lines = (tmp_path / "test_files.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["a/with space.png", "a/Zoë.png", 'a/"quote".png', r"a/new\nline.png"]


def test_the_list_of_files_has_the_digest_of_each_before_its_name(tmp_path):
    dataset = make_dataset(2, sources={"a": REAL, "b": FAKE})
    dataset.paths, dataset.digests = AWKWARD[:4], [letter * 64 for letter in "0a1b"]
    write_results(tmp_path, "test", "Test", dataset, {}, [], [], [], {})
    lines = (tmp_path / "test_files.txt").read_text(encoding="utf-8").splitlines()
    names = ["a/with space.png", "a/Zoë.png", 'a/"quote".png', r"a/new\nline.png"]
    assert lines == [f"{letter * 64}  {name}" for letter, name in zip("0a1b", names)]  # as sha256sum -c reads it


@pytest.mark.parametrize("origin, is_sample", [(IMAGES, False), (BUILT_IN_SAMPLE, True), (PUBLISHED_FEATURES, False)])
def test_the_results_of_the_sample_say_so(write, origin, is_sample):
    assert write(origin=origin)[0]["built_in_sample"] is is_sample


def test_an_old_figure_goes_by_its_name_alone_and_nobody_elses(write, tmp_path):
    names = ("test_spectrum.png", "test_roc.png", "test_roc.pdf", "test_my_own_picture.png", "other_roc.png")
    for name in names:
        (tmp_path / name).write_text("older")
    _, printed = write(figures={"test_spectrum.png": True, "test_roc.png": False, "test_crops.png": False})
    left = {path.name for path in tmp_path.glob("*.p*")}
    assert left == {"test_spectrum.png", "test_my_own_picture.png", "other_roc.png"}
    assert printed.splitlines()[-1].partition(": ")[2] == (
        "test_spectrum.png, test_accuracy.md, test_accuracy.csv, test_results.json, test_scores.csv.gz, test_files.txt"
    )


def scored_rows():
    """Return the data set, and the rows of two tables of classifiers that are right more often than not."""
    dataset = make_dataset(20, gap=0.4)
    dataset.paths[3] = AWKWARD[3]
    classifiers = {"logistic_regression": LogisticRegression(), "svm_linear": LogisticRegression(C=0.01)}
    splits = random_splits(dataset, 80, 0.3, 3, 0)
    rows = score_classifiers(dataset, splits, classifiers, 1, table="sample_sizes", protocol="random", n_samples=80)
    rows += score_k_means(dataset, splits, 0, 1, table="alike", condition="jpeg 75", n_samples=80)
    pair = ["real_a", "fake_a"], ["real_b", "fake_b"]
    keys = {"table": "transfer", "train_sources": pair[0], "test_sources": pair[1]}
    return dataset, rows + score_classifiers(dataset, source_splits(dataset, *pair, 0.2, 1, 0), classifiers, 1, **keys)


def test_every_accuracy_can_be_computed_from_the_scores_file_again(tmp_path):
    dataset, rows = scored_rows()
    groups = {path: f"of {path}" for path in dataset.paths}
    write_scores(tmp_path / "scores.csv.gz", rows, groups)
    with gzip.open(tmp_path / "scores.csv.gz", "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    label_of = {results.printable(path): ("real", "fake")[label] for path, label in zip(dataset.paths, dataset.labels)}
    for row in rows_of(rows, "sample_sizes") + rows_of(rows, "alike") + rows_of(rows, "transfer"):
        keys = {key: str(row.get(key) or "") for key in ("table", "protocol", "condition", "n_samples", "classifier")}
        keys["train_sources"] = "+".join(row.get("train_sources", ()))
        own = [line for line in lines if line | keys == line]
        assert len(own) == sum(row["n_test"])
        for number, (score, n_test) in enumerate(zip(row["scores"], row["n_test"], strict=True)):
            split = [line for line in own if line["split"] == str(number)]
            assert len(split) == len({line["path"] for line in split}) == n_test
            assert np.mean([line["predicted"] == line["label"] for line in split]) == score
            assert all(line["label"] == label_of[line["path"]] for line in split)
            assert all((float(line["score"]) > 0) == (line["predicted"] == "fake") for line in split)
    assert len(lines) == sum(sum(row["n_test"]) for row in rows if row["metric"] == "accuracy")
    assert {line["test_sources"] for line in lines} == {"", "real_b+fake_b"}
    assert all(line["group"] == f"of {line['path']}" for line in lines)


def test_the_same_scores_are_the_same_bytes_whenever_and_wherever_they_are_written(tmp_path, monkeypatch):
    rows = scored_rows()[1]
    write_scores(tmp_path / "first.csv.gz", rows, {})
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_scores(tmp_path / "second.csv.gz", rows, {})
    assert (tmp_path / "first.csv.gz").read_bytes() == (tmp_path / "second.csv.gz").read_bytes()
    write_scores(tmp_path / "none.csv.gz", measured(), {})  # rows without predictions
    assert gzip.open(tmp_path / "none.csv.gz", "rt").read().count("\n") == 1


def test_predictions_stand_in_the_scores_file_alone(write, tmp_path):
    found, printed = write(scored_rows()[1])
    assert all("predictions" not in row for row in found["rows"]) and "test_scores.csv.gz" in printed
    assert gzip.open(tmp_path / "test_scores.csv.gz", "rt", encoding="utf-8").read().count("\n") > 100


def test_the_csv_file_holds_the_rows_without_the_single_splits(tmp_path):
    rows = measured(THREE_RIGHT, test_sources=["b", "c"], condition="blur")
    rows[0] |= {"n_test": [4, 6, 5], "n_test_groups": [2, 2, 2]}
    write_csv(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(METRICS) and list(read[0]) == [key for key in ROW_KEYS if key != "scores"]
    assert [line["mean"] for line in read] == ["" if row["mean"] is None else str(row["mean"]) for row in rows]
    keys = ("n_test", "n_test_groups", "test_sources", "condition", "train_sources")
    assert [read[0][key] for key in keys] == ["4–6", "2", "b+c", "blur", ""]


# --- tables


@pytest.mark.parametrize(
    "mean, std, low, high, text",
    [
        (0.9, 0.05, 0.8, 0.951, "90.0 ± 5.0 (80–95)"),
        (0.9, None, 0.8, 0.951, "90.0 (80–95)"),
        (1.0, 0.0, None, None, "100.0 ± 0.0"),
        (0.0, None, 0.0, 0.49, "0.0 (0–49)"),
        (None, None, None, None, ""),
    ],
)
def test_a_cell_says_as_much_as_is_defined(mean, std, low, high, text):
    assert percent_text({"mean": mean, "std": std, "low": low, "high": high}) == text


def test_a_cell_without_a_row_is_blank_and_the_papers_as_it_was_printed():
    assert [percent_text(row) for row in (None, {"mean": 0.9855}, {"mean": 1.0})] == ["", "98.55", "100"]


def test_markdown_columns_line_up_whatever_their_cells_hold():
    lines = markdown_table(["a", "long heading"], [["1", "x|y"], ["a long entry", ""]]).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])} and "| x\\|y " in lines[2]
    assert {line.replace("\\|", "").count("|") for line in lines} == {3}


PAPER = {"paper": {100: {"svm_linear": 100, "k_means": 82}, 20: {"svm_linear": 99}}}


def test_the_papers_numbers_stand_under_ours_of_the_same_size_and_protocol():
    rows = measured(THREE_RIGHT) + measured(classifier="k_means", protocol="held_out")
    rows += measured(THREE_RIGHT, classifier="k_means", protocol="all_rows") + measured(n_samples=50)
    rows = rows_of(rows, "sample_sizes")
    paper = paper_rows(PAPER, rows)
    names = {"random": "", "measured": "by", None: "here"}
    assert table_cells(result_table(rows + paper, ("n_samples", "measured"), ("classifier", "protocol"), names)) == [
        ["samples", "by", "tested", "SVM, linear", "k-means, held out", "k-means, all rows"],
        ["100", "here", "4", "75.0 ± 0.0 (30–95)", "100.0 ± 0.0 (51–100)", "75.0 ± 0.0 (30–95)"],
        ["100", "paper", "", "100", "", "82"],
        ["50", "here", "4", "100.0 ± 0.0 (51–100)", "", ""],
    ]


def test_all_of_the_papers_numbers_are_rows_where_no_measured_ones_are_named():
    assert [(row["n_samples"], row["classifier"], row["protocol"], row["mean"]) for row in paper_rows(PAPER)] == [
        (100, "svm_linear", "random", 1), (100, "k_means", "all_rows", 0.82), (20, "svm_linear", "random", 0.99)
    ]  # fmt: skip
    assert paper_rows(PAPER, []) == [] and [row["n_samples"] for row in paper_rows(PAPER, [{"n_samples": 20}])] == [20]


def test_lines_stand_in_the_order_in_which_their_values_first_occur():
    order = [(100, "b"), (100, "a"), (20, "a"), (20, "b"), (100, "c")]
    rows = [row for n, condition in order for row in measured(n_samples=n, condition=condition)[:1]]
    body = table_cells(result_table(rows, ("n_samples", "condition"), ("classifier",)))[1:]
    assert [line[:2] for line in body] == [["100", "b"], ["100", "a"], ["100", "c"], ["20", "b"], ["20", "a"]]


def test_sources_are_named_whole_metrics_as_the_table_calls_them_and_a_pipe_stays_one_cell():
    rows = measured([0, 1, 1, 1], table="transfer", train_sources=["a_1", "b|c"])
    rows = rows_of(rows + measured(table="transfer", train_sources=["c\nd"]), "transfer", ("recall_real", "roc_auc"))
    table = result_table(rows, ("train_sources", "classifier"), ("metric",), {"recall_real": "of reals"})
    head, first, second = table_cells(table)
    assert head == ["trained on", "classifier", "tested", "of reals", "ROC AUC"]
    assert first[:3] == ["a_1 + b\\|c", "SVM, linear", "4"]
    assert first[3].startswith("50.0 ± 0.0 (") and first[4].startswith("75.0 ± 0.0 (")
    assert second == ["c\\nd", "SVM, linear", "4", "100.0 ± 0.0 (34–100)", "100.0 ± 0.0 (16–100)"]


def test_a_table_tells_how_many_were_tested_of_how_many_groups_as_a_range_where_splits_differ():
    predictions = [Prediction(np.arange(n), *[np.arange(n) % 2] * 3) for n in (4, 6)]
    groups = np.array(["p", "p", "q", "q", "r", "s"])
    rows = rows_of(result_rows(predictions, groups, table="t", classifier="svm_rbf"), "t")
    [head, line] = table_cells(result_table(rows, ("classifier",), ("metric",), {"n_test_groups": "of videos"}))
    assert head[1:3] == ["tested", "of videos"] and line[:3] == ["SVM, RBF", "4–6", "2–4"]


def test_balanced_accuracy_leads_the_tables_whose_classes_are_of_unequal_size():
    says_real = make_prediction([0, 0, 1], [-1, -1, -1])
    keys = {"protocol": "random", "n_samples": 9, "classifier": "majority_class"}
    rows = result_rows([says_real] * 2, table="sample_sizes", **keys)
    rows += result_rows([make_prediction([0, 1], [-1, -1])] * 2, table="control", **keys)
    assert [row["mean"] for row in rows_of(rows, "sample_sizes") + rows_of(rows, "control")] == [0.5, 0.5]
    assert leading_metric(rows, "control") == metric_said(rows, "control") == "accuracy"
    assert (
        leading_metric(rows, "sample_sizes") == leading_metric(rows, "control", "sample_sizes") == "balanced_accuracy"
    )
    assert metric_said(rows, "sample_sizes").startswith("balanced accuracy (mean of the two recalls: ")
    assert [row["n_test_fake"] for row in rows_of(rows, "sample_sizes")] == [[1, 1]]


def test_a_row_of_two_thirds_reals_warns_of_no_headers_that_know_nothing():
    rows = result_rows([make_prediction([0, 0, 1], [-1, -1, -1])], table="sample_sizes", protocol="random",
                       n_samples=15, classifier="headers_only")  # fmt: skip
    assert headers_warning(rows) == []


def test_rows_of_a_table_are_those_of_its_metrics_in_their_order():
    rows = measured() + measured(table="transfer")
    found = rows_of(rows, "transfer", ("roc_auc", "accuracy"))
    assert [(row["table"], row["metric"]) for row in found] == [("transfer", "accuracy"), ("transfer", "roc_auc")]
    assert len(rows_of(rows, "sample_sizes")) == 1


def test_a_heading_goes_by_the_tables_names_then_by_ours_then_by_itself():
    assert heading("n_test", {"n_test": "asked"}) == "asked" and heading("n_test", {}) == "tested"
    assert heading("by_video") == "by video" and heading(20) == "20" and heading(None) == ""


# --- what the headers give away


def headers_rows(accuracy, n_samples=100, **keys):
    """Return a row of the headers' accuracy."""
    return [{"classifier": "headers_only", "metric": "accuracy", "mean": accuracy, "n_samples": n_samples,
             "table": "sample_sizes"} | keys]  # fmt: skip


@pytest.mark.parametrize("accuracy, said", [(0.5, None), (0.6, None), (0.61, "61 %"), (0.75, "75 %"), (1.0, "100 %")])
def test_above_60_per_cent_the_headers_forbid_to_read_the_score_as_detection(accuracy, said):
    sentences = headers_warning(headers_rows(accuracy))
    assert [f"score {said} at 100 images" in sentence for sentence in sentences] == ([True] if said else [])


def test_the_largest_sample_tells_what_the_headers_give_away():
    few, many = headers_rows(0.9, 4), headers_rows(0.52, 200)
    assert headers_warning(few + many) == [] and "90 % at 4 images" in headers_warning(few)[0]
    assert headers_warning(headers_rows(0.52, 4) + headers_rows(0.9, 200)) != []


def test_no_other_classifier_or_metric_warns():
    assert headers_warning([]) == []
    for keys in ({"classifier": "svm_linear"}, {"metric": "recall_fake"}):
        assert headers_warning(headers_rows(1.0, **keys)) == []


# --- the commit


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a folder that stands in for the repository, and a function that calls git there."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(results, "REPOSITORY", folder.resolve())

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", folder, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return folder, git


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_null_outside_git_and_marked_where_the_code_is_changed(repository, write):
    folder, git = repository
    assert write()[0]["commit"] is None
    git("init")
    (folder / "code.py").write_text("1")
    git("add", "."), git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD").strip()
    (folder / "notes.txt").write_text("untracked, and no code")
    assert write()[0]["commit"] == commit
    (folder / "code.py").write_text("2")
    assert write()[0]["commit"] == commit + "+changes"


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_copy_inside_another_repository_has_no_commit_of_its_own(repository, write, monkeypatch):
    folder, git = repository
    (folder / "code.py").write_text("1")
    git("init"), git("add", "."), git("commit", "-m", "first")
    (folder / "copy").mkdir()
    monkeypatch.setattr(results, "REPOSITORY", (folder / "copy").resolve())
    assert write()[0]["commit"] is None


@linux_only
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_repository_whose_name_is_no_unicode_has_its_commit(repository, write, monkeypatch):
    folder, git = repository
    copy = (folder / "caf\udce9").resolve()
    copy.mkdir()
    git("init", "-q", copy)
    (copy / "code.py").write_text("1")
    git("-C", copy, "add", "."), git("-C", copy, "commit", "-m", "first")
    monkeypatch.setattr(results, "REPOSITORY", copy)
    assert write()[0]["commit"] == git("-C", copy, "rev-parse", "HEAD").strip()


def test_an_interval_near_the_end_keeps_a_decimal_and_one_at_the_end_does_not():
    ends = [(0.8912, 0.9361), (0.9961, 1.0), (0.0, 0.0031), (0.4449, 0.9949), (0.0001, 0.9999)]
    texts = [interval_text({"low": low, "high": high}) for low, high in ends]
    assert texts == ["89–94", "99.6–100", "0–0.3", "44–99", "0–100"]


def test_a_gain_or_a_shift_has_its_sign_and_as_much_of_its_interval_as_is_defined():
    row = {"mean": 0.0361, "low": 0.0171, "high": 0.0542}
    assert (
        signed_text(row, 100, 1) == "+3.6 (+1.7 to +5.4)"
        and signed_text(row | {"mean": -2}) == "-2.00 (+0.02 to +0.05)"
    )
    assert signed_text(row | {"low": None, "high": None}) == "+0.04"
    assert signed_text({"mean": None, "low": None, "high": None}) == ""
