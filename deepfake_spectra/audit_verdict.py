"""What the numbers of an audit mean, by rules that docs/audit.md states."""

from collections.abc import Sequence
from typing import NamedTuple

from deepfake_spectra.tables import HEADERS_TOO_GOOD, percent_text, rows_of
from deepfake_spectra.trait_table import CONTENT_TRAITS

FEW = 0.01  # of the files: what is worth a word


class Finding(NamedTuple):
    """One sentence of a verdict."""

    is_bad: bool  # by itself enough to read no accuracy on this set as detection
    sentence: str


def is_told(row: dict) -> bool:
    """Return whether a row of results tells two sides apart: above 60 %, with an interval above chance."""
    return row["mean"] > HEADERS_TOO_GOOD and (row["low"] is None or row["low"] > 0.5)


def findings(rows: Sequence[dict], n_files: int, n_unreadable: int, pairs: dict[str, int]) -> list[Finding]:
    """Return what is to be said of a data set, what is bad first.

    Parameters
    ----------
    rows : sequence of dict
        Of the tables `classes` (`svm_linear` as they are, then at one size and quality; `headers_only`), `trait` (one
        condition each), `null`, `cause`, `reals` and `fakes`.
    n_files, n_unreadable : int
    pairs : {kind: number}
        Of `equal across classes`, `near across classes`, and other kinds, all within a class.
    """
    found = [*_of_traits(rows), *_of_spectra(rows), *_of_pairs(pairs, n_files)]
    if n_unreadable > FEW * n_files:
        found.append(Finding(False, f"{n_unreadable} of {n_files} files cannot be read"))
    return sorted(found, key=lambda finding: not finding.is_bad)


def verdict(found: Sequence[Finding]) -> str:
    """Return the verdict in one sentence."""
    if any(finding.is_bad for finding in found):
        return "on this set an accuracy cannot be read as detection of generated images"
    return (
        "nothing was found that forbids to read an accuracy on this set as detection; see the limits in docs/audit.md"
    )


def _of_traits(rows):
    """Yield what the files give away of how they were saved, and what single numbers of the pictures do."""
    [headers] = [row for row in rows_of(rows, "classes") if row["classifier"] == "headers_only"]
    alone = {
        row["condition"]: f"{row['condition']} {percent_text(row)}" for row in filter(is_told, rows_of(rows, "trait"))
    }
    saved = [text for name, text in alone.items() if name not in CONTENT_TRAITS]
    if is_told(headers) or saved:
        by_name = f"; one trait alone: {', '.join(saved)}" if saved else ""
        yield Finding(
            True, f"how the files were saved tells the classes apart: headers alone {percent_text(headers)} %{by_name}"
        )
    if content := [text for name, text in alone.items() if name in CONTENT_TRAITS]:
        yield Finding(False, f"one number of the pictures tells the classes apart: {', '.join(content)} %")


def _of_spectra(rows):
    """Yield what the spectrum tells apart, and what it must not."""
    *_, spectrum = (row for row in rows_of(rows, "classes") if row["classifier"] == "svm_linear")
    tells = "tells the classes apart with" if is_told(spectrum) else "is not shown to tell the classes apart:"
    yield Finding(not is_told(spectrum), f"the spectrum {tells} {percent_text(spectrum)} %, {spectrum['condition']}")
    for row in filter(is_told, rows_of(rows, "null")):
        yield Finding(True, f"{row['condition']}: told from itself with {percent_text(row)} %; the splits leak")
    for row in filter(is_told, rows_of(rows, "cause")):
        yield Finding(False, f"{row['condition']}: told apart with {percent_text(row)} %; nothing there is fake")
    for table, is_bad in (("reals", True), ("fakes", False)):  # generators may differ; photographs should not
        pairs = rows_of(rows, table)
        if told := list(filter(is_told, pairs)):
            most = max(told, key=lambda row: row["mean"])
            others = f"; {len(told)} of {len(pairs)} such pairs are" if len(pairs) > 1 else ""
            apart = f"told apart as well, with {percent_text(most)} %"
            yield Finding(is_bad, f"{most['condition']}, both {table[:-1]}: {apart}{others}")
    if not rows_of(rows, "reals"):
        yield Finding(False, "one real source: what is found may be the source, and nothing here can tell")


def _of_pairs(pairs, n_files):
    """Yield what is to be said of pictures that are there more than once."""
    if n := pairs["equal across classes"]:
        yield Finding(True, f"the same file in both classes: {n} pairs")
    if n := pairs["near across classes"]:
        yield Finding(False, f"nearly the same picture in both classes: {n} pairs; no split may part them")
    if (n := sum(n for kind, n in pairs.items() if "across classes" not in kind)) > FEW * n_files:
        yield Finding(False, f"the same or nearly the same picture within a class: {n} pairs; no split may part them")
