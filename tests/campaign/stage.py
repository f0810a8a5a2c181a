"""Where an attack takes place: a copy of the code under attack, and small inputs for a quick run of each script."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from campaign.running import PYTHON, Ended, Fault, changed, faults_of, fingerprint, run_watched
from pictures import picture, write_source
from video_clips import write_clip

QUICK_DATA = ("--data-dir", "../mine", "--real-sources", "real", "--fake-sources", "fake", "--n-splits", 2)
QUICK_TRAINING = (*QUICK_DATA, "--sample-sizes", 20, "--both-altered", "--output-dir", "../out")
QUICK = {  # script: flags of a run of a few seconds, which reads and writes beside the code
    "train_faces_hq": QUICK_TRAINING,
    "train_celeba": (*QUICK_TRAINING, "--fakes-altered", "--n-bins", 20),
    "train_deepfake_detection": ("--frames-dir", "../frames", "--sample-sizes", 20, "--n-splits", 2, "--n-bins", 9,
                                 "--output-dir", "../out"),
    "extract_video_frames": ("--videos-dir", "../clips", "--frames-dir", "../out", "--frames-per-video", 3,
                             "--face-detector", "centre"),
    "detect_fakes": ("--plot", "--csv", "../out/a.csv", "--json", "../out/a.json", "--output-dir", "../out"),
    "audit_dataset": (*QUICK_DATA, "--output-dir", "../out"),
    "measure_robustness": (*QUICK_DATA, "--n-samples", 20, "--panels", "jpeg {90,50}", "crop {50}%",
                           "--trained-altered", "blur 1", "--learning-altered", "--learning-sizes", 10,
                           "--output-dir", "../out"),
    "compare_features": (*QUICK_DATA, "--n-samples", 20, "--both-altered", "jpeg 75", "--output-dir", "../out"),
    "train_resaved": ("--data-dir", "../mine", "--real-sources", "real", "real_2", "--fake-sources", "fake", "fake_2",
                      "--n-bins", 9, "--trained", "jpeg 90", "jpeg 60", "--tested", "jpeg 50",
                      "--output-dir", "../out"),
    "draw_spectrum": ("--output-dir", "../out"),
    "compare_with_paper": ("--output-dir", "../out"),
    "benchmark_spectrum": ("--n-images", 2, "--side", 64, "--n-repeats", 1, "--output-dir", "../out"),
}  # fmt: skip
PICTURES = tuple(f"../mine/real/{number:03}.png" for number in range(3))
JUDGE_FLAGS = ("--judge", "--spectra")  # of detect_fakes.py, today and formerly
LATER = ("--report", "../out/a.html", "--stability", "--describe")  # likewise, today


def outputs(folder: Path) -> dict[str, bytes]:
    """Return {path: content} of the visible files under a folder, less the times at which they were made."""
    times = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|/CreationDate \(D:\d+[^)]*\)|\"mtime_ns\": \d+"
    return {
        str(path.relative_to(folder)): re.sub(times, b"", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


class Case(NamedTuple):
    """What one attack has shown."""

    number: int
    what: str
    faults: list[Fault]
    seconds: float
    n_bytes: int


class Stage:
    """A folder with the code, and inputs beside it; `renew` puts back all that an attack has changed.

    code/       the scripts and modules under attack, not under git
    mine/       real/, real_2/, fake/ and fake_2/, 12 pictures each
    clips/      real/ and fake/, 4 clips each, and frames/, their crops
    judge       what a training run leaves for detect_fakes.py
    """

    def __init__(
        self, folder: Path, repository: Path, seed: int = 0, numbers: Iterable[int] = (), only: Sequence[str] = QUICK
    ):
        self.folder, self.seed, self.numbers, self._only = folder, seed, set(numbers), only
        self.code, self.out = folder / "stage/code", folder / "stage/out"
        self._repository, self._master = repository, folder / "master"

    @property
    def room(self) -> Path:
        """Where code, inputs and outputs lie side by side."""
        return self.folder / "stage"

    def renew(self) -> None:
        """Put code and inputs back as they were, and remove all else."""
        if not self._master.is_dir():
            self._set_up()
        shutil.rmtree(self.room, ignore_errors=True)
        shutil.copytree(self._master, self.room, symlinks=True)
        for path in self._master.rglob("*"):  # a folder of crops knows its videos by their times
            shutil.copystat(path, self.room / path.relative_to(self._master), follow_symlinks=False)

    def run(self, script: str, *words, before: Sequence = (), **options) -> Ended:
        """Run a script of the code under attack, behind other words if need be; options as of `run_watched`."""
        return run_watched([*before, PYTHON, f"{script}.py", *words], self.code, **options)

    def case(self, number, what, script, words=None, statuses=(0, 1, 2), *, untouched=(), says="", **options) -> Case:
        """Run a script and judge it by the rules.

        Parameters
        ----------
        number, what : int, str
            Of the case.
        script : str
        words : sequence, optional
            Its command line; default that of a quick run.
        statuses : sequence of int
            Exit statuses that are right here.
        untouched : sequence of Path
            Files and folders in which nothing may be changed or removed.
        says : str
            Pattern of what it must print unless it ends with another status than 0.
        options
            See `run`.
        """
        before = fingerprint(*untouched)
        ended = self.run(script, *(self.words(script) if words is None else words), **options)
        faults = faults_of(ended, f"{script}.py", statuses) + changed(before, fingerprint(*untouched))
        if says and ended.status == 0 and not re.search(says, ended.text, re.I):
            faults.append(Fault("silent", f"not a word of {says}"))
        if self.canary.exists():
            faults.append(Fault("executed", what))
        return Case(number, f"{script}: {what}", faults, ended.seconds, ended.n_bytes)

    @property
    def canary(self) -> Path:
        """A file that only something that should never be run would write."""
        return self.room / "canary"

    def words(self, script: str) -> tuple:
        """Return what to call a script with for a quick run."""
        if script == "detect_fakes":
            return (*QUICK[script], *self.later_words, *self.judge_words, *PICTURES)
        return (*QUICK[script], *PICTURES) if script == "draw_spectrum" else QUICK.get(script, ())

    @cached_property
    def scripts(self) -> list[str]:
        """The scripts to be attacked: those of the code that a quick run is known of, or fewer."""
        return [script for script in QUICK if script in self._only and (self._repository / f"{script}.py").exists()]

    @cached_property
    def judge_words(self) -> tuple:
        """The flag of detect_fakes.py that names who judges, with the judge of this stage."""
        flag = next(flag for flag in JUDGE_FLAGS if flag in self.flags("detect_fakes"))
        return (flag, "../judge.safetensors")

    @cached_property
    def later_words(self) -> tuple:
        """What detect_fakes.py is asked for beside its verdicts."""
        return LATER if LATER[0] in self.flags("detect_fakes") else ()

    def flags(self, script: str) -> dict[str, str]:
        """Return {flag: what it takes, as `--help` shows it} of a script."""
        ended = self.run(script, "--help", env=os.environ | {"COLUMNS": "1000"})
        lines = re.findall(r"^  (?:-h, )?(--[\w-]+)(?:, --no-[\w-]+)?(?: (\S.*?))?(?:  .*)?$", ended.out.decode(), re.M)
        return {flag: takes for flag, takes in lines if flag != "--help"}

    def chosen(self, items: Iterable) -> Iterator[tuple]:
        """Yield (number, item, random numbers of its own) of the items to be tried."""
        for number, item in enumerate(items):
            if not self.numbers or number in self.numbers:
                yield number, item, self.random(number)

    def random(self, number: int) -> np.random.Generator:
        """Return the random numbers of a case, the same whenever it is run."""
        return np.random.default_rng([self.seed, number])

    def _set_up(self):
        """Make the folder that all stages are copies of."""
        master = self._master
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self._repository / "deepfake_spectra", master / "code/deepfake_spectra", ignore=hidden)
        for path in self._repository.glob("*.py"):
            shutil.copy(path, master / "code")
        for path in self._repository.glob("plots/**/*_results.json"):  # of compare_with_paper.py
            copied = master / "code" / path.relative_to(self._repository)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)
        for source, seed, blur in (("real", 0, 1.0), ("fake", 100, 1.5), ("real_2", 200, 1.0), ("fake_2", 300, 1.5)):
            write_source(master / "mine" / source, 12, first_seed=seed, blur=blur)
        for number in range(8):
            frames = np.stack([picture(100 * number + frame, (64, 64)) for frame in range(8)])
            write_clip(master / "clips" / ("real", "fake")[number % 2] / f"{number}.mp4", frames)
        self._prepare_by_running(master)

    def _prepare_by_running(self, master):
        """Let the code under attack make crops, a judge, and the built-in sample."""
        shutil.rmtree(self.room, ignore_errors=True)
        master.rename(self.room)
        self.run("extract_video_frames", "--videos-dir", "../clips", "--frames-dir", "../frames", "--frames-per-video",
                 4, "--face-detector", "centre")  # fmt: skip
        self.run("train_faces_hq", *QUICK["train_faces_hq"])
        judges = [*self.out.glob("*_judge.safetensors"), *self.code.glob("data/spectra/*.safetensors")]
        shutil.copy(judges[0], self.room / "judge.safetensors")
        shutil.rmtree(self.out)
        shutil.rmtree(self.code / "data")
        self.room.rename(master)
