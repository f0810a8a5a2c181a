"""Splits that do not leak: no group and nobody on both sides, equal numbers of every source, the same for a seed."""

import numpy as np
import pytest
from datasets import SOURCES, make_dataset

from deepfake_spectra.dataset import FAKE, REAL
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.splits import (
    equal_split,
    held_out_identities,
    held_out_rows,
    leave_one_part_out,
    random_splits,
    source_splits,
)  # fmt: skip


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_rows_take_their_share_of_every_source_and_never_all(share, seed):
    dataset = make_dataset(20)
    held_out = held_out_rows(dataset.sources, dataset.groups, share, seed)
    expected = min(max(round(share * 20), 1), 19)
    assert [held_out[dataset.sources == source].sum() for source in SOURCES] == [expected] * 4


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_sides(seed):
    dataset = make_dataset(24, n_groups=8)
    held_out = held_out_rows(dataset.sources, dataset.groups, 0.25, seed)
    assert not set(dataset.groups[held_out]) & set(dataset.groups[~held_out])
    assert len(set(dataset.groups[held_out])) == 2 and set(dataset.sources[held_out]) == set(SOURCES)
    for split in random_splits(dataset, 60, 0.25, 3, seed):
        assert not set(dataset.groups[split.train]) & set(dataset.groups[split.test])


def test_groups_of_the_same_sources_form_a_stratum():
    sources = np.array(["a"] * 10 + ["b"] * 10 + ["a", "b"] * 10)
    groups = np.array([f"own {row}" for row in range(20)] + [f"shared {row // 2}" for row in range(20)])
    held_out = held_out_rows(sources, groups, 0.3, 0)
    assert [held_out[part].sum() for part in (slice(10), slice(10, 20), slice(20, 40))] == [3, 3, 6]


def test_the_only_group_of_its_sources_cannot_be_split():
    with pytest.raises(ExperimentError, match="video 1 is the only group"):
        held_out_rows(["a", "a", "b", "b"], ["video 1", "video 1", "video 2", "video 3"], 0.2, 0)


@pytest.mark.parametrize(
    "n_samples, share, n_train, n_test",
    [(80, 0.2, 16, 4), (40, 0.2, 8, 2), (8, 0.2, 1, 1), (8, 0.9, 1, 1), (43, 0.5, 5, 5)],
)
def test_random_splits_have_equal_numbers_of_every_source(n_samples, share, n_train, n_test):
    dataset = make_dataset(20)
    splits = random_splits(dataset, n_samples, share, 4, seed=0)
    assert len(splits) == 4
    for split in splits:
        for rows, n in ((split.train, n_train), (split.test, n_test)):
            assert len(set(rows)) == len(rows)
            assert [np.count_nonzero(dataset.sources[rows] == source) for source in SOURCES] == [n] * 4
        assert not set(split.train) & set(split.test)


def test_splits_differ_and_are_the_same_for_a_seed():
    dataset = make_dataset(20)
    first, again, other = (random_splits(dataset, 40, 0.2, 3, seed) for seed in (0, 0, 7))
    assert all(np.array_equal(a, b) for one, two in zip(first, again) for a, b in zip(one, two))
    assert len({tuple(split.test) for split in first + other}) == 6


def test_small_samples_are_drawn_from_all_rows():
    dataset = make_dataset(20)
    drawn = np.concatenate([np.concatenate(split) for split in random_splits(dataset, 8, 0.5, 40, 0)])
    assert len(set(drawn)) > 70  # of 80


# --- transfer: some sources to train, others to test


def test_independent_images_make_one_transfer_of_all_rows():
    dataset = make_dataset(20)
    [split] = source_splits(dataset, ["real_a", "fake_a"], ["real_b", "fake_b"], 0.2, 10, 0)
    assert split.train.tolist() == np.flatnonzero(np.isin(dataset.sources, ["real_a", "fake_a"])).tolist()
    assert split.test.tolist() == np.flatnonzero(np.isin(dataset.sources, ["real_b", "fake_b"])).tolist()


def test_grouped_images_make_transfers_without_a_group_on_both_sides():
    dataset = make_dataset(20, n_groups=5)
    splits = source_splits(dataset, ["real_a", "fake_a"], ["real_b", "fake_b"], 0.2, 4, 0)
    assert len(splits) == 4 and len({tuple(split.test) for split in splits}) > 1
    for split in splits:
        assert not set(dataset.groups[split.train]) & set(dataset.groups[split.test])
        assert dataset.sources[split.train].tolist() == ["real_a"] * 16 + ["fake_a"] * 16
        assert dataset.sources[split.test].tolist() == ["real_b"] * 4 + ["fake_b"] * 4


def test_a_transfer_has_as_many_of_each_source_as_the_scarcest_has():
    dataset = make_dataset(20).of_rows(np.r_[0:20, 20:25, 40:47, 60:80])  # of real_a, real_b, fake_a, fake_b
    [split] = source_splits(dataset, ["real_a", "fake_a"], ["real_b", "fake_b"], 0.2, 1, 0)
    assert dataset.sources[split.train].tolist() == ["real_a"] * 7 + ["fake_a"] * 7
    assert dataset.sources[split.test].tolist() == ["real_b"] * 5 + ["fake_b"] * 5


def test_a_source_of_independent_images_is_not_trained_and_tested_on():
    with pytest.raises(ValueError, match="a source cannot be trained and tested on"):
        source_splits(make_dataset(20), ["real_a", "fake_a"], ["real_b", "fake_a"], 0.2, 1, 0)


@pytest.mark.parametrize(
    "n_samples, share, n_train, n_test", [(20, 0.2, 8, 2), (4, 0.2, 1, 1), (10**6, 0.2, 20, 10), (24, 0.9, 1, 10)]
)
def test_an_equal_split_takes_as_many_of_each_source_as_the_scarcest_has(n_samples, share, n_train, n_test):
    sources = np.repeat(["real", "fake"], [90, 30])
    may_test = np.arange(120) % 3 == 0  # 30 and 10 of them
    split = equal_split(sources, ~may_test, may_test, n_samples, share, 0)
    for side, allowed, n_each in ((split.train, ~may_test, n_train), (split.test, may_test, n_test)):
        assert allowed[side].all() and len(set(side)) == len(side)
        assert np.count_nonzero(sources[side] == "real") == np.count_nonzero(sources[side] == "fake") == n_each


# --- splits by identity


def ring_of_fakes(n_people, steps=(1,), n_rows=3):
    """Return labels and identities: each person's real rows, and fakes of each with the persons so many steps on."""
    shown = [{str(person)} for person in range(n_people)]
    shown += [{str(person), str((person + step) % n_people)} for person in range(n_people) for step in steps]
    identities = [people for people in shown for _ in range(n_rows)]
    return np.array([FAKE if len(people) == 2 else REAL for people in identities]), identities


@pytest.mark.parametrize("n_people, steps", [(4, (1,)), (6, (1,)), (28, (1, 5, 9)), (40, (1, -1))])
@pytest.mark.parametrize("seed", range(5))
def test_nobody_stands_on_both_sides_of_a_split_by_identity(n_people, steps, seed):
    labels, identities = ring_of_fakes(n_people, steps)
    may_train, may_test = held_out_identities(labels, identities, 0.2, seed)
    trained, tested = (
        set().union(*(identities[row] for row in np.flatnonzero(side))) for side in (may_train, may_test)
    )
    assert trained.isdisjoint(tested) and len(trained | tested) == n_people
    assert max(2, round(0.2 * n_people)) <= len(tested) <= max(2, round(0.2 * n_people)) + 1
    assert set(labels[may_train]) == set(labels[may_test]) == {REAL, FAKE}
    left_out = [identities[row] for row in np.flatnonzero(~may_train & ~may_test)]
    assert left_out and all(len(people & tested) == len(people & trained) == 1 for people in left_out)


def test_a_split_by_identity_is_the_same_for_a_seed_and_another_for_another():
    labels, identities = ring_of_fakes(28)
    tests = [held_out_identities(labels, identities, 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("n_people, steps", [(2, (1,)), (3, (1,)), (3, (1, 2))])
def test_where_everybody_is_linked_to_everybody_no_split_by_identity_is_found(n_people, steps):
    labels, identities = ring_of_fakes(n_people, steps)
    with pytest.raises(ExperimentError, match="no draw of identities"):
        held_out_identities(labels, identities, 0.2, 0)


# --- splits by closed parts


def parts_of(shown):
    """Return the tested rows of each split, after a look at both sides of it; a row is a text of one-letter people."""
    identities = [frozenset(people) for people in shown]
    splits = leave_one_part_out(identities)
    for may_train, may_test in splits:
        assert may_train.dtype == may_test.dtype == bool and np.array_equal(may_train, ~may_test) and may_test.any()
        trained, tested = (
            set().union(*(identities[row] for row in np.flatnonzero(side))) for side in (may_train, may_test)
        )
        assert trained.isdisjoint(tested)
    assert np.sum([may_test for _, may_test in splits], axis=0).tolist() == [1] * len(shown)  # each row once
    return {" ".join(shown[row] for row in np.flatnonzero(may_test)) for _, may_test in splits}


@pytest.mark.parametrize(
    "shown, parts",
    [
        ("a b ab c d cd", {"a b ab", "c d cd"}),
        ("cd ab dc ba a c", {"cd dc c", "ab ba a"}),  # whichever of the two is named first
        ("ab cd ef", {"ab", "cd", "ef"}),
        ("a b c", {"a", "b", "c"}),
        ("ab bc cd xy", {"ab bc cd", "xy"}),  # a chain: a and d never meet
        ("ad bc ab xz zy", {"ad bc ab", "xz zy"}),
        ("az mz bm cd", {"az mz bm", "cd"}),
        ("abc bx x de", {"abc bx x", "de"}),  # three people in one: b stands neither first nor last
        ("ab ab a b b cd", {"ab ab a b b", "cd"}),
        ("ab bc ca", {"ab bc ca"}),
    ],
)
def test_parts_are_the_people_that_videos_link_and_each_is_tested_on_once(shown, parts):
    assert parts_of(shown.split()) == parts


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_a_random_graph_are_those_of_a_slow_search(seed):
    random = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    shown = ["".join(random.choice(list(letters), random.integers(1, 3), replace=False)) for _ in range(18)]
    parts = [set(people) for people in shown]
    while touching := [(i, j) for i in range(len(parts)) for j in range(i) if parts[i] & parts[j]]:
        i, j = touching[0]
        parts[j] |= parts.pop(i)
    assert parts_of(shown) == {" ".join(own for own in shown if set(own) <= part) for part in parts}
    assert 1 < len(parts) < 18
