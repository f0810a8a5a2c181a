"""stdout and stderr that never end a run: its results are files, whatever becomes of what it prints."""

import codecs
import errno
import os
import sys
from typing import TextIO

PLAIN = {"±": "+-", "–": "-", "…": "...", "×": "x"}  # what stands for that which we print beyond ASCII


def signed(sentence: str) -> str:
    """Return a sentence behind the name of the script that runs, as every line of ours on stderr begins."""
    return f"{os.path.basename(sys.argv[0])}: {sentence}"


class Console:
    """stdout or stderr; what its encoding lacks is written plainly, what cannot be written at all is dropped.

    Parameters
    ----------
    stream : file or None
        None where it was closed before the script was started.

    Attributes
    ----------
    error : OSError or None
        Why something was dropped.
    """

    def __init__(self, stream: TextIO | None):
        self.error = None
        if stream is None:
            _take_closed_numbers()
            self.error = OSError(errno.EBADF, "it is closed")
            stream = open(os.devnull, "w", encoding="utf-8")
        if hasattr(stream, "reconfigure"):  # which a text in memory, that any character fits, has not
            stream.reconfigure(errors="plain")
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it; return its length."""
        self._attempt(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Have written what is still held back."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def _attempt(self, write, *text):
        """Write; if that fails, note why, and send what the stream still holds, and all that follows, nowhere."""
        try:
            write(*text)
        except OSError as error:
            self.error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _take_closed_numbers():
    """Open the null device under the numbers of closed standard streams, lest a file of results gets one of them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _plain(error):
    """Return what stands for characters that an encoding lacks; `\\xe9` and the like for those not in PLAIN."""
    text = error.object[error.start : error.end]
    plain = (PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in text)
    return "".join(plain), error.end


codecs.register_error("plain", _plain)
