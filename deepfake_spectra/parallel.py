"""Work on several files, or several fits, at once: threads, since decoding, transforms and fits release the GIL."""

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from deepfake_spectra.packages import joblib

warnings.filterwarnings("ignore", r"\d+ tasks", module=r"joblib\.")  # of work that Ctrl-C has cut off


def in_threads(function: Callable, items: Iterable, n_threads: int) -> Iterator:
    """Yield function(item) for each item, in order, from several threads; when this is closed, all have ended."""
    _keep_freed_memory()
    other_threads = set(threading.enumerate())
    results = joblib.Parallel(n_jobs=n_threads, prefer="threads", return_as="generator")(
        joblib.delayed(function)(item) for item in items
    )
    try:
        yield from results
    finally:
        workers = set(threading.enumerate()) - other_threads
        if any([_outlast_interrupts(wait) for wait in (results.close, partial(_wait_for, workers))]):
            raise KeyboardInterrupt


def _wait_for(threads, seconds=10):
    """Wait until threads have ended; `join` will not do: interrupted, it takes a running thread for ended."""
    last = time.monotonic() + seconds
    while threads.intersection(threading.enumerate()) and time.monotonic() < last:
        time.sleep(0.01)


def _outlast_interrupts(wait):
    """Call until it returns, and return whether Ctrl-C was pressed: Python aborts if it ends amid a C++ library."""
    interrupted = False
    while True:
        try:
            wait()
            return interrupted
        except KeyboardInterrupt:  # impatience does not help
            interrupted = True


def _keep_freed_memory():
    """Let glibc keep the memory of freed arrays of up to 32 MiB for the next ones, instead of asking the system anew.

    Its threshold for that grows to the largest block that was ever freed. Reading and measuring 1024x1024 JPEGs took
    16.3 ms an image without it and 12.1 ms with it, and 459,000 page faults against 16,000.
    """
    np.empty(2**25 - 2**13, np.uint8)  # freed at once; the allocator adds a few bytes of its own
