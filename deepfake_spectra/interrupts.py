"""Ctrl-C, a kill or a closed terminal ends a script without a traceback, from its first import to its last moment.

While a script is loaded there is nothing to lose, and it ends on the spot. While it runs, the first signal raises
KeyboardInterrupt, so that what was begun is ended and kept; those that follow while this goes on are impatience.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
WINDING_UP = 15  # seconds; later signals are heard again, lest one that got lost leaves the run deaf

_last = SimpleNamespace(number=None, time=-WINDING_UP)  # signal that was heard


def is_script() -> bool:
    """Return whether this process was started as one of our scripts, and is no test of them and no worker of one."""
    if sys.argv[0] == "-m":  # the package of what is started is loaded before the name of that is known
        return True
    started = getattr(sys.modules["__main__"], "__file__", None) or ""
    return os.path.dirname(os.path.abspath(started)) == os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def end_at_once() -> None:
    """From now on Ctrl-C ends this process with one sentence.

    The other signals end it already, and without Python's help, which a library that hangs while it is loaded needs.
    """
    _set_handlers(_end, [signal.SIGINT])


def raise_first() -> None:
    """From now on the first signal raises KeyboardInterrupt in the main thread."""
    _set_handlers(_raise)
    sys.unraisablehook = _raise_again


@contextmanager
def held_back() -> Iterator[None]:
    """Hear a signal only when the block has ended: what it writes belongs together."""
    came = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    _set_handlers(lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def ignore() -> None:
    """From now on no signal does anything: the run is over."""
    _set_handlers(signal.SIG_IGN)


def received() -> int | None:
    """Return the number of the signal that was heard; None if there was none."""
    return _last.number


def _set_handlers(handler, numbers=SIGNALS):
    """Have signals handled so, but for those that whoever started us wants ignored, as nohup does."""
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _end(number, _):
    """End without another line of Python: raised amid an import, an exception comes out as another."""
    ignore()
    try:
        os.write(2, f"{os.path.basename(sys.argv[0])}: interrupted; nothing was begun\n".encode())
    finally:
        os._exit(128 + number)


def _raise(number, _):
    """Raise KeyboardInterrupt, unless one is on its way already."""
    if time.monotonic() - _last.time >= WINDING_UP:
        _last.number, _last.time = number, time.monotonic()
        raise KeyboardInterrupt


def _raise_again(unraisable):
    """Have a KeyboardInterrupt come again that Python could not raise, since it came amid the removal of an object."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    import threading  # here, since this module is loaded before there is any protection

    _last.time = -WINDING_UP
    # on Windows `os.kill` ends a process at once; elsewhere `raise_signal` would not wake the main thread
    again = signal.raise_signal if os.name == "nt" else partial(os.kill, os.getpid())
    threading.Timer(0.01, again, [_last.number]).start()
