"""Work in processes of its own: what it returns and took is its own, and nothing of it is left running."""

import os
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import linux_only

from deepfake_spectra.errors import ExperimentError, UsageError
from deepfake_spectra.fresh_processes import in_fresh_processes


@contextmanager
def slowly_prepared(seconds):
    """Take long before the work, and behind it; print amid it."""
    time.sleep(0.5)

    def work():
        print("this is seen nowhere")
        time.sleep(seconds)
        return os.getpid()

    yield work
    time.sleep(0.5)


def test_work_is_done_in_processes_of_its_own_at_the_same_time_and_what_is_around_it_is_not_timed(capfd):
    done = in_fresh_processes(slowly_prepared, [(0.2,), (0.3,)])
    assert len({one.value for one in done} | {os.getpid()}) == 3
    assert 0.2 <= done[0].seconds and 0.3 <= done[1].seconds and all(one.cpu_seconds < 0.2 for one in done)
    assert sum(one.seconds for one in done) < 1  # of which the sleeps around would be two
    assert capfd.readouterr() == ("", "")


@contextmanager
def filled(n_bytes):
    """Fill memory and let it go."""
    yield lambda: int(np.ones(n_bytes, np.uint8).sum())


@linux_only
def test_the_peak_of_one_process_is_not_the_next_ones():
    [large] = in_fresh_processes(filled, [(300_000_000,)])
    [small] = in_fresh_processes(filled, [(1000,)])
    assert (large.value, small.value) == (300_000_000, 1000)
    assert 250_000_000 < large.peak_bytes - small.peak_bytes < 350_000_000


@contextmanager
def failing(error, pid_file):
    """Raise, or be killed, while another one works."""
    pid_file.write_text(str(os.getpid()))

    def work():
        while error is None:
            time.sleep(0.05)
        if error is KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGKILL)
        raise error("what was wrong")

    yield work


def test_an_error_of_the_work_comes_out_as_it_is(tmp_path):
    with pytest.raises(UsageError, match="^what was wrong$"):
        in_fresh_processes(failing, [(UsageError, tmp_path / "pid")])


@linux_only
def test_a_process_that_is_killed_ends_the_run_in_a_sentence_and_the_others_with_it(tmp_path):
    with pytest.raises(ExperimentError, match="^failing: its process was killed, most likely for want of memory"):
        in_fresh_processes(failing, [(None, tmp_path / "waits"), (KeyboardInterrupt, tmp_path / "killed")])
    if (tmp_path / "waits").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "waits").read_text()), 0)
