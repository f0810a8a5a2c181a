"""Work on several threads: in order, in full, and over when it is said to be over."""

import signal
import threading
import time

import pytest
from conftest import linux_only

from deepfake_spectra.parallel import in_threads


@pytest.mark.parametrize("n_threads", [1, 3, -1])
def test_results_come_in_the_order_of_the_items_whichever_ends_first(n_threads):
    def slower_at_first(number):
        time.sleep(0.02 if number == 0 else 0)
        return 10 * number

    assert list(in_threads(slower_at_first, range(7), n_threads)) == [0, 10, 20, 30, 40, 50, 60]


def test_several_items_are_worked_on_at_once():
    barrier = threading.Barrier(3, timeout=10)  # opens only to three at a time
    assert sorted(in_threads(lambda _: barrier.wait(), range(3), 3)) == [0, 1, 2]


def test_an_exception_travels():
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 / number, [1, 0], 2))


@linux_only
@pytest.mark.filterwarnings(r"ignore:\d+ tasks")  # joblib's, which a run does not see
@pytest.mark.parametrize("end", ["closed", "interrupted", "interrupted while it is closed"])
def test_when_it_ends_early_no_thread_is_left_and_what_was_begun_is_ended(end):
    begun, ended, gate = [], [], threading.Event()

    def work(number):
        begun.append(number)
        assert number == 0 or gate.wait(10)
        ended.append(number)

    def on_alarm(*_):  # while somebody waits for the threads, which wait for the gate
        gate.set()
        if end == "interrupted while it is closed":
            raise KeyboardInterrupt

    threads_before = set(threading.enumerate())
    former = signal.signal(signal.SIGALRM, on_alarm)
    try:
        results = in_threads(work, range(1000), 2)
        next(results)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        if end == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                results.throw(KeyboardInterrupt)
        elif end == "closed":
            results.close()
        else:
            with pytest.raises(KeyboardInterrupt):
                results.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert set(threading.enumerate()) <= threads_before
    assert sorted(begun) == sorted(ended) and len(ended) < 20
