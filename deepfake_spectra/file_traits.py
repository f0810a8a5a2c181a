"""What the bytes of an image file tell of how it was made and saved: coding, tables, layout, tags; nothing is decoded.

A classifier could tell classes apart by any of these. They are what the file says: easily removed, and easily forged.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby, islice, takewhile
from typing import NamedTuple

from deepfake_spectra.image_checks import jpeg_segments

UNKNOWN = "unknown"
MOST_PARTS = 10_000  # of a file that are looked at; damaged ones may seem to have any number
MOST_TEXT = 60  # characters of a tag that are kept
MACHINE_MADE = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")  # of the IPTC's source types

_JPEG_NAMES = {0xC4: "DHT", 0xCC: "DAC", 0xDA: "SOS", 0xDB: "DQT", 0xDD: "DRI", 0xFE: "COM"}
_JPEG_CODINGS = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}
_WEBP_CODINGS = {b"VP8 ": "lossy", b"VP8L": "lossless"}
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_SOURCE_TYPE = re.compile(rb"cv\.iptc\.org/newscodes/digitalsourcetype/(\w{1,60})")
_CREATOR_TOOL = re.compile(rb"xmp:CreatorTool(?:=\"|>)([^<\"]{1,200})")
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the uuid of its box in HEIF and AVIF
_EXIF_TAGS = 271, 272, 305  # Make, Model, Software
_ASCII = 2  # the type of a tag
_TIFF_START = re.compile(rb"II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08")
_GENERATOR_KEYS = (b"parameters", b"prompt", b"workflow", b"invokeai_metadata", b"Dream")  # PNG texts of web interfaces


class FileTraits(NamedTuple):
    """How an image file was saved, and what its tags say; "" is what it does not have, "unknown" what is damaged."""

    coding: str = ""  # JPEG "baseline", "progressive", ...; PNG "interlaced"; WebP "lossy", "lossless"
    tables: str = ""  # of a JPEG: first 8 digits of the SHA-256 of its quantisation tables
    layout: str = ""  # parts up to the pixels (JPEG), or all of them (PNG, WebP), in their order
    tags: str = ""  # kinds of metadata that are there: "EXIF", "ICC", "IPTC", "XMP", in this order
    camera: str = ""  # EXIF make and model
    software: str = ""  # EXIF Software, XMP CreatorTool, PNG text or JPEG comment, the first that is there
    source_type: str = ""  # IPTC digital source type, of XMP or of Content Credentials; see MACHINE_MADE
    has_credentials: bool = False  # holds a C2PA manifest ("Content Credentials"); whether it is valid is not checked


class _Parts(NamedTuple):
    """What a container is taken apart into."""

    coding: str = ""
    tables: bytes = b""
    layout: str = ""
    exif: bytes | None = None
    xmp: bytes = b""
    has_icc: bool = False
    has_iptc: bool = False
    credentials: bytes = b""
    texts: tuple[bytes, ...] = ()  # of programs: comments, PNG texts


def file_traits(content: bytes) -> FileTraits:
    """Return what the bytes of an image file tell without being decoded.

    Parameters
    ----------
    content : bytes
        Of a whole file. JPEG, PNG, WebP, TIFF, HEIF and AVIF are looked into; of others all traits are "". Bytes of
        any kind are taken: what is damaged is "unknown", and no exception leaves.
    """
    parts = _parts(content)
    camera, program = _exif_texts(parts.exif) if parts.exif is not None else ("", "")
    has_exif = parts.exif is not None and parts.exif is not content  # a TIFF is one itself
    has = {"EXIF": has_exif, "ICC": parts.has_icc, "IPTC": parts.has_iptc, "XMP": bool(parts.xmp)}
    creator = _CREATOR_TOOL.search(parts.xmp)
    programs = (program, _text(creator[1]) if creator else "", *map(_text, parts.texts))
    source_type = _SOURCE_TYPE.search(parts.xmp) or _SOURCE_TYPE.search(parts.credentials)
    return FileTraits(
        coding=parts.coding,
        tables=hashlib.sha256(parts.tables).hexdigest()[:8] if parts.tables else "",
        layout=parts.layout,
        tags=" ".join(kind for kind, is_there in has.items() if is_there),
        camera=camera,
        software=next(filter(None, programs), ""),
        source_type=_text(source_type[1]) if source_type else "",
        has_credentials=bool(parts.credentials),
    )


def _parts(content):
    """Return the parts of an image file of any kind."""
    if content.startswith(b"\xff\xd8"):
        return _jpeg_parts(content)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_parts(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp_parts(content)
    if content.startswith((b"II*\0", b"MM\0*")):
        return _Parts(exif=content, xmp=_xmp_packet(content))
    if content[4:8] == b"ftyp":
        return _heif_parts(content)
    return _Parts()


def _jpeg_parts(content):
    """Return the parts of a JPEG up to its pixels."""
    segments = takewhile(lambda segment: segment[0] != 0xDA, islice(jpeg_segments(content), MOST_PARTS))
    segments = [(marker, bytes(data)) for marker, data in segments]
    frames = [marker for marker, _ in segments if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)]
    of = {marker: [data for own, data in segments if own == marker] for marker, _ in segments}
    exif = [data[6:] for data in of.get(0xE1, ()) if data.startswith(b"Exif\0")]
    xmp = [data[len(_XMP_IN_JPEG) :] for data in of.get(0xE1, ()) if data.startswith(_XMP_IN_JPEG)]
    jumbf = b"".join(data[8:] for data in of.get(0xEB, ()) if data.startswith(b"JP"))
    return _Parts(
        coding=_JPEG_CODINGS.get(frames[0], "other") if frames else UNKNOWN,
        tables=b"".join(of.get(0xDB, ())),
        layout=_in_order(map(_jpeg_name, (marker for marker, _ in segments))) or UNKNOWN,
        exif=exif[0] if exif else None,
        xmp=b"".join(xmp),
        has_icc=any(data.startswith(b"ICC_PROFILE") for data in of.get(0xE2, ())),
        has_iptc=any(data.startswith(b"Photoshop 3.0") for data in of.get(0xED, ())),
        credentials=jumbf if b"c2pa" in jumbf else b"",
        texts=tuple(of.get(0xFE, ())),
    )


def _jpeg_name(marker):
    """Return what the JPEG standard calls a marker."""
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    return _JPEG_NAMES.get(marker) or (f"SOF{marker - 0xC0}" if 0xC0 <= marker <= 0xCF else f"{marker:02X}")


def _png_parts(content):
    """Return the parts of a PNG."""
    chunks = list(islice(_chunks(content, 8, "big", 4), MOST_PARTS))
    first = {kind: data for kind, data in reversed(chunks)}
    texts = dict(data.partition(b"\0")[::2] for kind, data in chunks if kind in (b"tEXt", b"iTXt", b"zTXt"))
    xmp = texts.pop(b"XML:com.adobe.xmp", b"")
    header = first.get(b"IHDR", b"")
    generator = [b"prompt of a generator (%s)" % key for key in _GENERATOR_KEYS if key in texts]
    return _Parts(
        coding=("", "interlaced")[header[12] == 1] if len(header) == 13 else UNKNOWN,
        layout=" ".join(kind for kind, _ in groupby(_text(kind) for kind, _ in chunks)) or UNKNOWN,
        exif=first.get(b"eXIf"),
        xmp=xmp,
        has_icc=b"iCCP" in first,
        credentials=first.get(b"caBX", b""),
        texts=(texts.get(b"Software", b""), *generator),
    )


def _webp_parts(content):
    """Return the parts of a WebP."""
    chunks = list(islice(_chunks(content, 12, "little"), MOST_PARTS))
    first = {kind: data for kind, data in reversed(chunks)}
    codings = [_WEBP_CODINGS[kind] for kind in first if kind in _WEBP_CODINGS]
    return _Parts(
        coding=codings[0] if codings else UNKNOWN,
        layout=_in_order(_text(kind).strip() for kind, _ in chunks) or UNKNOWN,
        exif=first.get(b"EXIF"),
        xmp=first.get(b"XMP ", b""),
        has_icc=b"ICCP" in first,
        credentials=first.get(b"C2PA", b""),
    )


def _heif_parts(content):
    """Return what is found of the tags of HEIF and AVIF, whose places only their index tells, by how they begin."""
    exif = _TIFF_START.search(content) if b"Exif" in content else None
    credentials = content.find(_C2PA_BOX)
    return _Parts(
        exif=content[exif.start() :] if exif else None,
        xmp=_xmp_packet(content),
        has_icc=b"colrprof" in content,
        credentials=content[credentials:] if credentials >= 0 else b"",
    )


def _chunks(content, position, byteorder, tail=0) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, data) of the chunks of a PNG, or of a RIFF file, whose length and type stand in the other order."""
    is_png = byteorder == "big"
    while position + 8 <= len(content):
        fields = content[position : position + 4], content[position + 4 : position + 8]
        size, kind = fields if is_png else fields[::-1]
        length = int.from_bytes(size, byteorder)
        yield kind, content[position + 8 : position + 8 + length]
        position += 8 + length + (tail if is_png else length % 2)


def _xmp_packet(content):
    """Return an XMP packet wherever it stands."""
    start = content.find(b"<x:xmpmeta")
    return content[start:].partition(b"</x:xmpmeta>")[0] if start >= 0 else b""


def _exif_texts(content):
    """Return (camera, software) of an EXIF block, each "" where it has none, "unknown" where it cannot be read.

    Pillow would read it, too, but warn of each damaged tag on stderr, from several threads at once.
    """
    content = content.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(content[:4])
    if order is None:
        return UNKNOWN, UNKNOWN

    def number(position, n_bytes):
        return int.from_bytes(content[position : position + n_bytes], order)

    first = number(4, 4) + 2  # behind the number of tags, of which each takes 12 bytes
    if first > len(content):
        return UNKNOWN, UNKNOWN
    texts = {}
    for tag in range(first, min(first + 12 * number(first - 2, 2), len(content) - 11), 12):
        n_bytes = number(tag + 4, 4)
        start = tag + 8 if n_bytes <= 4 else number(tag + 8, 4)
        if number(tag + 2, 2) == _ASCII:
            texts[number(tag, 2)] = content[start : start + min(n_bytes, 4 * MOST_TEXT)].partition(b"\0")[0]
    make, model, software = (_text(texts.get(tag, b"")) for tag in _EXIF_TAGS)
    return _text(f"{make} {model}"), software


def _in_order(names: Iterable[str]) -> str:
    """Return names as a text, those in a row once with their number: "APP0 DQT*2 SOF0"."""
    counted = ((name, len(list(same))) for name, same in groupby(names))
    return " ".join(f"{name}*{n}" if n > 1 else name for name, n in counted)


def _text(value):
    """Return a tag's value as a short text on one line."""
    text = value[: 4 * MOST_TEXT].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_TEXT]
