"""What C libraries print on stderr does not reach the terminal during a run; what Python prints does."""

import subprocess
import sys

import pytest

from deepfake_spectra.files import REPOSITORY

PROGRAM = """
import os, subprocess, sys
from deepfake_spectra.stderr import libraries_silent

def library(word):
    os.write(2, (word + "\\n").encode())

library("before")
try:
    with libraries_silent():
        library("libpng warning")
        print("é: a sentence", file=sys.stderr)
        raise ValueError
except ValueError:
    print("ended", file=sys.stderr)
library("after")
"""


def ran(program, **streams):
    """Return how a program ended, and what it printed on stderr."""
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **streams,
    )


def test_within_a_run_python_is_heard_and_libraries_are_not():
    done = ran(PROGRAM)
    assert (done.returncode, done.stderr.splitlines()) == (0, ["before", "é: a sentence", "ended", "after"])


@pytest.mark.parametrize("stream", ["None", "io.StringIO()", "open(os.devnull, 'w')"])
def test_where_stderr_is_closed_or_something_else_nothing_is_changed(stream):
    program = (
        f"import io, os, sys; terminal = sys.stderr; sys.stderr = {stream}\n" + PROGRAM.partition('library("before')[0]
    )
    done = ran(program + "with libraries_silent(): library('heard')")
    assert (done.returncode, done.stderr) == (0, "heard\n")
