"""What an experiment leaves behind: tidy results (.json), the same as .csv, and tables to read (.md)."""

import csv
import json
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

from deepfake_spectra.settings import REPOSITORY, settings_record
from deepfake_spectra.file_names import shown
from deepfake_spectra.files import whole_file

ROW_KEYS = (
    "table", "protocol", "n_samples", "classifier", "metric", "mean", "std", "low", "high", "n_test", "n_test_groups",
    "scores", "train_sources", "test_sources", "condition",
)  # fmt: skip

HEADERS_TOO_GOOD = 0.6  # accuracy of the headers alone, above which the spectrum's cannot be read as detection

_PACKAGES = ("numpy", "scipy", "scikit-learn", "opencv-python", "pillow")


class Stopwatch:
    """Seconds that each named part of a run took."""

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0) + time.perf_counter() - start

    def __str__(self):
        return ", ".join(f"{part} {seconds:.1f} s" for part, seconds in self.seconds.items())


def write_experiment(
    folder: Path,
    experiment: str,
    title: str,
    data,
    settings: SimpleNamespace,
    rows: Sequence[dict],
    tables: Sequence[tuple[str, str]],
    remarks: Sequence[str],
    figures: Sequence[str] = (),
) -> None:
    """Print the tables of an experiment and write them, its results and the list of its files, each whole.

    Parameters
    ----------
    folder : Path
        Gets `<experiment>_accuracy.md`, `_accuracy.csv`, `_results.json` and `_files.txt`.
    experiment, title : str
    data : ExperimentData
    settings : SimpleNamespace
    rows : sequence of dict
        From `metrics.result_rows`. In the results every row gets all of ROW_KEYS, None where it has none.
    tables : sequence of (caption, Markdown table)
    remarks : sequence of str
        What was left out, changed or is to be known, printed under the tables.
    figures : sequence of str
        Names of the figures that this run has written there; those of an older run are removed.
    """
    dataset = data.dataset
    if dataset.skipped:
        remarks = [*remarks, f"{len(dataset.skipped)} files skipped: {_skipped_text(dataset.skipped)}"]
    remarks = [*remarks, *dataset.remarks]
    counts = ", ".join(f"{name} {n}" for name, n in dataset.counts().items())
    measured_on = {
        "images": "",
        "published_features": " on the authors' features",
        "built_in_sample": " on the built-in sample: no reproduction of the paper",
    }[data.kind]
    text = f"# {title}{measured_on}\n\n{len(dataset)} spectra of {dataset.spectra.shape[1]} values: {counts}.\n"
    text += "".join(f"\n{caption}\n\n{table}\n" for caption, table in tables)
    text += "".join(f"\nNote: {remark}\n" for remark in remarks)
    print("\n" + text)
    write_text(folder / f"{experiment}_accuracy.md", text)
    write_csv(folder / f"{experiment}_accuracy.csv", rows)
    write_text(folder / f"{experiment}_files.txt", file_list(dataset.paths))
    results = {
        "experiment": experiment,
        "built_in_sample": data.is_sample,
        "settings": settings_record(settings),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
        "commit": _commit(),
        "skipped": [{"path": name, "reason": reason} for name, reason in dataset.skipped],
        "remarks": remarks,
        "rows": [dict.fromkeys(ROW_KEYS) | row for row in rows],
    }
    write_text(folder / f"{experiment}_results.json", _json_text(results))
    for figure in folder.glob(f"{experiment}_*.png"):
        if figure.name not in figures:  # of an older run, of something that this one did not measure
            figure.unlink()
    tables_and_lists = (f"{experiment}_{name}" for name in ("accuracy.md", "accuracy.csv", "results.json", "files.txt"))
    print(f"written into {shown(folder)}: {', '.join([*figures, *tables_and_lists])}")


def headers_warning(rows: Sequence[dict]) -> list[str]:
    """Return a sentence, in a list, if what the headers alone score forbids to read a spectrum's score as detection."""
    found = [row for row in rows if row["classifier"] == "headers_only" and row["metric"] == "accuracy"]
    largest = max(found, key=lambda row: row["n_samples"], default=None)  # smaller tests may score high by chance
    if largest is None or largest["mean"] <= HEADERS_TOO_GOOD:
        return []
    return [
        f"headers alone (size, format, JPEG quality, as far as known; no pixel) score {100 * largest['mean']:.0f} % at "
        f"{largest['n_samples']} images: the spectrum's accuracy cannot be read as detection of generated images"
    ]


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write the rows as a table of numbers, one line each, without the lists of the single splits."""
    columns = [key for key in ROW_KEYS if key != "scores"]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {key: "+".join(value) if key.endswith("sources") and value else value for key, value in row.items()}
                | {key: _one_or_range(row[key]) for key in ("n_test", "n_test_groups") if row.get(key)}
            )


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def sample_size_table(
    rows: Sequence[dict],
    columns: Sequence[tuple[str, str, str]],
    published: dict[str, dict[int, dict[str, float]]],
    metric: str = "accuracy",
) -> str:
    """Return a Markdown table, a line per sample size, in per cent.

    Parameters
    ----------
    rows : sequence of dict
    columns : sequence of (heading, classifier, protocol)
        One that no row fills is left out.
    published : {name of the source: {n_samples: {classifier: per cent}}}
        The published numbers, a line under ours where there are some.
    metric : str
    """
    cells = _rows_by(rows, "sample_sizes", metric, "n_samples", "classifier", "protocol")
    columns = [column for column in columns if any(key[1:] == column[1:] for key in cells)]
    body = []
    for n_samples in sorted({key[0] for key in cells}, reverse=True):
        found = [cells.get((n_samples, *column[1:])) for column in columns]
        tested = next(row["n_test"] for row in found if row)
        body.append([str(n_samples), _one_or_range(tested), *map(cell, found)])
        for name, accuracy in published.items():
            if n_samples in accuracy:
                numbers = (_published_cell(accuracy[n_samples], *column[1:]) for column in columns)
                body.append([name, "", *numbers])
    return markdown_table(["samples", "tested", *(column[0] for column in columns)], body)


def condition_table(rows: Sequence[dict], table: str, classifiers: dict[str, str], metric: str = "accuracy") -> str:
    """Return a Markdown table in per cent, a line for each condition and a column for each classifier."""
    cells = _rows_by(rows, table, metric, "condition", "classifier")
    body = [
        [
            condition,
            str(cells[condition, classifier]["n_samples"]),
            _one_or_range(cells[condition, classifier]["n_test"]),
        ]
        + [cell(cells[condition, name]) for name in classifiers]
        for condition, classifier in cells
        if classifier == next(iter(classifiers))
    ]
    return markdown_table(["condition", "images", "tested", *classifiers.values()], body)


def protocol_table(
    rows: Sequence[dict],
    classifiers: dict[str, str],
    protocols: dict[str, str],
    published: dict[str, dict[int, dict[str, float]]],
    metric: str = "accuracy",
) -> str:
    """Return a Markdown table in per cent, a line for each sample size and protocol, a column for each classifier.

    Parameters
    ----------
    rows : sequence of dict
        Of frames, which have groups: how many frames and videos a test holds stands beside.
    classifiers, protocols : {name: heading}
    published : as in `sample_size_table`
        The published numbers, a line under ours of the protocol "published".
    metric : str
    """
    cells = _rows_by(rows, "sample_sizes", metric, "n_samples", "protocol", "classifier")
    body = []
    for n_samples, protocol in dict.fromkeys(key[:2] for key in cells):
        found = [cells[n_samples, protocol, name] for name in classifiers]
        tested = (_one_or_range(found[0][key]) for key in ("n_test", "n_test_groups"))
        body.append([str(n_samples), protocols[protocol], *tested, *map(cell, found)])
        for name, accuracy in published.items():
            if protocol == "published" and n_samples in accuracy:
                numbers = (_published_cell(accuracy[n_samples], classifier, protocol) for classifier in classifiers)
                body.append([name, protocols[protocol], "", "", *numbers])
    return markdown_table(["frames", "split", "tested", "of videos", *classifiers.values()], body)


def metric_table(
    rows: Sequence[dict],
    table: str,
    lines: Sequence[tuple[str, str]],
    metrics: Sequence[tuple[str, str]],
    names: dict[str, str],
) -> str:
    """Return a Markdown table in per cent with several metrics, a line for each combination of some keys.

    Parameters
    ----------
    rows : sequence of dict
    table : str
        Which of the rows' tables.
    lines : sequence of (heading, key of the rows)
        What tells the lines apart; a list of sources is joined by "+".
    metrics : sequence of (heading, metric)
    names : {value: text}
        How to write values; one that is not there stands as it is.
    """

    def text(value):
        return " + ".join(value) if isinstance(value, list) else names.get(value, value)

    found = {}
    for row in rows:
        if row["table"] == table:
            found.setdefault(tuple(text(row[key]) for _, key in lines), {})[row["metric"]] = row
    body = [
        [*key, _one_or_range(line["accuracy"]["n_test"]), *(cell(line[metric]) for _, metric in metrics)]
        for key, line in found.items()
    ]
    return markdown_table([*(name for name, _ in lines), "tested", *(name for name, _ in metrics)], body)


def cell(row: dict | None) -> str:
    """Return a row as `mean ± std (low-high)` in per cent, as much of it as is defined."""
    if row is None or row["mean"] is None:
        return ""
    text = f"{100 * row['mean']:.1f}"
    if row["std"] is not None:
        text += f" ± {100 * row['std']:.1f}"
    if row["low"] is not None:
        text += f" ({100 * row['low']:.0f}–{100 * row['high']:.0f})"
    return text


def markdown_table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up in a terminal, too."""
    headings, *body = ([text.replace("|", "\\|") for text in line] for line in (headings, *body))
    widths = [max(map(len, column)) for column in zip(headings, *body)]
    lines = [headings, ["-" * width for width in widths], *body]
    return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |" for line in lines)


def file_list(paths: Sequence[str]) -> str:
    """Return paths one a line; one with a line break, a quote or undecodable bytes in it is written as JSON."""
    return "".join((path if path.isprintable() and '"' not in path else json.dumps(path)) + "\n" for path in paths)


def _rows_by(rows, table, metric, *keys):
    """Return {values of the keys: row} for one metric of one table."""
    return {tuple(row[key] for key in keys): row for row in rows if row["table"] == table and row["metric"] == metric}


def _published_cell(accuracy, classifier, protocol):
    """Return a published number in per cent, blank where there is none or where it was measured in another way."""
    return f"{accuracy[classifier]:g}" if protocol == "published" and classifier in accuracy else ""


def _skipped_text(skipped, most=10):
    """Return the skipped files with their reasons, cut after a few; the results file has them all."""
    named = "; ".join(f"{file_list([path]).strip()} ({reason})" for path, reason in skipped[:most])
    return named + (f"; and {len(skipped) - most} more" if len(skipped) > most else "")


def _json_text(value):
    """Return JSON with one row a line."""
    rows = value.pop("rows")
    head = json.dumps(value, indent=1, allow_nan=False)
    body = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in rows)
    return f'{head[:-2]},\n "rows": [\n{body}\n ]\n}}\n'


def _one_or_range(numbers):
    """Return "24", or "20-24" where the splits differ."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def _commit():
    """Return the commit of the repository, marked where the tree is changed; None outside git."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != REPOSITORY:  # unpacked inside another repository
            return None
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.npz", "requirements.txt")
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments):
    """Return what git prints about the repository."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
