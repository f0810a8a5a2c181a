"""The claim table: each number and figure of the paper beside what was measured here, and what it measures.

    python compare_with_paper.py                            # of the results that the README quotes
    python compare_with_paper.py --results-dir plots        # of your own runs, and whether they say the same

Reads the results files that the commands of the table write (see the README) and writes plots/claims.md,
plots/claims.png and plots/claims.pdf. The claims and the words beside them stand in `deepfake_spectra/claims.py`.
Commands that were not run leave their numbers out. Numbers of your own runs that differ from the quoted ones, in the
digits that the table shows, are listed.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

from pathlib import Path

from deepfake_spectra.claims import CLAIMS, COMMANDS, SOURCES
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import FIGURE_MARK, QUOTED_RESULTS, REPOSITORY, check_outputs, display_path, write_text
from deepfake_spectra.results import read_rows
from deepfake_spectra.tables import interval_text

RESULTS_DIR: Path = Path("plots/reference")  # of the results files; plots: those of your own runs
OUTPUT_DIR: Path = Path("plots")  # for claims.md, .png and .pdf

REFERENCE_DIR = REPOSITORY / QUOTED_RESULTS  # what the README quotes
IDENTITY = (  # what tells a row of a results file from the others
    "table", "protocol", "n_samples", "classifier", "metric", "train_sources", "test_sources", "condition",
)  # fmt: skip


def read_results_of(results_dir):
    """Return {source: rows} of the results files of the claims that are there."""
    files = {source: results_dir / f"{source}_results.json" for source in SOURCES}
    rows = {source: read_rows(path, f"command {COMMANDS[source]}") for source, path in files.items() if path.is_file()}
    if not rows:
        raise ExperimentError(
            f"{display_path(results_dir)}: found none of {', '.join(SOURCES)} (_results.json); run a command of the "
            'README\'s section "Reproduce each experiment" first'
        )
    return rows


def find_row(chosen, rows):
    """Return the one row of the results that a Cell names; of several transfers, the lowest or the highest."""
    end = chosen.values.get("end")
    wanted = {key: value for key, value in chosen.values.items() if key != "end"}
    found = [row for row in rows[chosen.source] if row["mean"] is not None and row | wanted == row]
    if end and found:
        return sorted(found, key=lambda row: row["mean"])[0 if end == "lowest" else -1]
    if len(found) != 1:
        raise ExperimentError(
            f"{chosen.source}: found {len(found)} rows of {wanted}, expected one with a number; run its command again"
        )
    return found[0]


def numbers_text(cells, rows):
    """Return cells of the table as one: label, number in per cent, interval; n and size of a test where they change."""
    texts, last = [], None
    for chosen in (chosen for chosen in cells if chosen.source in rows):
        row = find_row(chosen, rows)
        about = [] if row["low"] is None else [interval_text(row)]
        unit = " videos" if row["table"] == "videos" else ""
        sizes = f"n {row['n_samples']}" + (f", {min(row['n_test'])}{unit} a test" if row["n_test"] else "")
        about += [sizes] if sizes != last else []
        brackets = f" ({'; '.join(about)})" if about else ""
        texts.append(f"{chosen.label} {100 * row['mean']:.1f}{brackets}".strip())
        last = sizes
    left_out = sorted({COMMANDS[chosen.source] for chosen in cells if chosen.source not in rows})
    texts += [f"command {letter} was not run" for letter in left_out]
    return "; ".join(texts).replace("; to ", " to ")


def differences(rows, reference):
    """Yield (what a number is, as it is here, as it is quoted) for every number of the table that both have."""
    for claim in CLAIMS:
        for chosen in claim.published + claim.honest + claim.baseline:
            if chosen.source in rows and chosen.source in reference:
                yield claim.claim, numbers_text([chosen], rows), numbers_text([chosen], reference)


def claim_table(rows):
    """Return the claim table as Markdown."""
    body = []
    for claim in CLAIMS:
        ours, honest = (numbers_text(cells, rows) for cells in (claim.published, claim.honest + claim.baseline))
        sources = {chosen.source for chosen in claim.published + claim.honest + claim.baseline}
        words = (claim.measures, claim.verdict) if sources <= rows.keys() else ("", "")  # they are of all the numbers
        body.append([claim.claim, claim.paper, ours, honest, *words, " ".join(sorted(map(COMMANDS.get, sources)))])
    headings = [
        "claim", "paper", "here, as the paper measured", "here, honest", "what it measures", "verdict", "command",
    ]  # fmt: skip
    lines = [headings, ["---"] * len(headings), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def first_row(cells, rows):
    """Return the row and the label of the first Cell whose command was run; None and "" where none was."""
    for chosen in cells:
        if chosen.source in rows:
            return find_row(chosen, rows), chosen.label.rstrip(":")
    return None, ""


def drawn_claims(rows):
    """Return what `claims_figure` draws: the accuracies of the paper of which something was run here."""
    drawn = []
    for claim in (claim for claim in CLAIMS if claim.percent):
        (published, _), (honest, honest_is), (header, _) = (
            first_row(cells, rows) for cells in (claim.published, claim.honest, claim.baseline)
        )
        if published or honest or header:
            numbers = {"published": published, "honest": honest, "header": header}
            drawn.append({"claim": claim.claim, "paper": claim.percent, "honest_is": honest_is} | numbers)
    return drawn


def equal_rows(results_dir):
    """Yield (name, equal rows, quoted rows) for each results file of a folder that is quoted, too."""

    def means(path):
        rows = read_rows(path)
        return {tuple(str(row[key]) for key in IDENTITY): row["mean"] and f"{row['mean']:.3f}" for row in rows}

    for quoted in sorted(REFERENCE_DIR.rglob("*_results.json")):
        name = quoted.relative_to(REFERENCE_DIR)
        if (results_dir / name).is_file():
            ours, theirs = means(results_dir / name), means(quoted)
            yield name.as_posix(), len(ours.items() & theirs.items()), len(theirs)


def main():
    settings = read_settings(__name__)
    from deepfake_spectra.result_plots import claims_figure  # matplotlib takes half a second to load

    outputs = {"md": rb"\A# The paper's claims\n", "png": FIGURE_MARK, "pdf": FIGURE_MARK}
    check_outputs([(settings.output_dir / f"claims.{ending}", mark) for ending, mark in outputs.items()])
    rows = read_results_of(settings.results_dir)
    note = (
        "Accuracy in %, in brackets the 95 % interval; `honest` is what is left without the fault that the next column "
        "names, and what a classifier scores that sees no spectrum at all."
    )
    write_text(settings.output_dir / "claims.md", f"# The paper's claims\n\n{note}\n\n{claim_table(rows)}\n")
    claims_figure(settings.output_dir / "claims.png", drawn_claims(rows))
    print(claim_table(rows))
    print(f"written into {display_path(settings.output_dir)}: claims.md, claims.png, claims.pdf")
    if settings.results_dir.resolve() != REFERENCE_DIR:
        compared = list(differences(rows, read_results_of(REFERENCE_DIR)))
        differing = [numbers for numbers in compared if numbers[1] != numbers[2]]
        print(
            f"{len(compared) - len(differing)} of {len(compared)} numbers of the table are those of "
            f"{display_path(REFERENCE_DIR)}"
        )
        for claim, ours, quoted in differing:
            print(f"{claim}: {ours}, quoted: {quoted}")
        for name, n_equal, n_quoted in equal_rows(settings.results_dir):
            print(f"{name}: {n_equal} of {n_quoted} rows are as quoted, to a tenth of a per cent")


if __name__ == "__main__":
    run(main)
