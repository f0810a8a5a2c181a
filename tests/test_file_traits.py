"""What the bytes of a file tell of its making, against files whose making is known; and bytes that mean nothing."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from pictures import by_pillow, colour_picture
from PIL import Image

from deepfake_spectra.file_traits import MACHINE_MADE, MOST_TEXT, UNKNOWN, FileTraits, file_traits
from deepfake_spectra.files import REPOSITORY

PIXELS = colour_picture()
SOURCE_TYPE = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = b'<x:xmpmeta><rdf xmp:CreatorTool="Firefly 3" Iptc4xmpExt:DigitalSourceType="%s"/></x:xmpmeta>' % SOURCE_TYPE
MANIFEST = b"....jumb....jumdc2pa" + SOURCE_TYPE


def exif(**tags):
    """Return an EXIF block with some tags of a camera."""
    block = Image.Exif()
    for number, text in zip((271, 272, 305), (tags.get("make"), tags.get("model"), tags.get("software"))):
        if text:
            block[number] = text
    return block


def with_segment(content, marker, data):
    """Return a JPEG with one more segment at its beginning."""
    return content[:2] + b"\xff" + struct.pack(">BH", marker, len(data) + 2) + data + content[2:]


def with_chunk(content, kind, data):
    """Return a PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return content[:33] + chunk + content[33:]


def with_riff_chunk(content, kind, data):
    """Return a WebP with one more chunk at its end."""
    content += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


JPEG, PNG = by_pillow(PIXELS, "JPEG"), by_pillow(PIXELS, "PNG")
WEBP = by_pillow(PIXELS, "WEBP")
CAMERA = exif(make="Canon", model="EOS 5D", software="darktable 4.0")
FILES = {
    "baseline": JPEG,
    "progressive": by_pillow(PIXELS, "JPEG", progressive=True),
    "tagged JPEG": with_segment(by_pillow(PIXELS, "JPEG", exif=CAMERA), 0xEB, b"JP\0\1\0\0\0\1" + MANIFEST),
    "PNG": PNG,
    "tagged PNG": with_chunk(by_pillow(PIXELS, "PNG", exif=CAMERA), b"caBX", MANIFEST),
    "WEBP": WEBP,
    "tagged WEBP": with_riff_chunk(by_pillow(PIXELS, "WEBP", exif=CAMERA, xmp=XMP), b"C2PA", MANIFEST),
    "TIFF": by_pillow(PIXELS, "TIFF", software="scanner"),
    "AVIF": by_pillow(PIXELS, "AVIF", exif=CAMERA),
}  # fmt: skip


def test_progressive_and_baseline_are_told_apart_and_nothing_else_of_the_two_but_the_layout():
    baseline, progressive = file_traits(FILES["baseline"]), file_traits(FILES["progressive"])
    assert (baseline.coding, progressive.coding) == ("baseline", "progressive")
    assert baseline._replace(coding="", layout="") == progressive._replace(coding="", layout="")
    assert baseline.layout == "APP0 DQT*2 SOF0 DHT*4" and "SOF2" in progressive.layout


def test_tables_tell_the_quality_and_not_the_picture():
    tables = {quality: file_traits(by_pillow(PIXELS, "JPEG", quality=quality)).tables for quality in (75, 90, 95)}
    assert len(set(tables.values())) == 3 and {len(text) for text in tables.values()} == {8}
    assert file_traits(by_pillow(255 - PIXELS, "JPEG", quality=90)).tables == tables[90]


@pytest.mark.parametrize("kind", ["tagged JPEG", "tagged PNG", "tagged WEBP"])
def test_tags_of_a_camera_and_content_credentials_are_found(kind):
    traits = file_traits(FILES[kind])
    assert (traits.camera, traits.software) == ("Canon EOS 5D", "darktable 4.0")
    assert traits.has_credentials and traits.source_type in MACHINE_MADE and "EXIF" in traits.tags.split()


@pytest.mark.parametrize("kind", ["baseline", "progressive", "PNG", "WEBP"])
def test_a_plain_file_has_no_tags(kind):
    traits = file_traits(FILES[kind])
    assert traits._replace(coding="", tables="", layout="") == FileTraits()


def test_source_type_and_program_are_read_from_xmp_where_there_is_nothing_else():
    for content in (
        with_segment(JPEG, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        by_pillow(PIXELS, "WEBP", xmp=XMP),
    ):
        traits = file_traits(content)
        assert (traits.source_type, traits.software, traits.tags) == (MACHINE_MADE[0], "Firefly 3", "XMP")
        assert not traits.has_credentials


def test_the_texts_that_programs_leave_are_found():
    assert file_traits(by_pillow(PIXELS, "JPEG", comment=b"CREATOR: gd-jpeg")).software == "CREATOR: gd-jpeg"
    assert file_traits(with_chunk(PNG, b"tEXt", b"Software\0GIMP")).software == "GIMP"
    prompt = with_chunk(PNG, b"tEXt", b"parameters\0a face, 8k")
    assert file_traits(prompt).software == "prompt of a generator (parameters)"
    assert file_traits(FILES["TIFF"]).software == "scanner" and file_traits(FILES["AVIF"]).camera == "Canon EOS 5D"


def test_a_tag_becomes_one_short_line():
    [camera] = {file_traits(by_pillow(PIXELS, "JPEG", exif=exif(make="a\n\x1b[2J|é" + 1000 * "x"))).camera}
    assert camera.startswith("a [2J|") and len(camera) <= MOST_TEXT and camera.isprintable()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"II*\0", b"\0" * 99])
def test_a_file_that_ends_at_once_has_no_traits_or_unknown_ones(content):
    assert set(file_traits(content)) <= {"", UNKNOWN, False}


@pytest.mark.parametrize("order, mark", [("<", b"II*\0"), (">", b"MM\0*")])
def test_exif_is_read_in_both_orders_and_no_tag_reaches_beyond_its_end(order, mark):
    entries = [(271, 2, 4, b"Abc\0"), (272, 2, 6, struct.pack(f"{order}I", 50)), (305, 3, 1, b"\1\0\0\0")]
    packed = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    block = mark + struct.pack(f"{order}IH", 8, 3) + packed + struct.pack(f"{order}I", 0) + b"Model\0after"
    traits = file_traits(with_chunk(PNG, b"eXIf", block))
    assert (traits.camera, traits.software) == ("Abc Model", "")  # 305 is a number here
    assert file_traits(with_chunk(PNG, b"eXIf", block[:40])).camera == "Abc"
    assert file_traits(with_chunk(PNG, b"eXIf", block[:8])).camera == UNKNOWN


def test_no_package_warns_of_damaged_files_on_stderr(tmp_path):
    random = np.random.default_rng(0)
    for kind, content in FILES.items():
        for number in range(25):
            (tmp_path / f"{kind} {number}").write_bytes(mutated(content, random))
    code = """
from deepfake_spectra.file_traits import *
from deepfake_spectra.image_files import *
from deepfake_spectra.stderr import libraries_silent
with libraries_silent():  # as every script runs
    for path in Path().iterdir():
        file_traits(path.read_bytes())
        try:
            read_gray(path)
        except UnreadableImage:
            pass
"""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def mutated(content, random):
    """Return bytes of a file some of which were changed, cut out, doubled, or followed by nothing."""
    content = bytearray(content)
    for _ in range(random.integers(1, 6)):
        start = int(random.integers(min(len(content), 700)))
        length = int(random.integers(1, 9))
        match random.integers(5):
            case 0:
                content[start : start + length] = random.bytes(length)
            case 1:
                content[start : start + length] = b"\xff" * length
            case 2:
                del content[start : start + length]
            case 3:
                content[start:start] = content[start : start + 40]
            case 4:
                del content[max(start, 12) :]
    return bytes(content)


@pytest.mark.parametrize("kind", FILES)
def test_no_mutated_file_gives_anything_but_traits_of_their_types(kind, n=60):
    random = np.random.default_rng(0)
    for _ in range(n):
        traits = file_traits(mutated(FILES[kind], random))
        assert [type(value) for value in traits] == [str] * 7 + [bool]
        assert all(value.isprintable() for value in traits[:7])
        assert max(len(traits.camera), len(traits.software), len(traits.source_type)) <= MOST_TEXT
