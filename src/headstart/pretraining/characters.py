"""Printed characters to learn from: every text font that matplotlib ships, as distance fields.

A character is rendered once and kept as two distance fields: to its outline, and to its skeleton.
Distances survive warping and can be cut at any height, see `headstart.pretraining.strokes`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import Tensor

FIELD = 48  # pixels across a stored distance field
BOX = 36  # the character fills this much of it; the rest is room to move and to thicken

# One class per word: the characters in it look alike once they are cropped and scaled.
ALIKE = """
0OoΟοОо 1Il|Ι 2 3 4 5 6 7 8 9 AΑА a BΒВ b Cc D d EΕЕ e F f G g HΗН h i J j KkκΚ L MΜМ m NΝ n
PpρРр Q q R r Ss TΤТ t Uu Vvν Ww XxΧχХх YyΥ Zz Γ Δ Θθ Λ Ξ Π π Σ Φφ Ψψ Ω α β γ δ ε ζ η λ μ ξ σ τ ω
Б Д Ж И Л Ф Ц Ч Ш Э Ю Я + - = < > ( ) [ ] { } / \\ ? ! & % # @ $ * ~ ^ ∞ ∫ √ ∂ ∇ ∈ ∀ ∃
"""

# Further classes, a character each: phonetic letters, Greek, Cyrillic, Canadian syllabics, arrows,
# mathematics, Tifinagh, N'Ko. Features that tell many characters apart tell new ones apart too.
SCRIPTS = (
    (0x250, 0x2AF), (0x370, 0x3FF), (0x400, 0x52F), (0x1400, 0x167F),
    (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2D30, 0x2D67), (0x7C0, 0x7EA),
)  # fmt: skip


def _classes() -> tuple[str, ...]:
    """List the classes: the words of `ALIKE`, then what the scripts have beyond them."""
    alike = tuple(ALIKE.split())
    seen = set("".join(alike))
    codes = (chr(code) for first, last in SCRIPTS for code in range(first, last + 1))
    wanted = (c for c in codes if unicodedata.category(c)[0] in "LSN" and c not in seen)
    return alike + tuple(c for c in wanted if not unicodedata.decomposition(c))


CLASSES = _classes()
# The fonts that draw the character a code point stands for. The others that matplotlib ships map
# symbols to letters (cmsy10, STIXNonUni), or draw a box for everything (LastResort).
FAMILIES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr", "cmb", "cmss", "cmti", "cmtt")
HELD_OUT = ("DejaVuSerif-Italic", "STIXGeneralItalic", "cmss10")

Fields = NDArray[np.float16]


class Glyph(NamedTuple):
    """One character to draw: its class, the font file, and the code point in that font."""

    label: int
    font: str
    character: str


class Bank(NamedTuple):
    """Distance fields (N, 2, FIELD, FIELD) and labels (N,) of N characters."""

    fields: Tensor
    labels: Tensor


def font_files() -> list[Path]:
    """List the text fonts that matplotlib ships, sorted by name."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [p for p in sorted(folder.glob("*.ttf")) if p.stem.startswith(FAMILIES)]


def glyphs_of(font: Path) -> Iterator[Glyph]:
    """Yield each character of ``font`` that belongs to a class.

    Styled variants (mathematical bold, script, sans-serif, super- and subscripts) count as their
    plain character; Unicode's compatibility decomposition says which that is.
    """
    label_of = {c: label for label, alike in enumerate(CLASSES) for c in alike}
    plain = font.stem.startswith("cm")  # these give other characters beyond letters and digits
    for code in sorted(FT2Font(str(font)).get_charmap()):
        character = chr(code)
        if plain and not (character.isascii() and character.isalnum()):
            continue
        if unicodedata.decomposition(character).startswith(("<font>", "<super>", "<sub>")):
            character = unicodedata.normalize("NFKC", character)
        if character in label_of:
            yield Glyph(label_of[character], str(font), chr(code))


def render(glyph: Glyph, font: ImageFont.FreeTypeFont) -> NDArray[np.bool_]:
    """Draw a character, cropped and scaled so that its longer side is BOX; (FIELD, FIELD)."""
    page = Image.new("L", (6 * BOX, 6 * BOX))
    ImageDraw.Draw(page).text((2 * BOX, 2 * BOX), glyph.character, fill=255, font=font)
    image = page.crop(page.getbbox() or (0, 0, 1, 1))
    scale = BOX / max(image.size)
    size = (max(round(image.width * scale), 2), max(round(image.height * scale), 2))
    canvas = Image.new("L", (FIELD, FIELD))
    corner = ((FIELD - size[0]) // 2, (FIELD - size[1]) // 2)
    canvas.paste(image.resize(size, Image.Resampling.BICUBIC), corner)
    return np.asarray(canvas) > 127


def skeleton(shapes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin shapes (N, H, W) to one pixel wide lines (Zhang and Suen, CACM 27(3), 1984)."""
    lines = shapes.copy()
    busy = np.arange(len(lines))
    while busy.size:
        before = lines[busy]
        after = _peel(_peel(before, 0), 1)
        lines[busy] = after
        busy = busy[(before != after).any((1, 2))]
    return lines


def _peel(shapes: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Take away the border pixels that one half-step of the thinning allows."""
    p = np.pad(shapes, ((0, 0), (1, 1), (1, 1)))
    ring = [(0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)]  # clockwise from north
    h, w = shapes.shape[1:]
    around = [p[:, y : y + h, x : x + w] for y, x in ring]
    count = np.sum(around, axis=0)
    turns = np.sum([~a & b for a, b in zip(around, around[1:] + around[:1], strict=True)], axis=0)
    north, east, south, west = around[0::2]
    first, second = ((east, south), (north, west))[step], ((north, west), (east, south))[step]
    keep = first[0] & first[1] & (second[0] | second[1])
    thinned: NDArray[np.bool_] = shapes & ~((count >= 2) & (count <= 6) & (turns == 1) & ~keep)
    return thinned


def distance_fields(shape: NDArray[np.bool_], line: NDArray[np.bool_]) -> Fields:
    """Give (2, H, W): signed distance to the outline (inside > 0), minus distance to the line."""
    edt = ndimage.distance_transform_edt
    return np.stack([edt(shape) - edt(~shape), -edt(~line)]).astype(np.float16)


def build_bank(glyphs: list[Glyph]) -> Bank:
    """Render every glyph and keep its distance fields; blank ones are left out."""
    fonts = {f: ImageFont.truetype(f, 2 * BOX) for f in {g.font for g in glyphs}}
    drawn = [(g.label, render(g, fonts[g.font])) for g in glyphs]
    labels = [label for label, shape in drawn if shape.any()]
    shapes = np.stack([shape for _, shape in drawn if shape.any()])
    fields = [distance_fields(s, line) for s, line in zip(shapes, skeleton(shapes), strict=True)]
    return Bank(torch.from_numpy(np.stack(fields)), torch.tensor(labels))


def gather(images: int, seed: int) -> tuple[Bank, Bank]:
    """Render the fonts to train on and the held-out ones, each at most ``images`` characters."""
    fonts = font_files()
    banks = []
    for held_out in (False, True):
        glyphs = [g for f in fonts if (f.stem in HELD_OUT) == held_out for g in glyphs_of(f)]
        # Rendering more characters than will be looked at would only cost time.
        order = np.random.default_rng(seed).permutation(len(glyphs))[:images]
        banks.append(build_bank([glyphs[i] for i in sorted(order)]))
    return banks[0], banks[1]
