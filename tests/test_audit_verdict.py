"""The verdict of an audit follows from its numbers."""

import pytest

from deepfake_spectra.audit_verdict import findings, is_told, verdict

NO_PAIRS = {"equal across classes": 0, "near across classes": 0, "equal within a source": 0, "near across sources": 0}


def row(table, condition, mean, low=0.0, classifier="svm_linear"):
    """Return a row of results as far as a verdict looks at it."""
    return {
        "table": table, "condition": condition, "classifier": classifier, "metric": "accuracy", "mean": mean,
        "std": 0.01, "low": low, "high": 1.0, "n_test": [100], "n_test_fake": [50],
    }  # fmt: skip


CLEAN = (
    row("classes", "as they are", 0.9, 0.8), row("classes", "as they are", 0.5, 0.4, "headers_only"),
    row("trait", "width", 0.5, 0.4, "one_trait"), row("trait", "brightness", 0.55, 0.51, "one_trait"),
    row("null", "a", 0.52, 0.4), row("null", "b", 0.63, 0.49), row("reals", "a against b", 0.58, 0.52),
)  # fmt: skip


def judged(*rows, n_files=100, n_unreadable=0, **pairs):
    """Return (whether the verdict is bad, all sentences) of the clean rows and some more."""
    found = findings(
        [*CLEAN, *rows], n_files, n_unreadable, NO_PAIRS | {k.replace("_", " "): n for k, n in pairs.items()}
    )
    is_bad = any(finding.is_bad for finding in found)
    assert is_bad == ("cannot be read as detection" in verdict(found))
    assert [finding.is_bad for finding in found] == sorted((finding.is_bad for finding in found), reverse=True)
    return is_bad, " | ".join(finding.sentence for finding in found)


@pytest.mark.parametrize(
    "mean, low, told", [(0.61, 0.51, True), (0.61, 0.5, False), (0.6, 0.55, False), (0.9, 0.4, False), (1, None, True)]
)
def test_told_apart_is_above_60_percent_with_an_interval_above_chance(mean, low, told):
    assert is_told(row("null", "a", mean, low)) == told


def test_clean_numbers_give_a_clean_verdict():
    is_bad, text = judged()
    assert not is_bad and text == "the spectrum tells the classes apart with 90.0 ± 1.0 (80–100) %, as they are"


@pytest.mark.parametrize(
    "found, sentence",
    [
        (row("trait", "coding", 1.0, 0.9, "one_trait"), "headers alone 50.0 ± 1.0 (40–100) %; one trait alone: coding"),
        (row("trait", "earlier JPEG", 0.7, 0.6, "one_trait"), "one trait alone: earlier JPEG 70.0"),
        (row("classes", "all images: jpeg 75", 0.55, 0.45), "nothing is left: the spectrum tells"),
        (row("null", "c", 0.8, 0.7), "c: told from itself with 80"),
        (row("reals", "a against c", 0.78, 0.7), "1 of 2 pairs of real sources told apart as well, most a against c"),
    ],
)  # fmt: skip
def test_each_of_these_makes_the_verdict_bad(found, sentence):
    is_bad, text = judged(found)
    assert is_bad and sentence in text


@pytest.mark.parametrize(
    "found, sentence",
    [
        (row("trait", "brightness", 0.7, 0.6, "one_trait"), "one number of the pictures tells the classes apart"),
        (row("cause", "a, every second image: jpeg 75", 0.98, 0.9), "told apart with 98.0"),
        (row("fakes", "c against d", 0.98, 0.9), "1 of 1 pairs of fake sources told apart"),
        (row("classes", "all images: jpeg 75", 0.8, 0.7), "with 80.0 ± 1.0 (70–100) %, all images: jpeg 75"),
    ],
)  # fmt: skip
def test_each_of_these_is_said_and_makes_no_verdict_bad(found, sentence):
    is_bad, text = judged(found)
    assert not is_bad and sentence in text


def test_headers_that_tell_the_classes_apart_together_are_enough():
    rows = [line | {"mean": 0.9, "low": 0.8} if line["classifier"] == "headers_only" else line for line in CLEAN]
    [finding, _] = findings(rows, 100, 0, NO_PAIRS)
    assert finding.is_bad and "headers alone 90.0" in finding.sentence and "one trait" not in finding.sentence


def test_one_real_source_is_said():
    rows = [line for line in CLEAN if line["table"] != "reals"]
    assert "one real source" in findings(rows, 100, 0, NO_PAIRS)[-1].sentence


def test_pictures_that_are_there_twice_are_said_from_1_percent_on_and_across_classes_from_one_on():
    assert judged(equal_across_classes=1) == (True, judged(equal_across_classes=1)[1])
    assert "the same file in both classes: 1 pairs" in judged(equal_across_classes=1)[1]
    is_bad, text = judged(near_across_classes=2)
    assert not is_bad and "nearly the same picture in both classes: 2 pairs" in text
    assert (
        "within a class: 2 pairs" in judged(near_across_sources=1, equal_within_a_source=1)[1]
        and "within a class" not in judged(near_across_sources=1)[1]
    )


def test_files_that_cannot_be_read_are_said_from_1_percent_on():
    assert "2 of 100 files cannot be read" in judged(n_unreadable=2)[1] and "read" not in judged(n_unreadable=1)[1]
