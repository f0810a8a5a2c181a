"""Linear classifiers of any number of rows, exactly: Newton steps, whose sums run over blocks of rows.

Of n rows of d values only some blocks are copied at a time: beside the rows, which may lie in a file (`np.memmap`), a
fit holds a few arrays of (n,) and of (d, d). This module loads scikit-learn: import it where it is used.
"""

import warnings
from abc import ABC, abstractmethod
from threading import Lock

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from deepfake_spectra.parallel import in_threads

_BLOCK = 4096  # rows that a thread copies at a time
_N_CENTRED = 1000  # or a few more rows, evenly spread, give the centre
_LEFT = 0.1  # of the slope may be left behind a full step; else it is made shorter, or longer
_ONE_FIT = Lock()  # at a time has all threads; and the number of BLAS's, which is the whole process's, is put back


class _NewtonClassifier(ClassifierMixin, BaseEstimator, ABC):
    """All that both classifiers share: a subclass states its loss, and whether the intercept is penalised."""

    _is_intercept_penalised: bool

    def __init__(self, C: float = 1.0, *, tol: float = 1e-8, max_iter: int = 1000, n_threads: int = -1):
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads

    @abstractmethod
    def _derivatives(self, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and second derivative of the loss at each margin: the score, or its negative."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: np.ndarray, y: np.ndarray, rows: np.ndarray | None = None) -> "_NewtonClassifier":
        """Fit to rows of two classes.

        Parameters
        ----------
        X : (n, d) float64 or float32
            Never copied as a whole; sums are of float64.
        y : (n,)
        rows : (m,) int, optional
            Those to be fitted to; default all. It is the fit to X[rows] and y[rows], without that copy.
        """
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y if rows is None else y[rows], return_inverse=True)
        if (n_classes := len(self.classes_)) != 2:
            found = f"{n_classes} class{'es' * (n_classes > 1)}"
            raise ValueError(f"Only binary classification is supported: expected labels of two classes, found {found}")
        centred = _CentredRows(X, rows, self.n_threads)
        with _ONE_FIT, threadpool_limits(1):  # on top of a block a thread, threads of BLAS only wait for each other
            weights = self._minimise(centred, 2.0 * numbers - 1)
        self.coef_, self.intercept_ = weights[None, :-1], weights[-1:] - centred.centre @ weights[:-1]
        return self

    def decision_function(self, X: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the score of each row of X (n, d), or of `rows` (m,) int alone; above 0: the second class."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        return np.concatenate([X[part] @ self.coef_[0] for part in _parts(X, rows)]) + self.intercept_

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class of each row of X (n, d)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int)]

    def _minimise(self, rows, signs):
        """Return the weights (d + 1,) of least penalty and losses, their last the intercept at the rows' centre.

        `signs` (n,) are -1 and 1. The intercept that is penalised is the one at 0, as if nothing were centred.
        """
        penalised = np.eye(len(rows.centre) + 1)  # times the weights: what is squared
        penalised[-1] = self._is_intercept_penalised * np.append(-rows.centre, 1.0)
        weights, scores = np.zeros(len(penalised)), np.zeros(len(signs))
        rounding, remedy = f"rounding errors outweigh the next; lower C = {self.C}", f"raise max_iter = {self.max_iter}"
        for n_iter in range(1, self.max_iter + 1):
            self.n_iter_ = n_iter
            slopes, curvatures = self._derivatives(signs * scores)
            gradient, hessian = rows.gradient_and_hessian(signs * slopes, curvatures)
            gradient = penalised.T @ (penalised @ weights) + self.C * gradient
            try:
                step = _solve(penalised.T @ penalised + self.C * hessian, -gradient)
            except np.linalg.LinAlgError:  # since it is positive definite
                remedy = rounding
                break
            moves = rows.scores(step)
            if np.abs(moves).max() <= self.tol * np.abs(scores).max():
                return weights + step

            def slope(length, weights=weights, scores=scores, step=step, moves=moves):
                of_losses = moves @ (signs * self._derivatives(signs * (scores + length * moves))[0])
                return (penalised @ step) @ (penalised @ (weights + length * step)) + self.C * of_losses

            if slope(0.0) >= 0:  # since every step goes downhill
                remedy = rounding
                break
            length = _length(slope)
            weights, scores = weights + length * step, scores + length * moves
        warnings.warn(
            f"{type(self).__name__} stopped after {self.n_iter_} steps, before its end: {remedy}",
            ConvergenceWarning,
            stacklevel=3,
        )
        return weights


class NewtonSVM(_NewtonClassifier):
    """Linear SVM with squared hinge loss: what `sklearn.svm.LinearSVC(dual=False)` goes to as its tol goes to 0.

    It minimises (w w + b^2) / 2 + C sum max(0, 1 - y (x w + b))^2. The intercept b is penalised, too.

    Parameters
    ----------
    C : float
        Weight of the losses beside the penalty.
    tol : float
        The last step moves no score by more than this part of the largest.
    max_iter : int
        Newton steps at most. Each reads the rows twice.
    n_threads : int
        -1: one per core. It does not change a bit.
    """

    _is_intercept_penalised = True

    def _derivatives(self, margins):
        shortfall = np.maximum(0.0, 1.0 - margins)
        return -2.0 * shortfall, 2.0 * (shortfall > 0)


class NewtonLogisticRegression(_NewtonClassifier):
    """Logistic regression, as `sklearn.linear_model.LogisticRegression(solver="newton-cholesky")`.

    It minimises w w / 2 + C sum log(1 + exp(-y (x w + b))). The intercept b is not penalised.

    Parameters
    ----------
    C, tol, max_iter, n_threads
        See `NewtonSVM`.
    """

    _is_intercept_penalised = False

    def _derivatives(self, margins):
        surprise = expit(-margins)
        return -surprise, surprise * expit(margins)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of both classes for each row of X (n, d), as (n, 2)."""
        scores = self.decision_function(X)
        return np.column_stack([expit(-scores), expit(scores)])


class _CentredRows:
    """Rows of X, less their centre, beside a column of ones: (n, d + 1), of which blocks are made when asked for.

    Values of spectra are large and alike: as they are, sums of their products would lose digits.
    """

    def __init__(self, X, rows, n_threads):
        self._X, self._parts, self._n_threads = X, _parts(X, rows), n_threads
        spread = slice(None, None, max(1, (len(X) if rows is None else len(rows)) // _N_CENTRED))
        self.centre = X[spread if rows is None else rows[spread]].mean(axis=0, dtype=np.float64)

    def scores(self, weights):
        """Return the product with weights (d + 1,), (n,)."""
        return np.concatenate(list(self._of_blocks(lambda number, block: block @ weights)))

    def gradient_and_hessian(self, slopes, curvatures):
        """Return the sums of x s, (d + 1,), and of x x^T c, (d + 1, d + 1), over rows x with s and c >= 0 of (n,)."""

        def of_block(number, block):
            part = slice(number * _BLOCK, number * _BLOCK + len(block))
            gradient, is_curved = slopes[part] @ block, curvatures[part] > 0
            block = block[is_curved]
            block *= np.sqrt(curvatures[part][is_curved, None])
            return gradient, block.T @ block  # by BLAS's syrk: half the work of two different factors

        gradient, hessian = 0.0, 0.0
        for of_gradient, of_hessian in self._of_blocks(of_block):
            gradient += of_gradient
            hessian += of_hessian
        return gradient, hessian

    def _of_blocks(self, function):
        """Yield function(number, block) of each block, in order, from several threads."""

        def of_part(numbered):
            number, part = numbered
            values = self._X[part]
            block = np.ones((len(values), len(self.centre) + 1))
            np.subtract(values, self.centre, out=block[:, :-1])
            return function(number, block)

        return in_threads(of_part, enumerate(self._parts), self._n_threads)


def _parts(X, rows):
    """Return what blocks of rows are taken out of X by; slices, which copy nothing, if it is all of them."""
    starts = range(0, len(X) if rows is None else len(rows), _BLOCK)
    parts = [slice(start, start + _BLOCK) for start in starts]
    return parts if rows is None else [rows[part] for part in parts]


def _solve(hessian, right):
    """Solve for a step (d + 1,). The diagonal grows by its last bits, so that no rounding makes it indefinite."""
    hessian[np.diag_indices_from(hessian)] *= 1 + len(hessian) * np.finfo(np.float64).eps
    return cho_solve(cho_factor(hessian), right)


def _length(slope):
    """Return how many times a step to go to where the slope along it, which grows, is about 0."""
    end = 1.0
    if abs(slope(end)) <= _LEFT * abs(slope(0.0)):
        return end
    while slope(end) < 0:
        end *= 2
    return brentq(slope, 0.0, end, rtol=1e-3)
