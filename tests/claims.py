"""Results files that the claim table can be made of: each row has a number of its own, beside others not meant."""

import json

from deepfake_spectra.claims import CLAIMS, SOURCES
from deepfake_spectra.results import ROW_KEYS


def cells_of_claims():
    """Return all cells of the claim table, in its order."""
    return [cell for claim in CLAIMS for cell in claim.published + claim.honest + claim.baseline]


def write_claim_results(folder):
    """Write the results files of all claims; return them as {source: rows}, the wanted rows first and then others."""
    wanted, rows = {}, {source: [] for source in SOURCES}
    for cell in cells_of_claims():
        values = {key: value for key, value in cell.values.items() if key != "end"}
        wanted[cell.source, *sorted(values.items(), key=str)] = values
    for number, (source, *_) in enumerate(wanted):
        values = list(wanted.values())[number]
        mean = 0.1 + number / 100
        limits = (None, None) if number % 3 == 0 else (mean - 0.055, mean + 0.034)
        counts = {"n_samples": 100 + number, "n_test": [30 + number, 20 + number] if number % 4 else None}
        rows[source].append(counts | values | dict(zip(("mean", "low", "high"), (mean, *limits))))
    for number, (source, *_) in enumerate(wanted):  # which differ in one of the values that tell a row
        values = list(wanted.values())[number]
        for key in values:
            rows[source].append(values | {key: "another", "mean": 0.999, "low": 0.99, "high": 1})
    for source, found in rows.items():
        rows[source] = [dict.fromkeys(ROW_KEYS) | row for row in found]
        path = folder / f"{source}_results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"rows": rows[source]}), encoding="utf-8")
    return rows
