"""What an experiment leaves behind: tidy results (.json), the same as .csv, and tables to read (.md)."""

import gzip
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from itertools import islice
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
from deepfake_spectra.tables import one_or_range

ROW_KEYS = (
    "table", "protocol", "n_samples", "classifier", "metric", "mean", "std", "low", "high", "n_test", "n_test_fake",
    "n_test_groups", "scores", "train_sources", "test_sources", "condition",
)  # fmt: skip
MARKS = {  # behind `<experiment>_`, and the expression that tells an earlier file of ours; see `files.check_outputs`
    "accuracy.md": rb"\A# [^\n]+\n\n\d+ spectra of \d+ values: ",
    "accuracy.csv": rb"\Atable,protocol,n_samples,classifier,",
    "results.json": rb'\A\{\n "experiment": "',
    "scores.csv.gz": rb"\Atable,protocol,condition,n_samples,",
    "files.txt": rb"\A([0-9a-f]{64}  |[^\n]*row \d+\n|photographs/)",
    "judge.safetensors": rb'(?s)\A.{8}\{"__metadata__":\{"description":"\{\\"format_version\\"',
}
PACKAGES = ("numpy", "scipy", "scikit-learn", "opencv", "pillow")  # whose versions are recorded


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
    packages: Sequence[str] = (),
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
    packages : sequence of str
        Whose versions are recorded beside those of PACKAGES.
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
        "versions": versions(*PACKAGES, *packages),
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


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write the rows as a table of numbers, one line each, without the lists of the single splits."""

    def cell(row, key):
        value = row.get(key)
        if key.endswith("sources"):
            return "+".join(value or ())
        return one_or_range(value) if key.startswith("n_test") else value

    columns = [key for key in ROW_KEYS if key != "scores"]
    write_text(path, csv_text(columns, ([cell(row, key) for key in columns] for row in rows)))


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

    all_lines = lines()
    with whole_file(path) as temporary, temporary.open("wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            packed.write(csv_text([*keys, "split", "path", "group", "label", "predicted", "score"], ()).encode("utf-8"))
            while some := list(islice(all_lines, 10_000)):
                packed.write(csv_text((), some).encode("utf-8"))


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


def _git(*arguments):
    """Return what git prints about the repository."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return os.fsdecode(subprocess.run(command, capture_output=True, check=True).stdout).strip()
