"""Attacks by what is read: spoilt pictures, clips, pickles, judges, caches, indices, weights."""

import csv
import io
import json
import os
import pickle
import re
import select
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from campaign.mutants import named_pictures, spoil, whole_clips, whole_pictures
from campaign.running import NOT_PRINTABLE, PYTHON, Fault, Limits, beyond_limits, forget_peak, peak_bytes
from campaign.stage import PICTURES, Case, Stage, outputs
from frames import features
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from deepfake_spectra.spectrum_cache import seal_of

PER_PICTURE = Limits(60, 7 << 28)  # 1.75 GiB, of which 0.2 are Python's and the libraries'
PER_CLIP = Limits(60, 7 << 28)
PER_BATCH = 250  # files that one process is given
CLIP_WORDS = ("--face-detector", "centre", "--frames-per-video", 3)
OF_DAMAGE = (  # of a remark on a damaged file one of these words
    r"damage|strict|cut short|truncat|incomplete|corrupt|broken|checksum|constant|missing|refuse|ends|lost|empty"
)


def pictures(stage: Stage, n: int) -> Iterator[Case]:
    """Spoilt pictures of every format, judged by detect_fakes.py; what Pillow refuses must not be judged wordlessly."""
    whole = list(whole_pictures().items())
    contents = [content for _, (_, content) in whole]
    named = list(named_pictures().items())
    stage.renew()

    def spoilt(number):
        if number < len(named):
            what, (ending, content, due) = named[number]
        else:
            random = stage.random(number)
            form, (ending, content) = whole[number % len(whole)]
            way, content = spoil(content, random, contents)
            what, due = f"{form}, {way}", False
        return number, what, _write(stage, number, ending, content), due

    files = [spoilt(number) for number, *_ in stage.chosen(range(len(named) + n))]
    for (number, what, path, due), (line, faults, seconds, n_bytes) in _judged(
        stage, files, stage.later_words, PER_PICTURE
    ):
        is_judged = line.startswith(("real ", "fake ", "unsure "))
        refusal = is_judged and (_refused_by_pillow(path) or ("the file is damaged" if due else ""))
        if refusal and not re.search(OF_DAMAGE, line.partition("[")[2]):
            faults.append(Fault("silent", f"judged without a remark; {refusal}"))
        yield Case(number, what, faults, seconds, n_bytes)
    last = len(named) + n
    if "audit_dataset" in stage.scripts and (not stage.numbers or last in stage.numbers):
        yield audited(stage, last, "all of them, audited", [spoilt(number)[2] for number in range(last)])


def audited(stage: Stage, number: int, what: str, paths: list[Path]) -> Case:
    """Audit pictures as fakes: each must be in the numbers or named."""
    for path in paths:
        os.replace(path, stage.room / "mine/fake" / path.name)
    case = stage.case(number, what, "audit_dataset", None, (0,), limits=Limits(600))
    report = stage.out / "mine_audit.json"
    found = int(json.loads(report.read_text())["sources"]["fake"]["files"]) if report.exists() else 0
    if found != 12 + len(paths):
        case.faults.append(Fault("silent", f"{12 + len(paths) - found} files neither in the numbers nor named"))
    return case


def clips(stage: Stage, n: int) -> Iterator[Case]:
    """Spoilt clips of every container, judged by detect_fakes.py, and all of them given to extract_video_frames.py."""
    stage.renew()
    whole = list(whole_clips(stage.folder).items())
    contents = [content for _, (_, content) in whole]

    def spoilt(number):
        container, (ending, content) = whole[number % len(whole)]
        way, content = spoil(content, stage.random(number), contents)
        return number, f"{container}, {way}", _write(stage, number, ending, content), False

    files = [spoilt(number) for number, *_ in stage.chosen(range(n))]
    for (number, what, _, _), (_, faults, seconds, n_bytes) in _judged(stage, files, CLIP_WORDS, PER_CLIP):
        yield Case(number, what, faults, seconds, n_bytes)
    if not stage.numbers or n in stage.numbers:
        yield extracted(stage, n, "all of them, extracted", [spoilt(number)[2] for number in range(n)])


def extracted(stage: Stage, number: int, what: str, paths: list[Path]) -> Case:
    """Extract clips as fakes: each must be in the index or named, frames of one size must stay in order."""
    fakes = stage.room / "all/fake"
    fakes.mkdir(parents=True)
    for path in paths:
        os.replace(path, fakes / path.name)
    words = ("--videos-dir", "../all", "--frames-dir", "../out", "--frames-per-video", 8, "--face-detector", "centre")
    case = stage.case(number, what, "extract_video_frames", words, (0, 1), limits=Limits(600))
    index = stage.out / "index.csv"
    rows = list(csv.DictReader(index.read_text(errors="surrogateescape").splitlines())) if index.exists() else []
    times = {path.name: [float(row["time"]) for row in rows if row["video"] == path.name] for path in paths}
    for name, found in times.items():
        if found != sorted(found):
            case.faults.append(Fault("silent", f"{name}: its times run backwards: {found}"))
    done = {path.parent.name for path in stage.out.rglob("crops.json")}
    if lost := [name for name in times if name not in done]:
        case.faults.append(Fault("silent", f"{lost[:3]}: neither in the index nor skipped"))
    return case


def _write(stage, number, ending, content):
    """Write a spoilt file, named after its case, and return where."""
    path = stage.room / "spoilt" / f"{number:06}{ending}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def _judged(stage, files, words, limits) -> Iterator[tuple]:
    """Yield each file, and (line, faults, seconds, bytes) of detect_fakes.py on it, hundreds in one process.

    Each file is answered by one line, so that the time between two lines, the most memory in it, and whatever else is
    printed in it, belong to one file. A process that dies is started again behind the file that it died of.
    """
    waiting = list(files)
    while waiting:
        batch = waiting[:PER_BATCH]
        for answer in _answers(stage, [path for _, _, path, _ in batch], words, limits):
            yield waiting.pop(0), answer
            if answer[1] and answer[1][-1].kind in ("hang", "memory", "crash", "traceback"):
                break


def _answers(stage, paths, words, limits):
    """Yield (line, faults, seconds, bytes) of each of a few files until the process ends, or is ended."""
    command = [PYTHON, "detect_fakes.py", "--n-threads", 1, *words, *stage.judge_words, "../mine/real/000.png"]
    process = subprocess.Popen([str(word) for word in (*command, *paths)], cwd=stage.code, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
    try:
        lines = _lines(process, limits)
        for line, *_ in lines:
            if b"000.png" in line or not line:  # behind what judges, and one good picture
                break
        faults, names = [], [path.name.encode() for path in paths]
        for line, seconds, n_bytes, beyond in lines:
            if beyond or not line:
                kind = beyond or "crash"
                yield "", [*faults, Fault(kind, _how_it_ended(process, seconds, n_bytes, kind))], seconds, n_bytes
                return
            if names[0] not in line:
                kind = "traceback" if b"Traceback" in line else "library's line"
                faults = faults or [Fault(kind, ascii(line.decode(errors="replace"))[1:-1])]
                continue
            if NOT_PRINTABLE.search(line.strip()):
                faults.append(Fault("raw name", ascii(line)))
            if n_bytes > limits.n_bytes:
                faults.append(Fault("memory", _how_it_ended(process, seconds, n_bytes, "memory")))
            yield line.decode(errors="replace"), faults, seconds, n_bytes
            faults, names = [], names[1:]
            if not names:
                return
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


def _how_it_ended(process, seconds, n_bytes, kind):
    """Return the numbers that tell how a process was ended, or ended itself."""
    if kind == "hang":
        return f"{seconds:.0f} s"
    return f"{n_bytes / 2**30:.1f} GiB" if kind == "memory" else f"ended with status {process.wait()}"


def _lines(process, limits):
    """Yield (line, seconds, most bytes, limit passed) of each line that a process prints; at its end an empty one."""
    held = b""
    start, most = time.monotonic(), 0
    while True:
        most = max(most, peak_bytes(process.pid))
        seconds = time.monotonic() - start
        beyond = beyond_limits(limits, seconds, most)
        line, newline, rest = held.partition(b"\n")
        if newline:
            held = rest
            yield line + newline, seconds, most, ""
            forget_peak(process.pid)
            start, most = time.monotonic(), 0
        elif beyond:
            yield b"", seconds, most, beyond
        elif select.select([process.stdout], [], [], 0.01)[0]:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                yield b"", seconds, most, ""
            held += piece


@contextmanager
def _without_stderr():
    """Send what libraries write on stderr nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _refused_by_pillow(path):
    """Return why a strict reader does not decode a picture, "" if it does."""
    with _without_stderr(), warnings.catch_warnings(action="ignore"):
        try:
            with Image.open(path) as image:
                image.load()
        except Exception as error:  # whatever a decoder may raise
            return f"Pillow: {type(error).__name__}: {error}"
    return ""


class _Runs:
    """An object whose pickle writes the canary when it is loaded."""

    def __init__(self, canary, function=os.system):
        self.canary, self.function = canary, function

    def __reduce__(self):
        if self.function is os.system:
            return os.system, (f"touch {self.canary}",)
        return self.function, (f"open({str(self.canary)!r}, 'w')",)


def pickles(stage: Stage, n: int) -> Iterator[Case]:
    """Pickles that run something, ask for all memory, or hold numbers that are none."""
    stage.renew()
    good = {
        "train_celeba": ("--published-features", 80),
        "train_faces_hq": ("--published-features", 722),
        "train_deepfake_detection": ("--published-test", 300),
    }
    wrong = list(_pickles(stage))
    made = [(script, what, change) for what, change in wrong for script in good]
    made += [(script, "bits flipped", None) for script in good for _ in range(n)]
    for number, (script, what, change), random in stage.chosen(made):
        stage.renew()
        flag, n_bins = good[script]
        path, good_one = stage.room / "features.pkl", features(30, 30, n_bins)
        content = change(good_one) if change else _flipped(pickle.dumps(good_one, protocol=2), random)
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=2))
        words = (flag, path, "--n-splits", 2, "--sample-sizes", 20, "--output-dir", "../out")
        yield stage.case(number, what, script, words, (1, 2) if change else (0, 1, 2), untouched=[path])


def _pickles(stage):
    """Yield (what, function from what a good pickle holds to what a bad one does)."""
    yield "runs a command", lambda good: {**good, "more": _Runs(stage.canary)}
    yield "evaluates a text", lambda good: {**good, "data": _Runs(stage.canary, eval)}
    yield "memo of 2^31 objects", lambda good: b"\x80\x02]r\xff\xff\xff\x7f."
    yield "lists in lists", lambda good: b"(" * 200_000 + b"l" * 200_000 + b"."
    yield "tuples of tuples, doubled", lambda good: b"\x80\x02)" + b"2\x86" * 64 + b"."
    yield "shape of 2^40", lambda good: _reshaped(good)
    yield "an integer of a million digits", lambda good: b"I" + b"9" * 1_000_000 + b"\n."
    for value in (np.nan, np.inf, 1e308, -1e308):
        yield f"values of {value}", lambda good, value=value: {**good, "data": np.full_like(good["data"], value)}
        yield f"one value of {value}", lambda good, value=value: {**good, "data": _with_first(good["data"], value)}
    yield "labels of one class", lambda good: {**good, "label": np.zeros_like(good["label"])}
    yield "labels 0, 1, 2", lambda good: {**good, "label": _with_first(good["label"], 2)}
    yield "too few labels", lambda good: {**good, "label": good["label"][:-1]}
    yield "no rows", lambda good: {name: array[:0] for name, array in good.items()}
    yield "texts", lambda good: {**good, "data": good["data"].astype(str)}
    yield "objects", lambda good: {**good, "data": good["data"].astype(object)}
    yield "a list", lambda good: [1, 2, 3]
    yield "nothing", lambda good: b""
    yield "one byte", lambda good: b"."


def _reshaped(good):
    """Return the pickle of an array that says it is of 2^40 rows."""
    content = pickle.dumps({"data": good["data"], "label": good["label"]}, protocol=2)
    return content.replace(b"K<M", b"\x8a\x06\x00\x00\x00\x00\x00\x01M", 1).replace(
        b"K<K", b"\x8a\x06\x00\x00\x00\x00\x00\x01K", 1
    )


def _with_first(array, value):
    """Return a copy whose first value is another."""
    array = array.copy()
    array.flat[0] = value
    return array


def _flipped(content, random):
    """Return bytes of which up to eight have another bit."""
    content = bytearray(content)
    for _ in range(random.integers(1, 9)):
        content[random.integers(min(len(content), 1500))] ^= 1 << random.integers(8)
    return bytes(content)


def judges(stage: Stage, n: int) -> Iterator[Case]:
    """Judges' files that ask for a fit without end, hold no numbers, lie about their sizes, or are none."""
    stage.renew()
    path = stage.room / "judge.safetensors"
    with safe_open(path, "numpy") as file:
        good = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    description = json.loads(metadata["description"])

    def described(**changes):
        return save(good, {**metadata, "description": json.dumps(description | changes)})

    contents = {
        "C of a million, 3,000 spectra of noise": save(_noise(good), {**metadata, "description": json.dumps(
            description | {"classifier": {"kernel": "linear", "C": 1e6}})}),
        "C of 1e308": described(classifier={"kernel": "linear", "C": 1e308}),
        "C of -1": described(classifier={"kernel": "linear", "C": -1}),
        "kernel of its own": described(classifier={"kernel": "__import__", "C": 1}),
        "classifier missing": described(classifier=None),
        "feature missing": described(feature=None),
        "experiment unknown": described(experiment="\x1b[31mred"),
        "source that cannot be printed": described(sources=["\x1b[31m", "fake"]),
        "description nested": save(good, {**metadata, "description": "[" * 100_000}),
        "description that is none": save(good, {**metadata, "description": "no JSON"}),
        "no description": save(good),
        "header of 2^62 bytes": (2**62).to_bytes(8, "little") + b"{}",
        "nothing": b"",
        "a pickle": pickle.dumps(_Runs(stage.canary)),
    }  # fmt: skip
    for value in (np.nan, np.inf, 1e308, -1e308, 0.0):
        spectra = np.full_like(good["spectra"], value)
        contents[f"spectra of {value}"] = save({**good, "spectra": spectra}, metadata)
    for name, array in good.items():
        contents[f"{name} shorter"] = save({**good, name: array[:-1].copy()}, metadata)
        contents[f"{name} negative"] = save({**good, name: np.full_like(array.astype(np.int64), -1)}, metadata)
    contents |= {f"bits flipped, {number}": None for number in range(n)}
    whole = path.read_bytes()
    for number, (what, content), random in stage.chosen(contents.items()):
        path.write_bytes(_flipped(whole, random) if content is None else content)
        words = (*stage.later_words, *stage.judge_words, "../mine/real/000.png")
        statuses = (0, 1, 2) if content is None or what in ("spectra of 0.0",) else (1, 2)
        if what.startswith("C of a million"):
            statuses = (0, 1, 2)
        yield stage.case(number, what, "detect_fakes", words, statuses, untouched=[path], limits=Limits(45))


def _noise(good):
    """Return a judge's arrays with 3,000 rows of noise, which no plane divides."""
    random = np.random.default_rng(0)
    made = {name: np.resize(array, 3000) for name, array in good.items() if array.ndim == 1}
    return {**made, "labels": made["labels"][random.permutation(3000)], "groups": np.arange(3000),
            "spectra": random.normal(100, 30, (3000, good["spectra"].shape[1]))}  # fmt: skip


CACHED = {  # script: files of its cache
    "train_faces_hq": ("spectra/*/*.npz", "spectra/*/*.npy"), "audit_dataset": ("audit/*/*.json",),
    "compare_features": ("spectra/*/other_features/*.npz",),
}  # fmt: skip


def caches(stage: Stage, n: int) -> Iterator[Case]:
    """A file of cached spectra, features or records that is spoilt or edited: it must change no result."""
    stage.renew()
    plans, kept = [], stage.folder / "cached"
    for script in (script for script in CACHED if script in stage.scripts):
        stage.renew()
        stage.run(script, *stage.words(script))
        whole = (outputs(stage.out), stage.folder / f"cached by {script}")
        shutil.copytree(stage.code / "data", whole[1])
        for path in (sorted(whole[1].glob(pattern))[0] for pattern in CACHED[script]):
            place, content = path.relative_to(whole[1]), path.read_bytes()
            for what, edited in _edited_caches(path.suffix, content):
                plans.append((script, whole, place, what, edited))
            plans += [(script, whole, place, "with bits flipped", None) for _ in range(n)]
    for number, (script, (expected, kept), place, what, edited), random in stage.chosen(plans):
        stage.renew()
        shutil.copytree(kept, stage.code / "data")
        path = stage.code / "data" / place
        path.write_bytes(_flipped(path.read_bytes(), random) if edited is None else edited)
        case = stage.case(number, f"{place.parts[-2]}, {what}", script, None, (0,))
        if outputs(stage.out) != expected:
            case.faults.append(Fault("other result", f"{what} was used"))
        yield case


def _edited_caches(ending, content):
    """Yield (what, content) of a file of a cache after edits that its reader can know for wrong."""
    for what, change in _wrong_texts():
        yield what, change(content)
    if ending == ".json":
        seal, rows = content.decode().splitlines()
        yield "another seal", f"{seal[::-1]}\n{rows}\n".encode()
        yield "another value", content.replace(b"PNG", b"GIF", 1)
        return
    if ending == ".npy":  # whose digest stands in the index
        for what, edited in _wrong_arrays("values", np.load(io.BytesIO(content))):
            stream = io.BytesIO()
            np.save(stream, edited)
            yield f"values {what}", stream.getvalue()
        return
    with np.load(io.BytesIO(content)) as file:
        good = dict(file)
    for name, array in good.items():
        for what, edited in _wrong_arrays(name, array):
            stream = io.BytesIO()
            arrays = good | {name: edited}
            np.savez(stream, **(arrays if name == "seal" else _sealed(arrays)))
            yield f"{name} {what}", stream.getvalue()


def _sealed(arrays):
    """Return the arrays of a cache's file with the seal that belongs to them, if that is an array of it."""
    columns = {name: array for name, array in arrays.items() if name != "seal"}
    return columns | ({"seal": np.array(seal_of(columns))} if "seal" in arrays else {})


def _wrong_arrays(name, array):
    """Yield (what, array) of edits that a reader can know for wrong."""
    yield "empty", array[:0] if array.ndim else np.array("")
    yield "of no dimension", np.array(0)
    yield "of one more", np.concatenate([array, array[:1]]) if array.ndim else np.array([array, array])
    yield "as objects of text", np.array(["\x1b[31m"] * max(1, array.size))
    if array.dtype.kind == "f":
        for value in (np.nan, np.inf, 1e308):
            yield f"all {value}", np.full_like(array, value)
            yield f"first {value}", _with_first(array, value)
    if array.dtype.kind == "i":
        yield "negative", np.full_like(array, -1)
        yield "huge", np.full_like(array, 2**60)
    if name == "lengths":
        yield "moved by one", array + np.resize([1, -1], array.shape)
    if array.dtype.kind == "U" and array.ndim == 0:
        yield "of another text", np.array("[1, 2, 3]")
        yield "nested", np.array("[" * 100_000)
    if array.dtype.names:
        for field in array.dtype.names:
            edited = array.copy()
            edited[field] = -1 if array.dtype[field].kind in "iu" else "\x1b[31m"
            yield f"field {field}", edited


def records(stage: Stage, n: int) -> Iterator[Case]:
    """Indices and records of crops, results, and the sample's weights, edited by hand."""
    stage.renew()
    index = stage.room / "frames/index.csv"
    record = sorted((stage.room / "frames").rglob("crops.json"))[0].relative_to(stage.room)
    results = sorted((stage.code / "plots").rglob("*_results.json"))
    results = [path for path in results if path.parent.name != "built_in_sample"]  # which is not compared
    weights = sorted((stage.code / "deepfake_spectra/sample").glob("*.npz"))
    again = ("--videos-dir", "../clips", "--frames-dir", "../frames", "--frames-per-video", 4,
             "--face-detector", "centre")  # fmt: skip
    plans = [("train_deepfake_detection", None, index, change, (0, 1, 2)) for change in _wrong_tables()]
    plans += [("extract_video_frames", again, stage.room / record, change, (0, 1)) for change in _wrong_texts()]
    plans += [
        ("compare_with_paper", None, path, change, (0, 1, 2)) for path in results[:2] for change in _wrong_texts()
    ]
    plans += [("detect_fakes", PICTURES[:1], path, change, (1,)) for path in weights for change in _wrong_weights()]
    plans = [plan for plan in plans if plan[0] in stage.scripts]
    for number, (script, words, path, (what, change), statuses), _ in stage.chosen(plans):
        stage.renew()
        content = change(path.read_bytes())
        path.unlink() if content is None else path.write_bytes(content)
        yield stage.case(number, f"{path.name} {what}", script, words, statuses)


def _wrong_tables() -> list[tuple[str, Callable]]:
    """Return (what, function from the bytes of an index to those of a wrong one)."""

    def with_cell(column, value):
        def change(content):
            rows = list(csv.reader(io.StringIO(content.decode())))
            rows[1][rows[0].index(column)] = value
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            return text.getvalue().encode()

        return f"with {column} {ascii(value)[:30]}", change

    cells = [("label", "true"), ("label", "\x1b[31m"), ("path", "../../etc/passwd"), ("path", "/dev/zero"),
             ("path", "\x1b[31mred.png"), ("frame", "1e9"), ("frame", "-1"), ("frame", "9" * 5000), ("time", "nan"),
             ("time", "1e308"), ("size", "-5"), ("score", "inf"), ("source", ""),
             ("target", "x" * 200_000)]  # fmt: skip
    return [with_cell(*cell) for cell in cells] + _wrong_texts()


def _wrong_texts():
    """Return (what, function from the bytes of a text file to those of a wrong one)."""
    return [
        ("cut", lambda content: content[: len(content) // 2]),
        ("empty", lambda content: b""),
        ("of zeros", lambda content: bytes(1000)),
        ("not in UTF-8", lambda content: b"\xff\xfe" + content),
        ("a list", lambda content: b"[1, 2, 3]"),
        ("nested", lambda content: b"[" * 100_000),
        ("with NaN", lambda content: re.sub(rb"\d\.\d+", b"NaN", content)),
        ("with texts for numbers", lambda content: re.sub(rb"\d\.\d+", rb'"\\u001b[31m"', content)),
        ("with huge numbers", lambda content: re.sub(rb"\d\.\d+", b"1e999", content)),
        ("with null", lambda content: re.sub(rb"\d\.\d+", b"null", content)),
    ]


def _wrong_weights():
    """Return (what, function from the bytes of a generator's weights to those of wrong ones)."""

    def changed(change):
        def of(content):
            with np.load(io.BytesIO(content)) as file:
                arrays = dict(file)
            stream = io.BytesIO()
            np.savez(stream, **{name: change(array) for name, array in arrays.items()})
            return stream.getvalue()

        return of

    return [
        ("cut", lambda content: content[:-1000]),
        ("with a bit flipped", lambda content: content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :]),
        (
            "of NaN",
            changed(lambda array: np.full_like(array, np.nan, array.dtype if array.dtype.kind == "f" else float)),
        ),
        ("of 1e30", changed(lambda array: np.full(array.shape, 1e30, np.float32))),
        ("of another shape", changed(lambda array: array[..., :-1] if array.ndim else array)),
        ("gone", lambda content: None),
    ]


ATTACKS = {
    "pictures": pictures, "clips": clips, "pickles": pickles, "judges": judges, "caches": caches, "records": records,
}  # fmt: skip
