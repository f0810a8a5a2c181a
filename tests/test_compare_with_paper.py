"""The claim table holds the numbers of the results files and no other, and the paper's as the paper has them."""

import json
import re
import shutil

import pytest
from claims import cells_of_claims, write_claim_results
from outputs import table_lines

import compare_with_paper
import train_celeba
import train_deepfake_detection
import train_faces_hq
from deepfake_spectra.claims import CLAIMS, COMMANDS, SOURCES
from deepfake_spectra.dataset import IMAGES, PUBLISHED_FEATURES
from deepfake_spectra.files import REPOSITORY

FACES, CELEBA, FRAMES = (
    script.PAPER_ACCURACY["paper"] for script in (train_faces_hq, train_celeba, train_deepfake_detection)
)
NOTEBOOK = train_celeba.PAPER_ACCURACY["authors' notebook"]
QUOTED = {  # claim: (number of images: per cent of a classifier, which of them the figure shows)
    "Faces-HQ, SVM": (FACES, "svm_linear", (4000,), 4000),
    "Faces-HQ, logistic regression": (FACES, "logistic_regression", (4000,), 4000),
    'Faces-HQ, "as little as 20 samples", SVM': (FACES, "svm_linear", (20,), 20),
    "Faces-HQ, k-means, unsupervised": (FACES, "k_means", (4000, 100, 20), 4000),
    "CelebA, SVM": (CELEBA, "svm_linear", (2000,), 2000),
    "CelebA, SVM with RBF (authors' notebook)": (NOTEBOOK, "svm_rbf", (2000,), 2000),
    "CelebA, logistic regression": (CELEBA, "logistic_regression", (2000,), 2000),
    "CelebA, k-means, unsupervised": (CELEBA, "k_means", (2000,), 2000),
    "DeepFakeDetection, frames, SVM (RBF)": (FRAMES, "svm_rbf", (2000, 1000, 200, 20), 1000),
    "DeepFakeDetection, frames, logistic regression": (FRAMES, "logistic_regression", (2000, 1000, 200, 20), 1000),
}


def repository_text(name):
    """Return a text file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def claim_lines(text):
    """Return the table's lines as {claim: cells}."""
    head, *lines = table_lines(text, "")
    assert head[0].endswith("claim") and len(set(map(len, (head, *lines)))) == 1
    return {line[0]: line for line in lines}


@pytest.fixture
def made(tmp_path):
    """Return a folder with made-up results files, and their rows."""
    return tmp_path / "made", write_claim_results(tmp_path / "made")


@pytest.fixture
def compare(call, drawn, tmp_path, made):
    """Return a function that makes the table of the made-up files in this process, without its figure."""

    def compare(*flags):
        return call("compare_with_paper", "--results-dir", made[0], "--output-dir", tmp_path / "plots", *flags)

    return compare


# --- the paper's numbers


def test_the_papers_numbers_are_those_that_the_train_scripts_hold():
    papers = {claim.claim: claim for claim in CLAIMS}
    for name, (accuracy, classifier, sizes, drawn) in QUOTED.items():
        claim = papers[name]
        expected = [accuracy[n][classifier] for n in sizes]
        behind_sizes = re.findall(r"(\d+) \((\d+)(?: images)?\)", claim.paper)
        if " / " in claim.paper:
            shown, _, of = claim.paper.partition(" (")
            assert [int(text) for text in shown.split(" / ")] == expected
            assert not of or [int(text) for text in of.rstrip(")").split(" / ")] == list(sizes)
        elif behind_sizes:
            assert [(int(percent), int(n)) for percent, n in behind_sizes] == list(zip(expected, sizes))
        else:
            assert [int(claim.paper)] == expected
        assert claim.percent == accuracy[drawn][classifier]


def test_no_claim_with_a_number_is_left_unchecked():
    left = {claim.claim: (claim.paper, claim.percent) for claim in CLAIMS if claim.claim not in QUOTED}
    assert left.pop("DeepFakeDetection, videos") == ("SVM 90 (91 in the abstract), LR 81", 90)
    assert train_deepfake_detection.PAPER_VIDEOS.startswith("The paper, on videos: SVM 90, logistic regression 81")
    assert all(", figure" in name and percent is None for name, (_, percent) in left.items()) and len(left) == 2


def test_the_cells_ask_for_the_classifier_and_the_experiment_of_their_claim():
    experiments = {"Faces-HQ": "faces_hq", "CelebA": "celeba", "DeepFakeDetection": "deepfake_detection"}
    for claim in CLAIMS:
        experiment = experiments[claim.claim.split(",")[0]]
        assert all(cell.source.endswith(experiment) for cell in claim.published + claim.honest + claim.baseline)
        if claim.claim in QUOTED:
            of_claim = QUOTED[claim.claim][1]
            assert {cell.values["classifier"] for cell in claim.published + claim.honest} == {of_claim}
            of_control = {cell.values["classifier"] for cell in claim.baseline if cell.values["table"] == "control"}
            assert of_control <= {of_claim}
        headers = [cell for cell in claim.baseline if cell.values["table"] != "control"]
        assert {cell.values["classifier"] for cell in headers} <= {"headers_only"}


# --- the table


def test_the_table_shows_exactly_the_numbers_of_the_files(compare, made, tmp_path):
    done = compare()
    assert (done.status, done.err) == (0, "")
    text = (tmp_path / "plots/claims.md").read_text(encoding="utf-8")
    lines = claim_lines(text)
    assert list(lines) == [claim.claim for claim in CLAIMS] and claim_lines(done.out) == lines

    def text_of(cells):
        texts, last = [], None
        for cell in cells:
            wanted = {key: value for key, value in cell.values.items() if key != "end"}
            [row] = [row for row in made[1][cell.source] if row | wanted == row]
            limits = [] if row["low"] is None else [f"{100 * row['low']:.0f}–{100 * row['high']:.0f}"]
            unit = " videos" if row["table"] == "videos" else ""
            tested = f", {min(row['n_test'])}{unit} a test" if row["n_test"] else ""
            sizes = [f"n {row['n_samples']}{tested}"]
            brackets = "; ".join(limits + sizes * (sizes != last))  # sizes stand where they change
            texts.append(f"{cell.label} {100 * row['mean']:.1f}".strip() + f" ({brackets})" * bool(brackets))
            last = sizes
        return "; ".join(texts).replace("; to ", " to ")

    for claim in CLAIMS:
        name, paper, ours, honest, measures, verdict, letters = lines[claim.claim]
        assert (paper, measures, verdict) == (claim.paper, claim.measures, claim.verdict)
        assert (ours, honest) == (text_of(claim.published), text_of(claim.honest + claim.baseline))
        assert "99.9" not in ours + honest
        used = {cell.source for cell in claim.published + claim.honest + claim.baseline}
        assert letters.split() == sorted(COMMANDS[source] for source in used)


def test_of_several_transfers_the_lowest_and_the_highest_are_shown(compare, made):
    folder, rows = made
    [faces] = {cell.source for cell in cells_of_claims() if "end" in cell.values}
    of_transfers = {"table": "transfer", "condition": "jpeg 75"}
    [row] = [row for row in rows[faces] if row | of_transfers == row and row["mean"] != 0.999]
    others = [
        row | {"mean": mean, "low": None, "high": None, "n_samples": n, "n_test": [n, 8]}
        for mean, n in ((0.951, 7), (0.042, 300), (0.5, 9))
    ]
    path = folder / f"{faces}_results.json"
    path.write_text(json.dumps({"rows": [*others, *rows[faces]]}), encoding="utf-8")
    honest = claim_lines(compare().out)["Faces-HQ, SVM"][3]
    assert " 4.2 (n 300, 8 a test) to 95.1 (n 7, 7 a test); " in honest


def test_the_figure_is_given_the_first_of_each_kind_of_number(compare, made, drawn, tmp_path):
    assert compare().status == 0
    path, given = drawn["claims_figure"]
    assert path == tmp_path / "plots/claims.png"
    with_percent = [claim for claim in CLAIMS if claim.percent is not None]
    for claim, drawn_claim in zip(with_percent, given, strict=True):
        assert (drawn_claim["claim"], drawn_claim["paper"]) == (claim.claim, claim.percent)
        kinds = {"published": claim.published, "honest": claim.honest, "header": claim.baseline}
        for kind, cells in kinds.items():
            if not cells:
                assert drawn_claim[kind] is None
                continue
            wanted = {key: value for key, value in cells[0].values.items() if key != "end"}
            assert drawn_claim[kind] | wanted == drawn_claim[kind] and drawn_claim[kind]["mean"] != 0.999
        assert not claim.honest or claim.honest[0].label == drawn_claim["honest_is"] + ":"


# --- what is not there, or not clear


@pytest.mark.parametrize("source, letter", list(zip(SOURCES, "ABCDE", strict=True)))
def test_the_numbers_of_a_command_that_was_not_run_are_left_out(compare, made, source, letter, tmp_path):
    whole = claim_lines(compare().out)
    (made[0] / f"{source}_results.json").unlink()
    done = compare()
    assert (done.status, done.err) == (0, "")
    for claim in CLAIMS:
        for column, cells in ((2, claim.published), (3, claim.honest + claim.baseline)):
            text = claim_lines(done.out)[claim.claim][column]
            used = {cell.source for cell in cells}
            assert text.endswith(f"command {letter} was not run") == (source in used)
            assert source in used or text == whole[claim.claim][column]
            assert used != {source} or text == f"command {letter} was not run"


def test_no_results_file_at_all_is_one_sentence(compare, made, tmp_path):
    for source in SOURCES:
        (made[0] / f"{source}_results.json").unlink()
    done = compare()
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"{made[0]}: found none of " in done.err and "run a command of the" in done.err


NO_RESULTS = (
    "[", "[" * 100_000, "[1]", "{}", '{"rows": [5]}', '{"rows": [{"mean": "0.5"}]}', '{"rows": [{"low": 0.4}]}',
    '{"rows": [{"n_test": ["4"]}]}', '{"rows": [{"n_test": 4}]}',
)  # fmt: skip


@pytest.mark.parametrize("text", NO_RESULTS, ids=len)
def test_a_file_that_is_no_results_file_is_one_sentence_with_the_letter_of_its_command(compare, made, text):
    (made[0] / f"{SOURCES[3]}_results.json").write_text(text, encoding="utf-8")
    done = compare()
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "damaged; run command D again" in done.err


def test_a_damaged_file_that_is_quoted_though_no_claim_is_made_of_it_is_one_sentence(compare, made, monkeypatch):
    monkeypatch.setattr(compare_with_paper, "REFERENCE_DIR", made[0])
    own = made[0].with_name("own")
    shutil.copytree(made[0], own)
    for folder, text in ((made[0], '{"rows": []}'), (own, "[")):
        (folder / "faces_hq_results.json").write_text(text, encoding="utf-8")
    done = compare("--results-dir", own)
    sentence = f"{own / 'faces_hq_results.json'}: damaged; run the command that wrote it again"
    assert (done.status, done.err) == (1, f"compare_with_paper.py: {sentence}\n")


# --- one's own runs beside the quoted ones


def test_numbers_that_differ_from_the_quoted_ones_are_listed(compare, made, monkeypatch):
    monkeypatch.setattr(compare_with_paper, "REFERENCE_DIR", made[0])
    folder, rows = made[0].with_name("own"), made[1]
    for source in SOURCES[1:]:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{source}_results.json").write_text(json.dumps({"rows": rows[source]}), encoding="utf-8")
    changed = rows["celeba/celeba"][0]
    n_compared = sum(cell.source != SOURCES[0] for cell in cells_of_claims())

    def own(mean):
        found = [changed | {"mean": mean}, *rows["celeba/celeba"][1:]]
        (folder / "celeba/celeba_results.json").write_text(json.dumps({"rows": found}), encoding="utf-8")
        lines = compare("--results-dir", folder).out.partition("claims.pdf\n")[2].splitlines()
        return [line for line in lines if not line.endswith(" a tenth of a per cent")], lines[-4:]

    n_rows = {source: len({json.dumps(row) for row in found}) for source, found in rows.items()}
    of_table, of_files = own(changed["mean"] + 1e-5)
    assert sorted(of_files) == [
        f"{source}_results.json: {n_rows[source]} of {n_rows[source]} rows are as quoted, to a tenth of a per cent"
        for source in sorted(SOURCES[1:])
    ]
    assert of_table == [f"{n_compared} of {n_compared} numbers of the table are those of {made[0]}"]
    (head, *lines), of_files = own(changed["mean"] + 0.001)
    n_celeba = n_rows["celeba/celeba"]
    assert f"celeba/celeba_results.json: {n_celeba - 1} of {n_celeba} rows" in of_files[0]
    assert head == f"{n_compared - len(lines)} of {n_compared} numbers of the table are those of {made[0]}" and lines
    quoted = f"{100 * changed['mean']:.1f}"
    for line in lines:
        ours, _, theirs = line.partition(", quoted: ")
        assert f"{100 * changed['mean'] + 0.1:.1f}" in ours and quoted in theirs


def test_a_row_without_a_number_is_one_sentence(compare, made):
    folder, rows = made
    found = [rows["celeba/celeba"][0] | {"mean": None}, *rows["celeba/celeba"][1:]]
    (folder / "celeba/celeba_results.json").write_text(json.dumps({"rows": found}), encoding="utf-8")
    done = compare()
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1) and "one with a number" in done.err


@pytest.mark.parametrize("twice", [True, False])
def test_a_row_that_is_there_twice_or_not_at_all_is_one_sentence(compare, made, twice):
    folder, rows = made
    found = [rows["celeba/celeba"][0], *rows["celeba/celeba"]] if twice else rows["celeba/celeba"][1:]
    (folder / "celeba/celeba_results.json").write_text(json.dumps({"rows": found}), encoding="utf-8")
    done = compare()
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"celeba/celeba: found {2 if twice else 0} rows of {{'table': " in done.err and "expected one" in done.err


# --- the README


def test_the_readme_has_the_table_that_was_written():
    if not (REPOSITORY / "plots/reference/claims.md").is_file():
        pytest.skip("needs plots/reference/claims.md")
    between = repository_text("README.md").partition("<!-- claims -->")[2].partition("<!-- /claims -->")[0]
    table = "".join(
        f"{line}\n" for line in repository_text("plots/reference/claims.md").splitlines() if line.startswith("|")
    )
    assert table.count("\n") == 2 + len(CLAIMS) and between.strip() == table.strip()


def test_the_command_of_each_letter_writes_the_results_file_of_that_letter():
    for source in SOURCES:
        [line] = re.findall(rf"^\| {COMMANDS[source]} \|.*$", repository_text("README.md"), re.MULTILINE)
        *_, command = re.findall(r"`python (train_.*?)`", line)
        folder = (re.findall(r"--output-dir plots/(\S+)", command) or [""])[0]
        origin = PUBLISHED_FEATURES if "--published" in command else IMAGES
        experiment = command.partition("train_")[2].partition(".py")[0]
        assert "/".join(filter(None, (folder, origin.subfolder, experiment))) == source


def test_the_results_files_that_are_here_give_the_table_that_is_here(call, drawn, tmp_path):
    files = [REPOSITORY / f"plots/reference/{source}_results.json" for source in SOURCES]
    if not all(path.is_file() for path in (*files, REPOSITORY / "plots/reference/claims.md")):
        pytest.skip("needs the results files of commands A to E, and plots/reference/claims.md")
    done = call("compare_with_paper", "--results-dir", REPOSITORY / "plots/reference", "--output-dir", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "claims.md").read_text(encoding="utf-8") == repository_text("plots/reference/claims.md")
