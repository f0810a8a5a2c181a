"""From what is said of frames to what is said of videos."""

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset, Split
from deepfake_spectra.metrics import Prediction

VIDEO_RULES = ("majority vote", "authors' vote", "mean score")  # the last one gives the ROC curves


def judge_videos(prediction: Prediction, groups: np.ndarray, rule: str, authors_share: float) -> Prediction:
    """Return the prediction of whole videos from that of their frames.

    Parameters
    ----------
    prediction : Prediction
        Of frames.
    groups : (n_frames,) str
        The video of every frame of the data set.
    rule : {"majority vote", "authors' vote", "mean score"}
        Fake is a video of which more than half of the frames, or more than `authors_share` of them, are called fake; or
        whose mean score is above 0.
    authors_share : float

    Returns
    -------
    Prediction
        Its `rows` are numbers of videos, in the order of their names; its scores the share of frames called fake, or
        the mean score.
    """
    names, first, video_of = np.unique(groups[prediction.rows], return_index=True, return_inverse=True)
    n_frames = np.bincount(video_of)
    share_fake = np.bincount(video_of, prediction.predicted == FAKE) / n_frames
    score = np.bincount(video_of, prediction.scores) / n_frames
    called_fake = {
        "majority vote": share_fake > 0.5,
        "authors' vote": share_fake > authors_share,
        "mean score": score > 0,
    }[rule]
    videos = np.searchsorted(np.unique(groups), names)
    scores = score if rule == "mean score" else share_fake
    return Prediction(videos, prediction.labels[first], np.where(called_fake, FAKE, REAL), scores)


def constant_videos(split: Split, videos: Prediction, dataset: SpectrumDataset) -> Prediction:
    """Return what always naming the more frequent class of the training videos says of the test videos."""
    _, first = np.unique(dataset.groups[split.train], return_index=True)
    label = FAKE if np.mean(dataset.labels[split.train][first] == FAKE) >= 0.5 else REAL
    return videos._replace(predicted=np.full(len(videos.rows), label), scores=np.zeros(len(videos.rows)))
