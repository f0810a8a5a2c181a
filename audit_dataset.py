"""What else than generation tells the classes of a data set apart?

Looks at every file: size, format, JPEG tables, order of the parts, tags, brightness, contrast, traces of an earlier
JPEG, copies and near copies. Then scores, each beside that of the radial spectrum: headers alone, one trait alone,
a source against itself, two sources of one class, a source of which every second image is saved as the other class is,
and all images at one size and quality. A verdict follows by the rules of docs/audit.md; --strict makes a bad one exit
status 1. On 900 images that are most likely the paper's: headers alone 100 %.

    python audit_dataset.py                       # data/faces_hq if it is there, else the built-in sample
    python audit_dataset.py --data-dir DIR --real-sources A B --fake-sources C D

Writes plots/DIR_audit.md (what is printed), .json (every number, every pair) and a figure, .png and .pdf; of the sample
plots/built_in_sample/built_in_sample_audit. Records of the files are kept in data/audit/.
"""

from deepfake_spectra.settings import read_settings, run, settings_record  # isort: skip; hears Ctrl-C

import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from deepfake_spectra import interrupts
from deepfake_spectra.audit_verdict import findings, verdict
from deepfake_spectra.classification import header_columns, score_classifiers
from deepfake_spectra.controls import LEAST_LEFT, checked_altered, half_altered, one_against_other
from deepfake_spectra.dataset import BUILT_IN_SAMPLE, CLASS_NAMES, FAKE, REAL, Feature
from deepfake_spectra.errors import ExperimentError
from deepfake_spectra.file_records import read_records
from deepfake_spectra.files import FIGURE_MARK, REPOSITORY, check_outputs, display_path, listed, printable, write_text
from deepfake_spectra.image_files import list_images
from deepfake_spectra.image_folders import FACES_HQ_SOURCES, count_images, find_images, label_sources, sizes_that_fit
from deepfake_spectra.image_spectra import load_spectra
from deepfake_spectra.near_duplicates import near_groups, near_pairs
from deepfake_spectra.packages import versions
from deepfake_spectra.results import PACKAGES, ROW_KEYS, commit, json_text
from deepfake_spectra.splits import random_splits
from deepfake_spectra.tables import markdown_table, metric_said, result_table, rows_of
from deepfake_spectra.trait_table import HEADER_TRAITS, most_frequent, summarised, trait_array

# data
DATA_DIR: Path | None = None  # folder with one sub-folder per source; none: data/faces_hq, else the built-in sample
REAL_SOURCES: tuple[str, ...] = ("celebA-HQ_10K", "Flickr-Faces-HQ_10K")  # folders of reals, as in the archive
FAKE_SOURCES: tuple[str, ...] = ("100KFake_10K", "thispersondoesntexists_10K")  # folders of fakes, as in the archive
N_SAMPLES: int = 1000  # images in total that are drawn for the scores; files and copies are looked at in all

# scores
TEST_SHARE: float = 0.2  # of the images, or groups, of each source
N_SPLITS: int = 10  # how often images are split anew
SVM_C: float = 1.0  # linear kernel, no scaling, as in train_faces_hq.py
SEED: int = 0  # draws the images and the splits
N_THREADS: int = -1  # -1: one per core

# output
STRICT: bool = False  # exit status 1 where the verdict is bad
OUTPUT_DIR: Path = Path("plots")  # for report, numbers and figure

MARKS = {"md": rb"\A# Audit of ", "json": rb'\A\{\n "audit": "', "png": FIGURE_MARK, "pdf": FIGURE_MARK}
COMMON_QUALITY = 75  # at which images of several formats are compared, where none is JPEG
LEAF_SHARE = 0.02  # of the training images, the least in a leaf of a tree that sees one trait
MOST_SHOWN = 20  # pairs, or files, that the report names; the numbers file has all
SCOPES = ("across classes", "across sources", "within a source")  # of pairs, by how much their sources have in common
PANELS = {
    "classes": "Reals against fakes", "trait": "Reals against fakes, by one trait alone (decision tree)",
    "null": "One source against itself, halves at random",
    "cause": "Every second image of a source saved as the other class is",
    "reals": "Two real sources", "fakes": "Two fake sources",
}  # fmt: skip


def audit_name(images):
    """Return what the audit of a folder is called, in the names of its files, too."""
    if images.origin is BUILT_IN_SAMPLE:
        return images.origin.name
    return re.sub(r"[^\w.-]+", "_", images.path.resolve().name).lstrip(".-")[:100] or "data"


def audit_title(images):
    """Return what the report and the figure are called: a folder has the name that it has on the disk."""
    if images.origin is BUILT_IN_SAMPLE:
        return "Audit of the built-in sample: no reproduction of the paper"
    return f"Audit of {printable(images.path.resolve().name)}"


def list_files(images):
    """Return {path: source} of what looks or ends like an image, and {path: reason} of what only ends like one."""
    sources, skipped = {}, {}
    for source in images.labels_of_sources:
        found, not_images = list_images(images.path / source)
        skipped |= {relative_name(path, images): reason for path, reason in not_images}
        sources |= {relative_name(path, images): source for path in (*found, *dict(not_images))}
    return sources, skipped


def relative_name(path, images):
    """Return a path as seen from the data folder, "/" between folders."""
    return path.relative_to(images.path).as_posix()


def stray_files(images, known):
    """Return {source: {kind: number of files}} of what lies among the images and is none, or is hidden."""
    stray = {}
    for source in images.labels_of_sources:
        folder = images.path / source
        others = (path for path in folder.rglob("*") if path.is_file() and relative_name(path, images) not in known)
        kinds = Counter(stray_kind(path.relative_to(folder)) for path in others)
        stray[source] = dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    return stray


def stray_kind(path):
    """Return what a stray file is called in a table: by its hidden folder, its own name, or its ending."""
    hidden = [part for part in path.parts if part.startswith((".", "__")) or part in ("Thumbs.db", "desktop.ini")]
    return hidden[0] if hidden else f"*{path.suffix}" if path.suffix else path.name


def find_pairs(records, sources, labels):
    """Return {path: group}, one for nearly equal pictures, and {kind: pairs}, equal files before near ones."""
    firsts = {}  # SHA-256: path
    for path, record in records.items():
        firsts.setdefault(record.sha256, path)
    paths = list(firsts.values())
    near = near_pairs([records[path].hash for path in paths])
    group_of = dict(zip(firsts, map(str, near_groups(len(paths), near).tolist())))
    pairs = [("equal", firsts[record.sha256], path, 0) for path, record in records.items()]
    pairs += [("near", paths[first], paths[second], distance) for first, second, distance in near]
    kinds = {f"{kind} {scope}": [] for scope in SCOPES for kind in ("equal", "near")}
    for kind, first, second, distance in pairs:
        if first != second:
            one, other = sources[first], sources[second]
            scope = SCOPES[(one == other) + (labels[one] == labels[other])]
            kinds[f"{kind} {scope}"].append({"first": first, "second": second, "distance": distance})
    return {path: group_of[record.sha256] for path, record in records.items()}, kinds


def one_size_and_quality(records, sources):
    """Return the steps that give all images one size and JPEG quality; "" if they have one already."""
    steps = []
    if len({(record.width, record.height) for record in records.values()}) > 1:
        side = min(min(record.width, record.height) for record in records.values())
        steps.append(f"crop {side}x{side}")
    if len({(record.format, record.jpeg_quality) for record in records.values()}) > 1:
        of_source = {
            source: [records[path] for path in records if sources[path] == source] for source in sources.values()
        }
        qualities = [most_frequent(own, "jpeg_quality")[0] for own in of_source.values()]
        steps.append(f"jpeg {min(filter(None, qualities), default=COMMON_QUALITY)}")
    return " + ".join(steps)


def saved_as(others, own):
    """Return the steps that save images as most of the others are; "" where most of them are so already."""
    size, own_size = (most_frequent(records, "width", "height") for records in (others, own))
    [own_quality] = most_frequent(own, "jpeg_quality")
    as_jpeg = [record for record in others if record.format == "JPEG"]
    [quality] = most_frequent(as_jpeg, "jpeg_quality") if as_jpeg else [own_quality]
    steps = [f"resize {size[0]}x{size[1]}"] if size != own_size else []
    return " + ".join(steps + [f"jpeg {quality}"] * (quality != own_quality))


def draw_spectra(images, feature, n_samples, groups, settings):
    """Return the spectra of a draw of images, of those that have a group; near copies are in one group."""
    drawn = load_spectra(images, feature, n_samples, seed=settings.seed, n_threads=settings.n_threads, max_unreadable=1)
    drawn = drawn.of_rows([row for row, path in enumerate(drawn.paths) if path in groups])
    return drawn if drawn.is_grouped else replace(drawn, groups=np.array([groups[path] for path in drawn.paths]))


def check_counts(n_of, images, what):
    """End the run where fewer than two images of a source are left."""
    for source in images.labels_of_sources:
        if n_of[source] < 2:
            raise ExperimentError(f"{printable(source)}: {n_of[source]} images {what}, need 2; name another")


def score_rows(images, records, sources, groups, n_samples, settings):
    """Return the rows of all scores."""
    from sklearn.svm import SVC  # takes a second to load
    from sklearn.tree import DecisionTreeClassifier

    def scored(data, table, condition, classifiers=None, columns=None):
        splits = random_splits(data, len(data), settings.test_share, settings.n_splits, settings.seed)
        keys = {"table": table, "condition": condition, "protocol": data.protocol, "n_samples": len(data)}
        return score_classifiers(data, splits, classifiers or linear, settings.n_threads, columns, **keys)

    linear = {"svm_linear": SVC(kernel="linear", C=settings.svm_c)}
    tree = {"headers_only": DecisionTreeClassifier(random_state=settings.seed)}
    small_tree = {"one_trait": DecisionTreeClassifier(min_samples_leaf=LEAF_SHARE, random_state=settings.seed)}

    dataset = draw_spectra(images, Feature(), n_samples, groups, settings)
    check_counts(Counter(dataset.sources.tolist()), images, "have a spectrum")
    drawn = {path: records[path] for path in dataset.paths}
    traits = trait_array(list(drawn.values()))
    rows = scored(dataset, "classes", "as they are")
    alike = dataset
    if steps := one_size_and_quality(drawn, sources):
        altered = draw_spectra(images, dataset.feature.altered(steps), n_samples, groups, settings)
        alike = checked_altered(dataset, altered)
        rows += scored(alike, "classes", f"all images: {steps}")
    rows += scored(dataset, "classes", "as they are", tree, header_columns(traits[list(HEADER_TRAITS)]))
    for name in traits.dtype.names:
        if len(np.unique(traits[name])) > 1:
            rows += scored(dataset, "trait", name, small_tree, header_columns(traits[[name]]))

    for label, table in ((REAL, "reals"), (FAKE, "fakes")):
        for first, second in combinations(dataset.sources_of(label), 2):
            rows += scored(one_against_other(alike, first, second), table, f"{first} against {second}")

    for source, n_images in dataset.counts().items():
        if n_images < LEAST_LEFT:
            continue
        own, label = dataset.of_sources([source]), images.labels_of_sources[source]
        rows += scored(half_altered(own, own), "null", source)
        others = [record for path, record in drawn.items() if images.labels_of_sources[sources[path]] != label]
        if steps := saved_as(others, [drawn[path] for path in own.paths]):
            of_source = replace(images, labels_of_sources={source: label})
            altered = draw_spectra(of_source, dataset.feature.altered(steps), n_images, groups, settings)
            halves = half_altered(own, checked_altered(own, altered))
            rows += scored(halves, "cause", f"{source} against itself, {steps}")
    return rows


def source_summaries(images, records, sources, unreadable, stray):
    """Return {source: {trait: summary}}, with the class and the numbers of files."""
    summaries = {}
    for source, label in images.labels_of_sources.items():
        own = [record for path, record in records.items() if sources[path] == source]
        traits = trait_array(own)
        lost = sum(sources[path] == source for path in unreadable)
        summaries[source] = {
            "class": CLASS_NAMES[label], "files": str(len(own) + lost), "not readable": str(lost),
            "stray": listed([f"{kind} ({n})" for kind, n in stray[source].items()]),
        } | {name: printable(summarised(traits[name])) for name in traits.dtype.names if len(own)}  # fmt: skip
    return summaries


def source_table(summaries):
    """Return the Markdown table of the sources, a line for each trait that some file has."""
    lines = [
        [name, *(summary.get(name, "") for summary in summaries.values())] for name in next(iter(summaries.values()))
    ]
    return markdown_table(["", *map(printable, summaries)], [line for line in lines if set(line[1:]) - {"", "-"}])


def report_text(title, report, rows):
    """Return the report to read."""
    text = f"# {title}\n\nVerdict: {report['verdict']['sentence']}.\n\n"
    text += "".join(
        f"* {'**bad** ' if finding['is_bad'] else ''}{finding['sentence']}\n"
        for finding in report["verdict"]["findings"]
    )
    text += f"\n## The files\n\n{source_table(report['sources'])}\n"
    for table, caption in PANELS.items():
        if found := rows_of(rows, table):
            names = {"condition": "", "n_samples": "images", "by_photograph": ""}
            columns = ("classifier",) if table == "classes" else ("metric",)
            shown = result_table(found, ("condition", "n_samples"), columns, names)
            text += f"\n## {caption}: {metric_said(rows, table)} in %\n\n{shown}\n"
    for kind, pairs in report["pairs"].items():
        pairs = [f"{pair['first']} = {pair['second']} ({pair['distance']} of 256 bits)" for pair in pairs]
        text += shown_list(f"Pictures that are {kind}: {len(pairs)} pairs", pairs)
    lost = [f"{path}: {reason}" for path, reason in report["unreadable"].items()]
    text += shown_list(f"Files that cannot be read: {len(lost)}", lost)
    for remark in report["remarks"]:
        text += f"\nNote: {remark}\n"
    return text


def shown_list(caption, lines):
    """Return a list under its caption, cut after a few lines; nothing where there are none."""
    more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    shown = "".join(f"* {printable(line)}\n" for line in lines[:MOST_SHOWN] + more)
    return f"\n## {caption}\n\n{shown}" if lines else ""


@interrupts.held_back()  # an old figure beside new numbers would be worse than either
def write_report(outputs, title, report, rows):
    """Print the report and write it, its numbers and its figure, each whole."""
    from deepfake_spectra.result_plots import audit_figure  # matplotlib takes a second to load

    audit_figure(outputs["png"], rows, PANELS, title)
    text = report_text(title, report, rows)
    write_text(outputs["md"], text)
    write_text(outputs["json"], json_text(report | {"rows": [{key: row.get(key) for key in ROW_KEYS} for row in rows]}))
    print(f"\n{text}\nwritten: {', '.join(display_path(path) for path in outputs.values())}")


def main():
    settings = read_settings(__name__)
    labels = label_sources(settings.real_sources, settings.fake_sources)
    images = find_images("faces_hq", settings.data_dir, labels, FACES_HQ_SOURCES)
    name = audit_name(images)
    folder = settings.output_dir / images.origin.subfolder
    outputs = {ending: folder / f"{name}_audit.{ending}" for ending in MARKS}
    check_outputs([(path, MARKS[ending]) for ending, path in outputs.items()], images.source_dirs())
    [n_samples], remarks = sizes_that_fit(count_images(images), [settings.n_samples])

    sources, skipped = list_files(images)
    paths = [path for path in sources if path not in skipped]
    records, damaged = read_records(images.path, paths, REPOSITORY / "data/audit" / name, settings.n_threads)
    unreadable = skipped | damaged
    check_counts(Counter(sources[path] for path in records), images, "can be read")
    groups, pairs = find_pairs(records, sources, images.labels_of_sources)
    rows = score_rows(images, records, sources, groups, n_samples, settings)

    n_pairs = {kind: len(found) for kind, found in pairs.items()}
    found = findings(rows, len(records) + len(unreadable), len(unreadable), n_pairs)
    report = {
        "audit": name,
        "built_in_sample": images.origin is BUILT_IN_SAMPLE,
        "settings": settings_record(settings),
        "versions": versions(*PACKAGES),
        "commit": commit(),
        "verdict": {"sentence": verdict(found), "findings": [finding._asdict() for finding in found]},
        "sources": source_summaries(images, records, sources, unreadable, stray_files(images, sources)),
        "pairs": pairs,
        "unreadable": unreadable,
        "remarks": remarks,
    }
    write_report(outputs, audit_title(images), report, rows)
    if settings.strict and any(finding.is_bad for finding in found):
        raise ExperimentError(f"{verdict(found)}; see {display_path(outputs['md'])}")


if __name__ == "__main__":
    run(main)
