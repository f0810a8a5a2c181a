"""Files are written whole or not at all, replace only earlier ones of ours, and have names that a terminal can show."""

import csv
import hashlib
import io
import os
import re
import struct
import tempfile
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError

from deepfake_spectra.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[1]
QUOTED_RESULTS = "plots/reference"  # in the repository: what the README quotes, which no run may change
SIGNATURE = "deepfake-spectra"  # in the metadata of every figure
FIGURE_MARK = rb"Software\0deepfake-spectra|/Creator \(deepfake-spectra\)"  # as PNG and PDF hold it
DAMAGED_NPZ = (  # what `numpy.load`, and the first look at its arrays, end in where a file is not as it was written
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError, OverflowError, MemoryError,
    RuntimeError, SyntaxError, TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
FORMULA_STARTS = tuple("=+-@\t\r")  # of a cell that a spreadsheet would run


def check_outputs(outputs: Sequence[tuple[Path, bytes]], inputs: Iterable[Path] = ()) -> None:
    """End the run, before anything is computed, where its outputs cannot be written or would harm the user's files.

    Parameters
    ----------
    outputs : sequence of (path, mark)
        All files that the run may write, and for each a regular expression that is found in earlier outputs of its
        kind: a file that is there without it is somebody else's, and not replaced.
    inputs : iterable of Path
        Files that are read, and folders of which every file is.

    Raises
    ------
    UsageError
        An output is named twice, is or lies in an input, lies among the results that the README quotes, is no regular
        file, or is there and not ours.
    OSError
        Its folder cannot be made, or written into.
    """
    n_named = Counter(path for path, _ in outputs)
    read = {_real(path) for path in inputs}
    quoted = _real(REPOSITORY / QUOTED_RESULTS)
    for path, mark in outputs:
        found, real = display_path(path), _real(path)
        around = [real, *real.parents]
        if n_named[path] > 1:
            raise UsageError(f"{found}: named twice; name a file of its own for each output")
        if path.is_dir():
            raise UsageError(f"{found}: a folder; name a file")
        if not read.isdisjoint(around):
            raise UsageError(f"{found}: is, or lies in, what is read; name another place for what is written")
        if quoted in around:
            raise UsageError(f"{found}: lies among the results that the README quotes; name another folder")
        if path.exists() and not _holds(path, mark):
            raise UsageError(f"{found}: is there, and no earlier output of this kind; move it away, or name another")
    for folder in dict.fromkeys(path.parent for path, _ in outputs):
        _try_to_write_into(folder)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, and move it to `path` when the block ends well.

    The folder is made if need be. Whatever happens inside the block, a kill included, `path` holds either what it held
    before or the complete new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:10]  # which itself may leave no room for more
    temporary = path.with_name(f".partial-{os.getpid()}-{threading.get_ident()}-{name}{path.suffix[-20:]}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # a full disk names none, and the temporary name means nothing to anybody
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, the same bytes on every system; a name in it that is not valid Unicode keeps its own."""
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def csv_text(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Return a table, or without a header more of its rows, as CSV; for texts like formulas see `from_cell`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if header:
        writer.writerow(header)
    writer.writerows([_as_cell(value) if isinstance(value, str) else value for value in row] for row in rows)
    return text.getvalue()


def from_cell(cell: str) -> str:
    """Return the text that `csv_text` wrote as this cell; one that a spreadsheet would run got an apostrophe."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_STARTS) else cell


def _as_cell(text):
    """Return a text as a cell that no spreadsheet takes for a formula; a text and its apostrophe stay apart."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA_STARTS) else text


def printable(name: str) -> str:
    """Return a name on one line: as it is, or with quotes, line breaks and undecodable bytes escaped."""
    return name if name.isprintable() else repr(str(name))[1:-1]  # a name out of an array is an np.str_


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a printable, comma-separated text, cut after a few."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more


def display_path(path: Path) -> str:
    """Return a path as a reader of the terminal wants it: printable, from the current folder if it lies below."""
    return printable(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def repository_path(path: Path) -> str:
    """Return a path as seen from the repository, "/" between folders; absolute where it lies on another drive."""
    try:
        return Path(os.path.relpath(path, REPOSITORY)).as_posix()
    except ValueError:
        return str(path)


def figure_name(path: Path) -> str:
    """Return a name for a file's figure that no other file's has, that every system takes and no shell misreads."""
    stem = re.sub(r"[^\w.-]+", "_", path.stem).lstrip("-.")[:50]
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:10]
    return f"{stem}-{digest}.png"


def figure_title(path: Path) -> str:
    """Return a file's name for a figure."""
    return shortened(path.name)


def shortened(text: str, most: int = 80) -> str:
    """Return a text, printable, and with its middle left out where a figure has no room for it."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most * 5 // 8]} … {text[-(most * 5 // 16) :]}"


def _real(path):
    """Return where a path leads to; unlike `Path.resolve` without an error where links go in a circle."""
    return Path(os.path.realpath(path))


def _holds(path, mark):
    """Return whether a file, unpacked if it is gzip, has what the expression `mark` looks for."""
    if not path.is_file():  # a device, a pipe
        return False
    with path.open("rb") as file:
        content = file.read(2**24)  # a PDF has its metadata near its end
    if content.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content[:4096])
    return re.search(mark, content) is not None


def _try_to_write_into(folder):
    """Make a file in a folder, or where it would have to be made, that goes again: what would fail later fails now."""
    try:
        existing = next(part for part in (folder, *folder.parents) if part.exists())
        with tempfile.TemporaryFile(dir=existing, prefix=".partial-"):
            pass
    except OSError as error:
        error.filename = str(folder)
        raise
