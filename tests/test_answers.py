"""Which scores are answers, and what answers are worth: against counts made by hand and analytic values."""

import numpy as np
import pytest

from deepfake_spectra.answers import (
    UNSURE,
    Counts,
    Limits,
    answer_limits,
    count_answers,
    log_likelihood_ratio_cost,
    risk_by_coverage,
    share_text,
)
from deepfake_spectra.dataset import FAKE, REAL

LABELS = np.repeat([REAL, FAKE], 40)
SOURCES = np.repeat(["a", "b", "c", "d"], 20)


def test_no_source_has_more_wrong_answers_than_allowed_and_the_worst_one_reaches_that():
    scores = np.random.default_rng(0).uniform(0, 1, 80)
    for rate in (0, 0.05, 0.2, 0.5):
        limits = answer_limits(scores, LABELS, SOURCES, rate)
        n_above = [np.count_nonzero(scores[SOURCES == name] > limits.fake_above) for name in "ab"]
        n_below = [np.count_nonzero(scores[SOURCES == name] < limits.real_below) for name in "cd"]
        assert max(n_above) == 20 * rate and min(n_above) <= 20 * rate
        assert max(n_below) == 1  # of 20, by the miss rate


def test_a_class_with_one_source_lets_the_other_class_never_be_the_answer():
    scores = np.where(LABELS == FAKE, 0.99, 0.01)
    one_real = answer_limits(scores, LABELS, np.repeat(["a", "c", "d"], (40, 20, 20)))
    one_fake = answer_limits(scores, LABELS, np.repeat(["a", "b", "c"], (20, 20, 40)))
    assert (one_real.answer(1.0), one_real.answer(0.0)) == (UNSURE, "real")
    assert (one_fake.answer(1.0), one_fake.answer(0.0)) == ("fake", UNSURE)


def test_separable_sources_leave_nothing_unsure_and_half_is_fake():
    limits = answer_limits(np.where(LABELS == FAKE, 0.9, 0.1), LABELS, SOURCES)
    assert [limits.answer(score) for score in (0, 0.4999, 0.5, 1)] == ["real", "real", "fake", "fake"]


def test_a_score_on_the_limit_is_unsure():
    limits = Limits(real_below=0.2, fake_above=0.7)
    assert [limits.answer(score) for score in (0.1999, 0.2, 0.7, 0.7001)] == ["real", UNSURE, UNSURE, "fake"]


def test_answers_are_counted_by_hand():
    counts = count_answers(["fake", "real", UNSURE, "fake"], np.array([FAKE, FAKE, REAL, REAL]))
    assert counts == Counts(right=1, wrong=2, unsure=1)
    assert (counts.n_answers, counts.share_answered, counts.share_right) == (3, 0.75, 1 / 3)
    assert np.isnan(count_answers([UNSURE], np.array([REAL])).share_right)


def test_cllr_is_one_for_a_coin_near_none_for_the_sure_and_above_one_for_who_misleads():
    assert log_likelihood_ratio_cost(np.full(80, 0.5), LABELS) == pytest.approx(1)
    assert log_likelihood_ratio_cost(np.where(LABELS == FAKE, 0.75, 0.25), LABELS) == pytest.approx(np.log2(4 / 3))
    assert log_likelihood_ratio_cost(np.where(LABELS == FAKE, 0.1, 0.9), LABELS) == pytest.approx(np.log2(10))
    unequal = np.r_[np.zeros(4, int), FAKE]  # each class weighs a half
    assert log_likelihood_ratio_cost(np.r_[np.full(4, 0.5), 0.25], unequal) == pytest.approx((1 + 2) / 2)
    assert np.isnan(log_likelihood_ratio_cost(np.array([0.3]), np.array([REAL])))


def test_the_surest_scores_are_answered_first():
    coverage, risk = risk_by_coverage(np.array([0.6, 0.99, 0.2, 0.45]), np.array([REAL, FAKE, FAKE, REAL]))
    assert np.allclose(coverage, [0.25, 0.5, 0.75, 1])
    assert np.allclose(risk, [0, 1 / 2, 2 / 3, 1 / 2])


def test_a_share_of_copies_has_the_interval_of_the_images_that_they_are_of():
    assert share_text(4, 4) == "100.0 % (51-100; n 4)"
    assert share_text(40, 40, 4) == "100.0 % (51-100; n 40)"
    assert share_text(0, 0) == "none"
