"""The Newton classifiers are scikit-learn's, to more digits than these have, of chosen rows and in little memory."""

import tracemalloc
import warnings

import numpy as np
import pytest
from conftest import real_data
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_info, threadpool_limits

from deepfake_spectra import newton
from deepfake_spectra.dataset import FAKE, REAL, Feature, ImageFolder
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.newton import NewtonLogisticRegression, NewtonSVM
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.published_features import load_published_features

BOTH = pytest.mark.parametrize("Newton", [NewtonSVM, NewtonLogisticRegression])
SCIKIT_LEARN = {
    NewtonSVM: LinearSVC(dual=False, tol=1e-12, max_iter=100_000),
    NewtonLogisticRegression: LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000),
}


def made_spectra(n=600, n_bins=40, gap=1.0, seed=0):
    """Return spectra (n, n_bins) like real ones, large and alike, and labels (n,), of which a third are fake."""
    random = np.random.default_rng(seed)
    labels = np.where(np.arange(n) % 3 == 0, FAKE, REAL)
    curve = np.linspace(300, 100, n_bins) + 10 * random.normal(size=(n, 1))
    return curve + random.normal(size=(n, n_bins)).cumsum(axis=1) + gap * labels[:, None] * np.arange(
        n_bins
    ) / 20, labels


def faces_hq(tmp_path):
    """Return spectra and labels of 240 of the faces of Faces-HQ, or of the 160 of a part of it."""
    folder = real_data("faces_hq_paper")
    fakes = ("100KFake_10K", "thispersondoesntexists_10K", "100k_faces", "thispersondoesnotexist")
    labels_of_sources = {path.name: FAKE if path.name in fakes else REAL for path in sorted(folder.iterdir())}
    dataset = load_spectra(ImageFolder(folder, labels_of_sources, tmp_path), Feature(), 240)
    return dataset.spectra, dataset.labels


def assert_equals_scikit_learn(Newton, spectra, labels):
    """Fit both to two thirds of the rows; the scores of the others agree to a millionth of the largest."""
    is_test = np.arange(len(labels)) % 3 == 1
    ours, theirs = (
        clf.fit(spectra[~is_test], labels[~is_test]).decision_function(spectra[is_test])
        for clf in (Newton(), SCIKIT_LEARN[Newton])
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


def objective(fitted, spectra, labels):
    """Return the penalty and C times the losses of a fitted classifier, as their papers define them."""
    [weights], [intercept] = fitted.coef_, fitted.intercept_
    margins = np.where(labels == FAKE, 1, -1) * (spectra @ weights + intercept)
    if isinstance(fitted, NewtonSVM | LinearSVC):
        return (weights @ weights + intercept**2) / 2 + fitted.C * (np.maximum(0, 1 - margins) ** 2).sum()
    return weights @ weights / 2 + fitted.C * np.logaddexp(0, -margins).sum()


# --- the same classifiers


@BOTH
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore:Skipping check")
def test_scikit_learn_takes_them_for_its_own(Newton):
    check_estimator(Newton())


@BOTH
@pytest.mark.parametrize("gap", [0.2, 1.0, 20.0])  # the last is separable
def test_scores_are_those_of_scikit_learn(Newton, gap):
    assert_equals_scikit_learn(Newton, *made_spectra(gap=gap))


@BOTH
def test_scores_are_those_of_scikit_learn_on_faces(Newton, tmp_path):
    assert_equals_scikit_learn(Newton, *faces_hq(tmp_path))


@BOTH
@pytest.mark.parametrize("name", ["celeba_low_1000", "test_1000"])
def test_scores_are_those_of_scikit_learn_on_the_authors_features(Newton, name):
    assert_equals_scikit_learn(
        Newton, *load_published_features(real_data("published_features") / f"{name}.pkl", fake_label=FAKE)
    )


@BOTH
@pytest.mark.parametrize("C", [1e-4, 1.0, 100.0])
def test_no_other_weights_have_a_lower_objective(Newton, C):
    spectra, labels = made_spectra(300, 80, gap=2)
    fitted = Newton(C=C).fit(spectra, labels)
    least = objective(fitted, spectra, labels)
    moved = Newton(C=C).fit(spectra, labels)
    random = np.random.default_rng(0)
    for _ in range(50):
        moved.coef_ = fitted.coef_ * (1 + 1e-3 * random.normal(size=fitted.coef_.shape))
        moved.intercept_ = fitted.intercept_ - np.mean(spectra @ (moved.coef_ - fitted.coef_)[0])
        assert objective(moved, spectra, labels) > least
    theirs = (
        LinearSVC(dual=False, C=C, tol=1e-8, max_iter=100_000)
        if Newton is NewtonSVM
        else LogisticRegression(C=C, max_iter=1000)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert objective(theirs.fit(spectra, labels), spectra, labels) > least * (1 - 1e-9)


def test_probabilities_are_those_of_the_scores_and_classes_keep_their_names():
    spectra, labels = made_spectra()
    names = np.array(["fake", "real"])[1 - labels]
    fitted = NewtonLogisticRegression().fit(spectra, names)
    scores = fitted.decision_function(spectra)
    assert fitted.classes_.tolist() == ["fake", "real"]
    assert fitted.predict(spectra).tolist() == np.where(scores > 0, "real", "fake").tolist()
    np.testing.assert_allclose(fitted.predict_proba(spectra)[:, 1], 1 / (1 + np.exp(-scores)))


# --- of any rows, in little memory


@BOTH
def test_chosen_rows_of_a_file_give_the_same_bits_as_a_copy_of_them(Newton, tmp_path, monkeypatch):
    monkeypatch.setattr(newton, "_BLOCK", 64)
    spectra, labels = made_spectra()
    rows = np.random.default_rng(0).permutation(len(labels))[:250]
    np.save(tmp_path / "spectra.npy", spectra)
    in_file = np.load(tmp_path / "spectra.npy", mmap_mode="r")
    chosen, copied = Newton().fit(in_file, labels, rows), Newton().fit(spectra[rows], labels[rows])
    assert np.array_equal(chosen.coef_, copied.coef_) and np.array_equal(chosen.intercept_, copied.intercept_)
    assert np.array_equal(chosen.decision_function(in_file, rows), copied.decision_function(spectra[rows]))


@BOTH
def test_blocks_threads_and_precision_change_nothing(Newton, monkeypatch):
    spectra, labels = made_spectra()
    spectra = spectra.astype(np.float32)
    whole = Newton().fit(spectra.astype(np.float64), labels)
    monkeypatch.setattr(newton, "_BLOCK", 7)
    one, many = (Newton(n_threads=n_threads).fit(spectra, labels) for n_threads in (1, 4))
    assert np.array_equal(one.coef_, many.coef_) and np.array_equal(one.intercept_, many.intercept_)
    np.testing.assert_allclose(one.coef_, whole.coef_, rtol=0, atol=1e-9 * np.abs(whole.coef_).max())


@BOTH
def test_a_fit_holds_a_small_part_of_the_rows(Newton):
    spectra, labels = made_spectra(150_000, 100)
    rows = np.flatnonzero(np.arange(len(labels)) % 4)
    tracemalloc.start()
    try:
        Newton(n_threads=2).fit(spectra, labels, rows).decision_function(spectra)
        assert tracemalloc.get_traced_memory()[1] < spectra.nbytes / 2
    finally:
        tracemalloc.stop()


def test_fits_at_the_same_time_leave_the_threads_of_blas_as_they_were():
    spectra, labels = made_spectra()
    with threadpool_limits(3, "blas"):
        list(in_threads(lambda C: NewtonSVM(C=C).fit(spectra, labels), (0.1, 1, 10, 100), 4))
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {3}


# --- what they cannot do


@BOTH
def test_a_fit_that_was_stopped_says_so(Newton):
    with pytest.warns(
        ConvergenceWarning, match=f"{Newton.__name__} stopped after 2 steps, before its end: raise max_iter = 2"
    ):
        Newton(max_iter=2).fit(*made_spectra())


def test_a_fit_whose_steps_are_lost_in_rounding_errors_says_so():
    spectra, _ = made_spectra(100, 200)
    with pytest.warns(ConvergenceWarning, match="NewtonSVM stopped after .* steps, before its end: rounding errors"):
        fitted = NewtonSVM().fit(spectra * 1e7, np.arange(100) % 2)
    assert fitted.n_iter_ < fitted.max_iter and np.isfinite(fitted.coef_).all()


@BOTH
@pytest.mark.parametrize("n_classes", [1, 3])
def test_other_than_two_classes_are_refused(Newton, n_classes):
    spectra, _ = made_spectra(30)
    with pytest.raises(ValueError, match=f"expected labels of two classes, found {n_classes} class"):
        Newton().fit(spectra, np.arange(30) % n_classes)


@BOTH
def test_chosen_rows_of_one_class_are_refused(Newton):
    spectra, labels = made_spectra(30)
    with pytest.raises(ValueError, match="expected labels of two classes, found 1 class"):
        Newton().fit(spectra, labels, np.flatnonzero(labels == REAL))
