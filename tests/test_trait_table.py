"""Traits of files as columns, and in a few words."""

import numpy as np
import pytest

from deepfake_spectra.file_records import FileRecord
from deepfake_spectra.file_traits import FileTraits
from deepfake_spectra.trait_table import (
    CONTENT_TRAITS,
    HEADER_TRAITS,
    PAST_TRAITS,
    most_frequent,
    summarised,
    trait_array,
)

RECORD = FileRecord(
    width=64, height=32, format="PNG", jpeg_quality=0, subsampling="", remarks=("grey", "alpha"),
    traits=FileTraits(coding="interlaced", layout="IHDR " * 100, has_credentials=True), n_bytes=1024, sha256="0" * 64,
    brightness=100.5, contrast=20.0, grid=None, hash="",
)  # fmt: skip


def test_every_trait_is_a_column():
    traits = trait_array([RECORD, RECORD._replace(grid=2.9), RECORD._replace(grid=3.1)])
    assert traits.dtype.names == (*HEADER_TRAITS, *PAST_TRAITS, *CONTENT_TRAITS)
    assert traits["earlier JPEG"].tolist() == ["", "no", "yes"]
    first = dict(zip(traits.dtype.names, traits[0].item()))
    assert (first["bytes a pixel"], first["pixels"], first["coding"]) == (0.5, "grey, alpha", "interlaced")
    assert first["Content Credentials"] == "yes" and len(first["layout"]) == 200


def test_most_frequent_is_of_the_combination():
    records = [RECORD._replace(width=width, height=height) for width, height in [(1, 2), (1, 3), (2, 3), (2, 3)]]
    assert most_frequent(records, "width", "height") == (2, 3) and most_frequent(records, "width") == (1,)


@pytest.mark.parametrize(
    "values, text",
    [
        (["75", "75"], "75"),
        (["75", "98", "98"], "98 (2), 75 (1)"),
        ([0, 75, 75], "75 (2), - (1)"),
        (["", ""], "-"),
        (list("aaabbccde"), "a (3), b (2), c (2) and 2 more"),
        ([1.0, 2.0, 3.0], "2 (1.1–2.9)"),
    ],
)
def test_values_are_said_in_a_few_words(values, text):
    assert summarised(np.array(values)) == text
