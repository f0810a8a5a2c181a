"""The index of the crops, and the identities in the names of videos."""

import os

import pytest

from deepfake_spectra.settings import ExperimentError
from deepfake_spectra.video_crops import CropRow, identities, read_index, write_index


@pytest.mark.parametrize(
    "name, target, source",
    [
        ("004.mp4", "004", ""),
        ("004_982.mp4", "004", "982"),
        ("28__walking_outside_cafe_disgusted.mp4", "28", ""),
        ("01_02__exit_phone_room__YVGY8LOK.mp4", "01", "02"),
        ("lynaeydofd.mp4", "", ""),
        ("004_982_2.mp4", "", ""),
        ("0004.mp4", "", ""),
        ("2019_03__holiday.mp4", "", ""),
        ("brick_0.mp4", "", ""),
        ("", "", ""),
    ],
)
def test_identities_in_a_name(name, target, source):
    assert identities(name) == (target, source)


def test_index_reads_back_as_it_was_written(tmp_path):
    name = os.fsdecode(b'a, "b"\n\xe9 \xc3\xa9.mp4')
    rows = [
        CropRow(f"real/videos/{name}/000001.png", "real", "videos", name, 1, 0.04, 5, 0, 90, 0.8765, "", ""),
        CropRow("fake/x/004_982.mp4/000010.png", "fake", "x", "004_982.mp4", 10, 0.4, 0, 7, 90, None, "004", "982"),
    ]
    write_index(tmp_path, rows)
    assert read_index(tmp_path) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["index.csv"]


def test_header_of_the_index(tmp_path):
    write_index(tmp_path, [])
    header = "path,label,source,video,frame,time,x,y,size,score,target,source_id\n"
    assert (tmp_path / "index.csv").read_text() == header


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "not there; run `python extract_video_frames.py`"),
        ("", "not an index"),
        ("path,label\n", "other columns"),
        (",".join(CropRow._fields) + "\nx,real\n", "2 columns"),
        (",".join(CropRow._fields) + "\nx,real,s,v,one,0,0,0,9,,,\n", "'one'"),
    ],
)
def test_a_missing_or_foreign_index_is_said(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "index.csv").write_text(content)
    with pytest.raises(ExperimentError, match=reason):
        read_index(tmp_path)
