"""Work on several files, or several fits, at once: threads, since decoding, transforms and fits release the GIL."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import joblib

warnings.filterwarnings("ignore", r"\d+ tasks", module=r"joblib\.")  # of work that Ctrl-C has cut off


def in_threads(function: Callable, items: Iterable, n_threads: int) -> Iterator:
    """Yield function(item) for each item, in order, from several threads, all of which have ended when this is closed."""
    other_threads = set(threading.enumerate())
    results = joblib.Parallel(n_jobs=n_threads, prefer="threads", return_as="generator")(
        joblib.delayed(function)(item) for item in items
    )
    try:
        yield from results
    finally:
        interrupted = False
        workers = set(threading.enumerate()) - other_threads
        for wait in (results.close, *(partial(worker.join, 10) for worker in workers)):
            try:
                wait()  # Python aborts if it ends while a thread is inside a C++ library
            except KeyboardInterrupt:  # impatience does not help
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt
