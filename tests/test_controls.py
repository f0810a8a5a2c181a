"""Data sets with nothing fake to find: every second image altered, one source against another of its class."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import make_dataset

from deepfake_spectra.controls import checked_altered, half_altered, one_against_other
from deepfake_spectra.dataset import FAKE, REAL, Feature
from deepfake_spectra.errors import ExperimentError


def states_of(n, **options):
    """Return n images of one source, and the same altered: each value is 100 higher."""
    untouched = make_dataset(n, sources={"gan": FAKE}, **options)
    untouched.digests = [f"digest {row}" for row in range(n)]
    return untouched, replace(untouched, spectra=untouched.spectra + 100, feature=Feature("published", alteration="x"))


@pytest.mark.parametrize("n", [4, 7])
def test_every_second_image_is_altered_and_called_fake(n):
    untouched, altered = states_of(n)
    control = half_altered(untouched, altered)
    odd = np.arange(n) % 2
    assert control.spectra == pytest.approx(untouched.spectra + 100 * odd[:, None])
    assert control.labels.tolist() == np.where(odd, FAKE, REAL).tolist()
    assert control.sources.tolist() == [("untouched", "altered")[is_altered] for is_altered in odd]
    assert (control.paths, control.digests) == (untouched.paths, untouched.digests)
    assert control.feature == untouched.feature and set(untouched.labels) == {FAKE}


@pytest.mark.parametrize("lost", [[0], [3], [1, 4, 8], [9]])
def test_an_image_of_which_an_alteration_leaves_nothing_is_left_out_of_both_halves(lost):
    untouched, altered = states_of(10, n_groups=5)
    kept = [row for row in range(10) if row not in lost]
    altered = altered.of_rows(kept)
    altered.skipped = [(untouched.paths[row], "blank") for row in lost]
    control = half_altered(untouched, altered)
    assert control.paths == [untouched.paths[row] for row in kept] and control.skipped == altered.skipped
    for number, row in enumerate(kept):  # the others keep their own spectrum, and half of them are altered
        assert control.spectra[number] == pytest.approx(untouched.spectra[row] + 100 * (number % 2))
        assert control.labels[number] == (FAKE if number % 2 else REAL)
        assert control.groups[number] == untouched.groups[row] and control.digests[number] == f"digest {row}"


def test_too_few_images_left_by_an_alteration_end_the_run():
    untouched, altered = states_of(10)
    assert checked_altered(untouched, altered.of_rows(range(4))).paths == untouched.paths[:4]
    for left in ([0, 1, 2], []):
        with pytest.raises(ExperimentError, match=f"gan: x leaves {len(left)} of 10 images, need 4"):
            checked_altered(untouched, altered.of_rows(left))
    few = untouched.of_rows([0, 1, 2])  # less than four from the beginning: halves are not asked for
    assert checked_altered(few, altered).feature.alteration == "x"


def test_altered_images_are_found_by_their_path_in_whatever_order_they_come():
    untouched, altered = states_of(8)
    control = half_altered(untouched, altered.of_rows(np.arange(8)[::-1]))
    assert control.spectra == pytest.approx(half_altered(untouched, altered).spectra)


def test_halves_of_which_none_is_altered_are_the_same_images_under_two_names():
    untouched, _ = states_of(6)
    control = half_altered(untouched, untouched)
    assert np.array_equal(control.spectra, untouched.spectra) and control.labels.tolist() == [REAL, FAKE] * 3


@pytest.mark.parametrize("first, second", [("real_a", "real_b"), ("real_b", "real_a"), ("fake_a", "fake_b")])
def test_of_two_sources_of_a_class_the_second_is_called_fake(first, second):
    dataset = make_dataset(5)
    control = one_against_other(dataset, first, second)
    assert control.counts() == {name: 5 for name in dataset.counts() if name in (first, second)}
    assert [FAKE if name == second else REAL for name in control.sources] == control.labels.tolist()
    for row, path in enumerate(control.paths):
        assert np.array_equal(control.spectra[row], dataset.spectra[dataset.paths.index(path)])
    assert dataset.labels.tolist() == make_dataset(5).labels.tolist()  # that it was taken from is as it was
