"""Results are written whole, tidy and without NaN, and tables say no more than was measured."""

import csv
import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from deepfake_spectra import results as experiment_results
from deepfake_spectra.experiment_data import ExperimentData
from deepfake_spectra.results import (
    ROW_KEYS,
    cell,
    file_list,
    markdown_table,
    metric_table,
    sample_size_table,
    write_csv,
    write_experiment,
)
from deepfake_spectra.metrics import METRICS, Prediction, result_rows
from deepfake_spectra.image_spectra import SpectrumDataset

AWKWARD = ["a/with space.png", "a/Zoë.png", 'a/"quote".png', "a/new\nline.png", os.fsdecode(b"a/\xff.png")]


def rows_of(predicted, **keys):
    """Return the results of a test of two reals and two fakes."""
    predicted = np.array(predicted)
    keys = {"table": "sample_sizes", "protocol": "published", "n_samples": 100, "classifier": "svm_linear"} | keys
    prediction = Prediction(np.arange(4), np.array([0, 0, 1, 1]), predicted, predicted - 0.5)
    return result_rows([prediction, prediction], **keys)


@pytest.fixture
def data():
    """Return four images of two sources, a fifth skipped."""
    sources = np.array(["a", "a", "b", "b"])
    skipped, remarks = [(AWKWARD[4], "empty file")], ["turned"]
    labels = np.array([0, 0, 1, 1])
    dataset = SpectrumDataset(np.zeros((4, 7)), labels, sources, sources, AWKWARD[1:], None, skipped, remarks)
    return ExperimentData(dataset, "images", (4,))


@pytest.fixture
def written(tmp_path, data, capsys):
    """Return a function that writes an experiment, and gives its results file and what was printed."""

    def write(**changes):
        settings = SimpleNamespace(seed=0, data_dir=tmp_path, n_bins=None, sample_sizes=(100, 20))
        rows = rows_of([0, 1, 1, 1]) + rows_of([0, 0, 1, 1], train_sources=["a"], test_sources=["b", "c"])
        write_experiment(
            tmp_path / "plots",
            "test",
            "Test",
            data._replace(**changes),
            settings,
            rows,
            [("Table 1", "| a |")],
            ["left out"],
        )
        return json.loads((tmp_path / "plots/test_results.json").read_text()), capsys.readouterr().out

    return write


def test_results_have_the_one_shape(written, tmp_path):
    results, _ = written()
    assert list(results) == [
        "experiment", "built_in_sample", "settings", "versions", "commit", "skipped", "remarks", "rows",
    ]  # fmt: skip
    assert results["settings"]["SAMPLE_SIZES"] == [100, 20] and results["settings"]["N_BINS"] is None
    assert {"python", "numpy", "scipy", "scikit-learn", "opencv-python", "pillow"} <= results["versions"].keys()
    assert results["skipped"] == [{"path": AWKWARD[4], "reason": "empty file"}]
    assert [list(row) for row in results["rows"]] == [list(ROW_KEYS)] * 2 * len(METRICS)
    assert "NaN" not in (tmp_path / "plots/test_results.json").read_text()
    assert results["rows"][0]["train_sources"] is None and results["rows"][-1]["test_sources"] == ["b", "c"]


def test_what_is_printed_is_what_the_md_file_holds(written, tmp_path):
    _, printed = written()
    text = (tmp_path / "plots/test_accuracy.md").read_text(encoding="utf-8")
    assert printed.startswith("\n" + text + "\n")
    for words in ("# Test\n", "4 spectra of 7 values: a 2, b 2.", "Table 1\n\n| a |", "Note: left out", "Note: turned",
                  r'Note: 1 files skipped: "a/\udcff.png" (empty file)'):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    "kind, words",
    [
        ("images", "# Test"),
        ("built_in_sample", "# Test on the built-in sample: no reproduction of the paper"),
        ("published_features", "# Test on the authors' features"),
    ],
)
def test_what_was_measured_is_named_in_the_title_and_the_results(written, kind, words):
    results, printed = written(kind=kind)
    assert results["built_in_sample"] is (kind == "built_in_sample")
    assert printed.splitlines()[1] == words


def test_the_csv_file_holds_the_rows_without_the_single_splits(tmp_path):
    rows = rows_of([0, 1, 1, 1], test_sources=["b", "c"], condition="blur")
    write_csv(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(METRICS) and list(read[0]) == [key for key in ROW_KEYS if key != "scores"]
    assert [line["mean"] for line in read] == ["" if row["mean"] is None else str(row["mean"]) for row in rows]
    keys = ("n_test", "test_sources", "condition", "train_sources")
    assert [read[0][key] for key in keys] == ["4", "b+c", "blur", ""]


def test_the_list_of_files_gives_every_name_back():
    lines = file_list(AWKWARD).splitlines()
    assert len(lines) == len(AWKWARD)
    assert [json.loads(line) if line.startswith('"') else line for line in lines] == AWKWARD


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
    assert cell({"mean": mean, "std": std, "low": low, "high": high}) == text


def test_a_cell_without_a_row_is_blank():
    assert cell(None) == ""


def test_markdown_columns_line_up():
    lines = markdown_table(["a", "long heading"], [["1", "2"], ["a long entry", ""]]).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])} and {line.count("|") for line in lines} == {3}


COLUMNS = (("SVM", "svm_linear", "published"), ("k-means", "k_means", "published"), ("held out", "k_means", "held_out"))
PUBLISHED = {"paper": {100: {"svm_linear": 100, "k_means": 82}, 20: {"svm_linear": 99}}}


def table_cells(table):
    """Return the cells of a Markdown table, line by line, without its rule."""
    lines = [[text.strip() for text in line.strip("|").split("|")] for line in table.splitlines()]
    return lines[:1] + lines[2:]


def test_published_numbers_stand_under_ours_at_their_size_and_protocol():
    rows = rows_of([0, 1, 1, 1]) + rows_of([0, 0, 1, 1], classifier="k_means", protocol="held_out")
    rows += rows_of([0, 1, 1, 1], classifier="k_means") + rows_of([0, 0, 1, 1], n_samples=50)
    assert table_cells(sample_size_table(rows, COLUMNS, PUBLISHED)) == [
        ["samples", "tested", "SVM", "k-means", "held out"],
        ["100", "4", "75.0 ± 0.0 (30–95)", "75.0 ± 0.0 (30–95)", "100.0 ± 0.0 (51–100)"],
        ["paper", "", "100", "82", ""],
        ["50", "4", "100.0 ± 0.0 (51–100)", "", ""],
    ]


def test_a_column_without_a_row_is_left_out_and_other_tables_are_not_mixed_in():
    rows = rows_of([0, 1, 1, 1]) + rows_of([0, 0, 1, 1], table="transfer", classifier="k_means", n_samples=20)
    assert table_cells(sample_size_table(rows, COLUMNS, {})) == [
        ["samples", "tested", "SVM"],
        ["100", "4", "75.0 ± 0.0 (30–95)"],
    ]


def test_a_metric_table_has_a_line_for_each_combination():
    rows = rows_of([0, 1, 1, 1], table="transfer", train_sources=["a", "b"])
    rows += rows_of([0, 0, 1, 1], table="transfer", train_sources=["c"])
    lines = (("trained on", "train_sources"), ("classifier", "classifier"))
    table = metric_table(
        rows, "transfer", lines, (("of reals", "recall_real"), ("AUC", "roc_auc")), {"svm_linear": "SVM"}
    )
    head, first, second = table_cells(table)
    assert head == ["trained on", "classifier", "tested", "of reals", "AUC"]
    assert first[:3] == ["a + b", "SVM", "4"]
    assert first[3].startswith("50.0 ± 0.0 (") and first[4].startswith("75.0 ± 0.0 (")
    assert second == ["c", "SVM", "4", "100.0 ± 0.0 (34–100)", "100.0 ± 0.0"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a folder that stands in for the repository, and a function that calls git there."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(experiment_results, "REPOSITORY", folder.resolve())

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", folder, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return folder, git


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_null_outside_git_and_marked_where_the_code_is_changed(repository):
    folder, git = repository
    assert experiment_results._commit() is None
    git("init")
    (folder / "code.py").write_text("1")
    git("add", "."), git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD").strip()
    (folder / "notes.txt").write_text("untracked, and no code")
    assert experiment_results._commit() == commit
    (folder / "code.py").write_text("2")
    assert experiment_results._commit() == commit + "+changes"


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_copy_inside_another_repository_has_no_commit_of_its_own(repository, monkeypatch):
    folder, git = repository
    (folder / "code.py").write_text("1")
    git("init"), git("add", "."), git("commit", "-m", "first")
    (folder / "copy").mkdir()
    monkeypatch.setattr(experiment_results, "REPOSITORY", (folder / "copy").resolve())
    assert experiment_results._commit() is None
