"""Classifiers that stay as they were trained: what they say of altered images, and how far their scores move."""

import numpy as np
import pytest
from datasets import make_dataset
from sklearn.linear_model import LogisticRegression

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.errors import UsageError
from deepfake_spectra.metrics import Prediction
from deepfake_spectra.robustness import expand, fit_trial, frame_count_rows, learning_splits, present, trial_rows
from deepfake_spectra.splits import random_splits

KEYS = {"table": "robustness", "classifier": "logistic_regression", "protocol": "random", "n_samples": 80}


@pytest.mark.parametrize(
    "panel, expanded",
    [
        ("jpeg {90,5}", {"90": "jpeg 90", "5": "jpeg 5"}),
        ("scale {0.5,2} area", {"0.5": "scale 0.5 area", "2": "scale 2 area"}),
        ("crop {75,50}%", {"75": "crop 75%", "50": "crop 50%"}),
        ("{web,shared twice}", {"web": "web", "shared twice": "shared twice"}),
        ("jpeg {90} + blur 1", {"90": "jpeg 90 + blur 1"}),
        ("blur 1", {"blur 1": "blur 1"}),
    ],
)
def test_braces_stand_for_one_of_several(panel, expanded):
    assert expand(panel) == expanded


@pytest.mark.parametrize(
    "panel", ["", "jpeg", "jpeg {}", "jpeg {90,}", "jpeg {90, 80}", "{jpeg} 90 {80}", "jpeg {90,90}"]
)
def test_a_panel_with_a_wrong_alteration_or_one_twice_is_refused(panel):
    with pytest.raises(UsageError, match="unknown alteration|names an alteration twice"):
        expand(panel)


def trial_of(dataset, states=None, n_splits=3):
    """Return a trial of logistic regression."""
    splits = random_splits(dataset, len(dataset), 0.25, n_splits, seed=0)
    return fit_trial(dataset, splits, LogisticRegression(), states or [dataset.spectra], 1, **KEYS)


def value_of(rows, metric, key="mean"):
    """Return a number of the one row of a metric."""
    [row] = [row for row in rows if row["metric"] == metric]
    return row[key]


def test_nothing_moves_where_nothing_is_altered():
    dataset = make_dataset()
    rows = trial_rows(trial_of(dataset), dataset, "as they are", dataset.spectra)
    for metric in ("shift_real", "shift_fake"):
        assert value_of(rows, metric) == value_of(rows, metric, "low") == value_of(rows, metric, "high") == 0
    assert value_of(rows, "recall_real") > 0.9 and value_of(rows, "recall_fake") > 0.9
    assert {row["condition"] for row in rows} == {"as they are"} and rows[0]["classifier"] == "logistic_regression"


def test_images_that_all_turn_fake_are_seen_in_recalls_and_shift_and_not_in_the_auc():
    dataset = make_dataset()
    rows = trial_rows(
        trial_of(dataset, n_splits=1), dataset, "brighter", dataset.spectra + 2
    )  # by the gap between the classes
    assert value_of(rows, "recall_real") < 0.1 and value_of(rows, "recall_fake") == 1
    assert value_of(rows, "roc_auc") > 0.97
    shifts = [value_of(rows, f"shift_{name}") for name in ("real", "fake")]
    assert shifts[0] == pytest.approx(shifts[1]) and shifts[0] > 2
    assert value_of(rows, "shift_real", "high") - value_of(rows, "shift_real", "low") < 1e-9  # all images alike


def test_the_shift_is_in_pooled_standard_deviations_and_its_interval_is_students_over_one_test():
    dataset = make_dataset(gap=1.0)
    trial = trial_of(dataset, n_splits=1)
    moved = dataset.spectra + np.random.default_rng(1).normal(0.3, 0.4, dataset.spectra.shape)
    rows = trial_rows(trial, dataset, "moved", moved)
    [split], [fitted] = trial.splits, trial.fitted
    before, after = (fitted.decision_function(spectra[split.test]) for spectra in (dataset.spectra, moved))
    is_fake = dataset.labels[split.test] == FAKE
    n = is_fake.sum()
    assert n == 10 and len(is_fake) == 20
    pooled = np.sqrt((before[is_fake].var(ddof=1) + before[~is_fake].var(ddof=1)) / 2)
    for name, chosen in (("real", ~is_fake), ("fake", is_fake)):
        shift = (after - before)[chosen] / pooled
        half = 2.2621571627 * shift.std(ddof=1) / np.sqrt(10)  # Student's quantile for 9 degrees of freedom
        assert value_of(rows, f"shift_{name}") == pytest.approx(shift.mean())
        assert value_of(rows, f"shift_{name}", "low") == pytest.approx(shift.mean() - half)
        assert value_of(rows, f"shift_{name}", "high") == pytest.approx(shift.mean() + half)


def test_of_images_in_groups_the_interval_of_the_shift_is_over_all_groups_that_were_tested():
    dataset = make_dataset(n_groups=5, gap=1.0)
    trial = trial_of(dataset, n_splits=4)
    number = np.array([int(group.split()[1]) for group in dataset.groups])
    moved = dataset.spectra + 0.1 * number[:, None]  # each photograph by its own amount
    row = next(row for row in trial_rows(trial, dataset, "moved", moved) if row["metric"] == "shift_real")
    tested = {group for split in trial.splits for group in dataset.groups[split.test]}
    per_group = {}
    for split, fitted in zip(trial.splits, trial.fitted):
        scores, then = (fitted.decision_function(spectra[split.test]) for spectra in (dataset.spectra, moved))
        labels = dataset.labels[split.test]
        from_mean = [scores[labels == label] - scores[labels == label].mean() for label in (REAL, FAKE)]
        pooled = np.sqrt(np.sum(np.square(from_mean)) / (len(labels) - 2))
        for group, label, value in zip(dataset.groups[split.test], labels, (then - scores) / pooled):
            if label == REAL:
                per_group.setdefault(group, []).append(value)
    assert set(per_group) == tested and len(tested) > 1
    spread = np.std([np.mean(values) for values in per_group.values()], ddof=1) / np.sqrt(len(tested))
    quantile = {2: 12.7062, 3: 4.30265, 4: 3.18245, 5: 2.77645}[len(tested)]
    assert (row["high"] - row["low"]) / 2 == pytest.approx(quantile * spread, rel=1e-4)


def test_rows_of_which_nothing_is_left_are_neither_trained_on_nor_tested():
    dataset = make_dataset()
    altered = dataset.spectra.copy()
    altered[::5] = np.nan
    trial = trial_of(dataset, [dataset.spectra, altered])
    rows = trial_rows(trial, dataset, "altered", altered)
    left = [np.isfinite(altered[split.test, 0]).sum() for split in trial.splits]
    assert rows[0]["n_test"] == left and min(left) < 20
    paths = {str(path) for said in rows[0]["predictions"] for path in said.rows}
    assert paths.isdisjoint(dataset.paths[::5]) and paths <= set(dataset.paths)
    assert [len(side) for side in present(trial.splits, altered)[0]] == [
        np.isfinite(altered[side, 0]).sum() for side in trial.splits[0]
    ]


def test_training_in_several_states_is_training_on_all_of_their_rows():
    dataset = make_dataset(gap=1.0)
    altered = dataset.spectra * 0.5 + 1
    trial = trial_of(dataset, [dataset.spectra, altered], n_splits=1)
    [split], [fitted] = trial.splits, trial.fitted
    both = np.concatenate([dataset.spectra[split.train], altered[split.train]])
    expected = LogisticRegression().fit(both, np.tile(dataset.labels[split.train], 2))
    np.testing.assert_allclose(fitted.coef_, expected.coef_)


def test_fewer_images_are_drawn_equally_from_each_source_and_the_tests_stay():
    dataset = make_dataset(n_per_source=20)
    splits = random_splits(dataset, 80, 0.25, 2, seed=0)
    found = dict(learning_splits(dataset.sources, splits, (1, 10, 20, 50, 58, 1000)))
    assert list(found) == [4, 8, 20, 48, 60]  # 58 is nearly all, 1000 more than all
    for n_trained, narrowed in found.items():
        for split, whole in zip(narrowed, splits):
            assert np.array_equal(split.test, whole.test) and set(split.train) <= set(whole.train)
            counts = np.unique(dataset.sources[split.train], return_counts=True)[1]
            assert counts.tolist() == [n_trained // 4] * 4
    assert set(found[8][0].train) < set(found[20][0].train)  # nested: a larger one adds images


def test_videos_are_judged_by_as_many_frames_as_asked():
    dataset = make_dataset(n_per_source=12, n_groups=3, sources={"real": REAL, "fake": FAKE})
    dataset.groups = np.array([path.rpartition("/")[0] + group for path, group in zip(dataset.paths, dataset.groups)])
    scores = np.where(dataset.labels == FAKE, 1.0, -1.0)
    scores[:3] = 5.0  # the first frame of each real video is called fake, with certainty
    said = Prediction(np.arange(24), dataset.labels, np.where(scores > 0, FAKE, REAL), scores)
    rows = frame_count_rows([said], dataset, (1, 4), table="frames_per_video", classifier="x", protocol="by_video")
    accuracy = {row["condition"]: row["mean"] for row in rows if row["metric"] == "accuracy"}
    assert accuracy == {"1": 0.5, "4": 0.5}  # mean of 5, -1, -1, -1 is above 0
    scores[:3] = 2.0
    rows = frame_count_rows([said], dataset, (1, 4, 9), table="frames_per_video", classifier="x", protocol="by_video")
    accuracy = {row["condition"]: row["mean"] for row in rows if row["metric"] == "accuracy"}
    assert accuracy == {"1": 0.5, "4": 1.0}  # no video has nine
    assert all(row["n_test"] == [6] for row in rows)


def test_a_class_without_spread_has_no_shift():
    dataset = make_dataset(gap=1.0)
    trial = trial_of(dataset, n_splits=1)
    flat = trial.before[0]._replace(scores=np.where(trial.before[0].labels == FAKE, 1.0, -1.0))
    rows = trial_rows(trial._replace(before=[flat]), dataset, "flat", dataset.spectra)
    assert value_of(rows, "shift_real") is None and value_of(rows, "shift_real", "low") is None
