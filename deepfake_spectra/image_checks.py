"""What the bytes of an image file tell without being decoded: false lengths, wrong checksums, missing parts."""

import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from deepfake_spectra.errors import UnreadableImage

_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # all but stuffed zeros and restarts


def png_chunks(content: bytes) -> dict[bytes, memoryview]:
    """Return {type: data} of the chunks of a PNG; of several of one type, such as the pixels, the first.

    A decoder would take memory for a false length first and look at the file later.

    Raises
    ------
    UnreadableImage
        A chunk is longer than the file, or its checksum is wrong.
    """
    chunks = {}
    position, kind, view = 8, b"", memoryview(content)
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", content[position : position + 8].ljust(8, b"\xff"))
        end = position + 8 + length
        if content[end : end + 4] != zlib.crc32(view[position + 4 : end]).to_bytes(4, "big"):
            raise UnreadableImage("cut short or damaged PNG")
        chunks.setdefault(kind, view[position + 8 : end])
        position = end + 4
    return chunks


def check_webp(content: bytes) -> None:
    """Raise UnreadableImage for a WebP that is shorter than it says, or whose chunks do not fill it."""
    end = 8 + int.from_bytes(content[4:8], "little")
    position = 12
    while position < end <= len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    if position != end:
        raise UnreadableImage("cut short or damaged WEBP")


def has_tail(content: bytes) -> bool:
    """Tell whether bytes follow a WebP: what is put in anywhere pushes its end out."""
    return len(content) > 8 + int.from_bytes(content[4:8], "little")


def lacks_scans(content: bytes) -> bool:
    """Tell whether a progressive JPEG ends before its scans have brought every bit of the luminance.

    Cut between two scans and closed again, it is a valid file of a smoother picture, and no decoder complains.
    """
    missing_bits, luminance = np.full(64, 99), None  # of each coefficient; the number of the first component
    for marker, data in jpeg_segments(content):
        if marker in (0xC0, 0xC1):  # a frame that is not progressive
            return False
        if marker == 0xC2:
            luminance = data[6]
        elif marker == 0xDA and luminance in data[1 : 1 + 2 * data[0] : 2]:
            first, last, bits = data[-3:]
            missing_bits[first : last + 1] = bits & 15
    return bool(missing_bits.any())


def jpeg_segments(content) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, data) of each segment of a JPEG up to its end."""
    position = 2
    while (found := _JPEG_MARKER.search(content, position)) and found[0] != b"\xff\xd9":
        position = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
        yield found[0][1], content[found.end() + 2 : position]


def is_deep_avif(content: bytes) -> bool:
    """Tell whether an AVIF has more than 8 bits a channel."""
    configuration = content.find(b"av1C")
    return configuration >= 0 and bool(content[configuration + 6] & 0x40)


def heif_turn(content: bytes) -> tuple[int, bool]:
    """Return by how many quarters a HEIF file asks to be turned, and whether it asks to be mirrored."""
    start = content.find(b"meta")
    length = int.from_bytes(content[max(start - 4, 0) : start], "big")
    properties = content[start : start + length]
    turn = properties.find(b"irot")
    return (properties[turn + 4] & 3 if turn >= 0 else 0), b"imir" in properties
