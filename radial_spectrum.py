"""Grey image -> azimuthally averaged 1-D log power spectrum, after Durall et al. (arXiv 1911.00686).

    spectrum = radial_spectrum(gray)                            # (722,) for 1024x1024, as the authors' code gives it
    spectrum = normalise_by_first(resample_spectrum(spectrum, 300))

A value of a spectrum is the mean, over all frequencies of one ring, of `20 ln|F + 1e-8|` with F the unnormalised 2-D
DFT: natural logarithm, so 20 units are a factor e in amplitude, and 1 unit is 0.434 dB.

Three conventions differ in where the centre of the rings stands and in which bins are kept:

published
    The authors' features. Centre at ((W-1)/2, (H-1)/2) of the shifted plane: on an even side that is half a pixel off
    DC, so that with two even sides the spectrum of a flipped image differs slightly. Ring k holds the radii
    k <= r < k+1; the first ring (with DC in it) and the last are dropped. 1024x1024 gives 722 values, 128x128 gives 88,
    178x218 gives 139.
published_2019
    The authors' features before 2020-02-17, when their radialProfile.py took both coordinates of the centre from the
    width: ((W-1)/2, (W-1)/2). All else is as in "published", and on a square image the two are one. On 178x218 the
    rings stand 20.5 rows off DC and there are 155 values. It is here because the released CelebA features of the real
    images, which are of that size, were computed so. Needs W <= 2H: beyond, the centre lies outside of the plane.
centred
    The geometrically right one. Centre on DC, ring k holds k - 1/2 <= r < k + 1/2, all rings are kept out to the
    corner; unchanged when the image is flipped, or a square image turned by 90 degrees.

Everything here is pure: arrays in, arrays out, nothing read or written.
"""

from functools import cache, lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import numpy as np
import scipy  # which loads its parts when they are first used

Convention = Literal["published", "published_2019", "centred"]
Unit = Literal["pixel", "cycles/pixel"]

EPSILON = 1e-8  # the authors', added to the complex DFT: it bounds the logarithm where a frequency is empty
LARGE_IMAGE = 2**22  # pixels; of larger ones the rings of two shapes are kept, not of 64
LONG_SPECTRUM = 2048  # values; a longer one is resampled without a matrix
VALUES_AT_ONCE = 2**15  # of a plane, that stay in the processor's own cache
SMALLEST_SIDE = 9  # pixels; below it a ring holds too few frequencies to be an average


def radial_spectrum(gray: np.ndarray, convention: Convention = "published", dtype: type = np.float64) -> np.ndarray:
    """Return the azimuthally averaged log power spectrum of a grey image.

    Parameters
    ----------
    gray : ndarray, (height, width)
        Any real dtype; the authors use uint8. Both sides at least 9.
    convention : {"published", "published_2019", "centred"}
        See the head of this module.
    dtype : np.float64 or np.float32
        Precision of the transform. float64 agrees with a plain sum over the plane to 1e-12 relative. float32 is faster
        and errs in the bins of the corner, where a ring holds few frequencies: of 2,260 8-bit photographs and faces the
        worst bin is 0.00017 off in the median, 0.011 at most, by values of some 100. Relative to values near zero, as
        images scaled to 0 ... 1 have them, that is much; and so it is in any bin where frequencies are nearly empty, in
        drawings and in smooth images that were never rounded to integers.

    Returns
    -------
    ndarray of float64, (len(spectrum_radii(gray.shape, convention)),)
        Mean of `20 ln|F + 1e-8|` per ring, from the lowest radius up. Finite for every image of integers: a frequency
        that is exactly empty counts as `20 ln 1e-8 = -368.4`, so a black image gives that value throughout, and a
        blank one of another grey the value or rounding noise near it.

    Raises
    ------
    ValueError
        Not two-dimensional, a side below 9, not real, or not finite; "published_2019" of an image more than twice as
        wide as high.

    Notes
    -----
    The plane of a real image is symmetric about DC, so `rfft2` gives all of it. The rings are symmetric about the
    centre in both axes, so that four frequencies at a time lie on one radius: their powers are multiplied and one
    logarithm, on a quarter of the plane, serves all four. Where "published_2019" has its centre off the middle row, the
    rows whose mirror image lies outside of the plane go by themselves, two frequencies to a logarithm.
    """
    gray = np.asarray(gray)
    if gray.ndim != 2 or not (np.issubdtype(gray.dtype, np.number) or gray.dtype == bool) or np.iscomplexobj(gray):
        raise ValueError(f"expected a real grey image (height, width), got {gray.dtype} of shape {gray.shape}")
    if gray.dtype.kind == "f" and not np.isfinite(gray).all():
        raise ValueError("the image holds values that are not finite")
    rings = _rings(gray.shape, convention)
    power = _half_plane_power(gray.astype(dtype))
    if power.dtype == np.float32:  # which holds no product of four powers, but one of four amplitudes
        sums = 2 * (rings.sums @ _folded_log(np.sqrt(power, out=power), rings).ravel())
    else:
        sums = rings.sums @ _folded_log(power, rings).ravel()
    return _kept_bins(10 * sums / rings.counts, convention)  # 20 ln|F| = 10 ln|F|^2


def azimuthal_average(plane: np.ndarray, convention: Convention = "published") -> np.ndarray:
    """Return the mean over each ring of any plane of frequencies, DC standing at (height // 2, width // 2).

    Parameters
    ----------
    plane : ndarray, (height, width)
        As `np.fft.fftshift` leaves it: a log power, a power, a mask. Both sides at least 9.
    convention : {"published", "published_2019", "centred"}
        With p = (row, column) and r its distance from the centre in pixels. In a 5x5 plane, were it allowed, all
        conventions have their centre at (2, 2), at radii 0 (once), 1 (4 pixels), 1.41 (4), 2 (4), 2.24 (8), 2.83 (4).
        "published" cuts them into [0, 1), [1, 2), [2, 3), of 1, 8 and 16 pixels, and drops the first and the last:
        one value, the mean of the eight neighbours of DC. "published_2019" does the same. "centred" cuts them at
        half-integers, [0, 0.5), [0.5, 1.5), [1.5, 2.5), [2.5, 3.5), of 1, 8, 12 and 4 pixels, and keeps all four.

        In a plane 5 wide and 7 high DC stands at (3, 2), and with it the centre of "published" and "centred". That of
        "published_2019" stays at (2, 2): its rings [0, 1), ..., [4, 5) hold 1, 8, 16, 5 and 5 pixels, and the middle
        three are kept, DC among the eight.

    Returns
    -------
    ndarray of float64, (n_bins,)
        `n_bins` is `floor(hypot(height - 1, width - 1) / 2) - 1` for "published",
        `floor(hypot(max(width, 2 * height - width) - 1, width - 1) / 2) - 1` for "published_2019", and
        `floor(hypot(height // 2, width // 2) + 1/2) + 1` for "centred".

    Raises
    ------
    ValueError
        Not two-dimensional, or a side below 9; "published_2019" of a plane more than twice as wide as high.
    """
    plane = np.asarray(plane, dtype=np.float64)
    bins = ring_numbers(plane.shape, convention).ravel()
    return _kept_bins(np.bincount(bins, plane.ravel()) / np.bincount(bins), convention)


def ring_numbers(shape: tuple[int, int], convention: Convention = "published") -> np.ndarray:
    """Return the ring, from 0, of each frequency of a plane: int, (height, width), as `azimuthal_average` takes it.

    The rings that a convention drops are among them. Raises ValueError as `azimuthal_average` does.
    """
    _check(shape, convention)
    rows, columns = (np.arange(side) - side // 2 for side in shape)
    return _ring_of(rows, columns, shape, convention)


def log_power_plane(gray: np.ndarray) -> np.ndarray:
    """Return `20 ln|F + 1e-8|` over the whole plane, (height, width) float64, DC at (height // 2, width // 2)."""
    power = _half_plane_power(np.asarray(gray, dtype=np.float64))
    mirrored = np.roll(power[::-1], 1, axis=0)[:, (gray.shape[1] - 1) // 2 : 0 : -1]  # F(-k) = conj F(k)
    return 10 * np.fft.fftshift(np.log(np.hstack([power, mirrored])))


def spectrum_radii(shape: tuple[int, int], convention: Convention = "published", unit: Unit = "pixel") -> np.ndarray:
    """Return the radius at the middle of each ring of a (height, width) image.

    Parameters
    ----------
    shape : (height, width)
        Both at least 9.
    convention : {"published", "published_2019", "centred"}
        "published" and "published_2019" rings reach from 1 to 2, 2 to 3, ..., so the values are 1.5, 2.5, ...;
        "centred": 0, 1, 2, ...
    unit : {"pixel", "cycles/pixel"}
        Distance from the centre in samples of the DFT, or that divided by the side: 0.5 is the Nyquist frequency of
        rows and columns, 0.707 the corner.

    Returns
    -------
    ndarray of float64, (n_bins,)

    Raises
    ------
    ValueError
        A side below 9; "published_2019" of an image more than twice as wide as high; or "cycles/pixel" of an image
        that is not square, where a ring holds different frequencies along its rows and columns.
    """
    _check(shape, convention)
    height, width = shape
    first_and_last = (np.array([-(side // 2), (side - 1) // 2]) for side in shape)
    n_rings = _ring_of(*first_and_last, shape, convention).max() + 1  # the farthest corner lies in the last
    radii = _kept_bins(np.arange(n_rings) + (0.0 if convention == "centred" else 0.5), convention)
    if unit == "pixel":
        return radii
    if unit != "cycles/pixel":
        raise ValueError(f"unit {unit!r} is neither 'pixel' nor 'cycles/pixel'")
    if height != width:
        raise ValueError(f"a ring of a {width}x{height} plane has no single frequency; use unit='pixel'")
    return radii / width


def resample_spectrum(spectra: np.ndarray, n_bins: int) -> np.ndarray:
    """Return spectra resampled to `n_bins` values by a not-a-knot cubic spline, as the authors do.

    Parameters
    ----------
    spectra : ndarray, (..., length)
        Length at least 4.
    n_bins : int
        At least 2. The new values stand at `linspace(0, n_bins, n_bins)` of a spline through the old ones at
        `linspace(0, n_bins, length)`: first and last value are kept, nothing is averaged.

    Returns
    -------
    ndarray of float64, (..., n_bins)
        Where nothing is to be done, the spectra themselves.

    Raises
    ------
    ValueError
        Fewer than 4 values in, or fewer than 2 out.
    """
    spectra = np.asarray(spectra, dtype=np.float64)
    length = spectra.shape[-1]
    if length == n_bins >= 4:
        return spectra
    if length > LONG_SPECTRUM:  # whose matrix would take gigabytes
        return _spline(spectra.T, n_bins).T
    return spectra @ _spline_matrix(length, n_bins)


def normalise_by_first(spectra: np.ndarray) -> np.ndarray:
    """Return spectra (..., n_bins) divided by their own first value; ValueError where that is zero or not finite."""
    first = np.asarray(spectra)[..., :1]
    if not (np.isfinite(first) & (first != 0)).all():
        raise ValueError("a spectrum cannot be divided by its first value: that is zero or not finite")
    return spectra / first


def centre_third(gray: np.ndarray) -> np.ndarray:
    """Return the middle of an image as the authors cut it: `height // 3` rows, `width // 3` columns off each side."""
    row, column = gray.shape[0] // 3, gray.shape[1] // 3
    return gray[row:-row, column:-column]


class _Rings(NamedTuple):
    """Where the plane belongs, folded in both axes about the centre; see `_fold` for the frequencies of a value."""

    rows: np.ndarray  # (n_rows,) signed distance from DC of one row of each pair
    mirrored_rows: np.ndarray  # (n_rows,) of the other, as far from the centre; of the same one where there is no other
    column_offset: int  # 1 where the centre stands half a pixel off the column of DC
    sums: object  # csr_array, (n rings, n_rows * n_columns) 1 on its ring, 1/2 for each axis without the other
    counts: np.ndarray  # (n rings,) number of frequencies, over the whole plane


def _rings(shape, convention):
    """Return the rings of an image shape, computed once: they take 3 bytes a pixel, so few of large ones are kept."""
    return (_common_rings if np.prod(shape) <= LARGE_IMAGE else _large_rings)(shape, convention)


def _folded_rings(shape, convention):
    """Compute the rings of one image shape."""
    _check(shape, convention)
    axes = [_mirror_pairs(side, shift) for side, shift in zip(shape, _centre_to_dc(shape, convention))]
    (rows, mirrored_rows, row_weights), (columns, mirrored_columns, column_weights) = axes
    bins = _ring_of(rows, columns, shape, convention).ravel()
    weights = np.outer(row_weights, column_weights).ravel()
    counts = np.bincount(bins, 4 * weights)
    sums = scipy.sparse.csr_array((weights, (bins, np.arange(len(bins)))), shape=(len(counts), len(bins)))
    column_offset = int(mirrored_columns[0] != columns[0])
    return _Rings(rows, mirrored_rows, column_offset, sums, counts)


_common_rings, _large_rings = lru_cache(maxsize=64)(_folded_rings), lru_cache(maxsize=2)(_folded_rings)


def _mirror_pairs(side, shift):
    """Return one frequency of each pair as far from the centre of an axis, the other one, and the weight of the pair.

    A frequency on the centre is its own mirror image and goes with itself, at half the weight. So does one whose mirror
    image lies outside of the plane: Nyquist's where the centre is DC, and the far rows of "published_2019".
    """
    frequencies = np.fft.ifftshift(np.arange(side) - side // 2)
    mirrored = -frequencies - int(2 * shift)
    outside = (mirrored < -(side // 2)) | (mirrored > (side - 1) // 2)
    mirrored = np.where(outside, frequencies, mirrored)
    kept = frequencies >= mirrored
    return frequencies[kept], mirrored[kept], np.where(frequencies == mirrored, 0.5, 1.0)[kept]


def _fold(half_plane, rings, combine):
    """Combine, for each pair of rows and each of columns, the four frequencies on their ring.

    A column left of DC is read at (-row, -column), where a real image has the same power: so all four stand in the half
    plane of `rfft2`. Its rows are not shifted, so that a negative row is an index from the end, as NumPy counts.
    """
    n_columns = half_plane.shape[1] - rings.column_offset
    left, right = half_plane[:, :n_columns], half_plane[:, rings.column_offset :]
    folded = combine(left[rings.rows], left[rings.mirrored_rows])
    combine(folded, right[-rings.rows], out=folded)
    return combine(folded, right[-rings.mirrored_rows], out=folded)


def _folded_log(half_plane, rings):
    """Return the sum of the logarithms of the four frequencies that `_fold` brings together, (n_rows, n_columns)."""
    with np.errstate(over="ignore"):
        product = _fold(half_plane, rings, np.multiply)
    if np.isfinite(product).all():
        return np.log(product)
    return _fold(np.log(half_plane), rings, np.add)  # of an image that is very bright, or very large


@cache
def _rfft2(dtype):
    """Return what transforms a real plane of a precision on one thread.

    In float64 that is ducc0, if it is installed: half of SciPy's time. In float32 it is little faster, and errs more.
    """
    if dtype == np.float64 and find_spec("ducc0"):
        return partial(import_module("ducc0").fft.r2c, axes=(0, 1), nthreads=1)
    return partial(scipy.fft.rfft2, workers=1)


def _half_plane_power(gray):
    """Return |F + 1e-8|^2 over columns 0 ... width // 2 of the unshifted plane, in the precision of `gray`."""
    transform = _rfft2(gray.dtype)(gray)
    power = np.empty(transform.shape, gray.dtype)
    n_rows = max(1, VALUES_AT_ONCE // power.shape[1])
    for top in range(0, len(power), n_rows):
        part, block = power[top : top + n_rows], transform[top : top + n_rows]
        np.add(block.real, EPSILON, out=part)
        np.square(part, out=part)
        part += np.square(block.imag)
    return power


def _ring_of(rows, columns, shape, convention):
    """Return the ring, (rows, columns) int, of frequencies given by their signed distance from DC."""
    shift_y, shift_x = _centre_to_dc(shape, convention)
    radii = np.hypot(rows[:, None] + shift_y, columns + shift_x)
    return (radii + 0.5 if convention == "centred" else radii).astype(np.intp)


def _centre_to_dc(shape, convention):
    """Return how many rows and columns, whole or half, DC stands after the centre of the rings; negative: before."""
    if convention == "centred":
        return 0.0, 0.0
    height, width = shape
    taken_for_height = width if convention == "published_2019" else height  # the authors' slip
    return height // 2 - (taken_for_height - 1) / 2, width // 2 - (width - 1) / 2


def _kept_bins(rings, convention):
    """Drop what the convention drops."""
    return rings if convention == "centred" else rings[1:-1]


def _check(shape, convention):
    """Raise ValueError unless a plane of this shape has a radial spectrum by this convention."""
    found = f"found a plane of {'x'.join(map(str, reversed(shape)))}"
    if len(shape) != 2 or min(shape) < SMALLEST_SIDE:
        raise ValueError(f"{found}, a radial spectrum needs two sides of at least {SMALLEST_SIDE}")
    if convention not in get_args(Convention):
        raise ValueError(f"convention {convention!r} is none of {', '.join(get_args(Convention))}")
    height, width = shape
    if convention == "published_2019" and width > 2 * height:  # the first rings would be empty
        raise ValueError(
            f"{found}, 'published_2019' needs a width of at most twice the height: "
            "beyond, the centre of its rings lies outside of the plane; use 'published'"
        )


@lru_cache(maxsize=512)
def _spline_matrix(length, n_bins):
    """Return the (length, n_bins) matrix that the cubic resampling multiplies by."""
    return _spline(np.eye(length), n_bins).T


def _spline(spectra, n_bins):
    """Return spectra (length, ...) resampled along their first axis."""
    from scipy.interpolate import CubicSpline  # 0.2 s to load, and many a run needs no resampling

    length = len(spectra)
    if length < 4 or n_bins < 2:
        raise ValueError(f"cannot resample {length} values to {n_bins}: needs at least 4 in and 2 out")
    old, new = np.linspace(0, n_bins, length), np.linspace(0, n_bins, n_bins)
    return CubicSpline(old, spectra, bc_type="not-a-knot")(new)
