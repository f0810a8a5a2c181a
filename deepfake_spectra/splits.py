"""Splits that do not leak: no group, no copy of an image, and if asked no person, on both sides; sources equally."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from deepfake_spectra.dataset import FAKE, REAL, SpectrumDataset, Split
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import printable

SMALLEST_POOL = 200  # images that a sample size below it is drawn from, anew for each split


def pool_size(n_samples: int) -> int:
    """Return from how many images, all sources together, a sample size draws its splits, alone or beside other sizes.

    A small sample that was drawn once would be split ten times, and the ten tests would be of the same few images.
    """
    return max(n_samples, SMALLEST_POOL)


def pool_remark(pool: SpectrumDataset, dataset: SpectrumDataset) -> list[str]:
    """Return a sentence, in a list, where small sample sizes draw from more images than the rest of a run is of."""
    if len(pool) == len(dataset):
        return []
    return [
        f"a sample size below {SMALLEST_POOL} draws each split from {len(pool)} images; the other tables and all "
        f"figures are of the first {len(dataset)}"
    ]


def random_splits(dataset: SpectrumDataset, n_samples: int, test_share: float, n_splits: int, seed: int) -> list[Split]:
    """Return splits of `n_samples` rows, drawn anew each time, with equal numbers of every source on either side.

    No group stands on both sides, and no copy of an image. Where a source has too few rows on one side, all sources get
    fewer there. Raises ExperimentError where all images of a source belong together.
    """
    splits = []
    for split_seed in range(seed, seed + n_splits):
        in_test = held_out_rows(dataset.sources, dataset.kept_together, test_share, split_seed)
        splits.append(equal_split(dataset.sources, ~in_test, in_test, n_samples, test_share, split_seed))
    return splits


def source_splits(
    dataset: SpectrumDataset,
    trained: Sequence[str],
    tested: Sequence[str],
    test_share: float,
    n_splits: int,
    seed: int,
) -> list[Split]:
    """Return splits that train on some sources and test on others, with equal numbers of each source.

    Where rows have groups, no group stands on both sides of a split, and there are `n_splits` of them; images that are
    independent make one split, of all rows, less those to be tested that equal one to be trained on. A split that has
    nothing to test, as all of a source's images equal such ones, is left out.
    """
    if not dataset.is_grouped and set(trained) & set(tested):
        raise ValueError("a source cannot be trained and tested on: its images are independent, and all are taken")
    n_rows, together = len(dataset), dataset.kept_together
    splits = []
    for split_seed in range(seed, seed + n_splits) if dataset.is_grouped else [seed]:
        if dataset.is_grouped:
            may_test = held_out_rows(dataset.sources, together, test_share, split_seed)
            may_train = ~may_test
        else:
            may_train = np.isin(dataset.sources, trained)
            may_test = ~np.isin(together, together[may_train])
        train, test = (
            _equal_rows(dataset.sources, names, allowed, n_rows, split_seed)
            for names, allowed in ((trained, may_train), (tested, may_test))
        )
        if len(test):
            splits.append(Split(train, test))
    return splits


def pair_splits(
    dataset: SpectrumDataset, test_share: float, n_splits: int, seed: int
) -> Iterator[tuple[list[str], list[str], list[Split]]]:
    """Yield (sources trained on, tested on, splits) of each real and fake source trained on, the others tested on.

    Nothing where a class has one source; a pair without splits is passed over. See `source_splits`.
    """
    reals, fakes = dataset.sources_of(REAL), dataset.sources_of(FAKE)
    for pair in product(reals, fakes) if len(reals) > 1 < len(fakes) else ():
        trained, tested = list(pair), [name for name in reals + fakes if name not in pair]
        if splits := source_splits(dataset, trained, tested, test_share, n_splits, seed):
            yield trained, tested, splits


def held_out_rows(sources: Sequence, groups: Sequence, test_share: float, seed: int) -> np.ndarray:
    """Return which rows a split may test on: whole groups only, drawn alike from all sources.

    Parameters
    ----------
    sources, groups : (n_rows,) str
        Groups that have rows of the same sources form a stratum: images of their own (each a group) are stratified by
        source, photographs that stand in every source form one stratum.
    test_share : float
        Of the groups of each stratum; at least one of them, never all. The only one of its stratum is trained on.
    seed : int

    Returns
    -------
    ndarray of bool, (n_rows,)
        The others are the rows to train on.

    Raises
    ------
    ExperimentError
        Nothing of a source can be tested: its rows are of one group, which cannot stand on both sides.
    """
    names, group_numbers = np.unique(groups, return_inverse=True)
    source_names, source_numbers = np.unique(sources, return_inverse=True)
    presence = np.zeros((len(names), len(source_names)), dtype=bool)
    presence[group_numbers, source_numbers] = True
    strata = np.unique(presence, axis=0, return_inverse=True)[1].ravel()
    random = np.random.default_rng(seed)
    in_test = np.zeros(len(names), dtype=bool)
    for stratum in range(strata.max() + 1):
        members = random.permutation(np.flatnonzero(strata == stratum))
        if len(members) > 1:
            in_test[members[: np.clip(round(test_share * len(members)), 1, len(members) - 1)]] = True
    for source, own_groups in enumerate(presence.T):
        if not in_test[own_groups].any():
            group, name = (printable(str(text)) for text in (names[own_groups][0], source_names[source]))
            raise ExperimentError(f"{group} is the only group of {name}: it cannot stand on both sides of a split")
    return in_test[group_numbers]


def held_out_identities(
    labels: np.ndarray, identities: Sequence[set[str]], test_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows may be trained and tested on so that no person stands on both sides.

    A fake shows two identities, the target's and the source's, and few sets fall into parts that share none: so whole
    identities are drawn for the test, and a fake whose two fall on different sides is left out.

    Parameters
    ----------
    labels : (n_rows,) REAL or FAKE
    identities : (n_rows,) sets of str, none empty
    test_share : float
        Of the identities. They are drawn a fake at a time, both of its identities together, so that fakes are left.
    seed : int

    Returns
    -------
    may_train, may_test : ndarray of bool, (n_rows,)
        Rows with neither are the ones left out.

    Raises
    ------
    ExperimentError
        No draw in 1,000 left both classes on both sides.
    """
    random = np.random.default_rng(seed)
    fakes = sorted({tuple(sorted(identities[row])) for row in np.flatnonzero(labels == FAKE)})
    n_wanted = max(2, round(test_share * len(set().union(*identities))))
    for _ in range(1000):
        tested = set()
        for number in random.permutation(len(fakes)):
            if len(tested) >= n_wanted:
                break
            tested |= set(fakes[number])
        may_test = np.array([own <= tested for own in identities])
        may_train = np.array([own.isdisjoint(tested) for own in identities])
        if all(np.any(side & (labels == label)) for side in (may_train, may_test) for label in (REAL, FAKE)):
            return may_train, may_test
    raise ExperimentError("no draw of identities leaves real and fake videos on both sides")


def equal_split(
    sources: np.ndarray, may_train: np.ndarray, may_test: np.ndarray, n_samples: int, test_share: float, seed: int
) -> Split:
    """Return a split of at most `n_samples` rows, equal numbers of every source on either side.

    Parameters
    ----------
    sources : (n_rows,) str
    may_train, may_test : (n_rows,) bool
    n_samples : int
        In total. Where a source has too few rows on one side, all sources get fewer there.
    test_share : float
    seed : int
    """
    names = np.unique(sources)
    n_each = n_samples // len(names)
    n_test = np.clip(round(test_share * n_each), 1, n_each - 1)
    n_train = n_each - n_test
    return Split(
        _equal_rows(sources, names, may_train, n_train, seed), _equal_rows(sources, names, may_test, n_test, seed)
    )


def _equal_rows(sources, names, allowed, n_wanted, seed):
    """Return rows drawn from those allowed, the same number (`n_wanted` if there are as many) of each named source."""
    random = np.random.default_rng(seed)
    candidates = [random.permutation(np.flatnonzero(allowed & (sources == name))) for name in names]
    n_each = min(n_wanted, *map(len, candidates))
    return np.sort(np.concatenate([rows[:n_each] for rows in candidates]))


def leave_one_part_out(identities: Sequence[frozenset[str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the splits that leave out each of the parts into which people fall, once: nobody stands on both sides.

    A part is closed: no video shows somebody of one part and somebody of another. FaceForensics++ comes in pairs.

    Parameters
    ----------
    identities : (n_rows,) frozensets of str, none empty

    Returns
    -------
    list of (may train, may test), each (n_rows,) bool
        One for each part; a single one where everybody is linked to everybody.
    """
    part_of_row = linked_people(identities)
    return [(part_of_row != part, part_of_row == part) for part in range(part_of_row.max() + 1)]


def linked_people(identities: Sequence[frozenset[str]]) -> np.ndarray:
    """Return the number of the part, see `leave_one_part_out`, that each row's people are of, (n_rows,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(set().union(*identities))
    number_of = {name: number for number, name in enumerate(names)}
    pairs = {(number_of[min(own)], number_of[name]) for own in identities for name in own}
    first, second = np.array(sorted(pairs)).T
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(names), len(names)))
    part_of_name = connected_components(links, directed=False)[1]
    return np.array([part_of_name[number_of[min(own)]] for own in identities])
