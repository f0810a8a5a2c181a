"""Data sets in several states as one: groups stay together, and headers are those that the files would have."""

import numpy as np
from pictures import by_opencv, picture

from deepfake_spectra.copies import altered_headers, joined_states
from deepfake_spectra.dataset import Feature
from deepfake_spectra.image_files import read_gray

STATES = ("", "jpeg 75", "resize 40x30", "resize 40x30 + jpeg 90", "jpeg 60 + crop 32x32")


def test_all_states_of_an_image_are_one_group_and_keep_their_class(load):
    states = [load(Feature(n_bins=12, alteration=steps)) for steps in STATES]
    joined = joined_states(states)
    n = len(states[0])
    assert len(joined) == len(STATES) * n and joined.feature == Feature(n_bins=12)
    assert len(np.unique(joined.kept_together)) == n
    for number, state in enumerate(states):
        rows = slice(number * n, (number + 1) * n)
        assert np.array_equal(joined.spectra[rows], state.spectra)
        assert joined.labels[rows].tolist() == state.labels.tolist() and joined.paths[rows] == state.paths


def test_a_header_is_that_of_the_file_that_the_last_step_would_write(load, tmp_path):
    headers = {steps: altered_headers(load(Feature(n_bins=12, alteration=steps)))[0] for steps in STATES}
    told = {steps: tuple(header.tolist())[:4] for steps, header in headers.items()}
    assert told == {
        "": (64, 48, "PNG", 0),
        "jpeg 75": (64, 48, "JPEG", 75),
        "resize 40x30": (40, 30, "PNG", 0),
        "resize 40x30 + jpeg 90": (40, 30, "JPEG", 90),
        "jpeg 60 + crop 32x32": (32, 32, "PNG", 0),
    }
    (tmp_path / "x.jpg").write_bytes(by_opencv(picture(0, (30, 40)), ".jpg", 1, 90))
    assert tuple(read_gray(tmp_path / "x.jpg").header.tolist())[:4] == told["resize 40x30 + jpeg 90"]
