"""Videos are judged by their frames: votes counted by hand, and each video under its own number and label."""

import numpy as np
import pytest
from datasets import make_dataset

from deepfake_spectra.dataset import FAKE, REAL, Split
from deepfake_spectra.metrics import Prediction, metric_values
from deepfake_spectra.video_votes import VIDEO_RULES, constant_videos, judge_videos


def frame_prediction(n_fake, n_frames, scores=None):
    """Return a prediction for videos of which some frames are called fake, and the videos of its rows."""
    predicted = np.concatenate([np.arange(n) < fake for fake, n in zip(n_fake, n_frames)]).astype(int)
    scores = np.where(predicted == FAKE, 1.0, -1.0) if scores is None else np.array(scores)
    groups = np.repeat([f"video {number}" for number in range(len(n_frames))], n_frames)
    return Prediction(np.arange(len(groups)), np.zeros(len(groups), int), predicted, scores), groups


@pytest.mark.parametrize(
    "n_fake, n_frames, majority, authors",
    [
        (0, 20, REAL, REAL), (9, 20, REAL, REAL), (10, 20, REAL, FAKE), (11, 20, FAKE, FAKE),
        (1, 1, FAKE, FAKE), (6, 13, REAL, FAKE),
    ],
)  # fmt: skip
def test_a_video_is_fake_above_half_of_its_frames_or_above_the_authors_share(n_fake, n_frames, majority, authors):
    prediction, groups = frame_prediction([n_fake], [n_frames])
    for rule, expected in (("majority vote", majority), ("authors' vote", authors)):
        judged = judge_videos(prediction, groups, rule, 0.45)
        assert judged.predicted.tolist() == [expected] and judged.scores.tolist() == [n_fake / n_frames]


def test_the_authors_share_is_the_callers():
    prediction, groups = frame_prediction([6], [20])
    for share, expected in ((0.29, FAKE), (0.3, REAL)):
        assert judge_videos(prediction, groups, "authors' vote", share).predicted.tolist() == [expected]


def test_the_mean_score_may_overrule_the_vote():
    prediction, groups = frame_prediction([1, 2], [3, 3], [0.9, -0.2, -0.1, 0.1, 0.1, -0.5])
    assert judge_videos(prediction, groups, "majority vote", 0.45).predicted.tolist() == [REAL, FAKE]
    by_score = judge_videos(prediction, groups, "mean score", 0.45)
    assert by_score.predicted.tolist() == [FAKE, REAL] and by_score.scores == pytest.approx([0.2, -0.1])


@pytest.mark.parametrize("rule", VIDEO_RULES)
def test_a_video_keeps_its_label_and_number_whatever_the_order_of_its_frames(rule):
    groups = np.array(["c", "a", "b", "a", "c", "b", "ab, never tested"])
    labels = np.array([FAKE, REAL, FAKE, REAL, FAKE, FAKE, REAL])
    rows = np.array([4, 3, 2, 1, 0])
    prediction = Prediction(rows, labels[rows], labels[rows], np.where(labels[rows] == FAKE, 1.0, -1.0))
    judged = judge_videos(prediction, groups, rule, 0.45)
    assert judged.rows.tolist() == [0, 2, 3]  # in the order of all names: a, ab, b, c
    assert judged.labels.tolist() == judged.predicted.tolist() == [REAL, FAKE, FAKE]


def test_the_constant_says_what_most_training_videos_are_and_its_balanced_accuracy_is_half():
    dataset = make_dataset(48, sources={"fake": FAKE, "real": REAL})
    n_frames = np.where(dataset.labels == FAKE, 4, 8)  # 12 fake videos, 6 real ones
    dataset.groups = np.array([f"{name}/{row // n}" for row, (name, n) in enumerate(zip(dataset.sources, n_frames))])
    videos = list(dict.fromkeys(dataset.groups))
    trained = np.isin(dataset.groups, videos[:5] + videos[12:15])  # 5 fake videos of 20 frames, 3 real ones of 24
    split = Split(np.flatnonzero(trained), np.flatnonzero(~trained))
    truth = dataset.labels[split.test]
    judged = judge_videos(Prediction(split.test, truth, truth, truth - 0.5), dataset.groups, "mean score", 0.45)
    constant = constant_videos(split, judged, dataset)
    assert constant.rows.tolist() == judged.rows.tolist() and set(constant.predicted) == {FAKE}
    values = metric_values(constant)
    assert (values["accuracy"], values["recall_fake"], values["recall_real"]) == (7 / 10, 1, 0)
    assert values["balanced_accuracy"] == values["roc_auc"] == 0.5
    more_reals = split._replace(train=split.train[8:])  # 3 fake videos, 3 real ones: even, then
    assert set(constant_videos(more_reals, judged, dataset).predicted) == {FAKE}
    more_reals = split._replace(train=split.train[12:])
    assert set(constant_videos(more_reals, judged, dataset).predicted) == {REAL}
