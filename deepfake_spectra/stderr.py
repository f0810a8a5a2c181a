"""stderr is Python's alone: what C libraries print of a broken file names no file, and hides what does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def libraries_silent() -> Iterator[None]:
    """Send what C libraries print on stderr nowhere, in all threads; what Python prints goes where it went before.

    Several files are decoded at once, so this holds for a whole run: around one decoding, it would take what others
    print meanwhile. Where stderr is closed, or stands for something else, as in a test, nothing is done.
    """
    stderr = sys.stderr
    try:
        number = os.dup(stderr.fileno()) if stderr.fileno() == 2 else None
    except (AttributeError, OSError, ValueError):
        number = None
    if number is None:
        yield
        return
    sys.stderr = open(number, "w", buffering=1, encoding=stderr.encoding, errors=stderr.errors)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(number, 2)
        with suppress(OSError):  # a full disk: what could not be written is lost
            sys.stderr.close()
        sys.stderr = stderr
