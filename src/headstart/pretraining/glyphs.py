"""Train the embedded backbone ``glyphs`` on printed characters, and on nothing else.

Every training image is made on the fly from the fonts that matplotlib ships. A character is
rendered once and kept as two distance fields: to its outline, and to its skeleton. Distances
survive warping and can be cut at any height, so one picture gives every stroke width, from the
printed shape to a thin pen that follows its middle line. That is what brings print closer to
handwriting, without one handwritten image.

Needs no network and no data set; about ten minutes on two cores.
"""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor

from headstart.backbones.glyphs import BLOCKS, INPUT_SIZE, GlyphNet

MEAN, STD = 0.3, 0.35
FIELD = 48  # pixels across a stored distance field
BOX = 36  # the character fills this much of it; the rest is room to move and to thicken
BATCH = 128
STEPS = 2500

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
DIGITS = 10  # the first ten classes
DIGIT_SHARE = 0.3  # of the training images: digits are what most small targets hold

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


def draw(fields: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Draw characters (N, 2, FIELD, FIELD) as images (N, 1, INPUT_SIZE, INPUT_SIZE) in [0, 1].

    Each is warped, given a stroke width, thinned to fewer pixels, blurred, and so on at random;
    ``strength`` scales the warp (0: none). N should be a multiple of 4.
    """
    grid = warp(len(fields), rng, strength)
    moved = F.grid_sample(fields.float(), grid, padding_mode="border", align_corners=False)
    ink = strokes(moved, rng)
    return degrade(resample(ink, rng), rng)


def warp(n: int, rng: torch.Generator, strength: float) -> Tensor:
    """Give n sampling grids (n, S, S, 2): random affine maps plus two scales of wobble.

    How strong varies from image to image, between 0.5 and 1.7 times ``strength``.
    """
    each = strength * _uniform(n, rng, 0.5, 1.7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng) * each.view(n, *[1] * (len(shape) - 1))

    angle, shear = 0.15 * normal(n), 0.25 * normal(n)
    # Sampling 0.8 of the field on average lets the character fill the picture, as in cropped scans.
    wide, high = 0.8 * torch.exp(0.20 * normal(n)), 0.8 * torch.exp(0.10 * normal(n))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [wide * cos, wide * (shear * cos - sin), 0.06 * normal(n)]
    rows += [high * sin, high * (shear * sin + cos), 0.06 * normal(n)]
    grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), [n, 1, INPUT_SIZE, INPUT_SIZE], False)
    for cells, size in ((3, 0.13), (5, 0.06)):
        grid = grid + smooth(size * normal(n, 2, cells, cells)).permute(0, 2, 3, 1)
    return grid


def smooth(coarse: Tensor) -> Tensor:
    """Spread a coarse random field (N, C, h, w) over the picture."""
    return F.interpolate(coarse, (INPUT_SIZE, INPUT_SIZE), mode="bicubic", align_corners=True)


def strokes(fields: Tensor, rng: torch.Generator) -> Tensor:
    """Turn distance fields (N, 2, S, S) into ink (N, 1, S, S) in [0, 1].

    Half the characters keep their printed shape, made bolder or lighter; half are drawn with a
    pen of one width along the skeleton. Both vary a little within the character.
    """
    n = len(fields)
    uniform = partial(_uniform, n, rng)
    outline, line = fields[:, :1], fields[:, 1:]
    pen = line + uniform(1.5, 4.5)
    # However light, a printed shape keeps a hairline, or thin fonts would fall apart.
    printed = torch.maximum(outline + uniform(-2.0, 2.0), line + 1.3)
    height = torch.where(uniform(0, 1) < 0.6, pen, printed)
    height = height + 0.4 * smooth(torch.randn(n, 1, 4, 4, generator=rng))
    return torch.sigmoid(height / uniform(0.3, 0.9))


def resample(ink: Tensor, rng: torch.Generator) -> Tensor:
    """Pass three quarters of the images through few pixels and back up, half of all through 8."""
    sizes = [8, 8, int(torch.randint(6, 17, (1,), generator=rng)), INPUT_SIZE]
    parts = []
    for part, size in zip(ink.tensor_split(4), sizes, strict=True):
        small = F.interpolate(part, (size, size), mode="area")
        back = (INPUT_SIZE, INPUT_SIZE)
        parts.append(F.interpolate(small, back, mode="bilinear", align_corners=False))
    return torch.cat(parts)


def degrade(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blur, fade, invert and add noise at random; (N, 1, S, S) in [0, 1] to the same."""
    uniform = partial(_uniform, len(images), rng)
    blurred = F.avg_pool2d(images, 3, 1, 1)
    images = torch.lerp(images, blurred, uniform(-1, 1).clamp(min=0))
    images = images * uniform(0.6, 1.6).clamp(max=1) + uniform(-0.6, 0.2).clamp(min=0)
    images = torch.where(uniform(0, 1) < 0.1, 1 - images, images)
    noise = torch.randn(images.shape, generator=rng) * uniform(-0.2, 0.1).clamp(min=0)
    return (images + noise).clamp(0, 1)


def _uniform(n: int, rng: torch.Generator, low: float, high: float) -> Tensor:
    """Give one random number for each of n images, (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)


def normalise(images: Tensor) -> Tensor:
    """Bring [0, 1] to the scale that the network takes."""
    return (images - MEAN) / STD


def pick(bank: Bank, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n characters, a DIGIT_SHARE of them digits; within each group all classes alike."""
    per_class = torch.bincount(bank.labels, minlength=len(CLASSES)).float()
    weights = 1 / per_class[bank.labels]
    digits = bank.labels < DIGITS
    for group, share in ((digits, DIGIT_SHARE), (~digits, 1 - DIGIT_SHARE)):
        weights[group] *= share / weights[group].sum()
    chosen = torch.multinomial(weights, n, replacement=True, generator=rng)
    return bank.fields[chosen], bank.labels[chosen]


def untrained(seed: int) -> GlyphNet:
    """Build the network, its weights drawn from ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GlyphNet(len(CLASSES))


def train(bank: Bank, steps: int, seed: int, say: Callable[[str], None]) -> GlyphNet:
    """Train a network on ``bank`` for ``steps`` batches; one line in a hundred steps to ``say``.

    Plain cross-entropy: with label smoothing and cosine logits, features did less well on scripts
    that were never trained on (compare Kornblith et al. 2021, arXiv:2010.16402).
    """
    rng = torch.Generator().manual_seed(seed)
    model = untrained(seed).train()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=4e-3, total_steps=max(steps, 2), pct_start=0.15
    )
    for step in range(1, steps + 1):
        fields, labels = pick(bank, BATCH, rng)
        logits = model(normalise(draw(fields, rng)))
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            say(f"step {step} of {steps}, loss {loss.item():.3f}")
    return model.eval()


def held_out_accuracy(model: GlyphNet, bank: Bank, seed: int, batches: int = 10) -> float:
    """Measure the share of characters named rightly, in fonts that were not trained on."""
    rng = torch.Generator().manual_seed(seed + 1)
    right, size = 0, 2 * BATCH
    for _ in range(batches):
        fields, labels = pick(bank, size, rng)
        with torch.inference_mode():
            right += int((model(normalise(draw(fields, rng))).argmax(1) == labels).sum())
    return right / (batches * size)


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


def describe(sha256: str, accuracy: float, steps: int, seed: int) -> dict[str, Any]:
    """Give what ``glyphs.json`` says, in the layout of every weights file."""
    return {
        "name": "glyphs",
        "library": "headstart",
        "architecture": "glyphs",
        "num_classes": 0,
        "n_features": BLOCKS[-1][0],
        "kind": "image",
        "input_size": [1, INPUT_SIZE, INPUT_SIZE],
        "resize": INPUT_SIZE,
        "crop": "center",
        "interpolation": "bilinear",
        "mean": [MEAN],
        "std": [STD],
        "source_domain": "printed glyphs (fonts shipped with matplotlib)",
        "licence": "Apache-2.0",
        "origin": f"headstart pretrain glyphs: seed {seed}, {steps} steps, "
        f"torch {torch.__version__}",
        "check": f"{accuracy:.1%} of distorted characters from {len(HELD_OUT)} held-out fonts "
        f"({', '.join(HELD_OUT)}) get the right one of {len(CLASSES)} classes",
        "sha256": sha256,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums then have one order, whatever the machine, and the file too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def pretrain_glyphs(
    out: Path, *, seed: int = 0, steps: int = STEPS, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Make the backbone ``glyphs``: render, train, and write it to the folder ``out``.

    Writes ``glyphs.safetensors`` (without a head) and ``glyphs.json``. The same seed and steps give
    the same file bit for bit on a CPU. Returns ``accuracy`` (held-out
    fonts), ``n_glyphs``, ``steps``, ``seed``, ``seconds``, ``sha256`` and ``weights`` (path).

    Raises ValueError for fewer than one step.

    >>> pretrain_glyphs(Path("weights"))["accuracy"]  # doctest: +SKIP
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; training takes at least 1")
    say = progress or (lambda line: None)
    start = time.perf_counter()
    with one_thread():
        source, held_out = gather(steps * BATCH, seed)
        say(f"rendered {len(source.labels)} characters, {len(held_out.labels)} held out")
        model = train(source, steps, seed, say)
        accuracy = held_out_accuracy(model, held_out, seed, batches=min(10, steps))
    weights, sha256 = write(model, out, accuracy, steps, seed)
    return {
        "accuracy": accuracy,
        "n_glyphs": len(source.labels),
        "steps": steps,
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "sha256": sha256,
        "weights": str(weights),
    }


def write(model: GlyphNet, out: Path, accuracy: float, steps: int, seed: int) -> tuple[Path, str]:
    """Write the two files to the folder ``out``; returns the weights' path and sha256."""
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "glyphs.safetensors"
    save_file(state, weights)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    facts = json.dumps(describe(sha256, accuracy, steps, seed), indent=1)
    (out / "glyphs.json").write_text(facts + "\n", encoding="utf-8")
    return weights, sha256
