"""The 8x8 grid that an earlier JPEG leaves in the pixels of an image that is stored as something else."""

import numpy as np

GRID_PERIOD = 8
SMALLEST_GRID_SIDE = 64  # pixels: eight blocks a side
GRID_FOUND = 3.0  # of 60 PNG at 1024x1024 none is above 1.5; after JPEG 75 or 95 none is below 9
_MOST_STEP = 8  # grey levels: an edge of the picture counts no more than that


def grid_strength(gray: np.ndarray) -> float | None:
    """Return how far one of the eight phases of blocks of pixels stands out, in standard errors; a JPEG's above 3.

    Along each axis the mean cross-difference |a - b - c + d| of neighbouring pixels is compared between columns (rows)
    that lie at the same place of blocks of eight. The margin of the highest place over the second highest is returned,
    of the axis where it is smaller: the patterns of period two and four of up-sampling layers lift several places
    alike. The grid may begin anywhere, as after a crop; it does not survive scaling.

    Parameters
    ----------
    gray : ndarray, (height, width) uint8

    Returns
    -------
    float or None
        None of an image with a side below `SMALLEST_GRID_SIDE`.
    """
    if min(gray.shape) < SMALLEST_GRID_SIDE:
        return None
    signed = gray.astype(np.int16)
    across = np.abs(np.diff(np.diff(signed, axis=0), axis=1))
    steps = np.minimum(across, _MOST_STEP)
    return min(_margin(steps.mean(axis=0, dtype=np.float64)), _margin(steps.mean(axis=1, dtype=np.float64)))


def _margin(profile):
    """Return the lead of the highest of eight phases of a profile (n,) over the next, in standard errors of a phase."""
    over_neighbours = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
    n_blocks = len(over_neighbours) // GRID_PERIOD
    phases = over_neighbours[: n_blocks * GRID_PERIOD].reshape(n_blocks, GRID_PERIOD)
    means = phases.mean(axis=0)
    highest = means.argmax()
    others = np.delete(phases, highest, axis=1)
    error = others.std() / np.sqrt(n_blocks)
    return float((means[highest] - others.mean(axis=0).max()) / error) if error else 0.0
