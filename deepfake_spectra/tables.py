"""Rows of results -> what is read: which rows, which metric leads, numbers as text, Markdown tables."""

from collections.abc import Iterable, Sequence

from deepfake_spectra.files import printable

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
HEADERS_TOO_GOOD = 0.6  # accuracy of the headers alone, above which the spectrum's cannot be read as detection


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
        n_test = [one_or_range(counts.get(key)) for key in n_test_keys]
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


def signed_text(row: dict, scale: float = 1, digits: int = 2) -> str:
    """Return a row as "+3.60 (+1.71 to +5.42)", as much of it as is defined."""
    mean, low, high = ("" if row[key] is None else f"{scale * row[key]:+.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})" if low else mean


def numbered(captioned: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (caption, table) with the number of the table in front of each caption."""
    return [(f"Table {number}. {caption}", table) for number, (caption, table) in enumerate(captioned, 1)]


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


def markdown_table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up in a terminal, too."""
    headings, *body = ([text.replace("|", "\\|") for text in line] for line in (headings, *body))
    widths = [max(map(len, column)) for column in zip(headings, *body)]
    lines = [headings, ["-" * width for width in widths], *body]
    return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |" for line in lines)


def one_or_range(numbers):
    """Return "24", or "20–24" where the splits differ; "" where there are none."""
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
