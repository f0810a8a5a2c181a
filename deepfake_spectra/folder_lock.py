"""One process at a time writes into a folder; the next is told who does."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.files import display_path

LOCK_NAME = ".lock"
WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}  # some file systems of clusters


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder, made if need be, for this process alone until the block ends.

    The lock is the system's own, on the file `.lock`, and goes when its process does, however that ends. The file
    says who holds it: for the sentence that the others get, and for a word after one that was killed.

    Raises
    ------
    ExperimentError
        Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    try:
        file = _open_locked(path)
    except BlockingIOError:
        raise ExperimentError(
            f"{display_path(folder)}: {_read_holder(path) or 'another process'} is writing there; wait until it has "
            "ended and run the same command again, or name another folder"
        ) from None
    except OSError as error:
        error.filename = str(folder)  # not the lock's, of which nobody knows
        raise
    try:
        if killed := _read_holder(path):
            print(f"{display_path(folder)}: {killed} did not end by itself; going on from what it left")
        file.truncate(0)
        with suppress(OSError):  # a full disk: it will be said of a file that matters
            text = f"process {os.getpid()} on {socket.gethostname()}, started {datetime.now():%Y-%m-%d %H:%M:%S},"
            file.write(text.encode())
        yield
    finally:
        if os.name != "nt":  # while we hold it: a moment later it may be another's
            path.unlink(missing_ok=True)
        file.close()
        if os.name == "nt":  # there an open file cannot be removed, so that another's stays
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _open_locked(path):
    """Return the lock file, opened and locked; BlockingIOError where another process has locked it."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            _lock(file)
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    return file
        except OSError:
            file.close()
            raise
        file.close()  # its holder removed it after we had opened it


def _lock(file):
    """Lock an open file, or raise BlockingIOError; a file system that has no locks is trusted."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(2**30)  # a byte far behind the text, which the others are to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):  # as Windows puts it
            raise BlockingIOError from None
        if error.errno not in WITHOUT_LOCKS:
            raise


def _read_holder(path):
    """Return what a lock file says of who holds it, or held it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone, or not ours to read
        return ""
