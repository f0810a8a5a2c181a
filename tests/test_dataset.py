"""The types that travel: rows stay together, and the paper's numbers stand beside the paper's experiment alone."""

from dataclasses import replace

import numpy as np
import pytest

from deepfake_spectra.dataset import (
    BUILT_IN_SAMPLE,
    FAKE,
    IMAGES,
    PUBLISHED_FEATURES,
    REAL,
    Feature,
    SpectrumDataset,
)  # fmt: skip

PAPER_SOURCES = {"a": REAL, "b": REAL, "c": FAKE}
PAPER_FEATURE = Feature(n_bins=80, normalise=True)
DATASET = SpectrumDataset(
    spectra=np.arange(12.0).reshape(6, 2),
    labels=np.array([REAL, FAKE, REAL, FAKE, REAL, FAKE]),
    sources=np.array(["b", "c", "a", "c", "b", "c"]),
    groups=np.array([f"group {row}" for row in range(6)]),
    paths=[f"path {row}" for row in range(6)],
    feature=PAPER_FEATURE,
    headers=np.array([(row, 10 * row) for row in range(6)], dtype=[("width", "i4"), ("height", "i4")]),
    identities=[frozenset({str(row)}) for row in range(6)],
)


def test_rows_stay_together():
    part = DATASET.of_rows([5, 0])
    assert np.array_equal(part.spectra, [[10, 11], [0, 1]]) and part.labels.tolist() == [FAKE, REAL]
    assert part.sources.tolist() == ["c", "b"] and part.groups.tolist() == ["group 5", "group 0"]
    assert part.paths == ["path 5", "path 0"] and part.identities == [{"5"}, {"0"}]
    assert part.sizes() == [(50, 5), (0, 0)] and len(part) == 2
    assert replace(DATASET, headers=None, identities=None).of_rows([5]).sizes() == []


def test_sources_are_counted_and_chosen_in_their_order():
    assert list(DATASET.counts().items()) == [("b", 2), ("c", 3), ("a", 1)]
    assert (DATASET.sources_of(REAL), DATASET.sources_of(FAKE)) == (["b", "a"], ["c"])
    assert DATASET.of_sources(["a", "b"]).paths == ["path 0", "path 2", "path 4"]


@pytest.mark.parametrize(
    "changes, feature, is_of_paper",
    [
        ({}, {}, True),
        ({}, {"convention": "published_2019"}, True),  # the authors' own, at the time
        ({}, {"convention": "centred"}, False),
        ({}, {"n_bins": 79}, False),
        ({}, {"normalise": False}, False),
        ({}, {"alteration": "jpeg 50"}, False),
        ({}, {"crop": "centre_third"}, False),
        ({}, {"precision": "float32"}, False),
        ({"labels": 1 - DATASET.labels}, {}, False),
        ({"sources": np.where(DATASET.sources == "a", "d", DATASET.sources)}, {}, False),
        ({"sources": np.where(DATASET.sources == "a", "b", DATASET.sources)}, {}, False),  # one is missing
        ({"origin": BUILT_IN_SAMPLE}, {}, False),
        ({"origin": PUBLISHED_FEATURES, "sources": np.array(["real", "fake"] * 3)}, {}, True),
        ({"origin": PUBLISHED_FEATURES}, {"n_bins": 722}, False),  # of another experiment
    ],
)
def test_the_papers_numbers_stand_beside_its_own_sources_and_feature_alone(changes, feature, is_of_paper):
    dataset = replace(DATASET, **changes, feature=replace(PAPER_FEATURE, **feature))
    assert DATASET.origin is IMAGES and dataset.is_of_paper(PAPER_SOURCES, PAPER_FEATURE) == is_of_paper


def test_the_draw_of_all_images_is_no_copy():
    drawn = replace(DATASET.of_rows(range(4)), sources=np.array(["a", "c", "a", "c"]))
    assert drawn.is_drawn and drawn.of_draw(4) is drawn
    assert replace(drawn, sources=np.array(["a", "c", "a", "a"])).of_draw(4).sources.tolist() == ["a", "c", "a"]
