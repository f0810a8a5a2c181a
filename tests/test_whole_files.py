"""A file holds the old content or the new one, whatever interrupts the writing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deepfake_spectra.files import whole_file

WRITE_HALF_AND_WAIT = """
import sys, time
from pathlib import Path
from deepfake_spectra.files import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the n")
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    """Return a file that holds "old"."""
    path = tmp_path / "results.json"
    path.write_text("old")
    return path


def test_a_finished_block_replaces_the_file_and_leaves_nothing_else(path):
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent and temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_the_folder_is_made(tmp_path):
    path = tmp_path / "plots" / "drawn" / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(path, exception):
    with pytest.raises(exception), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise exception
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_leaves_the_old_file_and_the_next_run_writes_the_new_one(path):
    command = [sys.executable, "-c", WRITE_HALF_AND_WAIT, path]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    with whole_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_two_files_of_one_suffix_can_be_open_at_once(tmp_path):
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    with whole_file(first) as temporary_first, whole_file(second) as temporary_second:
        temporary_first.write_text("first")
        temporary_second.write_text("second")
    assert (first.read_text(), second.read_text()) == ("first", "second")
