"""Work on several threads: in order, in full, and over when it is said to be over."""

import signal
import threading
import time

import pytest
from conftest import linux_only

from deepfake_spectra import parallel
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


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_travels(n_threads):
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 / number, [1, 0, *range(100)], n_threads))


def test_one_slow_item_holds_up_no_other_thread():
    gate = threading.Event()

    def work(number):
        return gate.wait(10) if number == 0 else (gate.set() if number == 7 else None)

    assert list(in_threads(work, range(8), 2))[0] is True


@linux_only
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_main_thread_hears_a_signal_while_an_item_takes_long(n_threads, monkeypatch):
    def on_alarm(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "PATIENCE", 0.1)
    gate = threading.Event()
    former = signal.signal(signal.SIGALRM, on_alarm)
    started = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            list(in_threads(lambda _: gate.wait(10), range(4), n_threads))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        gate.set()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("end", ["closed", "interrupted"])
def test_when_it_ends_early_no_thread_is_left_and_what_was_begun_is_ended(end):
    begun, ended, gate = [], [], threading.Event()

    def work(number):
        begun.append(number)
        assert number == 0 or gate.wait(10)
        ended.append(number)

    threads_before = set(threading.enumerate())
    results = in_threads(work, range(1000), 2)
    next(results)
    threading.Timer(0.1, gate.set).start()  # while somebody waits for the threads, which wait for the gate
    if end == "closed":
        results.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
    assert set(threading.enumerate()) <= threads_before
    assert sorted(begun) == sorted(ended) and len(ended) < 20
