"""What the paper claims, claim by claim: its numbers as printed, which of ours stand beside, and what they measure.

Of the numbers only the paper's are typed in here; ours are named, by the values that tell a row of a results file from
the others, and read by `compare_with_paper.py`.
"""

from typing import NamedTuple

FACES, CELEBA, CELEBA_FEATURES, FRAMES, CLIPS = SOURCES = (
    "faces_hq_900/faces_hq", "celeba/celeba", "published_features/celeba", "published_features/deepfake_detection",
    "clips_c40/deepfake_detection",
)  # fmt: skip
COMMANDS = dict(zip(SOURCES, "ABCDE"))  # by the letters of the README's section "Reproduce each experiment"


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


def honest_frames(classifier):
    """Return the accuracies of frames by blocks of the authors' rows, apart or not, and of other clips by identity."""
    return (
        cell(FRAMES, "by blocks, 21 rows between:", classifier, n_samples=1000, protocol="by_video_apart"),
        cell(FRAMES, "as few rows without these:", classifier, n_samples=1000, protocol="by_video_fewer"),
        cell(FRAMES, "all rows:", classifier, n_samples=1000, protocol="by_video"),
        cell(CLIPS, "50 other clips, by identity:", classifier, n_samples=400, protocol="by_identity"),
    )


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
        honest_frames("svm_rbf"),
        (
            cell(FRAMES, "size alone, random:", "headers_only", n_samples=1000, protocol="random"),
            cell(FRAMES, "by blocks:", "headers_only", n_samples=1000, protocol="by_video"),
            cell(FRAMES, "21 rows between:", "headers_only", n_samples=1000, protocol="by_video_apart"),
        ),
        "in part which video a frame is from, and the size of the crops",
        "not the paper's number, higher: another file of the authors'; the 2000 frames were never released",
    ),
    Claim(
        "DeepFakeDetection, frames, logistic regression",
        "78 / 76 / 73 / 76",
        76,
        authors_frames("logistic_regression"),
        honest_frames("logistic_regression"),
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
