"""A command run under limits of time and memory, and the rules by which it is at fault."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

KINDS = {  # of faults, and what each means
    "traceback": "Python's own report of an error reaches the user",
    "crash": "ended by a signal that nobody sent",
    "hang": "not ended within the limit of time",
    "memory": "more memory than the limit",
    "status": "another exit status than documented",
    "wordless": "an exit status other than 0, and no sentence on stderr",
    "library's line": "a line on stderr that is not the script's own",
    "raw name": "a control character on the terminal, a formula in a CSV, or markup in a page",
    "partial name": "a temporary name, or none at all, where the user's should stand",
    "input changed": "a file that is not an output was changed, replaced or removed",
    "half written": "an output that is neither the old one nor the whole new one",
    "other result": "not the result of an undisturbed run",
    "executed": "something in a file was run",
    "silent": "accepted, or ended with status 0, without a word on what is wrong",
}
NOT_PRINTABLE = re.compile(  # the last turn text around
    rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]"
)
PYTHON = sys.executable
POLL = 0.02  # seconds between two looks at a process


class Fault(NamedTuple):
    """One broken rule."""

    kind: str  # of KINDS
    detail: str


class Limits(NamedTuple):
    """What one command, or one file, may cost."""

    seconds: float = 120
    n_bytes: int = 2 << 30  # resident


LIMITS = Limits()


class Ended(NamedTuple):
    """How a command ended; status None: killed at a limit."""

    status: int | None
    out: bytes
    err: bytes
    seconds: float
    n_bytes: int  # resident, at the most
    beyond: str = ""  # "hang" or "memory"

    @property
    def text(self) -> str:
        """All that it printed."""
        return (self.out + self.err).decode(errors="replace")


def run_watched(
    words: Sequence, folder: Path, limits: Limits = LIMITS, signals: Iterable[tuple] = (), **options
) -> Ended:
    """Run a command in a folder, send it (seconds, signal) in turn, end it at a limit, and return how it ended.

    `options` go to `subprocess.Popen`; stdout and stderr are read back unless they are given there.
    """
    with (folder / ".out").open("w+b") as out, (folder / ".err").open("w+b") as err:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err} | options
        start = time.monotonic()
        process = subprocess.Popen(list(map(str, words)), cwd=folder, start_new_session=True, **streams)
        try:
            most, beyond = _wait(process, limits, sorted(signals))
        finally:  # also where the campaign itself is interrupted
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        beyond = beyond or ("memory" if most > limits.n_bytes else "")
        found = None if beyond else process.returncode
        return Ended(found, out.read(1 << 20), err.read(1 << 20), seconds, most, beyond)


def _wait(process, limits, signals):
    """Wait for a process, send it signals, end it at a limit; return its most memory and the limit passed."""
    start, most, beyond = time.monotonic(), 0, ""
    while True:
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)  # Popen did not see it end
            return most, beyond
        seconds = time.monotonic() - start
        most = max(most, peak_bytes(process.pid))
        while signals and signals[0][0] <= seconds:
            os.killpg(process.pid, signals.pop(0)[1])
        beyond = beyond or beyond_limits(limits, seconds, most)
        if beyond:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(POLL)


def beyond_limits(limits: Limits, seconds: float, n_bytes: int) -> str:
    """Return "hang" or "memory" where a limit is passed, "" otherwise."""
    return "hang" if seconds > limits.seconds * slowness() else "memory" if n_bytes > limits.n_bytes else ""


def slowness() -> float:
    """Return how much longer things take than on an idle machine: the work per core, ours included."""
    return max(1, os.getloadavg()[0] / os.cpu_count())


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process has had, 0 where there is none.

    Its program's own: what the system says at its end counts what its parent had when it was started, too.
    """
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) << 10
    return 0


def forget_peak(pid: int) -> None:
    """Let `peak_bytes` of a process begin anew."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def faults_of(ended: Ended, script: str, statuses: Sequence[int] = (0,)) -> list[Fault]:
    """Return the rules that a script broke by how it ended and what it printed.

    Parameters
    ----------
    ended : Ended
    script : str
        File name: with it, and a colon, begins every line that the script may write on stderr.
    statuses : sequence of int
        Exit statuses that are right here.
    """
    if ended.beyond:
        cost = f"{ended.seconds:.0f} s" if ended.beyond == "hang" else f"{ended.n_bytes / 2**30:.1f} GiB"
        return [Fault(ended.beyond, cost), *_faults_of_text(ended, script)]
    faults = []
    if ended.status < 0 and ended.status not in statuses:
        faults.append(Fault("crash", signal.Signals(-ended.status).name))
    elif ended.status not in statuses:
        faults.append(Fault("status", f"{ended.status}, not {' or '.join(map(str, statuses))}: {last_line(ended)}"))
    if ended.status > 0 and not ended.err.strip():
        faults.append(Fault("wordless", f"status {ended.status}"))
    return faults + _faults_of_text(ended, script)


def _faults_of_text(ended, script):
    """Return the rules that what was printed breaks, one fault of each kind at the most."""
    faults = []
    lines = ended.err.decode(errors="replace").splitlines()
    if any(words in ended.text for words in ("Traceback (most", "Exception ignored", "Fatal Python error")):
        faults.append(Fault("traceback", last_line(ended)))
    elif foreign := [line for line in lines if line.strip() and not line.startswith(f"{script}: ")]:
        faults.append(Fault("library's line", f"{foreign[0]!r}"))
    if found := NOT_PRINTABLE.search(ended.out + ended.err):
        faults.append(Fault("raw name", f"{found[0]!r}"))
    if ".partial-" in ended.text or f"{script}: a file: " in ended.text:
        faults.append(Fault("partial name", last_line(ended)))
    return faults


def last_line(ended: Ended) -> str:
    """Return the last line on stderr, printable."""
    lines = ended.err.decode(errors="replace").strip().splitlines()
    return ascii(lines[-1])[1:-1][:300] if lines else "nothing on stderr"


def fingerprint(*paths: Path) -> dict[str, str]:
    """Return {path: what is there} of files, and of all that lies under folders; links are not followed."""
    found = {}
    for path in paths:
        for item in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
            found[str(item)] = _content(item)
    return found


def _content(path):
    """Return a text that changes when a file does."""
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else "other" if path.exists() else "nothing"


def changed(before: dict[str, str], after: dict[str, str]) -> list[Fault]:
    """Return a fault if something that was there is not there any more, or is something else."""
    lost = [path for path, content in before.items() if after.get(path) != content]
    more = f" and {len(lost) - 1} more" if lost[1:] else ""
    return [Fault("input changed", f"{ascii(lost[0])[1:-1]}{more}")] if lost else []
