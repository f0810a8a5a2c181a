"""Work done in new processes, with what it took: the peak memory of a process is that of all it ever did."""

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from deepfake_spectra.errors import ExperimentError


class Done(NamedTuple):
    """What one process returned, and what it took."""

    value: object  # what the work returned
    began: float  # on a clock that all processes share, in seconds
    ended: float
    cpu_seconds: float  # of all threads, while it worked
    peak_bytes: float  # of memory, preparation included; NaN where the system does not tell

    @property
    def seconds(self) -> float:
        """How long it worked."""
        return self.ended - self.began


def in_fresh_processes(
    stage: Callable[..., AbstractContextManager[Callable[[], object]]], calls: Sequence[tuple]
) -> list[Done]:
    """Do the work of a stage in processes of their own, all at the same time; what it prints is dropped.

    Parameters
    ----------
    stage : callable
        A context manager, of a module's top level: it prepares what is not to be timed, and yields a function without
        arguments, which is.
    calls : sequence of tuple
        The arguments of the stage in each process.

    Raises
    ------
    ExperimentError
        A process was killed; or what the stage raises. All processes are over then.
    """
    context, children = multiprocessing.get_context("spawn"), {}
    try:
        with _ctrl_c_left_to_us():
            for number, arguments in enumerate(calls):
                ours, theirs = context.Pipe(duplex=False)
                children[number] = context.Process(target=_send_done, args=(theirs, stage, arguments)), ours
                children[number][0].start()
                theirs.close()
        done = {}
        while len(done) < len(calls):
            for number in children.keys() - done.keys():
                if (found := _received(*children[number])) is not None:
                    done[number] = found
        return [done[number] for number in range(len(calls))]
    except EOFError:
        raise ExperimentError(
            f"{stage.__name__}: its process was killed, most likely for want of memory; ask for less"
        ) from None
    finally:
        for process, ours in children.values():
            process.kill()
            process.join()
            ours.close()


def _send_done(pipe, stage, arguments):
    """Do the work of a stage in this process and send what it took, or its error."""
    try:
        done = timed(stage, arguments)
    except BaseException as error:
        done = error
    pipe.send(done)


def _received(process, pipe):
    """Return what a process has sent, None as long as it has not; raise its error, EOFError if it ended without one."""
    if not pipe.poll(0.1):  # by turns, since Windows hears Ctrl-C between them only
        if process.exitcode is not None and not pipe.poll():
            raise EOFError
        return None
    done = pipe.recv()
    if isinstance(done, BaseException):
        raise done
    return done


def timed(stage: Callable, arguments: tuple) -> Done:
    """Return what a stage returned and took, done in this process."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), stage(*arguments) as work:
        began, cpu_began = time.monotonic(), time.process_time()
        value = work()
        return Done(value, began, time.monotonic(), time.process_time() - cpu_began, peak_bytes())


def peak_bytes() -> float:
    """Return the most memory that this process has ever had, mapped files included; NaN where nobody tells."""
    try:  # Linux: what getrusage tells there begins with the memory of the process that started this one
        return 1024.0 * int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
    except (OSError, TypeError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


@contextmanager
def _ctrl_c_left_to_us() -> Iterator[None]:
    """Have processes that are started in the block hear no Ctrl-C, which a terminal sends to all: we end them."""
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a new process takes over
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ours)
