"""What a detector says: probabilities, evidence and warnings, against references and on spectra made to show them."""

import numpy as np
import pytest
from pictures import picture

from deepfake_spectra.settings import ExperimentError
from deepfake_spectra.detector import FakeDetector, _held_out_folds, _platt_scaling, _training_range
from deepfake_spectra.image_files import IMAGE_HEADER, UnreadableImage
from deepfake_spectra.spectra_file import KnownSpectra
from deepfake_spectra.image_spectra import FAKE, REAL, Features, SpectrumDataset

LINEAR = {"name": "svm_linear", "C": 0.1}
RBF = {"name": "svm_rbf", "C": 6.37, "gamma": 0.86}


def known_spectra(n=60, n_bins=12, distance=1.0, classifier=LINEAR, groups=None, headers=None, seed=0, n_fake=None):
    """Return noise in two classes, some bins apart by `distance` of its standard deviation."""
    labels = (np.arange(n) >= n - (n_fake or n // 2)).astype(int)
    spectra = np.random.default_rng(seed).normal(0, 1, (n, n_bins))
    spectra[labels == FAKE, n_bins // 2 :] += distance
    if headers is None:
        headers = np.zeros(n, IMAGE_HEADER)
        headers["width"], headers["height"], headers["format"] = 64, 48, "PNG"
    groups = np.arange(n) if groups is None else groups
    dataset = SpectrumDataset(spectra, labels, np.repeat("x", n), groups, ["x"] * n, headers)
    return KnownSpectra("faces_hq", False, Features(), False, classifier, dataset)


def header_of(width=64, height=48, form="PNG", quality=0):
    """Return one header."""
    return np.array((width, height, form, quality, ""), IMAGE_HEADER)[()]


@pytest.mark.parametrize("classifier", [LINEAR, RBF | {"gamma": 0.05}])
def test_probabilities_are_those_of_scikit_learns_calibration_on_the_same_folds(classifier):
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    known = known_spectra(classifier=classifier)
    detector = FakeDetector(known, seed=3)
    folds = _held_out_folds(known.dataset.labels, known.dataset.groups, 3)
    kernel = classifier["name"].removeprefix("svm_")
    base = SVC(kernel=kernel, C=classifier["C"], gamma=classifier.get("gamma", "scale"))
    reference = CalibratedClassifierCV(base, ensemble=False, cv=[tuple(fold) for fold in folds])
    reference.fit(known.dataset.spectra, known.dataset.labels)
    asked = np.random.default_rng(1).normal(0.5, 2, (50, 12))
    assert np.allclose(
        [detector.score(row) for row in asked], reference.predict_proba(asked)[:, FAKE], rtol=0, atol=2e-4
    )


def test_scores_mean_what_they_say_on_spectra_never_seen():
    detector = FakeDetector(known_spectra(600))
    fresh = known_spectra(4000, seed=1).dataset
    scores = np.array([detector.score(row) for row in fresh.spectra])
    for low in np.arange(0, 1, 0.2):
        near = (scores >= low) & (scores < low + 0.2)
        assert fresh.labels[near].mean() == pytest.approx(scores[near].mean(), abs=0.1)


def test_separable_spectra_are_never_certain():
    detector = FakeDetector(known_spectra(20, distance=50))
    scores = [detector.score(row) for row in known_spectra(20, distance=50).dataset.spectra]
    assert 0.5 < max(scores) < 0.99 and 0.01 < min(scores) < 0.5
    assert detector.n_right == detector.n_held_out == {REAL: 10, FAKE: 10}


def test_the_larger_class_gets_no_bonus():
    scores = []
    for n_fake in (30, 270):
        detector = FakeDetector(known_spectra(300, n_fake=n_fake, classifier=LINEAR | {"C": 0.01}))
        assert detector._classifier.class_weight_.tolist() == [150 / (300 - n_fake), 150 / n_fake]
        scores.append(detector.score(np.r_[np.zeros(6), np.full(6, 0.5)]))
    assert scores == pytest.approx([0.5, 0.5], abs=0.12)


def test_spectra_without_a_difference_are_refused():
    labels = np.repeat([REAL, FAKE], 20)
    with pytest.raises(ExperimentError, match="held out, fakes score no higher than reals"):
        _platt_scaling(np.where(labels == FAKE, -1.0, 1.0) + np.linspace(0, 0.1, 40), labels)


@pytest.mark.parametrize("n_groups", [2, 3, 7, 40])
def test_folds_hold_out_every_group_once_and_train_on_both_classes(n_groups):
    labels, groups = np.arange(80) % 2, np.arange(80) // (80 // n_groups)
    folds = _held_out_folds(labels, groups, 0)
    assert 2 <= len(folds) <= 5
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(80))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(labels[fold.train]) == {REAL, FAKE}


def test_two_images_of_each_class_are_enough_and_one_is_not():
    labels = np.array([REAL, REAL, FAKE, FAKE])
    assert len(_held_out_folds(labels, np.arange(4), 0)) == 2
    with pytest.raises(ExperimentError, match="need two of each class"):
        _held_out_folds(labels, np.array([0, 0, 1, 1]), 0)


@pytest.mark.parametrize("classifier, precision", [(LINEAR, 1e-12), (RBF | {"gamma": 0.05}, 1e-3)])
def test_evidence_adds_up_to_the_decision_and_lies_where_the_classes_differ(classifier, precision):
    known = known_spectra(200, distance=3, classifier=classifier)
    detector = FakeDetector(known)
    spectrum = np.r_[np.zeros(6), np.full(6, 3.0)]
    evidence = detector.evidence(spectrum)
    difference = np.diff(detector._classifier.decision_function(np.array([detector._middle, spectrum])))
    assert evidence.sum() == pytest.approx(difference[0], rel=precision)
    assert np.all(evidence[6:] > 0) and np.abs(evidence[:6]).max() < evidence[6:].max() / 3


def test_range_is_judged_by_how_far_training_images_leave_that_of_the_other_groups():
    spectra = np.array([[0.0, 0], [1, 1], [2, 2], [9, 9]])
    low, high, outside = _training_range(spectra, np.arange(4))
    assert (low.tolist(), high.tolist()) == ([0, 0], [9, 9])
    assert outside == 1  # first and last row are wholly outside the others
    assert _training_range(np.repeat(spectra, 2, axis=0), np.repeat(np.arange(4), 2))[2] == 1
    assert _training_range(np.repeat(spectra, 2, axis=0), np.arange(8))[2] == 0  # each has a twin


def test_a_spectrum_like_the_others_is_not_warned_of_and_one_far_away_is():
    detector = FakeDetector(known_spectra(400))
    fresh = known_spectra(1000, seed=5).dataset.spectra
    assert np.mean([bool(detector.warnings(row, header_of())) for row in fresh]) < 0.05
    assert detector.warnings(fresh[0] + 20, header_of())["range"].startswith("100 % of the spectrum lies outside")


def test_a_training_image_is_recognised():
    known = known_spectra()
    detector = FakeDetector(known)
    assert list(detector.warnings(known.dataset.spectra[7], header_of())) == ["trained_on"]
    assert not detector.warnings(known.dataset.spectra[7] + 0.001, header_of())


def test_size_format_and_quality_are_compared_with_those_of_training():
    headers = np.zeros(60, IMAGE_HEADER)
    headers["width"], headers["height"] = 64, 48
    headers["format"], headers["jpeg_quality"] = np.tile(["PNG", "JPEG", "JPEG"], 20), np.tile([0, 75, 90], 20)
    detector = FakeDetector(known_spectra(headers=headers))

    def warned(*header):
        return detector.warnings(np.full(12, 0.5), header_of(*header))

    assert warned() == warned(64, 48, "JPEG", 75) == warned(64, 48, "JPEG", 92) == {}
    assert warned(48, 64) == {"size": "48x64, not 64x48 as in training"}
    assert warned(64, 48, "WEBP") == {"format": "WEBP, not JPEG or PNG as in training"}
    assert warned(64, 48, "JPEG", 80) == {"jpeg_quality": "JPEG quality 80, not 75 or 90 as in training"}


def test_what_only_one_class_has_is_said():
    headers = np.zeros(60, IMAGE_HEADER)
    headers["width"], headers["height"] = np.repeat([178, 128], 30), np.repeat([218, 128], 30)
    headers["format"], headers["jpeg_quality"] = "JPEG", np.repeat([75, 95], 30)
    warned = FakeDetector(known_spectra(headers=headers)).warnings(np.zeros(12), header_of(128, 128, "JPEG", 75))
    assert warned == {
        "size": "128x128, as only fake images in training",
        "jpeg_quality": "JPEG quality 75, as only real images in training",
    }


def test_sizes_that_vary_freely_are_a_range():
    headers = np.zeros(60, IMAGE_HEADER)
    headers["width"] = headers["height"] = np.arange(100, 220, 2)
    headers["format"] = "PNG"
    detector = FakeDetector(known_spectra(headers=headers))
    assert not detector.warnings(np.zeros(12), header_of(151, 151))
    warned = detector.warnings(np.zeros(12), header_of(80, 80))
    assert warned == {"size": "80x80, not 100x100 to 218x218 as in training"}


def test_blank_and_tiny_images_are_unreadable():
    detector = FakeDetector(known_spectra())
    assert detector.spectrum(picture(0, (9, 9))).shape == (12,)
    for gray, reason in ((np.full((48, 64), 7, np.uint8), "blank"), (picture(0, (8, 64)), "64x8: needs two sides")):
        with pytest.raises(UnreadableImage, match=reason):
            detector.spectrum(gray)
