"""A script's constants are its flags, and its failures are one sentence and an exit status."""

import errno
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import linux_only

from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.opencv import cv2
from deepfake_spectra.settings import ALLOWED_VALUES, only_one, read_settings, run, settings_record

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
def make_script(tmp_path, monkeypatch):
    """Return a function that imports a source as a script and returns its name; the current folder is its own."""

    def make_script(source):
        path = tmp_path / "measure_nothing.py"
        path.write_text(source)
        specification = importlib.util.spec_from_file_location("measure_nothing", path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, "measure_nothing", module)
        monkeypatch.setattr(sys, "argv", [str(path)])
        monkeypatch.chdir(tmp_path)
        return "measure_nothing"

    return make_script


@pytest.fixture
def script(make_script):
    """Return the name of a script with a constant of every type."""
    return make_script(SCRIPT)


def test_a_missing_package_is_known_at_the_start(script, monkeypatch, capsys):
    monkeypatch.setattr("deepfake_spectra.packages.find_spec", lambda name: name != "safetensors")
    with pytest.raises(SystemExit) as end:
        run(lambda: read_settings(script, []))
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "measure_nothing.py: No module named 'safetensors'; run: pip install -r requirements.txt\n"
    )


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
        ("--real-sources a b", "real_sources", ("a", "b")),
        ("--real-sources", "real_sources", ()),
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


@pytest.mark.parametrize(
    "line, name, value",
    [
        ("SAMPLE_SIZES: tuple[int, ...] = (120)", "sample_sizes", (120,)),  # no tuple in Python
        ("SAMPLE_SIZES: tuple[int, ...] = [100, 20]", "sample_sizes", (100, 20)),
        ("REAL_SOURCES: tuple[str, ...] = ()", "real_sources", ()),
        ('REAL_SOURCES: tuple[str, ...] = "ffhq"', "real_sources", ("ffhq",)),  # not four letters
        ('REAL_SOURCES: tuple[str, ...] = ("with space", "none")', "real_sources", ("with space", "none")),
        ("SVM_C: float = 1", "svm_c", 1.0),
        ('N_BINS: int | None = "300"', "n_bins", 300),
        ("SHIFT: int = -7", "shift", -7),
        ("DATA_DIR: Path | None = None", "data_dir", None),
        ('DATA_DIR: Path | None = "none"', "data_dir", REPOSITORY / "none"),
        ('DATA_DIR: Path | None = Path("faces")', "data_dir", REPOSITORY / "faces"),
        ('DATA_DIR: Path | None = "faces"', "data_dir", REPOSITORY / "faces"),
        ('DATA_DIR: Path | None = Path("/faces")', "data_dir", Path("/faces").absolute()),
        ('DATA_DIR: Path | None = Path("~/faces")', "data_dir", Path.home() / "faces"),
        ("PROGRESS: bool = False", "progress", False),
    ],
)
def test_a_constant_is_read_as_its_flag_is(make_script, line, name, value):
    head = SCRIPT[: SCRIPT.index("NOT_A_SETTING")]
    settings = vars(read_settings(make_script(f"{head}{line}\n"), []))
    assert settings == {name: value} and type(settings[name]) is type(value)


def test_a_path_is_taken_from_the_repository_in_a_constant_and_from_the_current_folder_in_a_flag(script, tmp_path):
    settings = read_settings(script, ["--data-dir", "faces"])
    assert (settings.data_dir, settings.output_dir) == (tmp_path / "faces", REPOSITORY / "plots")
    assert read_settings(script, ["--data-dir", "/faces"]).data_dir == Path("/faces").absolute()
    assert read_settings(script, ["--data-dir=~/faces"]).data_dir == Path.home() / "faces"


@linux_only
def test_the_home_of_nobody_is_a_folder_like_any_other(make_script, tmp_path):
    faces = "~nobody at all/faces"
    script = make_script(f'from pathlib import Path\nDATA_DIR: Path = Path("{faces}")\n')
    assert read_settings(script, []).data_dir == REPOSITORY / faces
    assert read_settings(script, [f"--data-dir={faces}"]).data_dir == tmp_path / faces


def test_positional_arguments_come_under_their_name(script, capsys):
    words = ["--sample-sizes", "8", "--", "a.png", "-b.png"]
    settings = read_settings(script, words, ("image", "what to draw"))
    assert (settings.image, settings.sample_sizes) == (("a.png", "-b.png"), (8,))
    with pytest.raises(SystemExit, match="2"):
        read_settings(script, [], ("image", "what to draw"))
    assert "the following arguments are required: IMAGE" in capsys.readouterr().err


def test_a_value_out_of_range_is_a_usage_error(make_script):
    name = make_script('"""Nothing."""\nN_SPLITS: int = 2\nN_BINS: int | None = None\n')
    with pytest.raises(UsageError, match="^N_SPLITS is 0: expected 1 to 1000$"):
        read_settings(name, ["--n-splits", "0"])
    assert read_settings(name, ["--n-bins", "2"]).n_bins == 2


@pytest.mark.parametrize(
    "name, allowed, refused",
    [
        ("MAX_UNREADABLE", (0, 0.01, 1), (-0.1, 1.1, float("nan"))),
        ("N_BINS", (2, 722, 10000), (1, 0, -1, 10001, 30000000)),
        ("TEST_SHARE", (0.01, 0.99), (0, 1, -1, float("nan"))),
        ("SAMPLE_SIZES", ((1,), (4000, 20)), ((), (20, 0), (-1,))),
        ("N_SPLITS", (1, 10, 1000), (0, -1, 1001)),
        ("SVM_C", (1e-6, 6.37, 1e6), (0, -1, 1e308, float("inf"), float("nan"))),
        ("LOGISTIC_MAX_ITER", (1, 10**6), (0, 99999999999)),
        ("FACE_MARGIN", (0.1, 1.3, 10), (0, -1, float("inf"), float("nan"))),
        ("BETAS", ((0.5, 0.99), (0, 0)), ((0.5,), (0.5, 1), (0.5, float("nan")), (float("nan"), 0.5))),
        ("CUT_OFF", (0, 0.99), (1, -0.1, float("nan"))),
        ("SIDE", (9, 1024), (8, 10**9)),
        ("JPEG_QUALITY", (1, 100), (0, 101)),
        ("SEED", (0, 2**32 - 1), (-1, 2**32)),
        ("N_THREADS", (-1, 1, 1024), (0, -2, 100000)),
    ],
)
def test_ranges_hold_at_their_ends(name, allowed, refused):
    expected, is_allowed = ALLOWED_VALUES[name]
    assert all(map(is_allowed, allowed)) and not any(map(is_allowed, refused)) and expected


def test_every_number_that_a_script_can_be_given_has_a_range():
    scripts = [*REPOSITORY.glob("*.py"), REPOSITORY / "deepfake_spectra/sample/train.py"]
    assignments = re.compile(r"^([A-Z_0-9]+): (?:int|float|tuple\[int|tuple\[float)\b", re.MULTILINE)
    numbers = {name for script in scripts for name in assignments.findall(script.read_text(encoding="utf-8"))}
    assert {"N_BINS", "SVM_C", "SAMPLE_SIZES", "BETAS"} <= numbers <= ALLOWED_VALUES.keys()


def test_only_one_of_several_may_be_named():
    only_one(DATA_DIR=None, PUBLISHED_FEATURES=None)
    only_one(DATA_DIR=Path("faces"), PUBLISHED_FEATURES=None)
    with pytest.raises(UsageError, match="^found both DATA_DIR and PUBLISHED_FEATURES: name one of them$"):
        only_one(DATA_DIR=Path("faces"), PUBLISHED_FEATURES=Path("a.pkl"))


LOST = {
    "in the middle": ("N_BINS: int | None =", "N_BINS =", ""),
    "first, asked for": ("SAMPLE_SIZES: tuple[int, ...] =", "SAMPLE_SIZES =", "settings.sample_sizes"),
    "last, asked for": ("PROGRESS: bool =", "PROGRESS =", "settings.progress"),
    "not there, asked for": ("NOT_A_SETTING", "NOT_A_SETTING", "settings.seed"),
}


@pytest.mark.parametrize("where", LOST)
def test_a_constant_without_annotation_ends_the_run_where_the_script_wants_a_setting(make_script, where):
    old, new, use = LOST[where]
    name = make_script(f"{SCRIPT.replace(old, new)}\ndef main(settings):\n    return {use or None}\n")
    expected = use.removeprefix("settings.").upper() or "N_BINS"
    with pytest.raises(UsageError, match=f"^{expected} has lost its .*`{expected}: type = value`$"):
        read_settings(name, [])


def test_a_constant_apart_from_the_settings_needs_no_annotation(make_script):
    source = SCRIPT + "\nPAPERS = 7\ndef main(settings):\n    return settings.paths, PAPERS, NOT_A_SETTING\n"
    assert "papers" not in vars(read_settings(make_script(source), ["a.png"], ("paths", "what to judge")))


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
        ("--data-dir=", "invalid Path value: ''"),  # of a shell variable without a value: not the current folder
        ("--data-dir a\0b", "invalid Path value: 'a\\x00b'"),
        ("--n-bins " + "9" * 5000, "9 ... 9"),
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


def test_a_line_break_in_a_flag_leaves_the_sentence_on_one_line(script, capsys):
    with pytest.raises(SystemExit):
        read_settings(script, ["two\nlines"])
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("value", ["10**5000", "(10**5000,)", "object()", '"a\\0b"', '""', "{}", "float('nan')"])
@pytest.mark.parametrize("annotation", ["int", "float | None", "tuple[int, ...]", "Path", "tuple[Path, ...]", "bool"])
def test_a_constant_of_any_value_is_read_or_refused_in_a_sentence(make_script, capsys, annotation, value):
    script = make_script(f"from pathlib import Path\nVALUE: {annotation} = {value}\n")
    with pytest.raises(SystemExit) as end:
        run(lambda: print(read_settings(script, []).value))
    output, error = capsys.readouterr()
    assert (end.value.code, error.count("\n"), output == "") in ((2, 1, True), (0, 0, False)) and len(error) < 1200


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
    assert record["OUTPUT_DIR"] == "plots" and record["DATA_DIR"] == "../shared"
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
        (raising(ImportError("No module named 'numpy'")), 1, "No module named 'numpy'; run: pip install -r req"),
        (raising(MemoryError()), 1, "not enough memory; lower N_THREADS"),
        (lambda: bytes(2**60), 1, "not enough memory; lower N_THREADS"),
        (lambda: np.empty(2**50), 1, "not enough memory; lower N_THREADS"),
        (raising(RuntimeError("can't start new thread")), 1, "not enough memory; lower N_THREADS"),
        (raising(cv2.error("OpenCV(5.0) alloc.cpp: error: (-4:Insufficient memory) 9")), 1, "not enough memory"),
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


def test_what_a_run_leaves_open_is_closed_before_its_sentence_is_printed(script, capsys):
    def keep():
        try:
            yield
        finally:
            print("kept", file=sys.stderr)

    def main():
        results = keep()
        next(results)
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        run(main)
    assert capsys.readouterr().err.splitlines()[0] == "kept"


@pytest.mark.parametrize("exception", [ValueError("a defect"), OSError("a defect")])
def test_run_lets_a_defect_through_whole(exception):
    with pytest.raises(type(exception)) as caught:
        run(raising(exception))
    assert caught.value is exception


PRINT = {  # few lines stay in Python's buffer until the end
    "few lines": "lambda: print('line')",
    "many lines": "lambda: print('line\\n' * 10**5)",
    "help": "lambda: (print('line'), sys.exit(0))",  # as argparse ends
}


def run_printing(what, **options):
    """Start a program that prints lines once it is told to; its output is buffered, as it is in a pipe by default."""
    program = f"import sys; from deepfake_spectra.settings import run; input(); run({PRINT[what]})"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, env=environment, **streams, **options)


@pytest.mark.parametrize("what", PRINT)
def test_a_reader_that_leaves_is_no_traceback(what):
    with run_printing(what, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("what", PRINT)
def test_a_full_output_is_one_sentence(what):
    with open("/dev/full", "w") as full, run_printing(what, stdout=full) as process:
        process.stdin.write("\n")
        process.stdin.close()
        error = process.stderr.read()
    assert process.returncode == 1 and error.count("\n") == 1 and "No space left on device" in error
