"""Pictures and clips in every format, whole, and the ways in which their bytes can be spoilt."""

import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from pictures import by_opencv, by_pillow, colour_picture, picture
from PIL import features
from video_clips import H264, ffmpeg, write_clip

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # for a field of a header
CONTAINERS = {".mp4": H264, ".mov": H264, ".mkv": H264, ".avi": ("-c:v", "mpeg4"), ".webm": ("-c:v", "libvpx")}


@cache
def whole_pictures() -> dict[str, tuple[str, bytes]]:
    """Return {what: (ending, bytes)} of a picture in every format and variant that a reader may meet."""
    gray, colour = picture(1, (96, 128)), colour_picture(2, (96, 128))
    alpha = np.dstack([colour, gray])
    made = {
        "JPEG": (".jpg", by_opencv(colour, ".jpg")),
        "grey JPEG": (".jpg", by_opencv(gray, ".jpg")),
        "progressive JPEG": (".jpg", by_pillow(colour, "JPEG", progressive=True, quality=85)),
        "JPEG with restarts": (".jpg", by_pillow(colour, "JPEG", restart_marker_blocks=4)),
        "CMYK JPEG": (".jpg", by_pillow(colour, "JPEG", "CMYK")),
        "PNG": (".png", by_opencv(colour)),
        "grey PNG": (".png", by_opencv(gray)),
        "16-bit PNG": (".png", by_opencv(gray.astype(np.uint16) * 257)),
        "PNG with alpha": (".png", by_pillow(alpha, "PNG")),
        "palette PNG": (".png", by_pillow(colour, "PNG", "P")),
        "1-bit PNG": (".png", by_pillow(gray, "PNG", "1")),
        "BMP": (".bmp", by_opencv(colour, ".bmp")),
        "palette BMP": (".bmp", by_pillow(colour, "BMP", "P")),
        "TIFF": (".tif", by_pillow(colour, "TIFF")),
        "WebP": (".webp", by_pillow(colour, "WEBP", quality=80)),
        "lossless WebP": (".webp", by_pillow(alpha, "WEBP", lossless=True)),
        "GIF": (".gif", by_pillow(gray, "GIF")),
    }
    for name, mode in (("tiff_lzw", "RGB"), ("tiff_adobe_deflate", "RGB"), ("jpeg", "RGB"), ("group4", "1")):
        made[f"TIFF, {name}"] = (".tif", by_pillow(colour, "TIFF", mode, compression=name))
    if features.check("avif"):
        made["AVIF"] = (".avif", by_pillow(colour, "AVIF"))
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return made
    register_heif_opener()
    return made | {"HEIC": (".heic", by_pillow(colour, "HEIF"))}


def whole_clips(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return {what: (ending, bytes)} of a short clip in every container that the scripts read."""
    frames = np.stack([picture(number, (64, 64)) for number in range(8)])
    made = {}
    for ending, codec in CONTAINERS.items():
        path = write_clip(folder / f"whole{ending}", frames, *codec)
        made[ending[1:]] = (ending, path.read_bytes())
    return made


def spoil(content: bytes, random: np.random.Generator, others: list[bytes]) -> tuple[str, bytes]:
    """Return (what was done, bytes) of a file spoilt in one way, drawn at random."""
    ways = (flip_bits, cut, cut_and_close, zero_block, swap_blocks, insert, remove, set_field, append, graft)
    way = ways[random.integers(len(ways))]
    spoilt = way(content, random, others)
    repaired = random.random() < 0.5 and spoilt[:4] == b"\x89PNG"
    words = way.__name__.replace("_", " ") + (", checksums right" if repaired else "")
    return words, with_right_checksums(spoilt) if repaired else spoilt


def flip_bits(content, random, others):
    """Flip 1 to 64 bits."""
    spoilt = bytearray(content)
    for _ in range(2 ** random.integers(7)):
        spoilt[random.integers(len(spoilt))] ^= 1 << random.integers(8)
    return bytes(spoilt)


def cut(content, random, others):
    """Keep the first part."""
    return content[: random.integers(len(content))]


def cut_and_close(content, random, others):
    """Keep the first part and the last bytes, which say that the file ends."""
    return (
        content[: random.integers(len(content) // 3, len(content))]
        + content[-12 if content[:4] == b"\x89PNG" else -2 :]
    )


def zero_block(content, random, others):
    """Overwrite a block by zeros."""
    start, length = _block(content, random)
    return content[:start] + bytes(length) + content[start + length :]


def swap_blocks(content, random, others):
    """Exchange two neighbouring blocks."""
    start, length = _block(content, random)
    first, second = content[start : start + length], content[start + length : start + 2 * length]
    return content[:start] + second + first + content[start + 2 * length :]


def insert(content, random, others):
    """Insert random bytes."""
    start, length = _block(content, random)
    return content[:start] + random.bytes(length) + content[start:]


def remove(content, random, others):
    """Take a block out."""
    start, length = _block(content, random)
    return content[:start] + content[start + length :]


def set_field(content, random, others):
    """Set two or four bytes, mostly of the header, to an extreme, in either order of bytes."""
    end = min(len(content), 256) if random.random() < 0.8 else len(content)
    value, order = EXTREMES[random.integers(len(EXTREMES))], "<>"[random.integers(2)]
    field = (
        struct.pack(order + "I", value) if value > 0xFFFF or random.random() < 0.5 else struct.pack(order + "H", value)
    )
    start = random.integers(max(1, end - len(field)))
    return content[:start] + field + content[start + len(field) :]


def append(content, random, others):
    """Append random bytes, or the file once more."""
    return content + (content if random.random() < 0.5 else random.bytes(random.integers(1, 2000)))


def graft(content, random, others):
    """Put the end of another file behind the start of this one."""
    other = others[random.integers(len(others))]
    return content[: random.integers(len(content))] + other[random.integers(len(other)) :]


def _block(content, random):
    """Return the start and the length of a block, short ones more often."""
    length = int(min(len(content) // 2, 2 ** random.uniform(0, 10)))
    return int(random.integers(len(content) - length)), max(1, length)


def with_right_checksums(content: bytes) -> bytes:
    """Return a PNG whose chunks, as far as they can be walked, carry the checksums of what they hold."""
    spoilt, start = bytearray(content), 8
    while start + 12 <= len(spoilt):
        end = start + 8 + int.from_bytes(spoilt[start : start + 4])
        if end + 4 > len(spoilt):
            break
        spoilt[end : end + 4] = zlib.crc32(spoilt[start + 4 : end]).to_bytes(4)
        start = end + 4
    return bytes(spoilt)


def png_chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    """Return a chunk of a PNG, which may lie about its length."""
    length = len(body) if length is None else length
    return length.to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def png(width: int, height: int, pixels: bytes, *chunks: bytes) -> bytes:
    """Return a grey PNG of compressed rows, with more chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    )


@cache
def named_pictures() -> dict[str, tuple[str, bytes, bool]]:
    """Return {what: (ending, bytes, whether a word on it is due)} of pictures made to hurt."""
    jpeg = by_opencv(colour_picture(5, (256, 256)), ".jpg")
    noise = np.random.default_rng(0).bytes(5000)
    start = png(64, 64, b"")[:33]  # less its pixels
    row = bytes(range(250)) * 40
    return {
        "JPEG cut in half and closed again": (".jpg", jpeg[: len(jpeg) // 2] + b"\xff\xd9", True),
        "progressive JPEG without its last scans": (".jpg", _without_last_scans(), False),
        "PNG of 5 kB whose text says 2 GB": (".png", png(64, 64, b"", png_chunk(b"iTXt", noise, 2**31 - 1)), True),
        "PNG of 5 kB whose pixels say 2 GB": (".png", start + png_chunk(b"IDAT", noise, 2**31 - 1), True),
        "PNG of 100 million pixels": (".png", png(10000, 10000, zlib.compress((b"\0" + row) * 10000, 1)), False),
        "PNG of 60 million pixels": (".png", png(7500, 8000, zlib.compress((b"\0" + row[:7500]) * 8000, 1)), False),
        "PNG of 10^18 pixels": (".png", png(2**30, 2**30, b""), True),
        "text that is called .jpg": (".jpg", b"no picture\n", True),
        "nothing": (".jpg", b"", True),
    }  # fmt: skip


def _without_last_scans():
    """Return a progressive JPEG that ends, properly, after its first scan."""
    content = by_pillow(colour_picture(6, (256, 256)), "JPEG", progressive=True)
    second_scan = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    return content[:second_scan] + b"\xff\xd9"


def clip_of_two_sizes(folder: Path) -> Path:
    """Write a clip whose frames become smaller half way."""
    parts = []
    for side in (128, 64):
        frames = np.stack([picture(number, (side, side)) for number in range(10)])
        parts.append(write_clip(folder / f".{side}.ts", frames, *H264, "-f", "mpegts").read_bytes())
    joined = folder / ".joined.ts"
    joined.write_bytes(b"".join(parts))
    path = folder / "two_sizes.mkv"
    ffmpeg("-v", "quiet", "-i", joined, "-c", "copy", path)
    return path
