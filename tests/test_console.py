"""What cannot be printed ends no run: its files are written, its status is right."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import linux_only

from deepfake_spectra.console import PLAIN, Console
from deepfake_spectra.files import REPOSITORY

SAID = "73.9 ± 1.2 (58–87), café, 人"
PROGRAM = f"""
import os, sys
from contextlib import suppress
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.settings import run

def main():
    print({SAID!r})
    with open(sys.argv[1], "w") as file:
        with suppress(OSError):
            os.write(2, b"a library's own warning")
        file.write("the result")
    if len(sys.argv) > 2:
        raise ExperimentError("café")

run(main)
"""


@pytest.fixture
def run_saying(tmp_path):
    """Return a function that runs PROGRAM and gives its status, its bytes on stdout and stderr, and its file."""

    def run_saying(*words, encoding="utf-8", **options):
        command = [sys.executable, "-c", PROGRAM, tmp_path / "file", *words]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": REPOSITORY} | options
        ended = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": encoding}, **streams)
        error = ended.stderr and ended.stderr.removeprefix(b"a library's own warning")
        return ended.returncode, ended.stdout, error, (tmp_path / "file").read_text()

    return run_saying


@pytest.mark.parametrize(
    "encoding, written",
    [
        ("utf-8", SAID.encode()),
        ("ascii", rb"73.9 +- 1.2 (58-87), caf\xe9, \u4eba"),
        ("ascii:strict", rb"73.9 +- 1.2 (58-87), caf\xe9, \u4eba"),
        ("cp1252", "73.9 ± 1.2 (58–87), café, \\u4eba".encode("cp1252")),
        ("cp437", "73.9 ± 1.2 (58-87), café, \\u4eba".encode("cp437")),
    ],
)
def test_what_an_encoding_lacks_is_written_plainly(run_saying, encoding, written):
    assert run_saying(encoding=encoding) == (0, written + os.linesep.encode(), b"", "the result")


def test_all_that_we_print_beyond_ascii_has_something_plain_in_its_stead():
    ours = [*REPOSITORY.glob("*.py"), *(REPOSITORY / "deepfake_spectra").rglob("*.py")]
    texts = {
        node.value
        for path in ours
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {letter for letter in "".join(texts) if not letter.isascii()} <= PLAIN.keys()
    assert all(plain.isascii() for plain in PLAIN.values())


def test_undecodable_bytes_of_a_name_are_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    print("a\udcff.png", file=Console(stream), flush=True)
    assert stream.buffer.getvalue().strip() == rb"a\udcff.png"


@linux_only
def test_a_closed_stdout_ends_in_one_sentence_once_all_is_written(run_saying):
    lost = b"-c: stdout: it is closed; some of what was printed is lost, every file is written"
    status, _, error, file = run_saying(preexec_fn=lambda: os.close(1))
    assert (status, error.strip(), file) == (1, lost, "the result")


@linux_only
@pytest.mark.parametrize("closed", [(2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("words, status", [((), 0), (("fails",), 1)])
def test_a_closed_stderr_changes_no_status_and_gets_into_no_file(run_saying, closed, words, status):
    def close():
        for number in closed:
            os.close(number)

    ended = run_saying(*words, preexec_fn=close)
    assert ended[0] == (1 if 1 in closed else status) and ended[3] == "the result"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words, status", [((), 0), (("fails",), 1)])
def test_a_full_stderr_changes_no_status(run_saying, words, status):
    with open("/dev/full", "wb") as full:
        assert run_saying(*words, stderr=full) == (status, f"{SAID}{os.linesep}".encode(), None, "the result")
