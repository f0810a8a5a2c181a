"""Pictures that are nearly the same: scaled, compressed again, brightened, cropped by a pixel or two.

A perceptual hash of 256 bits keeps the signs of the 16x16 lowest frequencies. Hashes at most 24 bits apart are near
duplicates. They are looked for among those that agree in one of 16 bands of 16 bits, which every pair within 15 bits
does, and most within 24: the time grows with the number of images and of near ones, not with its square.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THUMBNAIL_SIDE = 64
MOST_DISTANCE = 24  # bits; see docs/audit.md for what lies on either side
MOST_IN_BAND = 500  # hashes that agree in a band, each with so many of the next: more are pictures of one pattern
MOST_LINKS = 3_000_000  # numbers of links that are held in memory, before they are thinned out

_SIDE = 16  # of the block of frequencies


class NearPair(NamedTuple):
    """Two images, and how many of the 256 bits of their hashes differ."""

    first: int
    second: int
    distance: int


def perceptual_hash(thumbnail: np.ndarray) -> str:
    """Return the hash of a thumbnail (64, 64), as 64 hexadecimal digits; "" of a blank one, which is like no other.

    A bit is set where a frequency of the DCT lies above the median of its block, the mean brightness left out.
    """
    from scipy.fft import dctn  # a script's --help needs none of it

    if thumbnail.min() == thumbnail.max():
        return ""
    block = dctn(thumbnail.astype(np.float64), norm="ortho")[:_SIDE, :_SIDE]
    block[0, 0] = 0
    return np.packbits(block > np.median(block)).tobytes().hex()


def near_pairs(hashes: Sequence[str]) -> list[NearPair]:
    """Return the nearest pairs that link all near duplicates, as few as do, sorted by distance, then by number.

    Of ten pictures that are all near each other these are nine pairs. In each the first number is the smaller.

    Parameters
    ----------
    hashes : (n_images,) str
        From `perceptual_hash`; "" is left out.
    """
    rows_of_hash = {}
    for row, text in enumerate(hashes):
        if text:
            rows_of_hash.setdefault(text, []).append(row)
    pairs = [NearPair(rows[0], row, 0) for rows in rows_of_hash.values() for row in rows[1:]]
    firsts = np.array([rows[0] for rows in rows_of_hash.values()], dtype=int)  # increasing
    bits = np.frombuffer(bytes.fromhex("".join(rows_of_hash)), np.uint8).reshape(-1, _SIDE * _SIDE // 8)
    words = bits.view(np.uint64)
    links = [np.empty((3, 0), dtype=int)]  # numbers of two hashes, and their distance
    for band in bits.view(np.uint16).T:
        for ends in _agreeing(band):
            distances = np.bitwise_count(words[ends[0]] ^ words[ends[1]]).sum(axis=1, dtype=int)
            near = distances <= MOST_DISTANCE
            if near.any():
                links.append(np.vstack([np.sort(ends[:, near], axis=0), distances[near]]))
                if sum(map(np.size, links)) > MOST_LINKS:
                    links = [_fewest(len(bits), links)]
    pairs += [
        NearPair(int(firsts[one]), int(firsts[other]), int(distance))
        for one, other, distance in _fewest(len(bits), links).T
    ]
    return sorted(pairs, key=lambda pair: (pair.distance, pair.first, pair.second))


def _agreeing(band):
    """Yield pairs (2, n_pairs) of rows that have one value in a band (n,), at most n pairs at once."""
    order = np.argsort(band, kind="stable")
    values = band[order]
    for step in range(1, min(MOST_IN_BAND, len(order))):
        equal = np.flatnonzero(values[step:] == values[:-step])
        if not len(equal):
            return
        yield np.stack([order[equal], order[equal + step]])


def _fewest(n_hashes, links):
    """Return the minimum spanning forest of links, given as a list of (3, n_links): two numbers and a distance."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    links = np.hstack(links)
    firsts, seconds, distances = links[:, np.unique(links[0] * n_hashes + links[1], return_index=True)[1]]
    forest = minimum_spanning_tree(csr_array((distances, (firsts, seconds)), shape=(n_hashes, n_hashes))).tocoo()
    return np.stack([forest.row, forest.col, forest.data.astype(int)])


def near_groups(n_images: int, pairs: Sequence[NearPair]) -> np.ndarray:
    """Return for each of `n_images` the number of its group, (n_images,) int: linked by pairs, also over others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    firsts, seconds, _ = np.array(pairs, dtype=int).reshape(-1, 3).T
    links = coo_array((np.ones(len(pairs)), (firsts, seconds)), shape=(n_images, n_images))
    return connected_components(links, directed=False)[1]
