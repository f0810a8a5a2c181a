"""What a detector says: probabilities, evidence and warnings, against references and on spectra made to show them."""

import numpy as np
import pytest
from pictures import picture
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.svm import SVC

from deepfake_spectra.dataset import FAKE, IMAGE_HEADER, REAL, Feature, SpectrumDataset
from deepfake_spectra.detector import FakeDetector, _held_out_folds, _source_splits, _training_range
from deepfake_spectra.errors import ExperimentError, UnreadableImage

LINEAR = {"kernel": "linear", "C": 0.1}
RBF = {"kernel": "rbf", "C": 6.37, "gamma": 0.05}


def noise(n=60, n_fake=None, distance=1.0, seed=0, groups=None, headers=None):
    """Return noise in two classes, 12 bins, the upper half of them apart by `distance` of its standard deviation."""
    labels = (np.arange(n) >= n - (n_fake or n // 2)).astype(int)
    spectra = np.random.default_rng(seed).normal(0, 1, (n, 12))
    spectra[labels == FAKE, 6:] += distance
    if headers is None:
        headers = np.array([(64, 48, "PNG", 0, "")] * n, IMAGE_HEADER)
    groups = np.arange(n) if groups is None else groups
    return SpectrumDataset(spectra, labels, np.repeat("x", n), groups, ["x"] * n, Feature(n_bins=12), headers)


def detector_of(dataset, classifier=LINEAR):
    """Return a detector; the fits are too small for threads."""
    return FakeDetector(dataset, "faces_hq", classifier, n_threads=1)


def header_of(width=64, height=48, form="PNG", quality=0):
    """Return one header."""
    return np.array((width, height, form, quality, ""), IMAGE_HEADER)[()]


@pytest.mark.parametrize("classifier", [LINEAR, RBF], ids=lambda classifier: classifier["kernel"])
@pytest.mark.parametrize("n_fake", [20, 45])
def test_score_is_platts_curve_through_decisions_held_out_by_group(classifier, n_fake):
    groups = np.arange(80) // 2
    dataset = noise(80, n_fake, groups=groups)
    spectra, labels = dataset.spectra, dataset.labels
    n_each = np.bincount(labels)
    weights = (80 / (2 * n_each))[labels]
    held_out = np.empty(80)
    for train, test in _held_out_folds(labels, groups, 0):
        held_out[test] = SVC(**classifier).fit(spectra[train], labels[train], weights[train]).decision_function(
            spectra[test]
        )  # fmt: skip
    targets = np.where(labels == FAKE, 41 / 42, 1 / 42)  # Platt's, of two classes that weigh 40 each

    def cross_entropy(parameters):
        probability = expit(parameters[0] * held_out + parameters[1])
        return -np.sum(weights * (targets * np.log(probability) + (1 - targets) * np.log1p(-probability)))

    slope, intercept = minimize(cross_entropy, [1, 0]).x
    svc = SVC(**classifier).fit(spectra, labels, weights)
    asked = np.random.default_rng(1).normal(0.5, 2, (50, 12))
    expected = expit(slope * svc.decision_function(asked) + intercept)
    detector = detector_of(dataset, classifier)
    expected = np.clip(expected, detector.lowest_score, detector.highest_score)
    assert np.allclose([detector.score(row) for row in asked], expected, rtol=0, atol=1e-5)
    assert expected.min() < 0.2 and expected.max() > 0.7
    is_right = (slope * held_out + intercept > 0) == (labels == FAKE)
    assert detector.n_held_out == {REAL: 80 - n_fake, FAKE: n_fake}
    assert detector.n_right == {label: is_right[labels == label].sum() for label in (REAL, FAKE)}
    assert detector.n_folds == 5


def test_score_grows_from_reals_to_fakes():
    detector = detector_of(noise())
    scores = [detector.score(np.r_[np.zeros(6), np.full(6, value)]) for value in np.linspace(-2, 3, 11)]
    assert np.all(np.diff(scores) >= 0) and np.all(np.diff(scores[3:8]) > 0) and scores[0] < 0.1 and scores[-1] > 0.9


def test_a_score_claims_no_more_than_the_held_out_images_or_groups_can_tell():
    far = np.r_[np.zeros(6), np.full(6, 50.0)]
    for groups, n_real, n_fake in ((np.arange(60), 30, 30), (np.arange(60) // 5, 6, 6)):
        detector = detector_of(noise(60, distance=9, groups=groups))
        assert detector.score(-far) == detector.lowest_score == 1 / (n_real + 2)
        assert detector.score(far) == detector.highest_score == 1 - 1 / (n_fake + 2)
    assert [detector.score_text(score) for score in (1 / 8, 0.4, 7 / 8)] == ["<0.125", "0.400", ">0.875"]
    assert detector_of(noise(4000, distance=9)).score_text(0.001) == "<0.001"


@pytest.mark.parametrize("distance, has_converged", [(9, True), (0.7, False)])
def test_a_fit_of_classes_that_cannot_be_told_apart_ends_and_says_so(distance, has_converged, monkeypatch):
    monkeypatch.setattr("deepfake_spectra.detector.MOST_STEPS", 400 * 300)
    detector = detector_of(noise(400, distance=distance, seed=3), {"kernel": "linear", "C": 1e4})
    assert detector.has_converged is has_converged


def test_scores_mean_what_they_say_on_spectra_never_seen():
    detector = detector_of(noise(600))
    fresh = noise(2000, seed=1)
    scores = np.array([detector.score(row) for row in fresh.spectra])
    for low in np.arange(0, 1, 0.2):
        near = (scores >= low) & (scores < low + 0.2)
        assert fresh.labels[near].mean() == pytest.approx(scores[near].mean(), abs=0.1)


def test_separable_spectra_are_never_certain():
    dataset = noise(20, distance=50)
    detector = detector_of(dataset)
    scores = [detector.score(row) for row in dataset.spectra]
    assert 0.5 < max(scores) < 0.99 and 0.01 < min(scores) < 0.5
    assert detector.n_right == detector.n_held_out == {REAL: 10, FAKE: 10}


def test_the_larger_class_gets_no_bonus():
    halfway = np.r_[np.zeros(6), np.full(6, 0.5)]
    scores = [detector_of(noise(300, n_fake), LINEAR | {"C": 0.01}).score(halfway) for n_fake in (30, 270)]
    assert scores == pytest.approx([0.5, 0.5], abs=0.12)


def test_spectra_whose_likest_are_of_the_other_class_are_refused():
    dataset = noise(40)
    dataset.spectra[dataset.labels == FAKE] = dataset.spectra[dataset.labels == REAL] + 0.01
    with pytest.raises(ExperimentError, match="does not tell real from fake in these 40 spectra"):
        detector_of(dataset, RBF | {"gamma": 5})


@pytest.mark.parametrize("n_groups", [2, 3, 7, 40])
def test_folds_hold_out_every_group_once_and_train_on_both_classes(n_groups):
    labels, groups = np.arange(80) % 2, np.arange(80) // (80 // n_groups)
    folds = _held_out_folds(labels, groups, 0)
    assert len(folds) == min(5, len(np.unique(groups)))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(80))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert set(labels[train]) == {REAL, FAKE}


def test_two_images_of_each_class_are_enough_and_one_group_is_not():
    labels = np.array([REAL, REAL, FAKE, FAKE])
    assert len(_held_out_folds(labels, np.arange(4), 0)) == 2
    with pytest.raises(ExperimentError, match="found 4 spectra of 2 independent images .* need two of each class"):
        _held_out_folds(labels, np.array([0, 0, 1, 1]), 0)


@pytest.mark.parametrize("classifier, precision", [(LINEAR, 1e-12), (RBF, 1e-3)], ids=["linear", "rbf"])
def test_evidence_adds_up_to_the_decision_and_lies_where_the_classes_differ(classifier, precision):
    dataset = noise(200, n_fake=50, distance=3)
    spectra, labels = dataset.spectra, dataset.labels
    spectrum = np.r_[np.zeros(6), np.full(6, 3.0)]
    evidence = detector_of(dataset, classifier).evidence(spectrum)
    svc = SVC(**classifier).fit(spectra, labels, (200 / (2 * np.bincount(labels)))[labels])
    middle = (spectra[labels == REAL].mean(axis=0) + spectra[labels == FAKE].mean(axis=0)) / 2
    assert evidence.sum() == pytest.approx(np.diff(svc.decision_function([middle, spectrum]))[0], rel=precision)
    assert np.all(evidence[6:] > 0) and np.abs(evidence[:6]).max() < evidence[6:].max() / 3


def test_range_is_judged_by_how_far_training_images_leave_that_of_the_other_groups():
    spectra = np.array([[0.0, 0], [1, 1], [2, 2], [9, 9]])
    low, high, outside = _training_range(spectra, np.arange(4))
    assert (low.tolist(), high.tolist()) == ([0, 0], [9, 9])
    assert outside == 1  # first and last row are wholly outside the others
    assert _training_range(np.repeat(spectra, 2, axis=0), np.repeat(np.arange(4), 2))[2] == 1
    assert _training_range(np.repeat(spectra, 2, axis=0), np.arange(8))[2] == 0  # each has a twin


def test_a_spectrum_like_the_others_is_not_warned_of_and_one_far_away_is():
    detector = detector_of(noise(400))
    fresh = noise(1000, seed=5).spectra
    assert np.mean([bool(detector.warnings(row, header_of())) for row in fresh]) < 0.05
    for far in (fresh[0] + 20, fresh[0] - 20):
        assert detector.warnings(far, header_of())["range"].startswith("100 % of the spectrum lies outside")


def test_a_training_image_is_recognised():
    dataset = noise()
    detector = detector_of(dataset)
    assert list(detector.warnings(dataset.spectra[7], header_of())) == ["trained_on"]
    assert list(detector.warnings(dataset.spectra[7] + 1e-10, header_of())) == ["trained_on"]  # on another machine
    assert not detector.warnings(dataset.spectra[7] + 1e-5, header_of())


def test_size_format_and_quality_are_compared_with_those_of_training():
    headers = np.array([(64, 48, "PNG", 0, ""), (64, 48, "JPEG", 75, ""), (64, 48, "JPEG", 90, "")] * 20, IMAGE_HEADER)
    detector = detector_of(noise(headers=headers))

    def warned(*header):
        return detector.warnings(np.full(12, 0.5), header_of(*header))

    assert warned() == warned(64, 48, "JPEG", 75) == warned(64, 48, "JPEG", 92) == {}
    assert warned(48, 64) == {"size": "48x64, not 64x48 as in training"}
    assert warned(64, 48, "WEBP") == {"format": "WEBP, not JPEG or PNG as in training"}
    assert warned(64, 48, "JPEG", 93) == {"jpeg_quality": "JPEG quality 93, not 75 or 90 as in training"}


def test_what_only_one_class_has_is_said():
    headers = np.array([(178, 218, "JPEG", 75, "")] * 30 + [(128, 128, "JPEG", 95, "")] * 30, IMAGE_HEADER)
    warned = detector_of(noise(headers=headers)).warnings(np.zeros(12), header_of(128, 128, "JPEG", 75))
    assert warned == {
        "size": "128x128, as only fake images in training",
        "jpeg_quality": "JPEG quality 75, as only real images in training",
    }


def test_sizes_that_vary_freely_are_a_range():
    headers = np.array([(side, side + 10, "PNG", 0, "") for side in range(100, 220, 2)], IMAGE_HEADER)
    detector = detector_of(noise(headers=headers))
    assert not detector.warnings(np.zeros(12), header_of(151, 218))
    for size in ((80, 150), (150, 230)):
        warned = detector.warnings(np.zeros(12), header_of(*size))
        assert warned == {"size": f"{size[0]}x{size[1]}, not 100x110 to 218x228 as in training"}


def test_blank_and_tiny_images_are_unreadable():
    detector = detector_of(noise())
    assert detector.spectrum(picture(0, (9, 9))).shape == (12,)
    for gray, reason in ((np.full((48, 64), 7, np.uint8), "blank"), (picture(0, (8, 64)), "64x8: needs two sides")):
        with pytest.raises(UnreadableImage, match=reason):
            detector.spectrum(gray)


def test_a_source_with_another_of_its_class_is_left_out_as_a_whole_and_each_row_is_tested_once():
    labels, sources = np.repeat([0, 0, 1], 20), np.repeat(["a", "b", "c"], 20)
    splits, left_out = _source_splits(labels, sources, np.arange(60), _held_out_folds(labels, np.arange(60), 0))
    assert left_out == ["a", "b"] and len(splits) == 2 + 5
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(60))
    for train, test in splits:
        assert set(labels[train]) == {REAL, FAKE} and not set(train) & set(test)
        [tested] = set(sources[test])
        assert tested == "c" or tested not in sources[train]


def test_a_photograph_that_stands_in_every_source_is_in_none_of_those_trained_on_when_it_is_tested():
    labels, sources, groups = np.repeat([0, 0, 1, 1], 10), np.repeat([*"abcd"], 10), np.tile(np.arange(10), 4)
    splits, left_out = _source_splits(labels, sources, groups, _held_out_folds(labels, groups, 0))
    assert left_out == ["a", "b", "c", "d"]
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(40))
    for train, test in splits:
        assert not set(groups[train]) & set(groups[test]) and not set(sources[train]) & set(sources[test])


def test_very_many_sources_take_no_more_fits_than_few():
    labels, sources = np.arange(400) % 2, np.arange(400).astype(str)
    splits, left_out = _source_splits(labels, sources, np.arange(400), _held_out_folds(labels, np.arange(400), 0))
    assert len(splits) == 20 and len(left_out) == 400
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(400))


def test_a_source_of_both_classes_is_in_none_of_those_trained_on_when_it_is_tested():
    labels, sources = np.arange(60) % 2, np.repeat([*"abc"], 20)
    splits, _ = _source_splits(labels, sources, np.arange(60), _held_out_folds(labels, np.arange(60), 0))
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(60))
    assert all(set(sources[train]).isdisjoint(sources[test]) for train, test in splits)


def two_sources_of_each(distance_of_last):
    """Return noise of sources a, b (real), c and d (fake), the latter as far from the reals as said."""
    dataset = noise(80, distance=6)
    dataset.sources = np.repeat([*"abcd"], 20)
    dataset.spectra[60:, 6:] += distance_of_last - 6
    return dataset


def test_what_is_known_of_no_source_like_it_is_unsure():
    easy, hidden = (detector_of(two_sources_of_each(distance)) for distance in (6, 0))
    real, fake = np.zeros(12), np.r_[np.zeros(6), np.full(6, 6)]
    assert [easy.answer(easy.score(row), []) for row in (real, fake)] == [("real", ()), ("fake", ())]
    assert hidden.answer(hidden.score(real), []) == ("unsure", ("score",))  # the fakes of d look so
    assert easy.held_out_answers() == ["real"] * 40 + ["fake"] * 40
    assert set(hidden.held_out_answers()[60:]) == {"unsure"}


def test_an_image_outside_of_training_is_unsure_whatever_its_score():
    detector = detector_of(two_sources_of_each(6))
    for key in ("size", "format", "jpeg_quality", "range"):
        assert detector.answer(0.96, {key: "words"}) == ("unsure", (key,))
    assert detector.answer(0.96, {"trained_on": "words"}) == ("fake", ())


def test_a_higher_false_alarm_rate_answers_fake_more_often():
    dataset = noise(400, distance=1.0)
    dataset.sources = np.repeat([*"abcd"], 100)
    limits = [FakeDetector(dataset, "faces_hq", LINEAR, 0, 1, rate).limits for rate in (0, 0.05, 0.2)]
    assert limits[0].fake_above > limits[1].fake_above > limits[2].fake_above
    assert len({each.real_below for each in limits}) == 1
