"""Masked tokens: an encoder learns the language of its texts by filling gaps. No labels."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.blocks import Backbone
from headstart.boundary.engine import Batch
from headstart.boundary.forward import PART
from headstart.boundary.inputs import Indices, in_batches
from headstart.compute.running import to_device
from headstart.data.texts.tokens import Tokenize, by_length
from headstart.errors import BackboneError
from headstart.training.job import Scene
from headstart.training.objective import Objective, Step

MASKS = ("[MASK]", "<mask>", "<MASK>")
"""What the token is called that stands for a gap."""


class Vocabulary(NamedTuple):
    """What masking must know of a tokenizer: the gap's id, those never masked, and how many."""

    mask: int
    special: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, preprocess: Tokenize, name: str) -> Vocabulary:
        """Return the facts of a tokenizer.

        Raises:
            BackboneError: it has no token for a gap.
        """
        words = preprocess.vocabulary
        gap = next((word for word in MASKS if word in words), None)
        if gap is None:
            raise BackboneError(
                f"the tokenizer of '{name}' has no token for a gap ({', '.join(MASKS)}), so its "
                "encoder cannot learn from masked tokens; take one of BERT's kind, such as minilm."
            )
        added = json.loads(preprocess.tokenizer).get("added_tokens", [])
        special = {int(one["id"]) for one in added if one.get("special")} | {preprocess.pad_id}
        return cls(words.index(gap), tuple(sorted(special)), len(words))


def hide(
    ids: Tensor, share: float, words: Vocabulary, rng: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return ``ids`` with gaps, and where they are, both (N, L).

    A ``share`` of the tokens that are not special is chosen; of those eight in ten become the gap,
    one another token at random, and one stays, so that the network cannot tell who is asked for.

    Args:
        ids: token ids, (N, L).
        share: 0..1.
        words: of the tokenizer.
        rng: of all that is random; None for torch's own.

    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1.

    >>> hide(torch.tensor([[7, 8]]), 0.0, Vocabulary(3, (0,), 9))
    (tensor([[7, 8]]), tensor([[False, False]]))
    """
    free = ~torch.isin(ids, torch.tensor(words.special, device=ids.device))
    chosen = free & (torch.rand(ids.shape, generator=rng).to(ids.device) < share)
    lot = torch.rand(ids.shape, generator=rng).to(ids.device)
    other = torch.randint(words.size, ids.shape, generator=rng).to(ids.device)
    out = torch.where(chosen & (lot < 0.8), words.mask, ids)
    return torch.where(chosen & (lot >= 0.9), other, out), chosen


class Guesser(nn.Module):
    """From token vectors (M, H) to scores of all words (M, V), by the encoder's own word table.

    A layer, then the scalar products with the table, as in BERT: what a word looks like as an
    answer is what it looks like as a question.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        with torch.no_grad():  # at first the vectors as they are: the encoder knows something
            self.dense.weight.copy_(torch.eye(width))
            self.dense.bias.zero_()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Return the scores, for the ``table`` of words, (V, H)."""
        found: Tensor = self.norm(F.gelu(self.dense(hidden))) @ table.T + self.bias
        return found


class Masked(Objective):
    """The cross-entropy of the words in the gaps; see `hide`.

    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 1.
    """

    def __init__(self, scene: Scene, *, share: float, words: Vocabulary) -> None:
        table = embeddings(scene.backbone)
        guesser = Guesser(table.shape[1], len(table))
        super().__init__(
            scene.job.fit,
            len(in_batches(scene.job.fit, scene.batch)),
            modules={"guesser": guesser},
        )
        self.backbone, self.guesser, self.share, self.words = scene.backbone, guesser, share, words
        self.batch, self.seed, self.device = scene.batch, scene.job.seed, scene.job.device

    def order(self, epoch: int) -> list[Indices]:
        """Return all texts in batches of nearly equal length, in a random order."""
        shuffled = np.random.default_rng([self.seed, 17, epoch]).permutation(self.reads)
        return in_batches(shuffled, self.batch)

    def loss(self, step: Step) -> Tensor:
        """Return the mean cross-entropy over all gaps of the batch."""
        found = [
            guessed(self.backbone, self.guesser, *hide(part[0], self.share, self.words), part)
            for part in parts(step.batch, self.device)
        ]
        scores, truth = (torch.cat(side) for side in zip(*found, strict=True))
        if not len(truth):  # texts so short that the lot passed over all
            return scores.sum()
        return F.cross_entropy(scores.float(), truth)


def parts(batch: Batch, device: str) -> list[tuple[Tensor, Tensor]]:
    """Return a batch of texts in parts of like length, (ids, mask) each: little is padded."""
    ids, mask = batch
    lengths = mask.sum(1)
    cut = ((at, lengths[at].max()) for at in by_length(lengths, batch=PART))
    return [to_device((ids[at, :longest], mask[at, :longest]), device) for at, longest in cut]


def guessed(
    backbone: Backbone,
    guesser: nn.Module,
    gapped: Tensor,
    chosen: Tensor,
    part: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the scores of all words for each gap, (M, V), and the words that stood there, (M,)."""
    ids, mask = part
    hidden = backbone.net(input_ids=gapped, attention_mask=mask)[0]
    return guesser(hidden[chosen], embeddings(backbone)), ids[chosen]


def embeddings(backbone: Backbone) -> Tensor:
    """Return the encoder's table of words, (V, H)."""
    table: Tensor = backbone.net.get_input_embeddings().weight  # type: ignore[operator]
    return table


@torch.inference_mode()
def filled(
    backbone: Backbone, guesser: nn.Module, batches: list[Batch], words: Vocabulary
) -> float:
    """Return the share of gaps filled with the very word, 0..1, in texts not trained on.

    Fifteen in a hundred tokens are gaps, always the same ones.
    """
    rng = torch.Generator().manual_seed(0)
    backbone.eval()
    guesser.eval().to("cpu")
    right = asked = 0
    for batch in batches:
        for part in parts(batch, "cpu"):
            gapped, chosen = hide(part[0], 0.15, words, rng)
            scores, truth = guessed(backbone, guesser, gapped, chosen, part)
            right, asked = right + int((scores.argmax(1) == truth).sum()), asked + len(truth)
    return right / max(1, asked)
