"""Files are written whole or not at all, and named so that a terminal can show it."""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, and move it to `path` when the block ends well.

    The folder is made if need be. Whatever happens inside the block, a kill included, `path` holds either what it held
    before or the complete new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{os.getpid()}-{threading.get_ident()}-{path.name[-60:]}")
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


def printable(name: str) -> str:
    """Return a name on one line: as it is, or with quotes, line breaks and undecodable bytes escaped."""
    return name if name.isprintable() else repr(str(name))[1:-1]  # a name out of an array is an np.str_


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
    """Return a file's name, printable, and with its middle left out where a figure has no room for it."""
    name = printable(path.name)
    return name if len(name) <= 80 else f"{name[:50]} … {name[-25:]}"
