"""A campaign for the next fault: spoilt files, kills, full disks, hostile names and wrong calls, by the thousand.

    python tests/fault_campaign.py                                  # all of it, some two hours on two cores; Linux only
    python tests/fault_campaign.py --only pictures --n-images 500
    python tests/fault_campaign.py --scripts audit_dataset          # attacks on runs and by data, of that script alone
    python tests/fault_campaign.py --case pictures/1234             # one case again, its folder kept
    python tests/fault_campaign.py --repository DIR                 # another checkout, say of a year ago
    python tests/fault_campaign.py --report docs/faults.md          # its table is added, with date and commit

No part of the tests, which take two minutes; all inputs are made here, no data set is read, nothing but copies of the
code is written to. Each case runs a script as a user would, under limits of time and memory, and is judged by the
rules of `campaign.running.KINDS`. Prints each fault with the number of its case, and in the end a table of cases,
faults, the longest time and the most memory. Status 1 if there was a fault.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script of tests/ sees that folder alone

from campaign import attacks_by_data, attacks_on_readers, attacks_on_runs  # noqa: E402
from campaign.running import KINDS  # noqa: E402
from campaign.stage import QUICK, Stage  # noqa: E402

from deepfake_spectra.errors import UsageError  # noqa: E402
from deepfake_spectra.files import check_outputs, write_text  # noqa: E402
from deepfake_spectra.settings import read_settings, run  # noqa: E402

# what is attacked
REPOSITORY: Path = Path(".")  # checkout whose scripts are run, copied
ONLY: tuple[str, ...] = ()  # names of attacks; none: all
SCRIPTS: tuple[str, ...] = ()  # whose runs and data are attacked, without .py; none: all
CASE: tuple[str, ...] = ()  # cases to run again, as pictures/1234

# how much
N_IMAGES: int = 5000  # spoilt pictures
N_VIDEOS: int = 500  # spoilt clips
N_KILLS: int = 50  # kills, dealt to all scripts in turn
N_SIGNALS: int = 100  # interrupts, likewise
N_MOMENTS: int = 10  # at which the disk is full, of each script
N_FLIPS: int = 10  # of bits, of each kind of file that is not a picture or a clip
N_CALLS: int = 1000  # at the most, drawn of all that the flags and constants give
SEED: int = 0  # draws everything; the same seed gives the same cases

# output
REPORT: Path | None = None  # add the table to that page

ATTACKS = attacks_on_readers.ATTACKS | attacks_by_data.ATTACKS | attacks_on_runs.ATTACKS
HOW_MANY = {
    "pictures": "n_images", "clips": "n_videos", "kills": "n_kills", "signals": "n_signals", "disk": "n_moments",
    "calls": "n_calls",
}  # fmt: skip
REPORT_TITLE = "# What the fault campaign found\n"


def chosen_cases(settings):
    """Return {attack: numbers of its cases}, an empty set for all of them."""
    chosen = {name: set() for name in settings.only or (() if settings.case else ATTACKS)}
    for text in settings.case:
        name, _, number = text.partition("/")
        if not number.isdecimal():
            raise UsageError(f"CASE is {text!r}: expected an attack and a number, as pictures/1234")
        chosen.setdefault(name, set()).add(int(number))
    if unknown := chosen.keys() - ATTACKS:
        raise UsageError(f"unknown attack {sorted(unknown)[0]!r}: expected some of {', '.join(ATTACKS)}")
    if unknown := set(settings.scripts) - QUICK.keys():
        raise UsageError(f"unknown script {sorted(unknown)[0]!r}: expected some of {', '.join(QUICK)}")
    return chosen


def run_attack(name, numbers, folder, settings):
    """Run the cases of an attack, print each fault as it is found, and return the cases."""
    stage = Stage(folder, settings.repository, settings.seed, numbers, settings.scripts or QUICK)
    n_cases = getattr(settings, HOW_MANY.get(name, "n_flips"))
    cases, start = [], time.monotonic()
    for case in ATTACKS[name](stage, n_cases):
        cases.append(case)
        for fault in case.faults:
            print(f"{name}/{case.number}  {fault.kind}  {case.what}: {fault.detail}", flush=True)
        if settings.case:
            cost = f"{case.seconds:.1f} s, {case.n_bytes >> 20} MiB"
            print(f"{name}/{case.number}  {len(case.faults)} faults, {cost}: {case.what}")
    n_faulty = sum(bool(case.faults) for case in cases)
    print(f"{name}: {n_faulty} of {len(cases)} cases at fault, {(time.monotonic() - start) / 60:.0f} min", flush=True)
    return cases


def table(found):
    """Return a Markdown table of attacks: cases, faults by kind, the worst costs."""
    lines = [
        "| attack | cases | at fault | faults | longest, s | most memory, MiB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cases in found.items():
        kinds = Counter(kind for case in cases for kind in {fault.kind for fault in case.faults})
        listed = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()) or "none"
        seconds = max((case.seconds for case in cases), default=0)
        n_bytes = max((case.n_bytes for case in cases), default=0)
        n_faulty = sum(bool(case.faults) for case in cases)
        lines.append(f"| {name} | {len(cases)} | {n_faulty} | {listed} | {seconds:.1f} | {n_bytes >> 20} |")
    return "\n".join(lines)


def page_head():
    """Return what stands above the tables of all campaigns: the attacks, and what counts as a fault."""
    attacks = "\n".join(f"* **{name}**: {attack.__doc__.splitlines()[0]}" for name, attack in ATTACKS.items())
    kinds = "\n".join(f"* **{kind}**: {meaning}." for kind, meaning in KINDS.items())
    return (
        f"{REPORT_TITLE}\n"
        "`python tests/fault_campaign.py --report docs/faults.md` adds a table; costs are of the worst file or run.\n\n"
        f"{attacks}\n\nFaults:\n\n{kinds}\n"
    )


def section(found, settings):
    """Return the part of the page on this campaign."""
    import cv2
    import numpy
    import PIL

    asked = ["git", "-C", settings.repository, "describe", "--always", "--dirty=+changes"]
    commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "no commit"
    versions = f"OpenCV {cv2.__version__}, NumPy {numpy.__version__}, Pillow {PIL.__version__}"
    return (
        f"\n## {time.strftime('%Y-%m-%d')}, {commit}\n\nSeed {settings.seed}; Python {platform.python_version()}, "
        f"{versions}, {platform.system()}.\n\n{table(found)}\n"
    )


def main():
    settings = read_settings(__name__)
    chosen = chosen_cases(settings)
    if settings.report:
        check_outputs([(settings.report, rb"\A" + REPORT_TITLE.encode())])  # not after two hours
    folder = Path(tempfile.mkdtemp(prefix="fault_campaign-"))
    found = {}
    try:
        for name, numbers in chosen.items():
            found[name] = run_attack(name, numbers, folder, settings)
    finally:
        if settings.case:
            print(f"{folder / 'stage'}: as the last case left it")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(found))
    if settings.report:
        before = settings.report.read_text(encoding="utf-8") if settings.report.exists() else page_head()
        write_text(settings.report, before + section(found, settings))
    return 1 if any(case.faults for cases in found.values() for case in cases) else 0


if __name__ == "__main__":
    run(main)
