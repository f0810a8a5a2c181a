"""Attacks on a run: kills, signals, closed streams, full disks, names, outputs over inputs, wrong data, wrong calls."""

import ast
import csv
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import product

import numpy as np
from campaign.running import NOT_PRINTABLE, PYTHON, Fault, Limits, faults_of, run_watched, slowness
from campaign.stage import PICTURES, QUICK_TRAINING, Case, Stage, outputs
from pictures import by_opencv, picture

EARLY = 1.0  # seconds: half of the signals come within, while modules are imported
LATE = 4.0  # the other half until then
START = 0.15  # seconds that Python itself takes to start; before, nobody can hear a signal


def kills(stage: Stage, n: int) -> Iterator[Case]:
    """Kill -9 at random moments of every script: what is visible is whole, and the next run ends as undisturbed."""
    stage.renew()
    scripts = [script for script in stage.scripts if script != "benchmark_spectrum"]  # whose numbers are times
    undisturbed = {}
    for number, script, random in stage.chosen((scripts * n)[:n]):
        if script not in undisturbed:
            stage.renew()
            ended = stage.run(script, *stage.words(script))
            undisturbed[script] = (ended.seconds, outputs(stage.out))
        seconds, expected = undisturbed[script]
        stage.renew()
        moment = random.uniform(0, seconds)
        killed = stage.run(script, *stage.words(script), signals=[(moment, signal.SIGKILL)])
        visible = {name: content for name, content in outputs(stage.out).items() if expected.get(name) != content}
        case = stage.case(number, f"killed after {moment:.2f} s, and run again", script, None, (0,))
        if visible and script != "extract_video_frames":  # which writes a folder at a time
            case.faults.append(Fault("half written", f"{sorted(visible)[:3]}"))
        if (found := outputs(stage.out)) != expected:
            different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
            case.faults.append(Fault("other result", f"{different[:3]} of {len(expected)} files"))
        yield case._replace(seconds=max(case.seconds, killed.seconds))


def signals(stage: Stage, n: int) -> Iterator[Case]:
    """Ctrl-C once, twice and thrice, and SIGTERM, half of them while the script still starts."""
    stage.renew()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background, and so by our children
    ways = {"Ctrl-C": (signal.SIGINT,), "Ctrl-C twice": (signal.SIGINT,) * 2, "Ctrl-C thrice": (signal.SIGINT,) * 3,
            "SIGTERM": (signal.SIGTERM,)}  # fmt: skip
    for number, (script, way), random in stage.chosen((list(product(stage.scripts, ways)) * n)[:n]):
        stage.renew()
        moment = random.uniform(START, EARLY if random.random() < 0.5 else LATE) * slowness()
        sent = [(moment + 0.15 * turn, name) for turn, name in enumerate(ways[way])]
        statuses = (0, 130) if way != "SIGTERM" else (0, 130, 143, -signal.SIGTERM)
        yield stage.case(number, f"{way} after {moment:.2f} s", script, None, statuses, signals=sent, limits=Limits(60))


def streams(stage: Stage, n: int) -> Iterator[Case]:
    """Stdout or stderr that is closed, full, left by its reader, or cannot say "±": results are written all the same.

    A script whose stdout is full ends with status 1.
    """
    stage.renew()
    ways = {
        "stdout closed": ">&-", "stderr closed": "2>&-", "both closed": ">&- 2>&-", "stdin closed": "<&-",
        "stdout full": ">/dev/full", "stderr full": "2>/dev/full", "reader left": "| true",
        "ASCII": "PYTHONIOENCODING=ascii", "strict cp1252": "PYTHONIOENCODING=cp1252:strict",
        "LC_ALL=C": "LC_ALL=C PYTHONUTF8=0",
    }  # fmt: skip
    expected = {}
    for number, (script, (what, way)), _ in stage.chosen(product(stage.scripts, ways.items())):
        stage.renew()
        if script not in expected:
            stage.run(script, *stage.words(script))
            expected[script] = set(outputs(stage.out))
            stage.renew()
        before, behind = (way, "") if "=" in way else ("", way)
        words = " ".join(f"'{word}'" for word in (PYTHON, f"{script}.py", *stage.words(script)))
        ended = run_watched(["bash", "-o", "pipefail", "-c", f"{before} {words} {behind}"], stage.code)
        faults = [fault for fault in faults_of(ended, f"{script}.py", (0, 1)) if fault.kind != "wordless"]
        if ended.status == 0 and what == "stdout full":
            faults.append(Fault("silent", "nothing could be printed, and status 0"))
        if lost := expected[script] - set(outputs(stage.out)):
            faults.append(Fault("half written", f"{len(lost)} of {len(expected[script])} outputs are not there"))
        yield Case(number, f"{script}: {what}", faults, ended.seconds, ended.n_bytes)


def disk(stage: Stage, n: int) -> Iterator[Case]:
    """A disk that is full at n moments of every script: a small tmpfs where this system lets us mount one.

    Elsewhere no file may grow beyond a size. What stands there then is whole, and the sentence names it.
    """
    stage.renew()
    scripts = [script for script in stage.scripts if script != "benchmark_spectrum"]
    mounts = _mounts(stage.folder)
    undisturbed = {}
    for number, (script, turn), _ in stage.chosen(product(scripts, range(n))):
        if script not in undisturbed:
            stage.renew()
            stage.run(script, *stage.words(script))
            undisturbed[script] = outputs(stage.out)
        expected = undisturbed[script]
        stage.renew()
        n_bytes = max(4096, sum(map(len, expected.values())) * (turn + 1) // (n + 1))
        words = " ".join(f"'{word}'" for word in (PYTHON, f"{script}.py", *stage.words(script)))
        if mounts:
            program = (f"mkdir -p ../out ../kept && mount -t tmpfs -o size={n_bytes} none ../out || exit 99; {words}; "
                       "status=$?; cp -a ../out/. ../kept/; exit $status")  # fmt: skip
            command, written = [*mounts, "bash", "-c", program], stage.room / "kept"
        else:
            largest = max(map(len, expected.values())) * (turn + 1) // (n + 1)
            command, written = ["bash", "-c", f"ulimit -f {max(1, largest // 1024)}; {words}"], stage.out
        ended = run_watched(command, stage.code)
        faults = faults_of(ended, f"{script}.py", (0, 1))
        found = outputs(written)
        if wrong := [name for name, content in found.items() if expected.get(name) != content and content]:
            faults.append(Fault("half written", f"{sorted(wrong)[:3]}"))
        if empty := [name for name, content in found.items() if not content]:
            faults.append(Fault("half written", f"empty: {sorted(empty)[:3]}"))
        if ended.status == 0 and found != expected:
            faults.append(Fault("silent", "status 0, and outputs are missing"))
        if ended.status == 1 and "/out" not in ended.text:
            faults.append(Fault("partial name", f"no output is named: {ended.text.strip()[-200:]}"))
        yield Case(number, f"{script}: {n_bytes} bytes free", faults, ended.seconds, ended.n_bytes)


def _mounts(folder):
    """Return the words before a command that may mount a tmpfs of its own; none where that is not permitted."""
    for words in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        trial = f"mkdir -p {folder}/trial && mount -t tmpfs -o size=4096 none {folder}/trial"
        try:
            if subprocess.run([*words, "sh", "-c", trial], capture_output=True).returncode == 0:
                return words
        except FileNotFoundError:
            return []
    return []


HOSTILE_NAMES = (
    b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"two\nlines", b"a\rb", b"=cmd|'calc'!A0", b"+1+1", b"@SUM(1)",
    b"-flag", b"--csv", b"\xff\xfe undecodable", "\u202egnp.exe".encode(), "\x9b31m".encode(), b"a,b;c\"d'e",
    b"$(touch canary)",
    b"`touch canary`", b"%s%n{0}", b"x" * 240, "é with space".encode(), b"CON", b"a|b", b"<b>", b"$\\frac{1}{0}$",
)  # fmt: skip

NAMED = (  # whose name is hostile, to which script
    ("file", ("detect_fakes", "draw_spectrum", "extract_video_frames", "train_faces_hq", "audit_dataset")),
    ("source", ("train_faces_hq", "audit_dataset", "measure_robustness", "compare_features", "train_resaved")),
    ("folder", ("detect_fakes", "audit_dataset")),
)


def names(stage: Stage, n: int) -> Iterator[Case]:
    """Hostile names of pictures, clips, sources and folders, of good files and of broken ones, in every script."""
    stage.renew()
    places = [(script, where) for where, scripts in NAMED for script in scripts if script in stage.scripts]
    for number, (name, (script, where)), _ in stage.chosen(product(HOSTILE_NAMES, places)):
        stage.renew()
        words = _with_name(stage, os.fsdecode(name), script, where, number)
        what = f"{ascii(os.fsdecode(name))[1:-1][:40]} as the name of a {where}"
        case = stage.case(number, what, script, words)
        case.faults.extend(raw_names(stage.out))
        yield case


def _with_name(stage, name, script, where, number):
    """Give a file, a source or a folder the name, and return what to call the script with."""
    words, mine, clips = stage.words(script), stage.room / "mine", stage.room / "clips"
    whole = by_opencv(picture(7, (64, 64)))
    broken = whole[: len(whole) // 2]
    if where == "source":
        (mine / "fake").rename(mine / name)
        place = words.index("fake")
        named = ("--fake-sources", name) if script == "train_resaved" else (f"--fake-sources={name}",)
        return (*words[: place - 1], *named, *words[place + 1 :])
    if where == "folder" and script == "audit_dataset":
        mine.rename(stage.room / name)
        return [f"../{name}" if word == "../mine" else word for word in words]
    if where == "folder":
        (mine / "fake_2").rename(stage.room / name)
        return (*words[: -len(PICTURES)], f"../{name}", "../mine/fake")
    if script in ("detect_fakes", "draw_spectrum"):
        files = [mine / f"real/{name}.png", mine / f"real/{name} broken.png"]
        files[0].write_bytes(whole)
        files[1].write_bytes(broken)
        return (*words[: -len(PICTURES)], *files, *["../mine/fake"] * (script == "detect_fakes"))
    if script == "extract_video_frames":
        content = (clips / "real/0.mp4").read_bytes()
        (clips / f"real/{name}.mp4").write_bytes(content)
        (clips / f"fake/{name}.mp4").write_bytes(content[:99])
        return words
    (mine / f"fake/{name}.png").write_bytes(broken)
    if script == "audit_dataset":
        shutil.copy(mine / "real/000.png", mine / f"fake/{name} equal.png")
        (mine / f"fake/{name}.txt").write_text("no picture")
        return words
    return (*words, "--max-unreadable", 0.5 if number % 2 else 0)


def raw_names(folder):
    """Return a fault if a spreadsheet would run a cell of a CSV, or a page has a name in it as it is."""
    for path in folder.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                if re.match(r"[=@\t\r]|[+-](?![\d.]+(e[+-]?\d+)?$)", cell):
                    return [Fault("raw name", f"{path.name} holds the formula {ascii(cell)[:60]}")]
    for path in (*folder.rglob("*.md"), *folder.rglob("*.html")):
        content = path.read_bytes()
        if found := NOT_PRINTABLE.search(content) or (path.suffix == ".html" and re.search(b"<b>", content)):
            return [Fault("raw name", f"{path.name} holds {found[0]!r}")]
    return []


USERS_NAMES = (
    "my_own_picture.png", "results.json", "accuracy.csv", "accuracy.md", "spectrum.png", "spectrum.pdf", "files.txt",
    "scores.csv.gz",
)  # fmt: skip
AUDIT_ENDINGS = ("md", "json", "png", "pdf")
USERS_RESULTS = {
    "measure_robustness": "robustness_panels.png", "compare_features": "features_differences.pdf",
    "train_resaved": "resaved_coverage.png",
}  # fmt: skip


def replaced(stage: Stage, n: int) -> Iterator[Case]:
    """Outputs that would replace an input, or a file that is not an earlier output, or lie in a data source."""
    stage.renew()
    room = stage.room
    named = (*stage.judge_words, "../a.png")
    plans = [
        (f"{flag} {name}", "detect_fakes", (*named, flag, f"../{name}"), [name])
        for flag, name in product(("--csv", "--json", "--report"), ("a.png", "notes.txt", "other.csv", "other.json"))
    ]
    into_clips = ("--videos-dir", "../clips", "--frames-dir", "../clips", "--face-detector", "centre")
    plans += [
        ("judge as an output", "detect_fakes", (*named, "--csv", "../judge.safetensors"), []),
        ("link to a picture as an output", "detect_fakes", (*named, "--csv", "../link.csv"), []),
        ("figures over a user's", "draw_spectrum", None, "as drawn"),
        ("figures of pictures into their folder", "draw_spectrum", ("--output-dir", "../mine/real", *PICTURES), []),
        ("crops into a user's folder", "extract_video_frames", None, "as crops"),
        ("a user's index.csv", "extract_video_frames", None, ["out/index.csv"]),
        ("crops into the videos", "extract_video_frames", into_clips, []),
        ("figures into a source", "train_faces_hq", (*QUICK_TRAINING[:-1], "../mine/real"), "data"),
        ("benchmark.md", "benchmark_spectrum", None, ["out/benchmark.md"]),
        ("claims.md", "compare_with_paper", None, ["out/claims.md"]),
        ("audit into a source", "audit_dataset", (*stage.words("audit_dataset")[:-1], "../mine/real"), "data"),
        ("a user's judge", "train_resaved", None, ["out/resaved_judge.safetensors"]),
    ]
    plans += [(name, "train_faces_hq", None, [f"out/faces_hq_{name}"]) for name in USERS_NAMES]
    plans += [(f"mine_audit.{ending}", "audit_dataset", None, [f"out/mine_audit.{ending}"]) for ending in AUDIT_ENDINGS]
    plans += [(name, script, None, [f"out/{name}"]) for script, name in USERS_RESULTS.items()]
    for number, (what, script, words, users), _ in stage.chosen(plan for plan in plans if plan[1] in stage.scripts):
        stage.renew()
        shutil.copy(room / "mine/real/000.png", room / "a.png")
        os.symlink("a.png", room / "link.csv")
        kept = [room / "mine", room / "a.png", room / "clips", room / "judge.safetensors"]
        if users == "as drawn":
            stage.run(script, *stage.words(script))
            users = [path.relative_to(room) for path in stage.out.rglob("*.png")]
        elif users == "as crops":
            users = ["out/real/videos/0.mp4/my own.png", "out/real/videos/2.mp4"]
        for name in users if users != "data" else ():
            path = room / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name != "a.png":
                path.write_text("a user's own words")
            kept.append(path)
        case = stage.case(number, what, script, words, untouched=kept)
        if users == "data" and len(list((room / "mine").rglob("*.*"))) > 48:
            case.faults.append(Fault("input changed", "outputs lie among the data of the next run"))
        yield case


WRONG_VALUES = {  # what a flag takes, as --help shows it: words that it cannot mean, and words that it might
    "INT": (("abc", "", "1.5", "nan", "1e8", "0x10"),
            ("-5", "0", "-1", "30000000", "100000000", "99999999999", "9" * 30, "9" * 5000, "٣", " 3 ", "1_0")),
    "FLOAT": (("abc", "", "1,5", "0x1p3", "nan"), ("inf", "-inf", "-1", "0", "1e308", "1e-308", "1e-9")),
    "PATH": ((), ("", "/dev/null", "/dev/zero", "/dev/full", "/nowhere/at/all", "x" * 5000, "../mine",
                  "../mine/real/000.png", "\x1b[31m", "none")),
    "STR": ((), ("", " + ", "\x1b[31m", "../../..", "/", "jpeg 0", "crop 9999x9999", "resize 9999x9999", "blur 99",
                 "real real", "x" * 5000)),
    "{": (("", "nope", "\x1b[31m", "x" * 5000), ()),
    "": ((), ("",)),
}  # fmt: skip
WRONG_TEXTS = (  # of a constant
    '"abc"', "None", "1.5", "-1", "[]", "{}", "b''", "object", "float('nan')", "10**30", '"\\x1b[31m"',
)  # fmt: skip


def calls(stage: Stage, n: int) -> Iterator[Case]:
    """Wrong calls, n at the most, drawn from every flag of every script, and from every constant edited."""
    stage.renew()
    plans = [
        (script, flag, value, is_wrong)
        for script in stage.scripts
        for flag, takes in stage.flags(script).items()
        for value, is_wrong in _values(takes)
    ]
    plans += [(script, name, value, False) for script in stage.scripts for name, value in _edits(stage, script)]
    plans = [plans[row] for row in np.random.default_rng(stage.seed).permutation(len(plans))[:n]]
    for number, (script, name, value, is_wrong), _ in stage.chosen(plans):
        stage.renew()
        words = _less(stage.words(script), name if name.startswith("--") else "--" + name.lower().replace("_", "-"))
        if name.startswith("--"):
            words = (name if value is None else f"{name}={value}", *words)
        else:
            path = stage.code / f"{script}.py"
            path.write_text(_edited(path.read_text(), name, value))
        inputs = [stage.room / "mine", stage.room / "clips"]
        statuses = (2,) if is_wrong else (0, 1, 2)
        what = f"{name} {ascii(value)[:40]}"
        yield stage.case(number, what, script, words, statuses, untouched=inputs, limits=Limits(60))


def _values(takes):
    """Yield (wrong value, whether it can mean nothing) for a flag; None: the flag without a value."""
    wrong, doubtful = WRONG_VALUES["{" if "{" in takes else re.sub(r"\W", "", takes)]
    if takes and "[" not in takes:
        yield None, True
    yield from ((value, True) for value in wrong)
    yield from ((value, False) for value in doubtful)


def _edits(stage, script):
    """Yield (constant, wrong text of its value) of a script."""
    for node in ast.parse((stage.code / f"{script}.py").read_text()).body:
        if isinstance(node, ast.AnnAssign) and node.lineno == node.end_lineno:
            for value in WRONG_TEXTS:
                yield node.target.id, value


def _edited(source, name, value):
    """Return the source of a script with another text as the value of one of its constants."""
    line = re.compile(rf"^({name}: [^=]*=).*?(  #.*)?$", re.M)
    return line.sub(lambda found: f"{found[1]} {value}{found[2] or ''}", source)


def _less(words, flag):
    """Return words without a flag and its values, so that it is named once."""
    words = list(words)
    if flag in words:
        start = words.index(flag)
        end = next(
            (
                i
                for i in range(start + 1, len(words))
                if str(words[i]).startswith("--") or str(words[i]).endswith(".png")
            ),
            len(words),
        )
        words[start:end] = []
    return tuple(words)


ATTACKS = {
    "kills": kills, "signals": signals, "streams": streams, "disk": disk, "names": names, "replaced": replaced,
    "calls": calls,
}  # fmt: skip
