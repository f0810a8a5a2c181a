"""A file holds the old content or the new one, whatever interrupts the writing; names fit terminals and figures."""

import csv
import errno
import gzip
import io
import ntpath
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import linux_only
from matplotlib.figure import Figure

from deepfake_spectra.errors import UsageError
from deepfake_spectra.files import (
    FIGURE_MARK,
    REPOSITORY,
    check_outputs,
    csv_text,
    display_path,
    figure_name,
    figure_title,
    from_cell,
    printable,
    repository_path,
    shortened,
    whole_file,
    write_text,
)
from deepfake_spectra.plots import new_figure

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
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
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


@linux_only
def test_a_name_as_long_as_the_system_takes_can_be_written(tmp_path):
    path = tmp_path / ("\N{GRINNING FACE}" * 62 + ".txt")  # 252 bytes of 255
    write_text(path, "whole")
    assert path.read_text() == "whole"


def test_two_threads_can_write_one_file_at_once(path):
    def write(text):
        with whole_file(path) as temporary:
            temporary.write_text(text)
            barrier.wait()  # both have written, none has moved

    barrier = threading.Barrier(2, timeout=10)
    threads = [threading.Thread(target=write, args=[text]) for text in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("first", "second") and list(path.parent.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file_and_not_its_temporary_name(path):
    with pytest.raises(OSError) as caught, whole_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    (path.parent / "folder").mkdir()
    with pytest.raises(OSError) as caught, whole_file(path.parent / "folder") as temporary:
        temporary.write_text("new")
    assert caught.value.filename == str(path.parent / "folder")


def test_a_name_that_is_no_unicode_keeps_its_bytes_in_a_text_file(path):
    write_text(path, "Zoë \udcff\n")
    assert path.read_bytes() == "Zoë ".encode() + bytes([255, 10])


def test_a_text_file_has_the_same_bytes_on_every_system(path):
    write_text(path, "one\ntwo\r\n")
    assert path.read_bytes() == b"one\ntwo\r\n"


def test_a_path_on_another_drive_stays_absolute(monkeypatch):
    monkeypatch.setattr(os.path, "relpath", ntpath.relpath)  # Windows's; it raises ValueError
    assert repository_path(Path("D:/faces")) == "D:/faces"


# --- what may be written where


MARK = rb"\Aours"


@linux_only
@pytest.mark.parametrize(
    "name, sentence",
    [
        ("folder", "folder: a folder; name a file"),
        ("read.png", "read.png: is, or lies in, what is read"),
        ("link.png", "link.png: is, or lies in, what is read"),
        ("source/deeper/new.txt", "new.txt: is, or lies in, what is read"),
        ("link to source/new.txt", "new.txt: is, or lies in, what is read"),
        ("repository/plots/reference/new.txt", "new.txt: lies among the results that the README quotes"),
        ("theirs.txt", "theirs.txt: is there, and no earlier output of this kind"),
        ("theirs.gz", "theirs.gz: is there, and no earlier output of this kind"),
        ("empty.txt", "empty.txt: is there, and no earlier output of this kind"),
        ("pipe", "pipe: is there, and no earlier output of this kind"),
    ],
)
def test_an_output_replaces_nothing_that_is_not_ours_and_lies_in_nothing_that_is_read(
    name, sentence, tmp_path, monkeypatch
):
    monkeypatch.setattr("deepfake_spectra.files.REPOSITORY", tmp_path / "repository")
    for folder in ("folder", "source/deeper"):
        (tmp_path / folder).mkdir(parents=True)
    for file, text in {"read.png": "", "theirs.txt": "not ours", "theirs.gz": "\x1f\x8b", "empty.txt": ""}.items():
        (tmp_path / file).write_text(text, encoding="latin-1")
    (tmp_path / "link.png").symlink_to("read.png")
    (tmp_path / "link to source").symlink_to("source")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=re.escape(sentence)):
        check_outputs([(tmp_path / name, MARK)], [tmp_path / "read.png", tmp_path / "source"])
    assert sorted(tmp_path.rglob("*")) == before


def test_an_earlier_output_may_be_replaced_packed_or_not(tmp_path):
    (tmp_path / "a.txt").write_text("ours, of yesterday")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"ours, of yesterday"))
    check_outputs([(tmp_path / name, MARK) for name in ("a.txt", "b.gz", "new/c.txt")], [tmp_path / "elsewhere"])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.gz"]
    with pytest.raises(UsageError, match="a.txt: named twice"):
        check_outputs([(tmp_path / "a.txt", MARK), (tmp_path / "a.txt", MARK)])


def test_a_folder_that_cannot_be_written_into_is_named_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        check_outputs([(tmp_path / "file/x.txt", MARK)])
    assert caught.value.filename == str(tmp_path / "file")

    def fail(**options):
        raise OSError(errno.EROFS, "Read-only file system", "/tmp/.partial-xyz")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)  # root may write anywhere
    with pytest.raises(OSError) as caught:
        check_outputs([(tmp_path / "x.txt", MARK)])
    assert caught.value.filename == str(tmp_path)


def test_a_figure_bears_its_mark_as_png_and_as_pdf(tmp_path):
    with new_figure(tmp_path / "a.png", 1):
        pass
    for path in (tmp_path / "a.png", tmp_path / "a.pdf"):
        check_outputs([(path, FIGURE_MARK)])
    Figure().savefig(tmp_path / "a.png")  # somebody else's, by matplotlib, too
    Figure().savefig(tmp_path / "a.pdf")
    for path in (tmp_path / "a.png", tmp_path / "a.pdf"):
        with pytest.raises(UsageError, match="no earlier output"):
            check_outputs([(path, FIGURE_MARK)])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@", "'x", "x=1", "", "'"])
def test_a_cell_is_no_formula_and_comes_back_as_it_was(text):
    head, [cell, number] = csv.reader(io.StringIO(csv_text(["a", "b"], [[text, -1.5]]), newline=""))
    assert head == ["a", "b"] and number == "-1.5" and from_cell(cell) == text
    assert not cell.startswith(tuple("=+-@\t\r"))
    assert (cell == text) == (not text.lstrip("'").startswith(tuple("=+-@\t\r")))


# --- names


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Zoë Bell.jpg", "Zoë Bell.jpg"),
        ("two\nlines.jpg", "two\\nlines.jpg"),
        ("bell\a.jpg", "bell\\x07.jpg"),
        ("\udcff.jpg", "\\udcff.jpg"),
        (np.str_("a\tb.jpg"), "a\\tb.jpg"),  # as it comes out of an array
    ],
)
def test_a_printable_name_is_one_line_that_every_terminal_can_show(name, shown):
    assert printable(name) == shown
    shown.encode()


def test_a_displayed_path_starts_at_the_current_folder_where_it_lies_below(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert display_path(tmp_path / "plots/a\n.png") == os.path.join("plots", "a\\n.png")
    assert display_path(tmp_path.parent / "b.png") == str(tmp_path.parent / "b.png")


def test_figures_of_files_of_one_name_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [figure_name(Path(path)) for path in ("a/x.png", "b/x.png", "a/x.jpg", "a/y.png")]
    assert len(set(names)) == 4
    assert figure_name(tmp_path / "a/x.png") == names[0]  # one file, one name, however it is called


@pytest.mark.parametrize("name", ["-dash.png", ".hidden.png", "a b'c\n$(ls).png", "\udcff.png", "あ" * 100])
def test_a_figure_has_a_name_that_every_system_takes_and_no_shell_misreads(tmp_path, name):
    figure = figure_name(Path(name))
    assert re.fullmatch(r"[\w][\w.-]*-[0-9a-f]{10}\.png", figure)
    write_text(tmp_path / figure, "")
    assert os.listdir(tmp_path) == [figure]


@pytest.mark.parametrize("most, expected", [(20, "a" * 20), (19, "a" * 11 + " … " + "a" * 5)])
def test_a_text_too_long_for_its_place_in_a_figure_is_shortened(most, expected):
    assert shortened("a" * 20, most) == expected


def test_a_figures_title_is_a_name_of_80_letters_at_most():
    assert figure_title(Path("folder/" + "a" * 76 + ".png")) == "a" * 76 + ".png"
    title = figure_title(Path("folder/" + "a" * 100 + "b" * 100 + "\n.png"))
    assert len(title) <= 80 and title.startswith("a" * 50) and title.endswith("b\\n.png")
