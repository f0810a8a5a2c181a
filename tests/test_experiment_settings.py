"""A script's constants are its flags, and its failures are one sentence and an exit status."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepfake_spectra.settings import REPOSITORY, ExperimentError, UsageError, read_settings, run, settings_record

SCRIPT = '''"""Measure 100 % of nothing.

Second paragraph.
"""
from pathlib import Path
from typing import Literal

NOT_A_SETTING = 7
SAMPLE_SIZES: tuple[int, ...] = (40, 20)  # images in total, 50 % of them real
REAL_SOURCES: tuple[str, ...] = (
    "ffhq",
    "celeba",
)  # folders of real images
TEST_SHARE: float = 0.2
N_BINS: int | None = None  # None: the shortest of the run
DATA_DIR: Path | None = None
OUTPUT_DIR: Path = Path("plots")  # where all is written
CONVENTION: Literal["published", "centred"] = "published"
PROGRESS: bool = True
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return the name under which a script with annotated constants is imported; the current folder is its own."""
    path = tmp_path / "measure_nothing.py"
    path.write_text(SCRIPT)
    specification = importlib.util.spec_from_file_location("measure_nothing", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "measure_nothing", module)
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.chdir(tmp_path)
    return "measure_nothing"


def test_without_flags_the_constants_stand(script):
    assert vars(read_settings(script, [])) == {
        "sample_sizes": (40, 20),
        "real_sources": ("ffhq", "celeba"),
        "test_share": 0.2,
        "n_bins": None,
        "data_dir": None,
        "output_dir": REPOSITORY / "plots",
        "convention": "published",
        "progress": True,
    }


@pytest.mark.parametrize(
    "flags, name, value",
    [
        ("--sample-sizes 100", "sample_sizes", (100,)),
        ("--sample-sizes 100 20 4", "sample_sizes", (100, 20, 4)),
        ("--sample-sizes", "sample_sizes", ()),
        ("--real-sources a b", "real_sources", ("a", "b")),
        ("--test-share 0.5", "test_share", 0.5),
        ("--n-bins 300", "n_bins", 300),
        ("--n-bins none", "n_bins", None),
        ("--data-dir None", "data_dir", None),
        ("--convention centred", "convention", "centred"),
        ("--progress", "progress", True),
        ("--no-progress", "progress", False),
    ],
)
def test_a_flag_has_the_type_of_its_annotation(script, flags, name, value):
    settings = vars(read_settings(script, flags.split()))
    assert settings[name] == value and type(settings[name]) is type(value)


def test_a_path_is_taken_from_the_repository_in_a_constant_and_from_the_current_folder_in_a_flag(script, tmp_path):
    settings = read_settings(script, ["--data-dir", "faces"])
    assert (settings.data_dir, settings.output_dir) == (tmp_path / "faces", REPOSITORY / "plots")
    assert read_settings(script, ["--data-dir", "/faces"]).data_dir == Path("/faces")
    assert read_settings(script, ["--data-dir", "~/faces"]).data_dir == Path.home() / "faces"


def test_positional_arguments_come_under_their_name(script):
    assert list(read_settings(script, ["a.png", "b.png"], ("image", "what to draw")).image) == ["a.png", "b.png"]
    with pytest.raises(SystemExit, match="2"):
        read_settings(script, [], ("image", "what to draw"))


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--data-folder x", "--data-folder"),
        ("--sample 100", "--sample"),  # no abbreviations: a later flag would change their meaning
        ("--sample-sizes many", "invalid int value: 'many'"),
        ("--test-share half", "invalid float value: 'half'"),
        ("--test-share none", "invalid float value: 'none'"),
        ("--n-bins 3.5", "invalid int value: '3.5'"),
        ("--convention centered", "'centered'"),
        ("--data-dir", "--data-dir"),
        ("--not-a-setting 8", "--not-a-setting"),
        ("stray.png", "stray.png"),
    ],
)
def test_a_wrong_flag_ends_in_status_2_and_one_line(script, capsys, flags, words):
    with pytest.raises(SystemExit) as end:
        read_settings(script, flags.split())
    output, error = capsys.readouterr()
    assert end.value.code == 2 and output == ""
    assert error.count("\n") == 1 and error.startswith("measure_nothing.py: ") and words in error


def test_help_shows_docstring_comments_and_defaults(script, capsys):
    with pytest.raises(SystemExit) as end:
        read_settings(script, ["--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    for words in [
        "Measure 100 % of nothing. Second paragraph.",
        "--sample-sizes [INT ...] images in total, 50 % of them real (default: 40 20)",
        "--real-sources [STR ...] folders of real images (default: ffhq celeba)",
        "--test-share FLOAT (default: 0.2)",
        "--n-bins INT None: the shortest of the run (default: None)",
        "--output-dir PATH where all is written (default: plots)",
        "--convention {published,centred} (default: published)",
        "--progress, --no-progress",
    ]:
        assert words in output


def test_the_record_is_json_without_the_place_of_the_repository(script):
    settings = read_settings(script, ["--data-dir", str(REPOSITORY.parent / "shared"), "--sample-sizes", "8"])
    record = settings_record(settings)
    assert json.loads(json.dumps(record)) == record
    assert str(REPOSITORY) not in json.dumps(record)
    assert record["OUTPUT_DIR"] == "plots" and record["DATA_DIR"] == os.path.join("..", "shared")
    assert record["SAMPLE_SIZES"] == [8] and record["N_BINS"] is None and list(record)[0] == "SAMPLE_SIZES"


def raising(exception):
    """Return a `main` that ends in the exception."""

    def main():
        raise exception

    return main


@pytest.mark.parametrize(
    "main, status, words",
    [
        (lambda: None, 0, ""),
        (lambda: 1, 1, ""),
        (raising(ExperimentError("ffhq: found 12 images, need 250")), 1, "ffhq: found 12 images, need 250"),
        (raising(UsageError("faces: no such folder")), 2, "faces: no such folder"),
        (raising(KeyboardInterrupt), 130, "interrupted; every file that was finished is kept"),
        (raising(KeyboardInterrupt("40 spectra are kept")), 130, "interrupted; 40 spectra are kept"),
        (raising(ImportError("No module named 'torch'")), 1, "No module named 'torch'; run: pip install"),
        (raising(OSError(errno.ENOSPC, "No space left on device", "a.npz")), 1, "a.npz: No space left on device"),
        (raising(OSError(errno.EIO, "Input/output error")), 1, "a file: Input/output error"),
        (raising(PermissionError(errno.EACCES, "Permission denied", "plots")), 1, "plots: Permission denied"),
    ],
)
def test_run_ends_in_the_status_and_one_sentence(script, capsys, main, status, words):
    with pytest.raises(SystemExit) as end:
        run(main)
    error = capsys.readouterr().err
    assert end.value.code == status and words in error
    assert error.count("\n") == bool(words) and error.startswith("measure_nothing.py: " if words else "")


@pytest.mark.parametrize("exception", [ValueError("a defect"), OSError("a defect"), SystemExit(3)])
def test_run_lets_a_defect_through_whole(exception):
    with pytest.raises(type(exception)) as caught:
        run(raising(exception))
    assert caught.value is exception


def run_printing(n_lines, **options):
    """Start a program that prints lines once it is told to; its output is buffered, as it is in a pipe by default."""
    program = f"from experiment_settings import run; input(); run(lambda: print('line\\n' * {n_lines}))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, env=environment, **streams, **options)


@pytest.mark.parametrize("n_lines", [1, 10**5])
def test_a_reader_that_leaves_is_no_traceback(n_lines):
    with run_printing(n_lines, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("n_lines", [1, 10**5])
def test_a_full_output_is_one_sentence(n_lines):
    with open("/dev/full", "w") as full, run_printing(n_lines, stdout=full) as process:
        process.stdin.write("\n")
        process.stdin.close()
        error = process.stderr.read()
    assert process.returncode == 1 and error.count("\n") == 1 and "No space left on device" in error
