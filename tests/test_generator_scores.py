"""Scores of generators: rows of hand-made values; a detector that must not know the photograph it is asked about."""

import numpy as np
import pytest

from deepfake_spectra.generator_scores import SCORES, collapse_rows, compare, difference_rows, epoch_rows, row_of

EPOCHS = range(1, 11)


def values_of(**diversities):
    """Return the values of nets in ten epochs and two seeds; those of `net` are its diversities, seed by seed."""
    return {
        (net, seed, epoch): dict.fromkeys(SCORES, 0.5) | {"diversity": of_seeds[seed][epoch - 1]}
        for net, of_seeds in diversities.items()
        for seed in range(2)
        for epoch in EPOCHS
    }


def test_a_run_has_collapsed_where_it_was_diverse_and_is_no_more():
    steady = np.full(10, 0.9)
    early, late, at_the_limit = steady.copy(), steady.copy(), steady.copy()
    early[:2], late[5], at_the_limit[5] = 0.1, 0.49, 0.5
    values = values_of(early=[early, steady], late=[late, steady], limit=[at_the_limit] * 2, both=[late] * 2)
    values |= values_of(never=[np.full(10, 0.2)] * 2)
    rows = collapse_rows(values, ["early", "late", "limit", "both", "never"], [0, 1], EPOCHS)
    assert [row["scores"] for row in rows] == [[0, 0], [1, 0], [0, 0], [1, 1], [0, 0]]
    for row in rows:
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1 and row["low"] < row["high"]
    assert rows[0]["high"] == pytest.approx(3.8414588 / (2 + 3.8414588))  # Wilson's of none in two


def test_rows_of_epochs_are_means_of_seeds_and_shares_stay_shares():
    values = values_of(net=[np.linspace(0.1, 1, 10), np.linspace(0.3, 1.2, 10)])
    values["net", 0, 3]["balanced_accuracy"], values["net", 1, 3]["balanced_accuracy"] = 0.9, 1.0
    rows = {(row["condition"], row["metric"]): row for row in epoch_rows(values, ["net"], [0, 1], EPOCHS)}
    assert len(rows) == 10 * len(SCORES)
    assert rows["epoch 2", "diversity"]["mean"] == pytest.approx(0.3)
    assert rows["epoch 2", "diversity"]["high"] == pytest.approx(0.3 + 12.7062047 * 0.1)  # t of one degree of freedom
    of_share = rows["epoch 3", "balanced_accuracy"]
    assert of_share["low"] == pytest.approx(0.95 - 12.7062047 * 0.05) and of_share["high"] == 1


def test_differences_are_of_runs_with_the_same_seed():
    values = values_of(one=[np.full(10, 0.9), np.full(10, 0.5)], other=[np.full(10, 0.8), np.full(10, 0.3)])
    rows = difference_rows(values, [("one", "other")], [0, 1], 10)
    [row] = [row for row in rows if row["metric"] == "diversity"]
    np.testing.assert_allclose(row["scores"], [0.1, 0.2])
    assert row["condition"] == "epoch 10: one less other" and row["test_sources"] == ["one", "other"]


def test_one_run_has_no_interval():
    assert row_of([0.3], metric="diversity") == {"metric": "diversity", "mean": 0.3, "scores": [0.3]}


def photographs(n_photographs, n_tiles, seed):
    """Return spectra and features that tell the photograph and nothing else, and the photographs' names."""
    random = np.random.default_rng(seed)
    middles = np.repeat(random.normal(size=(n_photographs, 12)), n_tiles, axis=0)
    rows = middles + random.normal(scale=0.01, size=middles.shape)
    return {"spectra": 100 + rows, "features": rows}, [
        f"photo {n}" for n in range(n_photographs) for _ in range(n_tiles)
    ]


def test_nothing_is_found_in_tiles_of_the_same_photographs_if_their_groups_are_known():
    tiles, names = photographs(20, 10, seed=0)
    even, odd = ({key: values[start::2] for key, values in tiles.items()} for start in (0, 1))
    known = compare(odd, even, names[::2], 0, names[1::2])
    unknown = compare(odd, even, names[::2], 0)
    assert abs(known["balanced_accuracy"] - 0.5) < 0.12
    assert unknown["balanced_accuracy"] < 0.3  # the photograph is recognised, under the other label
    assert known["diversity"] == pytest.approx(1, abs=0.1)


def test_samples_that_differ_in_their_spectra_alone_are_found_by_the_detector_alone():
    tiles, names = photographs(40, 1, seed=1)
    other, _ = photographs(40, 1, seed=2)
    found = compare(
        {"spectra": other["spectra"] + np.linspace(0, 20, 12), "features": tiles["features"]}, tiles, names, 0
    )
    assert found["balanced_accuracy"] > 0.95
    expected = np.mean(other["spectra"] + np.linspace(0, 20, 12) - tiles["spectra"], axis=0)
    assert found["spectral_distance"] == pytest.approx(np.sqrt(np.mean(expected**2)) / np.log(10))
    assert found["nearest_neighbour_accuracy"] == 0  # the features are copies
