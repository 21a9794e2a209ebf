"""The one preprocessing of texts: from a string to the token ids that a network sees.

Training, evaluation, prediction, export and serving all come through here. The tokenizer is kept
as the JSON of the `tokenizers` library, so that neither torch nor transformers is needed to
predict.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from headstart.errors import BundleError, UsageError
from headstart.facts import read, read_bytes
from headstart.store import written_aside

Row = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

TOKENS = 512
"""Tokens of an engine's batch, padding counted: what it works on stays near the processor."""

LONGEST = 1 << 18
"""Characters of a text that are read at most, far more than any network's tokens stand for.
Tokenised whole, a text of 60 MB takes 7 GB."""

PAD, UNKNOWN = "[PAD]", "[UNK]"

# Part of every key: raise it when the same text would come out with other tokens.
_CLEANER = "clean-1"

# AG News lost the `&` of its entities to a space: "Haiti #39;s", " quot;yes quot;".
_BARE_ENTITY = re.compile(r"(?:^| )(?=(?:#\d{1,5}|amp|apos|gt|hellip|lt|nbsp|quot);)")
_TAG = re.compile(
    r"</?(?:a|b|br|center|div|em|font|h[1-6]|hr|i|img|li|ol|p|span|strong|td|tr|u|ul)\b[^<>]*>",
    re.I,
)


def clean_text(text: str) -> str:
    r"""Return ``text`` as it was meant to be read: entities resolved, markup and line breaks out.

    Tags that only shape text, such as ``<br />``, become a space, and so do backslashes, which
    stand for line breaks in scraped news. Runs of white space become one space.

    >>> clean_text(r"Haiti #39;s &lt;b&gt;straits&lt;/b&gt;<br />A second\team")
    "Haiti's straits A second team"
    """
    resolved = html.unescape(_BARE_ENTITY.sub("&", text))
    return " ".join(_TAG.sub(" ", resolved).replace("\\", " ").split())


def beginning(content: bytes) -> str:
    """Return a text in UTF-8, as far as it is read: `LONGEST` characters."""
    return content[: 4 * LONGEST].decode("utf-8", "replace")[:LONGEST]


@dataclass(frozen=True)
class Tokenize:
    """How texts become a network's input; it travels with the network's weights.

    Attributes:
        tokenizer: the JSON of a `tokenizers.Tokenizer`. Truncation and padding that it may ask for
            are ignored: `max_length` and the batch decide.
        max_length: tokens of a text that are read, special tokens counted; the rest is cut off.
        pad_id: the token that fills up short texts of a batch.
        clean: whether texts go through `clean_text` first.
        drop: a token that is left out, the unknown one of a table of words, say; -1 for none.

    >>> words = fit_vocabulary(["good film", "bad film"], min_frequency=1, max_length=8)
    >>> [row.tolist() for row in words.encode(["a good film"])]
    [[1, 4, 2]]
    """

    tokenizer: str
    max_length: int
    pad_id: int = 0
    clean: bool = True
    drop: int = -1

    # As of `headstart.data.images.Preprocess`; a wide window has many texts of like length.
    inputs: ClassVar[dict[str, dict[int, str]]] = {
        "ids": {0: "n", 1: "l"},
        "mask": {0: "n", 1: "l"},
    }
    window: ClassVar[int] = 2048

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise UsageError(f"max_length is {self.max_length}, but must be 1 or more.")

    @cached_property
    def _ready(self) -> Any:
        """The tokenizer itself, cutting at ``max_length`` and padding nothing."""
        ready = _parsed(self.tokenizer)
        added = ready.num_special_tokens_to_add(False)
        if self.max_length <= added:
            raise UsageError(
                f"max_length is {self.max_length}, but this tokenizer adds {added} special tokens "
                "to each text; give more."
            )
        ready.enable_truncation(self.max_length)
        return ready

    def _read(self, text: str) -> str:
        return clean_text(text[:LONGEST]) if self.clean else text[:LONGEST]

    def encode(self, texts: Sequence[str]) -> list[Row]:
        """Return the token ids of each text, shape (at most ``max_length``,).

        A text without any token is one padding token, so that no network divides by length zero.
        """
        found = self._ready.encode_batch_fast([self._read(text) for text in texts])
        kept = (
            one.ids if self.drop < 0 else [i for i in one.ids if i != self.drop] for one in found
        )
        return [np.array(ids or [self.pad_id], np.int32) for ids in kept]

    def rows(self, prepared: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Return the token ids of texts, see `encode`."""
        return list(self.encode(prepared))

    def load(self, content: bytes) -> Row:
        """Return the token ids of the text in ``content``, in UTF-8."""
        return self.encode([beginning(content)])[0]

    def collate(self, rows: Sequence[npt.NDArray[Any]]) -> tuple[Ids, Ids]:
        """Return (ids, mask), each (N, L), padded on the right to the longest of ``rows`` only."""
        lengths = np.array([len(row) for row in rows])
        mask = (np.arange(lengths.max(initial=1)) < lengths[:, None]).astype(np.int64)
        ids = np.full(mask.shape, self.pad_id, np.int64)
        if len(rows):
            ids[mask == 1] = np.concatenate(rows)
        return ids, mask

    def batches(self, rows: Sequence[npt.NDArray[Any]]) -> list[Indices]:
        """Return which of ``rows`` an engine runs together: of like length, see `by_length`."""
        return by_length([len(row) for row in rows], tokens=TOKENS)

    def examples(self) -> Iterator[tuple[Ids, Ids]]:
        """Yield batches of made-up texts, to hold two engines against each other."""
        vocabulary = len(self.vocabulary)
        for n, longest in ((3, 9), (1, 1), (1, 33), (2, 12), (7, 5), (7, 33)):
            rng = np.random.default_rng([n, longest])
            lengths = np.minimum(rng.integers(1, longest + 1, n), self.max_length)
            lengths[0] = min(longest, self.max_length)  # one fills the batch
            rows = [rng.integers(0, vocabulary, length).astype(np.int32) for length in lengths]
            yield self.collate(rows)

    def geometry(self) -> tuple[object, ...]:
        """Return what decides the tokens."""
        return (self.key(),)

    def coverage(self, texts: Iterable[str]) -> float:
        """Return the share of the texts' tokens, special ones left out, that are not unknown."""
        model = self._ready.model
        unknown = self._ready.token_to_id(getattr(model, "unk_token", None) or UNKNOWN)
        plain = _parsed(self.tokenizer)
        total = missed = 0
        for text in texts:
            ids = plain.encode(self._read(text), add_special_tokens=False).ids
            total += len(ids)
            missed += ids.count(unknown)
        return 1 - missed / total if total else 0.0

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones counted, were none cut off."""
        plain = _parsed(self.tokenizer)
        found = plain.encode_batch_fast([self._read(text) for text in texts])
        return [len(one.ids) for one in found]

    def strangeness(self, texts: Sequence[str]) -> tuple[float, float]:
        """Return the shares of the texts' tokens that are unknown, and that are single letters.

        A script that the tokenizer has hardly met comes out as unknown tokens, or letter by letter.
        Punctuation and digits are single with every tokenizer, and are not counted; nor are Chinese
        signs where it knows many of them, for these are words.
        """
        model, plain = self._ready.model, _parsed(self.tokenizer)
        unknown = getattr(model, "unk_token", None) or UNKNOWN
        tokens = [
            piece
            for one in plain.encode_batch([self._read(text) for text in texts], False, False)
            for piece in one.tokens
        ]
        bare = [piece.removeprefix("##").lstrip("▁Ġ") for piece in tokens if piece != unknown]
        words = [piece for piece in bare if piece and not piece.isdigit() and piece[0].isalnum()]
        missed = len(tokens) - len(bare)
        letters = [piece for piece in words if len(piece) == 1]
        if self._reads_chinese:
            letters = [piece for piece in letters if not _is_chinese(piece)]
        single = len(letters)
        return missed / max(1, len(tokens)), single / max(1, len(words))

    @cached_property
    def _reads_chinese(self) -> bool:
        return sum(map(_is_chinese, self.vocabulary)) >= _SIGNS

    @property
    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids; "" where an id is not used."""
        ids = self._ready.get_vocab(with_added_tokens=True)
        words = [""] * (max(ids.values(), default=-1) + 1)
        for word, index in ids.items():
            words[index] = word
        return words

    def facts(self) -> dict[str, Any]:
        """Return all that it is, as JSON holds it."""
        return asdict(self)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenize.json`` into ``folder``, for `saved`."""
        rest = self.facts()
        with written_aside(folder / "tokenizer.json") as aside:
            aside.write_text(rest.pop("tokenizer"), encoding="utf-8")
        with written_aside(folder / "tokenize.json") as aside:
            aside.write_text(json.dumps(rest, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def saved(cls, folder: Path) -> Tokenize:
        """Return what `save` wrote into ``folder``.

        Raises:
            BundleError: a file is missing, or does not hold what it should.
        """
        try:
            # Bytes and not text: the key must not depend on how line ends are read.
            tokenizer = read_bytes(folder / "tokenizer.json").decode("utf-8")
            rest = read(folder / "tokenize.json")
            drop = int(rest.get("drop", -1))
            length, pad = int(rest["max_length"]), int(rest["pad_id"])
            loaded = cls(tokenizer, length, pad, rest["clean"], drop)
            _ = loaded._ready
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(
                f"{folder} holds no tokenizer that can be read ({error!r}); it needs the files "
                "tokenizer.json and tokenize.json as they were saved."
            ) from error
        return loaded

    def key(self) -> str:
        """Return a text that changes whenever the tokens could; stores are keyed by it."""
        digest = hashlib.blake2b(self.tokenizer.encode("utf-8"), digest_size=16).hexdigest()
        drops = f"|{self.drop}" if self.drop >= 0 else ""
        return f"{_CLEANER}|{digest}|{self.max_length}|{self.pad_id}|{self.clean}{drops}"


def _parsed(tokenizer: str) -> Any:
    from tokenizers import Tokenizer

    parsed = Tokenizer.from_str(tokenizer)
    # MiniLM's file, for one, cuts at 128 and pads to 128: wrong for long texts, slow for short.
    parsed.no_padding()
    parsed.no_truncation()
    return parsed


def by_length(
    lengths: Sequence[int] | npt.NDArray[np.int64],
    *,
    batch: int | None = None,
    tokens: int | None = None,
) -> list[npt.NDArray[np.int64]]:
    """Return indices of texts in batches of like length, the longest first.

    Little is then padded, and a batch that does not fit into memory fails at once, not at the end.

    Args:
        lengths: shape (N,), in tokens.
        batch: texts of a batch, at most.
        tokens: of a batch with its padding, at most; a longer text is a batch of its own.

    >>> [b.tolist() for b in by_length([3, 9, 2, 4], tokens=9)]
    [[1], [3, 0], [2]]
    """
    if batch is None and tokens is None:
        raise UsageError("by_length needs a limit: batch (texts) or tokens.")
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        fitting = len(order) if tokens is None else max(1, tokens // longest)
        size = min(fitting, batch or fitting)
        batches.append(order[start : start + size])
        start += size
    return batches


_SIGNS = 1000
"""Chinese signs from which on a vocabulary reads Chinese; those of English hold some hundreds."""


def _is_chinese(piece: str) -> bool:
    plain = piece.removeprefix("##").lstrip("▁Ġ")
    return len(plain) == 1 and "\u3400" <= plain <= "\u9fff"


def fit_vocabulary(
    texts: Iterable[str],
    *,
    min_frequency: int,
    max_length: int,
    lower: bool = True,
    most_words: int = 200_000,
    clean: bool = True,
) -> Tokenize:
    """Return the preprocessing whose vocabulary is the words of ``texts``, the training texts.

    Words are what stands between white space and punctuation; a punctuation mark is a word, and so
    is each Chinese character. Id 0 is ``[PAD]``, 1 ``[UNK]``, then the words, most frequent first
    and by alphabet among equals: the same texts in any order give the same vocabulary.

    Args:
        texts: of the training split only; are read once, one by one.
        min_frequency: how often a word must occur to have an id of its own.
        max_length: see `Tokenize`.
        lower: whether case is dropped.
        most_words: the rarest words beyond this number are left out.
        clean: see `Tokenize`.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=most_words + 2,
        min_frequency=min_frequency,
        special_tokens=[PAD, UNKNOWN],
        show_progress=False,
    )
    made.train_from_iterator(map(clean_text, texts) if clean else texts, trainer)
    return Tokenize(made.to_str(), max_length, 0, clean)
