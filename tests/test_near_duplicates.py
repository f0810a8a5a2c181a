"""Near duplicates: planted ones are found, pictures that have nothing to do with each other are not."""

import numpy as np
from conftest import real_data
from pictures import picture

from deepfake_spectra.file_records import read_record
from deepfake_spectra.near_duplicates import (
    MOST_DISTANCE,
    MOST_IN_BAND,
    THUMBNAIL_SIDE,
    NearPair,
    near_groups,
    near_pairs,
    perceptual_hash,
)
from deepfake_spectra.opencv import cv2


def hash_of(gray):
    """Return the hash of a picture of any size."""
    return perceptual_hash(cv2.resize(gray, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA))


def flipped(text, *bits):
    """Return a hash with some of its 256 bits flipped."""
    return f"{int(text, 16) ^ sum(1 << bit for bit in bits):064x}"


def random_hashes(n, seed=0):
    """Return hashes that have nothing to do with each other."""
    return [row.tobytes().hex() for row in np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)]


def test_a_picture_scaled_compressed_or_brightened_is_found_and_no_other(n=40):
    blurred = [picture(seed, (200, 160), blur=8) for seed in range(n)]
    pictures = [cv2.normalize(gray, None, 0, 255, cv2.NORM_MINMAX) for gray in blurred]
    for alter in (
        lambda gray: cv2.resize(gray, (97, 120), interpolation=cv2.INTER_AREA),
        lambda gray: cv2.imdecode(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
        lambda gray: np.clip(gray * 0.9 + 12, 0, 255).astype(np.uint8),
    ):
        pairs = near_pairs([hash_of(gray) for gray in pictures] + [hash_of(alter(gray)) for gray in pictures])
        assert sorted((pair.first, pair.second) for pair in pairs) == [(number, number + n) for number in range(n)]


def test_every_pair_within_15_bits_is_found_and_none_beyond_the_limit():
    random = np.random.default_rng(1)
    for distance in (1, 8, 15, MOST_DISTANCE + 1, 60):
        hashes = random_hashes(200)
        for row in range(0, 200, 2):
            hashes[row + 1] = flipped(hashes[row], *random.permutation(256)[:distance].tolist())
        expected = [NearPair(row, row + 1, distance) for row in range(0, 200, 2)] if distance <= 15 else []
        assert near_pairs(hashes) == expected


def test_most_pairs_up_to_the_limit_are_found():
    random, hashes = np.random.default_rng(1), random_hashes(400)
    for row in range(0, 400, 2):
        hashes[row + 1] = flipped(hashes[row], *random.permutation(256)[:MOST_DISTANCE].tolist())
    assert len(near_pairs(hashes)) > 0.9 * 200


def test_pairs_are_the_nearest_ones_and_as_few_as_link_all():
    [first] = random_hashes(1)
    hashes = [first, flipped(first, 0), flipped(first, 0, 1), flipped(first, 0, 1, 2), first, *random_hashes(3, seed=1)]
    pairs = near_pairs(hashes)
    assert pairs == [NearPair(0, 4, 0), NearPair(0, 1, 1), NearPair(1, 2, 1), NearPair(2, 3, 1)]
    assert near_groups(len(hashes), pairs).tolist() == [0, 0, 0, 0, 0, 1, 2, 3]


def test_blank_pictures_are_like_nothing_else():
    assert perceptual_hash(np.full((THUMBNAIL_SIDE, THUMBNAIL_SIDE), 7, np.uint8)) == ""
    assert near_pairs(["", "", *random_hashes(2)]) == near_pairs([]) == []
    assert near_groups(3, []).tolist() == [0, 1, 2]


def test_many_pictures_of_one_pattern_are_still_linked():
    n = 2 * MOST_IN_BAND
    hashes = [f"{'0' * 60}{number:04x}" for number in range(n)]  # all agree in 15 bands
    pairs = near_pairs(hashes)
    assert len(pairs) == n - 1 and set(near_groups(n, pairs).tolist()) == {0}


def test_a_planted_copy_is_found_among_aligned_faces_and_none_of_them_is_called_near_another(tmp_path):
    faces = sorted(real_data("faces_hq_paper").rglob("*.jpg"))
    faces = faces[:: max(1, len(faces) // 160)]
    half = cv2.resize(cv2.imread(str(faces[70])), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "copy.jpg"), half, [cv2.IMWRITE_JPEG_QUALITY, 60])
    [pair] = near_pairs([read_record(path).hash for path in [*faces, tmp_path / "copy.jpg"]])
    assert (pair.first, pair.second) == (70, len(faces)) and pair.distance < 10
