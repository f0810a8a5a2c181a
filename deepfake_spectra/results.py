"""What an experiment leaves behind: tidy results (.json), the same as .csv, and tables to read (.md)."""

import gzip
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepfake_spectra import interrupts
from deepfake_spectra.dataset import CLASS_NAMES, SpectrumDataset
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import (
    FIGURE_MARK,
    REPOSITORY,
    check_outputs,
    csv_text,
    display_path,
    printable,
    whole_file,
    write_text,
)
from deepfake_spectra.packages import versions

ROW_KEYS = (
    "table", "protocol", "n_samples", "classifier", "metric", "mean", "std", "low", "high", "n_test", "n_test_fake",
    "n_test_groups", "scores", "train_sources", "test_sources", "condition",
)  # fmt: skip

HEADINGS = {  # what tables and figures call the keys and values of rows; others stand as they are
    "n_samples": "samples", "n_test": "tested", "n_test_groups": "of groups", "train_sources": "trained on",
    "test_sources": "tested on", "svm_linear": "SVM, linear", "svm_rbf": "SVM, RBF", "svm_poly": "SVM, polynomial",
    "logistic_regression": "logistic regression", "k_means": "k-means", "majority_class": "majority class",
    "headers_only": "headers only", "recall_real": "recall of reals", "recall_fake": "recall of fakes",
    "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC", "all_rows": "all rows", "held_out": "held out",
    "by_video": "by video", "by_identity": "by identity", "by_photograph": "by photograph",
    "one_trait": "one trait", "last_over_first": "last value over first",
    "recall_fake_at_1": "recall of fakes at 1 % false alarms",
    "recall_fake_at_5": "recall of fakes at 5 % false alarms",
    "cllr": "Cllr", "average_precision": "average precision", "equal_error_rate": "equal error rate", None: "",
}  # fmt: skip

MARKS = {  # behind `<experiment>_`, and the expression that tells an earlier file of ours; see `files.check_outputs`
    "accuracy.md": rb"\A# [^\n]+\n\n\d+ spectra of \d+ values: ",
    "accuracy.csv": rb"\Atable,protocol,n_samples,classifier,",
    "results.json": rb'\A\{\n "experiment": "',
    "scores.csv.gz": rb"\Atable,protocol,condition,n_samples,",
    "files.txt": rb"\A([0-9a-f]{64}  |[^\n]*row \d+\n|photographs/)",
    "judge.safetensors": rb'(?s)\A.{8}\{"__metadata__":\{"description":"\{\\"format_version\\"',
}

HEADERS_TOO_GOOD = 0.6  # accuracy of the headers alone, above which the spectrum's cannot be read as detection

PACKAGES = {  # whose versions are recorded: modules
    "numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn", "opencv": "cv2", "pillow": "PIL",
}  # fmt: skip


def check_results(folder: Path, experiment: str, figures: Sequence[str], inputs: Iterable[Path]) -> None:
    """End the run where something stands in the way of what an experiment may write, see `files.check_outputs`.

    Parameters
    ----------
    folder : Path
    experiment : str
    figures : sequence of str
        "spectrum" of `<experiment>_spectrum.png` and `.pdf`, and so on.
    inputs : iterable of Path
        Files and folders that are read.
    """
    marks = MARKS | {f"{name}.{ending}": FIGURE_MARK for name in figures for ending in ("png", "pdf")}
    check_outputs([(folder / f"{experiment}_{name}", mark) for name, mark in marks.items()], inputs)


@interrupts.held_back()  # an old table beside new results would be worse than either
def write_results(
    folder: Path,
    experiment: str,
    title: str,
    dataset: SpectrumDataset,
    settings: dict,
    rows: Sequence[dict],
    tables: Sequence[tuple[str, str]],
    remarks: Sequence[str],
    figures: dict[str, bool],
) -> None:
    """Print the tables of an experiment and write them, its results and the list of its files, each whole.

    Parameters
    ----------
    folder : Path
        That `check_results` has looked at. Gets `<experiment>_accuracy.md`, `_accuracy.csv`, `_results.json`,
        `_scores.csv.gz` and `_files.txt`.
    experiment, title : str
    dataset : SpectrumDataset
    settings : dict
        From `settings.settings_record`.
    rows : sequence of dict
        From `classification.result_rows`. In the results every row gets all of ROW_KEYS, None where it has none.
    tables : sequence of (caption, Markdown table)
    remarks : sequence of str
        What was left out, changed or is to be known, printed under the tables.
    figures : {name: bool}
        Figures of this experiment: those that this run wrote there, and those that it did not, of which an older run's
        is removed.
    """
    if dataset.skipped:
        remarks = [*remarks, f"{len(dataset.skipped)} files skipped: {_skipped_text(dataset.skipped)}"]
    remarks = [*remarks, *dataset.remarks]
    counts = ", ".join(f"{printable(name)} {n}" for name, n in dataset.counts().items())
    text = f"# {title}\n\n{len(dataset)} spectra of {dataset.spectra.shape[1]} values: {counts}.\n"
    text += "".join(f"\n{caption}\n\n{table}\n" for caption, table in tables)
    text += "".join(f"\nNote: {remark}\n" for remark in remarks)
    results = {
        "experiment": experiment,
        "built_in_sample": dataset.origin.name == "built_in_sample",
        "settings": settings,
        "versions": versions(PACKAGES),
        "commit": commit(),
        "skipped": [{"path": name, "reason": reason} for name, reason in dataset.skipped],
        "remarks": remarks,
        "rows": [{key: row.get(key) for key in ROW_KEYS} for row in rows],
    }
    write_text(folder / f"{experiment}_accuracy.md", text)
    write_csv(folder / f"{experiment}_accuracy.csv", rows)
    write_text(folder / f"{experiment}_results.json", json_text(results))
    groups = dict(zip(dataset.paths, dataset.groups)) if dataset.is_grouped else {}
    write_scores(folder / f"{experiment}_scores.csv.gz", rows, groups)
    digests = dataset.digests or [""] * len(dataset)
    files = (f"{digest}  {printable(path)}".strip() for digest, path in zip(digests, dataset.paths))
    write_text(folder / f"{experiment}_files.txt", "".join(f"{line}\n" for line in files))
    for name, is_written in figures.items():
        if not is_written:
            (folder / name).unlink(missing_ok=True)
            (folder / name).with_suffix(".pdf").unlink(missing_ok=True)
    print("\n" + text)
    written = [name for name, is_written in figures.items() if is_written]
    written += (f"{experiment}_{name}" for name in MARKS if name != "judge.safetensors")  # which is made later
    print(f"written into {display_path(folder)}: {', '.join(written)}")


def read_rows(path: Path, made_by: str = "the command that wrote it") -> list[dict]:
    """Return the rows of a results file, each with all of ROW_KEYS; whether they are true is not checked.

    Raises
    ------
    ExperimentError
        Not a results file, or numbers in it that are none; `made_by` is what the sentence says to run again.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
        rows = [dict.fromkeys(ROW_KEYS) | row for row in found]
        is_ours = all(isinstance(row[key], int | float | None) for row in rows for key in ("mean", "low", "high"))
        is_ours &= all((row["low"] is None) == (row["high"] is None) for row in rows)
        is_ours &= all(isinstance(number, int) for row in rows for number in row["n_test"] or ())
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ExperimentError(f"{display_path(path)}: damaged; run {made_by} again")
    return rows


def result_table(
    rows: Sequence[dict], lines: Sequence[str], columns: Sequence[str], names: dict[str | None, str] | None = None
) -> str:
    """Return a Markdown table of rows: `mean ± std (low–high)` in per cent.

    Parameters
    ----------
    rows : sequence of dict
        From `classification.result_rows` and `paper_rows`: those that the table is to show.
    lines : sequence of str
        Keys of the rows. Each combination of their values is a line; values stand in the order in which they first
        occur. Behind them stands how many images a test holds, and of how many groups where they have some.
    columns : sequence of str
        Keys, likewise: each combination of values is a column.
    names : {key or value: text}, optional
        What this table calls them, where that is not what HEADINGS says; "" leaves a value out of a heading.
    """

    def text_of(value):
        return " + ".join(map(printable, value)) if isinstance(value, list) else heading(value, names)

    cells, headings = {}, {}
    for row in rows:
        line, column = (tuple(text_of(row.get(key)) for key in keys) for keys in (lines, columns))
        cells.setdefault(line, {})[column] = row
        headings[column] = ", ".join(filter(None, column))
    first_seen = [list(dict.fromkeys(texts)) for texts in zip(*cells)]
    n_test_keys = ("n_test", "n_test_groups") if any(row.get("n_test_groups") for row in rows) else ("n_test",)
    body = []
    for line in sorted(cells, key=lambda line: [seen.index(text) for seen, text in zip(first_seen, line)]):
        found = cells[line]
        counts = next(iter(found.values()))
        n_test = [_one_or_range(counts.get(key)) for key in n_test_keys]
        body.append([*line, *n_test, *(percent_text(found.get(column)) for column in headings)])
    return markdown_table([*map(text_of, (*lines, *n_test_keys)), *headings.values()], body)


def heading(value: object, names: dict[str | None, str] | None = None) -> str:
    """Return what a table or a legend calls a key or a value of the rows: by `names`, by HEADINGS, or as it is."""
    return (HEADINGS | (names or {})).get(value, str(value))


def paper_rows(
    paper_accuracy: dict[str, dict[int, dict[str, float]]], rows: Sequence[dict] | None = None
) -> list[dict]:
    """Return the paper's numbers as rows for `result_table`: all, or of the sample sizes that were measured here, too.

    Parameters
    ----------
    paper_accuracy : {who measured it: {n_samples: {classifier: per cent}}}
        By random splits, of k-means on all rows.
    rows : sequence of dict, optional
        What was measured here.
    """
    sizes = None if rows is None else {row["n_samples"] for row in rows}
    return [
        {
            "measured": name,
            "n_samples": n_samples,
            "protocol": "all_rows" if classifier == "k_means" else "random",
            "classifier": classifier,
            "mean": percent / 100,
        }
        for name, accuracy in paper_accuracy.items()
        for n_samples, percents in accuracy.items()
        if sizes is None or n_samples in sizes
        for classifier, percent in percents.items()
    ]


def sample_size_table(
    rows: Sequence[dict],
    paper_accuracy: dict[str, dict[int, dict[str, float]]],
    lines: Sequence[str],
    columns: Sequence[str],
    names: dict[str | None, str],
) -> str:
    """Return the Markdown table of accuracies by sample size, the paper's beside ours.

    Parameters
    ----------
    rows : sequence of dict
        All of an experiment.
    paper_accuracy : as in `paper_rows`
        Empty where sources or feature are not the paper's.
    lines, columns, names : as in `result_table`
    """
    accuracies = rows_of(rows, "sample_sizes")
    published = paper_rows(paper_accuracy, accuracies)
    if published:
        lines, names = (*lines, "measured"), names | {"measured": "by", None: "here"}
    return result_table([*accuracies, *published], lines, columns, names)


def rows_of(rows: Sequence[dict], table: str, metrics: Sequence[str] | None = None) -> list[dict]:
    """Return the rows of one table with some metrics, by default the one that leads it, in their order."""
    metrics = metrics or (leading_metric(rows, table),)
    return [row for row in rows if row["table"] == table and row["metric"] in metrics]


def leading_metric(rows: Sequence[dict], *tables: str) -> str:
    """Return "accuracy", or "balanced_accuracy" where a test of these tables has more images of one class.

    Of two real sources and one fake source, whoever says "real" is right in 67 %; the balanced accuracy stays at 50.
    """
    tested = [row for row in rows if row["table"] in tables and row.get("n_test_fake")]
    is_equal = all(2 * n_fake == n for row in tested for n, n_fake in zip(row["n_test"], row["n_test_fake"]))
    return "accuracy" if is_equal else "balanced_accuracy"


def metric_said(rows: Sequence[dict], *tables: str) -> str:
    """Return what the numbers of these tables are, for a caption; if it is not the accuracy, with the reason."""
    metric = heading(leading_metric(rows, *tables))
    return metric if metric == "accuracy" else f"{metric} (mean of the two recalls: the classes are of unequal size)"


def percent_text(row: dict | None) -> str:
    """Return a row as `mean ± std (low–high)` in per cent, as much of it as is defined."""
    if row is None or row["mean"] is None:
        return ""
    if "std" not in row:  # the paper's, as it was printed
        return f"{100 * row['mean']:.6g}"
    text = f"{100 * row['mean']:.1f}"
    if row["std"] is not None:
        text += f" ± {100 * row['std']:.1f}"
    if row["low"] is not None:
        text += f" ({interval_text(row)})"
    return text


def interval_text(row: dict) -> str:
    """Return the interval of a row as "89–94" in per cent; "99.6–100" where whole numbers would say that it is none."""

    def end_text(share):
        rounded, finer = f"{100 * share:.0f}", f"{100 * share:.1f}"
        return finer if rounded in ("0", "100") and finer not in ("0.0", "100.0") else rounded

    return f"{end_text(row['low'])}–{end_text(row['high'])}"


def headers_warning(rows: Sequence[dict]) -> list[str]:
    """Return a sentence, in a list, if what the headers alone score forbids to read a spectrum's score as detection."""
    found = [row for row in rows_of(rows, "sample_sizes") if row["classifier"] == "headers_only"]
    largest = max(found, key=lambda row: row["n_samples"], default=None)  # smaller tests may score high by chance
    if largest is None or largest["mean"] <= HEADERS_TOO_GOOD:
        return []
    return [
        f"headers alone (size, format, JPEG quality, as far as known; no pixel) score {100 * largest['mean']:.0f} % at "
        f"{largest['n_samples']} images: the spectrum's accuracy cannot be read as detection of generated images"
    ]


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write the rows as a table of numbers, one line each, without the lists of the single splits."""

    def cell(row, key):
        value = row.get(key)
        if key.endswith("sources"):
            return "+".join(value or ())
        return _one_or_range(value) if key.startswith("n_test") else value

    columns = [key for key in ROW_KEYS if key != "scores"]
    write_text(path, csv_text(columns, ([cell(row, key) for key in columns] for row in rows)))


def markdown_table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up in a terminal, too."""
    headings, *body = ([text.replace("|", "\\|") for text in line] for line in (headings, *body))
    widths = [max(map(len, column)) for column in zip(headings, *body)]
    lines = [headings, ["-" * width for width in widths], *body]
    return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |" for line in lines)


def write_scores(path: Path, rows: Sequence[dict], groups: dict[str, str]) -> None:
    """Write what was said of every image in every split, a line each: all that its numbers are made of.

    Parameters
    ----------
    path : Path
        `.csv.gz`; the same bytes for the same scores.
    rows : sequence of dict
        Those with `predictions`, from `classification.score_classifiers`.
    groups : {path: group}
        Empty where images are independent.
    """
    keys = ("table", "protocol", "condition", "n_samples", "train_sources", "test_sources", "classifier")

    def lines():
        for row in rows:
            values = [row.get(key) or "" for key in keys]
            values = ["+".join(value) if isinstance(value, list) else value for value in values]
            for number, said in enumerate(row.get("predictions", ())):
                for name, label, predicted, score in zip(said.rows, said.labels, said.predicted, said.scores):
                    names = (printable(str(name)), printable(str(groups.get(name, ""))))
                    yield *values, number, *names, CLASS_NAMES[label], CLASS_NAMES[predicted], float(f"{score:.6g}")

    text = csv_text([*keys, "split", "path", "group", "label", "predicted", "score"], lines())
    with whole_file(path) as temporary, temporary.open("wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            packed.write(text.encode("utf-8"))


def commit() -> str | None:
    """Return the commit of the repository, marked where the tree is changed; None outside git."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != REPOSITORY:  # unpacked inside another repository
            return None
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.npz", "requirements.txt")
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _skipped_text(skipped, most=10):
    """Return the skipped files with their reasons, cut after a few; the results file has them all."""
    named = "; ".join(f"{printable(path)} ({reason})" for path, reason in skipped[:most])
    return named + (f"; and {len(skipped) - most} more" if len(skipped) > most else "")


def json_text(value):
    """Return JSON with one row a line."""
    rows = value.pop("rows")
    head = json.dumps(value, indent=1, allow_nan=False)
    body = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in rows)
    return f'{head[:-2]},\n "rows": [\n{body}\n ]\n}}\n'


def _one_or_range(numbers):
    """Return "24", or "20–24" where the splits differ; "" where there are none."""
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def _git(*arguments):
    """Return what git prints about the repository."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return os.fsdecode(subprocess.run(command, capture_output=True, check=True).stdout).strip()
