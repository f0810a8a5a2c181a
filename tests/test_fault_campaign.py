"""The fault campaign's rules can be broken: planted scripts that misbehave are found, and a good one is not."""

import os
from types import SimpleNamespace

import fault_campaign
import numpy as np
import pytest
from campaign import attacks_on_readers, attacks_on_runs, mutants
from campaign.attacks_on_readers import pictures
from campaign.attacks_on_runs import kills
from campaign.running import KINDS, Limits
from campaign.stage import Stage
from conftest import linux_only
from pictures import by_opencv, picture, write_source

from deepfake_spectra.errors import UsageError

pytestmark = linux_only  # as the campaign itself

LIMITS = Limits(seconds=1.5, n_bytes=150 << 20)
PLANTED = {  # what a script does: the kinds of faults that it has
    "print('done')": set(),
    "sys.exit('planted.py: a sentence')": set(),
    "raise ValueError": {"traceback"},
    "time.sleep(60)": {"hang"},
    "print(len(b'x' * (300 << 20)))": {"memory"},
    "os.kill(os.getpid(), 11)": {"crash"},
    "print('planted.py: wrong', file=sys.stderr); sys.exit(3)": {"status"},
    "sys.exit(1)": {"wordless"},
    "print('libpng warning', file=sys.stderr)": {"library's line"},
    "print('\\x1b[31m.png')": {"raw name"},
    "print('\\u202egnp.exe')": {"raw name"},
    "print('.partial-1-2-a.png')": {"partial name"},
    "open('../mine/a.png', 'w').write('other')": {"input changed"},
    "os.remove('../mine/a.png')": {"input changed"},
    "open('../canary', 'w')": {"executed"},
}
DETECTOR = """
import os, sys, time
if "--help" in sys.argv:
    print("  --judge PATH   who judges")
for path in sys.argv:
    if path.endswith((".png", ".jpg", ".bmp", ".tif", ".webp", ".gif", ".avif", ".heic")):
        number = os.path.basename(path)[:6]
        {planted}
        print("real  0.500 ", path, "[another size]", flush=True)
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Return a stage whose code is what a test plants there; the machine is taken to be idle."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0, 0, 0))
    write_source(tmp_path / "master/mine/real", 1)
    (tmp_path / "master/mine/a.png").write_bytes(b"an input")
    (tmp_path / "master/code").mkdir()
    return Stage(tmp_path, tmp_path / "master/code")


def plant(stage, script, text):
    """Write a script of the code under attack."""
    (stage.folder / "master/code" / f"{script}.py").write_text(f"import os, sys, time\n{text}\n")
    stage.renew()


@pytest.mark.parametrize("program", PLANTED)
def test_a_planted_fault_is_found_and_called_by_its_kind(stage, program):
    plant(stage, "planted", program)
    case = stage.case(0, "", "planted", (), (0, 1), untouched=[stage.room / "mine"], limits=LIMITS)
    assert {fault.kind for fault in case.faults} == PLANTED[program] <= KINDS.keys()


def test_silence_on_what_is_wrong_is_a_fault(stage):
    plant(stage, "planted", "print('9 pictures')")
    assert [fault.kind for fault in stage.case(0, "", "planted", (), says="copies").faults] == ["silent"]
    plant(stage, "planted", "print('9 pictures, 2 of them copies')")
    assert stage.case(0, "", "planted", (), says="copies").faults == []


def test_damage_that_is_judged_without_a_remark_is_found(stage):
    plant(stage, "detect_fakes", DETECTOR.format(planted=""))
    faults = {case.what: [fault.kind for fault in case.faults] for case in pictures(stage, 60)}
    assert faults["JPEG cut in half and closed again"] == ["silent"]
    assert faults["PNG of 100 million pixels"] == []
    assert 10 < sum(kinds == ["silent"] for kinds in faults.values()) < 60
    plant(stage, "detect_fakes", DETECTOR.format(planted="").replace("another size", "damaged"))
    assert not any(case.faults for case in pictures(stage, 60))


@pytest.mark.parametrize(
    "planted, kind",
    [("time.sleep(9)", "hang"), ("os.kill(os.getpid(), 11)", "crash"),
     ("time.sleep(0.6); bytearray(300 << 20); time.sleep(0.3)", "memory"),
     ("print('libpng error', file=sys.stderr, flush=True)", "library's line")],
)  # fmt: skip
def test_the_file_at_fault_is_named_and_the_others_are_judged(stage, monkeypatch, planted, kind):
    monkeypatch.setattr(attacks_on_readers, "PER_PICTURE", LIMITS)
    monkeypatch.setattr(attacks_on_readers, "OF_DAMAGE", "another size")
    plant(stage, "detect_fakes", DETECTOR.format(planted=f"if number == '000012': {planted}"))
    cases = list(pictures(stage, 10))
    assert {case.number: case.faults[0].kind for case in cases if case.faults} == {12: kind}
    assert len(cases) == len(mutants.named_pictures()) + 10


def test_a_case_is_the_same_whenever_its_number_is_run(stage, tmp_path):
    plant(stage, "detect_fakes", DETECTOR.format(planted=""))
    all_cases = {case.number: case for case in pictures(stage, 30)}
    held = {path.name: path.read_bytes() for path in (stage.room / "spoilt").iterdir() if path.name[:6] == "000023"}
    stage.numbers = {23}
    (case,) = pictures(stage, 30)
    assert case.what == all_cases[23].what
    assert {path.name: path.read_bytes() for path in (stage.room / "spoilt").iterdir()} == held != {}


def test_an_output_that_a_kill_leaves_half_written_is_found(stage):
    plant(stage, "draw_spectrum", """
os.makedirs("../out", exist_ok=True)
with open("../out/a.txt", "w") as file:
    for _ in range(10):
        print("line", file=file, flush=True)
        time.sleep(0.05)
""")  # fmt: skip
    kinds = [fault.kind for case in kills(stage, 6) for fault in case.faults]
    assert "half written" in kinds and "other result" not in kinds


def test_a_formula_in_a_csv_is_found_and_a_number_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("path,score\na.png,-0.5\nb.png,+1e-9\n")
    assert attacks_on_runs.raw_names(tmp_path) == []
    (tmp_path / "a.csv").write_text("path,score\n\"=cmd|'calc'!A0\",0.5\n")
    assert [fault.kind for fault in attacks_on_runs.raw_names(tmp_path)] == ["raw name"]


@pytest.mark.parametrize(
    "name, content", [("a.html", "<b>.png"), ("a.md", "\x1b[31m.png"), ("a.html", "\u202egnp.exe")]
)
def test_a_name_that_a_page_holds_as_it_is_is_found(tmp_path, name, content):
    (tmp_path / name).write_text("&lt;b&gt;.png\n")
    assert attacks_on_runs.raw_names(tmp_path) == []
    (tmp_path / name).write_text(content)
    assert [fault.kind for fault in attacks_on_runs.raw_names(tmp_path)] == ["raw name"]


def test_scripts_that_are_named_are_attacked_alone_and_an_unknown_one_is_refused(tmp_path):
    for script in ("audit_dataset", "draw_spectrum"):
        (tmp_path / f"{script}.py").write_text("")
    assert Stage(tmp_path, tmp_path).scripts == ["audit_dataset", "draw_spectrum"]
    assert Stage(tmp_path, tmp_path, only=("audit_dataset",)).scripts == ["audit_dataset"]
    settings = SimpleNamespace(only=(), case=(), scripts=("audit",))
    with pytest.raises(UsageError, match="unknown script 'audit'"):
        fault_campaign.chosen_cases(settings)


def test_pictures_are_spoilt_in_every_way_and_hardly_one_is_left_whole():
    content = by_opencv(picture(0))
    made = [mutants.spoil(content, np.random.default_rng(number), [content]) for number in range(300)]
    assert len({what.removesuffix(", checksums right") for what, _ in made}) == 10
    assert sum(spoilt == content for _, spoilt in made) < 10  # a field may be set to what it was
