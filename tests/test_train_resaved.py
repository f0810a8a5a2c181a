"""The script as a user runs it: every source held out in turn, answers counted, a judge to be asked."""

import csv
import gzip
import json

import pytest
from pictures import write_source

from deepfake_spectra.detector_file import judge_file, read_judge

FAST = ("--trained", "jpeg 98", "jpeg 75", "--tested", "jpeg 75", "--n-bins", 20)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Return a folder with three sources of 12 pictures of each class; fakes are blurred more."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(3):
        write_source(folder / f"real_{number}", 12, first_seed=100 * number)
        write_source(folder / f"fake_{number}", 12, first_seed=100 * number + 50, blur=1.5)
    return folder


def flags_of(folder, n_sources):
    """Return the flags that name so many sources of each class."""
    flags = ["--data-dir", folder]
    for name in ("real", "fake"):
        flags += [f"--{name}-sources", *(f"{name}_{number}" for number in range(n_sources))]
    return [*flags, *FAST]


def read_results(folder):
    """Return {(sources, state, metric): row}."""
    rows = json.loads((folder / "resaved_results.json").read_text())["rows"]
    return {("+".join(row["test_sources"]), row["condition"], row["metric"]): row for row in rows}


def test_sources_that_are_easily_told_apart_are_answered_rightly_without_having_been_seen(train, sources, tmp_path):
    said = train(*flags_of(sources, 3), "--output-dir", tmp_path)
    rows = read_results(tmp_path)
    states = ("as they are", "jpeg 75", "as they are, flipped by none")
    names = [f"{name}_{number}" for name in ("real", "fake") for number in range(3)]
    assert {(key[0], key[1]) for key in rows} == {
        (name, state) for name in (*names, "+".join(names)) for state in states
    }
    for name in names:
        row = rows[name, "jpeg 75", "right"]
        assert row["n_test"] == [12] and row["n_test_fake"] == [12 * name.startswith("fake")]
        assert row["mean"] > 0.8 and rows[name, "jpeg 75", "wrong"]["mean"] == 0
    right = rows["+".join(names), "jpeg 75", "right_of_answers"]
    assert right["mean"] == 1 and right["low"] > 0.9
    assert rows["+".join(names), "jpeg 75", "log_likelihood_ratio_cost"]["mean"] < 0.5
    assert "| real_0 " in said and " / 0 / " in said
    with gzip.open(tmp_path / "resaved_scores.csv.gz", "rt", encoding="utf-8") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 6 * 12 * len(states) and len({row["path"] for row in scores}) == 72
    assert {row["predicted"] for row in scores if float(row["score"]) >= 0.5} == {"fake"}


def test_fakes_of_a_source_that_looks_real_are_wrong_answers_and_the_judge_not_to_be_acted_on(train, sources, tmp_path):
    for name in ("real_0", "real_1", "real_2", "fake_0", "fake_1"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(sources / name)
    write_source(tmp_path / "data/fake_2", 12, first_seed=900)  # blurred as the reals are
    said = train(*flags_of(tmp_path / "data", 3), "--output-dir", tmp_path / "out")
    assert "is not shown to be reached: do not act on this judge's answers" in said
    rows = read_results(tmp_path / "out")
    assert rows["fake_2", "jpeg 75", "wrong"]["mean"] > 0.5
    for source in ("real_0", "real_1", "real_2"):  # who knows that source says nothing is real
        assert rows[source, "jpeg 75", "right"]["mean"] < 0.2


def test_two_sources_of_a_class_are_said_to_be_too_few_to_tell(train, sources, tmp_path):
    assert "name three sources of each class" in train(*flags_of(sources, 2), "--output-dir", tmp_path)
    assert {row["mean"] for key, row in read_results(tmp_path).items() if key[2] == "wrong"} == {0}


def test_the_judge_holds_every_image_in_each_state_as_one_group_and_answers(train, call, sources, tmp_path):
    train(*flags_of(sources, 3), "--output-dir", tmp_path)
    judge = read_judge(judge_file(tmp_path, "resaved"))
    assert (len(judge.dataset), len(set(judge.dataset.groups.tolist()))) == (144, 72)
    assert set(judge.dataset.headers["jpeg_quality"].tolist()) == {98, 75}
    described = call("detect_fakes", "--judge", tmp_path, "--describe")
    assert described.status == 0 and "| JPEG 75, 64x48 | 72 " in described.out.replace("  ", " ")


@pytest.mark.parametrize(
    "words, reason",
    [
        (("--real-sources", "real_0"), "found one real source, need two"),
        (("--trained",), "TRAINED is empty"),
        (("--tested",), "TESTED is empty"),
        (("--tested", "jpg 75"), "unknown alteration 'jpg 75'"),
        (("--n-bins", 1), "N_BINS is 1"),
    ],
)
def test_a_wrong_call_ends_in_status_2_and_one_sentence(call, sources, tmp_path, words, reason):
    done = call("train_resaved", *flags_of(sources, 3), "--output-dir", tmp_path, *words)
    assert done.status == 2 and reason in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.glob("resaved*"))


def test_without_a_data_set_the_sample_is_judged_and_said_so(train, tmp_path):
    said = train("--output-dir", tmp_path / "out", "--trained", "jpeg 90", "--tested", "jpeg 75")
    assert "running on the built-in sample" in said.splitlines()[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["built_in_sample"]
    judge = read_judge(judge_file(tmp_path / "out/built_in_sample", "resaved"))
    assert judge.dataset.origin.name == "built_in_sample"
