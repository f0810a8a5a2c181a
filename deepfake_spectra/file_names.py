"""Names of files as a terminal can show them, and names for the figures that are drawn of them."""

import hashlib
import os
import re
from pathlib import Path


def printable(name: str) -> str:
    """Return a name on one line, with what cannot be printed escaped."""
    return name if name.isprintable() else repr(name)[1:-1]


def shown(path: Path) -> Path:
    """Return a path as a reader of the terminal wants it: from the current folder if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def figure_name(path: Path) -> str:
    """Return a file name that no other image has, that every system takes, and that no shell reads otherwise."""
    stem = re.sub(r"[^\w.-]+", "_", path.stem).lstrip("-.")[:50]
    digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:10]
    return f"{stem}-{digest}.png"


def figure_title(path: Path) -> str:
    """Return a file's name, printable, and with its middle left out where a figure has no room for it."""
    name = printable(path.name)
    return name if len(name) <= 80 else f"{name[:50]} … {name[-25:]}"
