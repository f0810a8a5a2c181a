"""What a script has written, read back."""

import json
from pathlib import Path

import pytest


def results_of(folder: Path, experiment: str) -> dict:
    """Return the results file of an experiment, where a NaN would be an error."""
    text = (folder / f"{experiment}_results.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the results"))


def rows_where(results: dict, **keys) -> list[dict]:
    """Return the rows of results with these keys."""
    return [row for row in results["rows"] if all(row[key] == value for key, value in keys.items())]


def table_lines(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first Markdown table behind a heading, line by line, its own headings first."""
    lines = text[text.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| "))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return [table[0], *table[2:]]
