"""Judgements -> how many of each folder were called real, fake and unsure, with intervals, and why unsure."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepfake_spectra.answers import UNSURE
from deepfake_spectra.dataset import CLASS_NAMES
from deepfake_spectra.files import printable
from deepfake_spectra.intervals import wilson_interval
from deepfake_spectra.judgement import Judgement
from deepfake_spectra.tables import markdown_table

VERDICTS = (*CLASS_NAMES, UNSURE)
ALL = "all folders"
NOT_SAID = (
    "in brackets 95 % intervals (Wilson; files taken as independent); they are of what was said, not of what is right. "
    "Remarks are not verified, and that one is missing means nothing"
)


def folder_summaries(judgements: Sequence[Judgement]) -> list[dict]:
    """Return what was said of each folder that holds judged files, and of all together where there are several.

    Parameters
    ----------
    judgements : sequence of Judgement

    Returns
    -------
    list of dict
        "folder"; "n_judged", "n_not_judged"; for "real", "fake" and "unsure" {"n", "share", "low", "high"}, the last
        three None where nothing was judged; "why_unsure" {reason: n}, the commonest first. A file may have several.
    """
    of_folder = {}
    for judgement in judgements:
        path = Path(judgement.path)
        of_folder.setdefault(str(path if os.path.isdir(path) else path.parent), []).append(judgement)
    summaries = [_summary(folder, own) for folder, own in of_folder.items()]
    return summaries + [_summary(ALL, judgements)] * (len(summaries) > 1)


def summary_text(summaries: Sequence[dict]) -> str:
    """Return the summaries as a table, and what it does not say."""
    headings = ["folder", "judged", *VERDICTS, "why unsure"]
    lines = [
        [
            printable(summary["folder"]),
            str(summary["n_judged"]),
            *(_share_text(summary[verdict]) for verdict in VERDICTS),
            ", ".join(f"{reason} {n}" for reason, n in summary["why_unsure"].items()),
        ]
        for summary in summaries
    ]
    return f"{markdown_table(headings, lines)}\n{NOT_SAID}"


def _summary(folder, judgements):
    """Return the summary of some judgements."""
    n_of = Counter(judgement.verdict for judgement in judgements)
    n_judged = len(judgements) - n_of[None]
    why = Counter(reason for judgement in judgements for reason in judgement.reasons)
    return {
        "folder": folder,
        "n_judged": n_judged,
        "n_not_judged": n_of[None],
        **{verdict: _share(n_of[verdict], n_judged) for verdict in VERDICTS},
        "why_unsure": dict(why.most_common()),
    }


def _share(part, n):
    """Return a number as a share of n, with its interval."""
    if not n:
        return {"n": 0, "share": None, "low": None, "high": None}
    low, high = wilson_interval(part / n, n)
    return {"n": part, "share": part / n, "low": low, "high": high}


def _share_text(share):
    """Return "12: 30 % (18-45)"."""
    if share["share"] is None:
        return "0"
    return f"{share['n']}: {100 * share['share']:.0f} % ({100 * share['low']:.0f}-{100 * share['high']:.0f})"
