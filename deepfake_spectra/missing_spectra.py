"""What the cache lacks is measured: by threads here, by one of several processes, or by the workers of a dask cluster.

All of them write the same shards into the same folder, so that a run that began in one way may end in another.
"""

import logging
import platform
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from deepfake_spectra.dataset import Feature
from deepfake_spectra.errors import ExperimentError, UnreadableImage
from deepfake_spectra.files import display_path, listed
from deepfake_spectra.measurement import measure_features
from deepfake_spectra.packages import LatePackage, require
from deepfake_spectra.parallel import in_threads
from deepfake_spectra.spectrum_cache import FileKey, SpectrumCache, measured_by

FILES_PER_TASK = 128  # of dask: about a second of work
TASKS_AHEAD = 512  # that the scheduler knows of at a time
PATIENCE = 30  # seconds that a scheduler has to answer in, and a worker to join it

distributed = LatePackage(lambda: import_module("distributed"))


class Outcome(NamedTuple):
    """What came of measuring."""

    n_files: int  # that had to be decoded
    n_computed: int  # spectra of these, one of each feature that was lacking
    unreadable: dict[str, str]  # path -> reason, of files that gave no spectrum


def falls_to(part: str, path: str) -> bool:
    """Tell whether a file is one of those that a process shall measure which is, say, "3/16": the third of sixteen."""
    number, n_parts = map(int, part.split("/"))
    return zlib.crc32(path.encode("utf-8", "surrogateescape")) % n_parts == number - 1


def measure_missing(
    folder: Path,
    keys: Sequence[FileKey],
    caches: Sequence[SpectrumCache],
    title: str,
    n_threads: int = -1,
    scheduler: str | None = None,
) -> Outcome:
    """Bring into the caches what they lack of some files, decoding each file once for all of them.

    Parameters
    ----------
    folder : Path
        That the paths of the keys begin from.
    keys : sequence of FileKey
    caches : sequence of SpectrumCache
        In one folder, one for each feature.
    title : str
        Of the progress bar.
    n_threads : int
        -1: one per core.
    scheduler : str, optional
        Of dask, whose workers then do the work.

    Raises
    ------
    ExperimentError
        The scheduler or a worker cannot be used.
    KeyboardInterrupt
        With a word on what is kept; finished spectra are written before it leaves.
    """
    lacking = _lacking(folder, keys, caches, n_threads)
    if scheduler:
        work = _by_dask(folder, caches, lacking, scheduler)
    else:
        work = _by_threads(folder, caches, lacking, n_threads)
    unreadable = {}
    n_known = len(keys) - len(lacking)
    progress = tqdm(total=len(keys), initial=n_known, unit="image", desc=title, disable=None, smoothing=0.05)
    with progress, closing(work):
        for n_files, reasons in work:
            progress.update(n_files)
            unreadable |= reasons
    return Outcome(len(lacking), sum(map(len, lacking.values())), unreadable)


def _lacking(folder, keys, caches, n_threads):
    """Return {key: numbers of the caches that lack it}, after taking over what is there under another path or time."""
    lacking = {}
    for number, cache in enumerate(caches):
        missing = [key for key, length in zip(keys, cache.lengths(keys)) if not length]
        if missing and cache.adopt(folder, missing, n_threads):
            missing = [key for key, length in zip(missing, cache.lengths(missing)) if not length]
        for key in missing:
            lacking.setdefault(key, []).append(number)
    return lacking


def _by_threads(folder, caches, lacking, n_threads) -> Iterator[tuple[int, dict[str, str]]]:
    """Measure files here; yield (1, {path: reason} if it gave no spectrum) for each of them."""

    def measured(key):
        return measure_features(folder / key.path, [caches[number].feature for number in lacking[key]])

    results = in_threads(measured, lacking, n_threads)
    try:
        for (key, numbers), found in zip(lacking.items(), results):
            unreadable = {}
            for number, result in zip(numbers, found, strict=True):
                if isinstance(result, UnreadableImage):
                    unreadable.setdefault(key.path, str(result))
                else:
                    caches[number].add(key, result)
            yield 1, unreadable
    except KeyboardInterrupt:
        _flush(caches)
        n_kept = sum(cache.n_written for cache in caches)
        raise KeyboardInterrupt(f"{n_kept} new spectra are kept in {display_path(caches[0].folder)}") from None
    finally:
        results.close()
        _flush(caches)


def _flush(caches):
    """Write what is still in memory."""
    for cache in caches:
        cache.flush()


def measure_task(
    lacking: dict[FileKey, list[int]],
    folder: Path,
    cache_dir: Path,
    features: Sequence[Feature],
    client_measures: dict[str, str],
) -> dict[str, str]:
    """Measure some files on a worker, write their spectra and return {path: reason} of those that gave none.

    Raises
    ------
    ExperimentError
        The worker sees another disk than the client, or measures by other code or packages.
    """
    worker = f"the dask worker on {platform.node()}"
    if not folder.is_dir():
        raise ExperimentError(
            f"{display_path(folder)}: not there for {worker}; workers need the same folders as the run"
        )
    if differing := [name for name, found in measured_by().items() if client_measures.get(name) != found]:
        raise ExperimentError(f"{worker} has another {listed(differing)} than this run; install the same there")
    caches = [SpectrumCache(cache_dir, feature) for feature in features]
    unreadable = {}
    for _, reasons in _by_threads(folder, caches, lacking, n_threads=1):
        unreadable |= reasons
    return unreadable


def _by_dask(folder, caches, lacking, scheduler) -> Iterator[tuple[int, dict[str, str]]]:
    """Have files measured by the workers of a cluster; yield (number of files, {path: reason} of those without).

    What travels is names: the workers read the files and write the shards.
    """
    if not lacking:
        return
    client = _connect(scheduler)
    items = iter(lacking.items())
    batches = iter(lambda: dict(islice(items, FILES_PER_TASK)), {})
    cache_dir = caches[0].folder
    shared = (folder.resolve(), cache_dir.resolve(), [cache.feature for cache in caches], measured_by())

    def submitted(n_tasks):
        return {client.submit(measure_task, batch, *shared, pure=False): batch for batch in islice(batches, n_tasks)}

    n_done, running = 0, {}
    try:
        running |= submitted(TASKS_AHEAD)
        finished = distributed.as_completed(running)
        for future in finished:
            batch = running.pop(future)
            unreadable = _result(future, batch, scheduler)
            n_done += len(batch)
            yield len(batch), unreadable
            running |= (more := submitted(1))
            finished.update(more)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"spectra of {n_done} files are new and kept in {display_path(cache_dir)}") from None
    finally:
        client.cancel(list(running))
        client.close()


def _connect(scheduler):
    """Return a client of a scheduler that has a worker."""
    require("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it has its own way to say what `_result` says
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise ExperimentError(f"{scheduler}: no dask scheduler answers there ({type(error).__name__})") from None
    try:
        client.wait_for_workers(1, PATIENCE)
    except TimeoutError:
        client.close()
        raise ExperimentError(f"{scheduler}: has no worker; start one: python -m dask worker {scheduler}") from None
    try:
        is_there = client.run(find_spec, __package__).values()
    except (distributed.CancelledError, distributed.comm.CommClosedError):
        client.close()
        raise _lost(scheduler) from None
    if None in is_there:  # the names of our types would end that worker
        client.close()
        raise ExperimentError(f"a dask worker has no {__package__}; start it in the repository's folder")
    return client


def _lost(scheduler):
    """Return the error of a scheduler that answers no more."""
    return ExperimentError(f"{scheduler}: lost; what was measured is kept, run again")


def _result(future, batch, scheduler):
    """Return what a task returned, or end the run in a sentence."""
    try:
        return future.result()
    except distributed.KilledWorker:
        names = [key.path for key in batch]
        raise ExperimentError(
            f"workers died again and again, measuring {listed(names)}; see what they printed"
        ) from None
    except (distributed.CancelledError, distributed.comm.CommClosedError):
        raise _lost(scheduler) from None
    except ModuleNotFoundError as error:
        raise ExperimentError(f"a dask worker has no {error.name}; install what requirements-dask.txt names") from None
