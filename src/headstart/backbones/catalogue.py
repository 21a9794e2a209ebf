"""What is worth fetching: about a dozen backbones with the facts that a choice needs. No torch.

Sizes and top-1 accuracies of ImageNet-1k are those that torchvision's own tables state; timm's
sizes are its networks' parameters, 4 bytes each. Licences are those that timm's table, and of text
encoders the model cards, state; torchvision states one for its library, and none for its weights.
What could not be looked up is said to be unknown. Public figures are of frozen features with few
labels where there are any: MTEB's classification tasks draw 8 labels a class, ten times, and solve
logistic regression. Nothing here is gated or for non-commercial use alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from headstart.data.dataset import Kind


@dataclass(frozen=True)
class Offer:
    """One backbone of the catalogue.

    Attributes:
        name: what ``--backbone`` and ``headstart fetch`` take.
        kind: of its items.
        megabytes: that are fetched, about; 0 where it comes with headstart.
        licence: of the weights; of torchvision's, of the library that brings them.
        reads: what it learned from, of texts which languages.
        figure: a public figure, and of what; empty where none is known.
        speed: items a second on two cores, decoding and tokenising included, as measured in
            ``docs/results.md``; None where it was not measured.
        usual: whether it may be taken where no backbone is named.
    """

    name: str
    kind: Kind
    megabytes: int
    licence: str
    reads: str
    figure: str = ""
    speed: float | None = None
    usual: bool = False


MULTILINGUAL = "hf:sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
"""The encoder for texts in other scripts than Latin."""

PHOTOS = "ImageNet-1k photos"

CATALOGUE: tuple[Offer, ...] = (
    Offer("glyphs", "image", 0, "Apache-2.0", "printed characters", usual=True),
    Offer(
        "torchvision:mobilenet_v3_large",
        "image",
        21,
        "BSD-3-Clause",
        PHOTOS,
        "75.3 % of ImageNet-1k",
        usual=True,
    ),
    Offer(
        "torchvision:mobilenet_v2",
        "image",
        14,
        "BSD-3-Clause",
        PHOTOS,
        "72.2 % of ImageNet-1k",
        speed=130,
        usual=True,
    ),
    Offer(
        "torchvision:efficientnet_b0",
        "image",
        20,
        "BSD-3-Clause",
        PHOTOS,
        "77.7 % of ImageNet-1k",
        usual=True,
    ),
    Offer("timm:resnet50.a1_in1k", "image", 102, "Apache-2.0", PHOTOS),
    Offer("timm:convnext_tiny.in12k_ft_in1k", "image", 114, "Apache-2.0", "ImageNet-12k photos"),
    Offer(
        "timm:vit_small_patch14_dinov2.lvd142m",
        "image",
        88,
        "Apache-2.0",
        "142 million photos",
        "81.1 % of ImageNet-1k, frozen",
    ),
    Offer(
        "minilm",
        "text",
        91,
        "Apache-2.0",
        "English",
        "69.3 % of MTEB, 8 a class",
        speed=180,
        usual=True,
    ),
    Offer("hf:minishlab/potion-base-8M", "text", 30, "MIT", "English", "70.3 % of MTEB, 8 a class"),
    Offer(
        "hf:minishlab/potion-base-32M", "text", 129, "MIT", "English", "71.7 % of MTEB, 8 a class"
    ),
    Offer("hf:minishlab/potion-multilingual-128M", "text", 512, "MIT", "many languages"),
    Offer(
        "hf:BAAI/bge-base-en-v1.5",
        "text",
        438,
        "MIT",
        "English",
        "82.8 % of 15 sets, 1,000 texts",
    ),
    Offer(MULTILINGUAL, "text", 471, "Apache-2.0", "50 languages", usual=True),
    Offer("hf:intfloat/multilingual-e5-small", "text", 471, "MIT", "94 languages"),
    Offer("hf:BAAI/bge-small-zh-v1.5", "text", 96, "MIT", "Chinese"),
)
"""The catalogue, of each kind the usual ones first."""


def offers(kind: Kind | None = None, *, usual: bool = False) -> list[Offer]:
    """Return what the catalogue has for items of this ``kind``, or only the ``usual`` ones.

    >>> [one.name for one in offers("text", usual=True)][0]
    'minilm'
    """
    of_kind = [one for one in CATALOGUE if kind in (None, one.kind)]
    return [one for one in of_kind if one.usual or not usual]


def short(name: str) -> str:
    """Return a name without its library and the tag of its weights: what files are called by.

    >>> short("timm:resnet50.a1_in1k"), short("hf:minishlab/potion-base-8M")
    ('resnet50', 'hf:minishlab/potion-base-8M')
    """
    return name if name.startswith("hf:") else name.rpartition(":")[2].partition(".")[0]
