"""How a picture is mended so that hosted and local models, judges and people see the same one. Pure, on Pillow's pictures.

The rules: only the first frame; more than 8 bits for each value, integers and floats scaled to 8 bits; transparent pictures laid
on white; CMYK, Lab and other colours made RGB; turned upright as EXIF says. Colour profiles are ignored, as models' own
processors ignore them. A picture that needs none of this is sound, and its file is not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image as Pillow

RULES = 1
"""Increase this when the rules give other pixels; a cache of older rules must then forget its column `images.mended`."""
STILL, SCALED, WHITE, RGB, UPRIGHT = "made still", "scaled to 8 bits", "laid on white", "converted to RGB", "turned upright"
STEPS = frozenset({STILL, SCALED, WHITE, RGB, UPRIGHT})
PLAIN = frozenset({"1", "L", "P", "RGB", "LA", "PA", "RGBA"})
"""Modes whose colours are the same in every reader, apart from transparency."""
MAY_MOVE = frozenset({"GIF", "PNG", "WEBP"})
EXIF = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""The keys under which Pillow keeps data that may hold an orientation."""
BEHIND_PIXELS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""The same in a PNG file: it may come after the pixels, where only a decoder finds it."""
ORIENTATION = 274
Box = tuple[int, int, int, int]


class Header(NamedTuple):
    """What a picture is by its header.

    Attributes:
        moves: whether it has more than one frame.
        deep: whether its values have more than 8 bits.
        raw: Pillow's name for the way its values are stored; empty if that says nothing.
        covered: the part of a GIF that its first frame covers, in pixels; None if it covers everything.
        orientation: EXIF's number, 1 to 8; 1 is upright, also if the number makes no sense.
    """

    moves: bool
    deep: bool
    raw: str
    covered: Box | None
    orientation: int


def faults_of(picture: Pillow, data: bytes) -> tuple[str, ...]:
    """The steps that mend a picture just opened from `data`, in this module's words; none for a sound picture.

    Decodes the picture only if it `needs_pixels`.
    """
    header = header_of(picture, data)
    found = [STILL] if header.moves else []
    found += [SCALED] if header.deep else []
    see_through, unused = _see_through(picture, header)
    found += [WHITE] if see_through is not None else []
    found += [RGB] if unused or (picture.mode not in PLAIN and not header.deep) else []
    return (*found, *([UPRIGHT] if header.orientation != 1 else []))


def needs_pixels(picture: Pillow, data: bytes) -> bool:
    """Whether the header is not enough: transparency may be declared and not used, or more data may follow the pixels."""
    return picture.has_transparency_data or (picture.format == "PNG" and _says_more_behind(data))


def mend(picture: Pillow, data: bytes, edge: int | None = None) -> Pillow:
    """The picture that everybody sees, in mode L or RGB, from a picture just opened from `data`.

    Args:
        edge: this many pixels of the longer edge are enough, if the file can be read at a smaller size.
    """
    header = header_of(picture, data)
    if edge is not None:
        picture.draft(picture.mode, (edge, edge))
    see_through, _ = _see_through(picture, header)
    flat = _put_on_white(see_through) if see_through is not None else _drop_alpha(picture)
    upright = _turn(flat, header.orientation)
    bare = upright.copy() if upright is picture else upright
    bare.info = {}  # a profile of other colours, or the old orientation, no longer applies
    return bare


def header_of(picture: Pillow, data: bytes) -> Header:
    raw, covered = "", None
    tiles: list[Any] = list(getattr(picture, "tile", ()))
    if tiles and isinstance(tiles[0].args, str):
        raw = tiles[0].args
    if tiles and picture.format == "GIF" and tiles[0].extents != (0, 0, *picture.size):
        covered = tiles[0].extents
    deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16") or (picture.format == "PNG" and ";16" in raw)
    return Header(is_moving(picture, data), deep, raw, covered, _read_orientation(picture, data))


def is_moving(picture: Pillow, data: bytes) -> bool:
    """Whether it is a moving picture, even if its second frame is broken."""
    if picture.format not in MAY_MOVE:
        return False
    if picture.format == "WEBP" and data[12:16] == b"VP8X" and data[20] & 2:
        return True
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # Pillow's readers raise many kinds on hostile files
        return True


# ---------------------------------------------------------------- upright


def _read_orientation(picture: Pillow, data: bytes) -> int:
    """The orientation from EXIF, else from XMP, as Pillow finds them; upright if they cannot be read."""
    from PIL import Image

    if picture.format == "PNG" and _says_more_behind(data):
        picture.load()
    if not hasattr(picture, "tag_v2") and not any(name in picture.info for name in EXIF):
        return 1
    try:
        found = Image.Image.getexif(picture).get(ORIENTATION)  # a PNG's own method would decode it
    except Exception:
        return 1
    return found if type(found) is int and 1 <= found <= 8 else 1


def _says_more_behind(data: bytes) -> bool:
    """Whether a PNG file may give its orientation after its pixels."""
    pixels = data.find(b"IDAT")
    return any(data.find(mark, pixels) >= 0 for mark in BEHIND_PIXELS)


def _turn(picture: Pillow, orientation: int) -> Pillow:
    from PIL.Image import Transpose

    methods = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return picture.transpose(methods[orientation]) if orientation in methods else picture


# ---------------------------------------------------------------- transparency


def _see_through(picture: Pillow, header: Header) -> tuple[Pillow | None, bool]:
    """The picture as RGBA if any of it is transparent, else None; and whether it has an alpha channel without meaning."""
    if not picture.has_transparency_data and header.covered is None:
        return None, False
    whole = _add_alpha(picture, header)
    if header.covered is not None:
        from PIL import Image

        inside = Image.new("L", whole.size)
        inside.paste(whole.getchannel("A").crop(header.covered), header.covered)
        whole.putalpha(inside)
    lowest, highest = whole.getchannel("A").getextrema()
    if picture.format == "BMP" and highest == 0:  # written by programs that leave the fourth byte empty
        return None, True
    return (whole if lowest < 255 else None), False  # type: ignore[operator]


def _add_alpha(picture: Pillow, header: Header) -> Pillow:
    """The picture as RGBA; a colour that means transparent is compared with the stored values, not with Pillow's scaled pixels."""
    key = picture.info.get("transparency")
    if picture.mode.startswith("I;16") and isinstance(key, int):
        return _apply_key(picture, key)
    if picture.mode == "L" and isinstance(key, int):
        most = {"L;2": 3, "L;4": 15}.get(header.raw, 255)
        picture.info["transparency"] = (key & most) * 255 // most
    elif picture.mode == "RGB" and isinstance(key, tuple):
        picture.info["transparency"] = tuple(part >> 8 if header.deep else part & 255 for part in key)
    elif picture.mode == "La":
        return picture.convert("LA").convert("RGBA")
    return picture.convert("RGBA")


def _apply_key(picture: Pillow, key: int) -> Pillow:
    import numpy
    from PIL import Image

    whole = _reduce_to_eight_bits(picture).convert("RGBA")
    alpha = numpy.where(numpy.asarray(picture) == key, 0, 255).astype("uint8")
    whole.putalpha(Image.fromarray(alpha))
    return whole


def _put_on_white(picture: Pillow) -> Pillow:
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")


# ---------------------------------------------------------------- colours


def _drop_alpha(picture: Pillow) -> Pillow:
    """The picture as L or RGB, without its alpha channel."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _reduce_to_eight_bits(picture)
    if picture.mode in ("1", "L"):
        picture.info.pop("transparency", None)
        return picture.convert("L")
    if picture.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")  # type: ignore[return-value]
    return picture.convert("RGB")


def _reduce_to_eight_bits(picture: Pillow) -> Pillow:
    """Grey of 8 bits; 16 bits are divided by 257.

    Other integers and floats are assumed to range from 0 to 1 (floats), to 255 or to 65,535, the first range that holds all
    values. If none does, the values are stretched from the lowest to the highest.
    """
    import numpy
    from PIL import Image

    values = numpy.asarray(picture)
    if picture.mode.startswith("I;16"):
        return Image.fromarray(((values.astype("uint32") + 128) // 257).astype("uint8"))
    values = values.astype("float32")
    finite = values[numpy.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    tops = (1.0, 255.0, 65_535.0) if picture.mode == "F" else (255.0, 65_535.0)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    low, high = (low, max(high, low + 1e-9)) if top is None else (0.0, top)
    shares = numpy.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return Image.fromarray((shares * 255 + 0.5).astype("uint8"))
