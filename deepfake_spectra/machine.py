"""What a measurement of speed was made on, and by which command: numbers without it mean nothing."""

import os
import platform
import re
import shlex
import sys
from pathlib import Path

from deepfake_spectra.packages import versions


def machine(*packages: str) -> str:
    """Return the processor, the number of cores, how busy they are, ours included, and the versions of packages."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    named = ", ".join(f"{package} {version}" for package, version in versions(*packages).items() if version)
    return f"{processor()}, {os.cpu_count()} cores{load}; {named}"


def processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def command_line() -> str:
    """Return the command that started this run, to be pasted into a shell."""
    return f"python {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}"
