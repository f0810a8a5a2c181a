"""Ctrl-C, a kill and a closed terminal end a script in one sentence, whenever they come and however often."""

import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import linux_only

from deepfake_spectra.files import REPOSITORY
from deepfake_spectra.interrupts import SIGNALS, held_back

pytestmark = linux_only

SCRIPT = '''"""Wait, or whatever stands below."""
from deepfake_spectra.settings import run
import time
from deepfake_spectra import parallel


def wait():
    print("ready", flush=True)
    time.sleep(20)


{body}


if __name__ == "__main__":
    run(main)
'''
WINDING_UP = """
def main():
    try:
        wait()
    except KeyboardInterrupt:
        time.sleep(0.5)
        raise KeyboardInterrupt("7 spectra are kept")
"""
TURNED_INTO_ANOTHER = """
def main():
    try:
        wait()
    except KeyboardInterrupt:
        raise ValueError("of a library that knows no better")
"""
CAUGHT_AND_FORGOTTEN = """
def main():
    try:
        wait()
    except BaseException:
        pass
"""
AMID_A_REMOVAL = """
class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(0.5)

def main():
    Slow()
    time.sleep(20)
"""
IN_A_LONG_FIT = """
parallel.PATIENCE = 0.2

def main():
    print("ready", flush=True)
    list(parallel.in_threads(time.sleep, [20, 20], n_threads=1))
"""
KEPT = "interrupted; every file that was finished is kept; run the same command again to go on"


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a script of that body, in a repository of its own, and waits until it is ready."""
    modules = REPOSITORY / "deepfake_spectra"
    shutil.copytree(modules, tmp_path / "deepfake_spectra", ignore=shutil.ignore_patterns("sample", "__pycache__"))

    def start(body, **options):
        (tmp_path / "waits.py").write_text(SCRIPT.format(body=body))
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, tmp_path / "waits.py"], **streams, **options)
        assert process.stdout.readline() == "ready\n"
        return process

    return start


def end_of(process):
    """Return the status of a process and what it wrote on stderr; it may take some seconds at most."""
    _, error = process.communicate(timeout=10)
    return process.returncode, error


def test_ctrl_c_while_a_script_is_loaded_ends_it_in_one_sentence(start):
    process = start("wait()")
    process.send_signal(signal.SIGINT)
    assert end_of(process) == (130, "waits.py: interrupted; nothing was begun\n")


@pytest.mark.parametrize("number", SIGNALS[1:])
def test_a_kill_while_a_script_is_loaded_ends_it_at_once(start, number):
    process = start("wait()")
    process.send_signal(number)
    assert end_of(process) == (-number, "")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_run_in_one_sentence(start, number):
    process = start(WINDING_UP)
    process.send_signal(number)
    sentence = "waits.py: interrupted; 7 spectra are kept; run the same command again to go on\n"
    assert end_of(process) == (128 + number, sentence)


def test_impatience_changes_nothing(start):
    process = start(WINDING_UP)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    status, error = end_of(process)
    assert status == 130 and error.count("\n") == 1 and "7 spectra are kept" in error


@pytest.mark.parametrize("body", [TURNED_INTO_ANOTHER, CAUGHT_AND_FORGOTTEN, AMID_A_REMOVAL, IN_A_LONG_FIT])
def test_a_signal_is_heard_wherever_it_comes(start, body):
    process = start(body)
    process.send_signal(signal.SIGINT)
    assert end_of(process) == (130, f"waits.py: {KEPT}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_amid_files_that_belong_together_waits_for_the_last(number):
    def on_signal(*_):
        raise KeyboardInterrupt

    former = signal.signal(number, on_signal)
    written = []
    try:
        with pytest.raises(KeyboardInterrupt):
            with held_back():
                signal.raise_signal(number)
                written.append("the table")
                signal.raise_signal(number)
                written.append("the results")
        assert written == ["the table", "the results"] and signal.getsignal(number) is on_signal
    finally:
        signal.signal(number, former)


def test_a_signal_that_the_caller_wants_ignored_stays_so(start):
    process = start(
        "def main():\n    print('ready', flush=True)\n    time.sleep(0.3)",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
    )
    process.send_signal(signal.SIGHUP)
    assert end_of(process) == (0, "")


@pytest.mark.parametrize(
    "script", sorted(path.name for path in REPOSITORY.glob("*.py") if "run(main)" in path.read_text())
)
def test_a_script_imports_first_what_hears_a_signal(script):
    lines = (REPOSITORY / script).read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if line.startswith(("import ", "from ")))
    assert first.startswith("from deepfake_spectra.settings import ")
