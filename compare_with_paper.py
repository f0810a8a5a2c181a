"""The claim table: each number and figure of the paper beside what was measured here, and what it measures.

    python compare_with_paper.py                            # of the results that the README quotes
    python compare_with_paper.py --results-dir plots        # of your own runs, and whether they say the same

Reads the results files that the commands of the table write (see the README) and writes plots/claims.md,
plots/claims.png and plots/claims.pdf. Of the numbers only the paper's are typed in here, and the words. Commands that
were not run leave their numbers out. Numbers of your own runs that differ from the quoted ones, in the digits that the
table shows, are listed.
"""

from deepfake_spectra.settings import read_settings, run  # isort: skip; hears Ctrl-C

import json
from pathlib import Path
from typing import NamedTuple

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import FIGURE_MARK, REPOSITORY, check_outputs, display_path, write_text

RESULTS_DIR: Path = Path("plots/reference")  # of the results files; plots: those of your own runs
OUTPUT_DIR: Path = Path("plots")  # for claims.md, .png and .pdf

REFERENCE_DIR = REPOSITORY / "plots/reference"  # what the README quotes
FACES, CELEBA, CELEBA_FEATURES, FRAMES, CLIPS = SOURCES = (
    "faces_hq_900/faces_hq", "celeba/celeba", "published_features/celeba", "published_features/deepfake_detection",
    "clips_c40/deepfake_detection",
)  # fmt: skip
COMMANDS = dict(zip(SOURCES, "ABCDE"))  # by the letters of the README's section "Reproduce each experiment"

IDENTITY = (  # what tells a row of a results file from the others
    "table", "protocol", "n_samples", "classifier", "metric", "train_sources", "test_sources", "condition",
)  # fmt: skip


class Cell(NamedTuple):
    """One row of a results file, by the values that tell it from the others."""

    source: str
    values: dict
    label: str = ""  # what stands before the number in the table


class Claim(NamedTuple):
    """What the paper says, what was measured of it here, and what that means."""

    claim: str
    paper: str  # as printed
    percent: float | None  # the same as a number for the figure; None: not drawn
    published: tuple[Cell, ...]  # by the paper's protocol; the first is drawn
    honest: tuple[Cell, ...] = ()  # the first is drawn
    baseline: tuple[Cell, ...] = ()  # what needs no spectrum; the first is drawn
    measures: str = ""
    verdict: str = ""


def cell(source, label="", classifier="svm_linear", table="sample_sizes", metric="accuracy", **values):
    """Return a Cell with the usual values filled in."""
    return Cell(source, {"table": table, "classifier": classifier, "metric": metric} | values, label)


def transfer(condition, label):
    """Return the lowest and the highest transfer of Faces-HQ in one condition, as two cells."""
    values = {"table": "transfer", "metric": "balanced_accuracy", "condition": condition}
    return cell(FACES, label, end="lowest", **values), cell(FACES, "to", end="highest", **values)


def alike(classifier, **values):
    """Return the accuracies of Faces-HQ with all images saved again at one JPEG quality, the reals' own first."""
    return tuple(
        cell(FACES, f"all as JPEG {quality}:", classifier, "alike", condition=f"jpeg {quality}", **values)
        for quality in (75, 50, 90)
    )


def authors_frames(classifier):
    """Return the accuracies of random frames of the authors' DeepFakeDetection test features."""
    found = tuple(cell(FRAMES, "", classifier, n_samples=n, protocol="random") for n in (1000, 200, 20))
    return (found[0]._replace(label="authors' test features, random:"), *found[1:])


HEADERS = {"classifier": "headers_only"}
CELEBA_ALIKE = ("crop 128x128", "crop 128x128 + jpeg 75", "crop 128x128 + jpeg 50")
WRONG_CENTRE = "reals, centre of 2019"
MOST_LIKELY = "on 600 images that are most likely the paper's"
CLAIMS = (
    Claim(
        "Faces-HQ, SVM",
        "100 (4000 images)",
        100,
        (cell(FACES, n_samples=600),),
        (
            *alike("svm_linear"),
            *transfer("jpeg 75", "unseen sources, JPEG 75:"),
            *transfer("jpeg 50", "JPEG 50:"),
            *transfer("jpeg 90", "JPEG 90:"),
        ),
        (cell(FACES, "headers alone:", n_samples=600, **HEADERS),),
        "the JPEG quality: reals 75, fakes 98 and 100",
        f"reproduced {MOST_LIKELY}; the JPEG quality alone gives as much",
    ),
    Claim(
        "Faces-HQ, logistic regression",
        "100 (4000 images)",
        100,
        (cell(FACES, classifier="logistic_regression", n_samples=600),),
        alike("logistic_regression"),
        (cell(FACES, "headers alone:", n_samples=600, **HEADERS),),
        "the same",
        "reproduced, likewise",
    ),
    Claim(
        'Faces-HQ, "as little as 20 samples", SVM',
        "100",
        100,
        (cell(FACES, n_samples=20),),
        (),
        (cell(FACES, "headers alone:", n_samples=20, **HEADERS),),
        "4 test images a split",
        "nearly, likewise: tests of 4 images, in which one error is 25 points",
    ),
    Claim(
        "Faces-HQ, k-means, unsupervised",
        "82 (4000), 81 (100), 75 (20)",
        82,
        tuple(cell(FACES, "", "k_means", protocol="all_rows", n_samples=n) for n in (600, 100, 20)),
        alike("k_means", protocol="all_rows"),
        (),
        "the JPEG quality, too",
        "reproduced, likewise; 53 to 68 at equal quality",
    ),
    Claim(
        "Faces-HQ, figure: last value over first of CelebA-HQ, FFHQ, 100K Faces, thispersondoesnotexist",
        "34.7, 37.3, 44, 44 (read by eye)",
        None,
        tuple(
            cell(FACES, "", None, "curve_end", "last_over_first", condition=source)
            for source in ("celebA-HQ_10K", "Flickr-Faces-HQ_10K", "100KFake_10K", "thispersondoesntexists_10K")
        ),
        measures="the JPEG quality: with all at 75, the curves of reals and fakes overlap",
        verdict="comes out, likewise; the sources were named partly by it",
    ),
    Claim(
        "CelebA, SVM",
        "100 (2000 images)",
        100,
        (
            cell(CELEBA, "authors' centre of 2019:", table="centre", condition="published_2019"),
            cell(CELEBA_FEATURES, "authors' features:"),
        ),
        (
            cell(CELEBA, "right centre:", table="centre", condition="published"),
            *(cell(CELEBA, f"{steps}:", table="alike", condition=steps) for steps in CELEBA_ALIKE),
        ),
        (
            cell(CELEBA, "headers alone:", **HEADERS),
            cell(CELEBA, "reals alone, half around the wrong centre:", table="control", condition=WRONG_CENTRE),
        ),
        "a wrong centre, which only the reals have since they are not square; then their size",
        "reproduced; the wrong centre alone gives as much",
    ),
    Claim(
        "CelebA, SVM with RBF (authors' notebook)",
        "100",
        100,
        (
            cell(CELEBA, "authors' centre of 2019:", "svm_rbf", "centre", condition="published_2019"),
            cell(CELEBA_FEATURES, "authors' features:", "svm_rbf"),
        ),
        (
            cell(CELEBA, "right centre:", "svm_rbf", "centre", condition="published"),
            *(cell(CELEBA, f"{steps}:", "svm_rbf", "alike", condition=steps) for steps in CELEBA_ALIKE),
        ),
        (
            cell(CELEBA, "headers alone:", **HEADERS),
            cell(CELEBA, "reals alone, half around the wrong centre:", "svm_rbf", "control", condition=WRONG_CENTRE),
        ),
        "the same, and the size",
        "reproduced, likewise",
    ),
    Claim(
        "CelebA, logistic regression",
        "100",
        100,
        (
            cell(CELEBA, "authors' centre of 2019:", "logistic_regression", "centre", condition="published_2019"),
            cell(CELEBA_FEATURES, "authors' features:", "logistic_regression"),
        ),
        (cell(CELEBA, "right centre:", "logistic_regression", "centre", condition="published"),),
        (cell(CELEBA, "headers alone:", **HEADERS),),
        "the same",
        "reproduced, likewise",
    ),
    Claim(
        "CelebA, k-means, unsupervised",
        "96",
        96,
        (
            cell(
                CELEBA, "authors' centre of 2019:", "k_means", "centre", condition="published_2019", protocol="all_rows"
            ),
            cell(CELEBA_FEATURES, "authors' features:", "k_means", protocol="all_rows"),
        ),
        (cell(CELEBA, "right centre:", "k_means", "centre", condition="published", protocol="all_rows"),),
        (),
        "the same",
        "reproduced, likewise",
    ),
    Claim(
        "CelebA, figure",
        "legend",
        None,
        (),
        measures="real and fake are exchanged in its legend",
        verdict="legend swapped in the paper; ours in plots/reference/celeba/celeba_spectrum.png",
    ),
    Claim(
        "DeepFakeDetection, frames, SVM (RBF)",
        "85 / 82 / 77 / 66 (2000 / 1000 / 200 / 20)",
        82,
        authors_frames("svm_rbf"),
        (
            cell(FRAMES, "by blocks of 20 rows:", "svm_rbf", n_samples=1000, protocol="by_video"),
            cell(CLIPS, "50 other clips, by identity:", "svm_rbf", n_samples=400, protocol="by_identity"),
        ),
        (
            cell(FRAMES, "size alone, random:", "headers_only", n_samples=1000, protocol="random"),
            cell(FRAMES, "by blocks:", "headers_only", n_samples=1000, protocol="by_video"),
        ),
        "in part which video a frame is from, and the size of the crops",
        "not the paper's number, higher: another file of the authors'; the 2000 frames were never released",
    ),
    Claim(
        "DeepFakeDetection, frames, logistic regression",
        "78 / 76 / 73 / 76",
        76,
        authors_frames("logistic_regression"),
        (
            cell(FRAMES, "by blocks of 20 rows:", "logistic_regression", n_samples=1000, protocol="by_video"),
            cell(CLIPS, "50 other clips, by identity:", "logistic_regression", n_samples=400, protocol="by_identity"),
        ),
        (cell(FRAMES, "size alone, random:", "headers_only", n_samples=1000, protocol="random"),),
        "as much as the size alone",
        "likewise",
    ),
    Claim(
        "DeepFakeDetection, videos",
        "SVM 90 (91 in the abstract), LR 81",
        90,
        (
            cell(
                FRAMES,
                "blocks of the authors' test features, SVM:",
                "svm_rbf",
                "videos",
                condition="authors' vote",
                protocol="by_video",
            ),
            cell(FRAMES, "LR:", "logistic_regression", "videos", condition="authors' vote", protocol="by_video"),
        ),
        (
            cell(
                CLIPS,
                "50 other clips, by identity, balanced:",
                "svm_rbf",
                "videos",
                "balanced_accuracy",
                condition="authors' vote",
                protocol="by_identity",
            ),
        ),
        (),
        '938 fakes and 76 reals: always saying "fake" scores 92.5',
        "cannot be tested: the videos' names were never released",
    ),
)


def read_rows(results_dir):
    """Return {source: rows} of the results files that are there."""
    rows = {}
    for source in SOURCES:
        path = results_dir / f"{source}_results.json"
        if not path.is_file():
            continue
        try:
            rows[source] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ExperimentError(f"{display_path(path)}: damaged; run command {COMMANDS[source]} again") from None
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
    found = [row for row in rows[chosen.source] if all(row[key] == value for key, value in wanted.items())]
    if end and found:
        return sorted(found, key=lambda row: row["mean"])[0 if end == "lowest" else -1]
    if len(found) != 1 or found[0]["mean"] is None:
        raise ExperimentError(
            f"{chosen.source}: found {len(found)} rows of {wanted}, expected one with a number; run its command again"
        )
    return found[0]


def numbers_text(cells, rows):
    """Return cells of the table as one: label, number in per cent, interval; n and size of a test where they change."""
    texts, last = [], None
    for chosen in (chosen for chosen in cells if chosen.source in rows):
        row = find_row(chosen, rows)
        about = [] if row["low"] is None else [f"{100 * row['low']:.0f}–{100 * row['high']:.0f}"]
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
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return {tuple(str(row[key]) for key in IDENTITY): f"{row['mean'] or 0:.3f}" for row in rows}

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
    rows = read_rows(settings.results_dir)
    note = (
        "Accuracy in %, in brackets the 95 % interval; `honest` is what is left without the fault that the next column "
        "names, and what a classifier scores that sees no spectrum at all."
    )
    write_text(settings.output_dir / "claims.md", f"# The paper's claims\n\n{note}\n\n{claim_table(rows)}\n")
    claims_figure(settings.output_dir / "claims.png", drawn_claims(rows))
    print(claim_table(rows))
    print(f"written into {display_path(settings.output_dir)}: claims.md, claims.png, claims.pdf")
    if settings.results_dir.resolve() != REFERENCE_DIR:
        compared = list(differences(rows, read_rows(REFERENCE_DIR)))
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
