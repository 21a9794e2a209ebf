"""Text networks that are trained here, before they are built: their words. No torch here.

Their vocabulary is that of the training texts, so their entry is `Entry.ready` only once those are
known. Word vectors in GloVe's format can stand beside it, fixed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.backbones.entry import Entry
from headstart.data.texts.glove import read_glove
from headstart.data.texts.tokens import Tokenize, fit_vocabulary
from headstart.errors import UsageError
from headstart.store import digest
from headstart.wording import Said

NETWORKS = ("bilstm", "bigru", "textcnn", "transformer")
"""Built by `headstart.backbones.textnets`."""

MAX_LENGTH = 500
"""Tokens of a text that are read unless the user says otherwise."""


@dataclass(frozen=True)
class Words:
    """A ready entry, and what of the training texts it covers.

    Attributes:
        entry: with the vocabulary, and word vectors if asked for.
        known: share of the training texts' tokens that have an id of their own.
        covered: share that has a word vector; None without vectors.
        without_vector: words of the vocabulary without one.
    """

    entry: Entry
    known: float
    covered: float | None = None
    without_vector: int = 0

    def note(self) -> str:
        """Return what the user should know, in one line."""
        size = len(_tokenize(self.entry).vocabulary) - 2
        known = Said(
            "{backbone}: {size} words, {share:.1f} % of all tokens",
            backbone=self.entry.name,
            size=size,
            share=100 * self.known,
        )
        if self.covered is None:
            return known
        return Said(
            "{known}; {share:.1f} % of all tokens have a word vector, {n} words have none",
            known=known,
            share=100 * self.covered,
            n=self.without_vector,
        )


def entry(name: str) -> Entry:
    """Return the entry of the text network called ``name``, whose words are not known yet."""
    return Entry(
        name=name,
        kind="text",
        library="headstart",
        architecture=name,
        preprocess=Tokenize("", MAX_LENGTH),
        weights=None,
        digest="untrained",
        source_domain="nothing",
    )


def learn(
    unready: Entry, texts: Sequence[str], *, min_frequency: int = 2, vectors: str | None = None
) -> Words:
    """Return ``unready`` with the words of ``texts``, the training texts, and their vectors.

    Args:
        unready: from `entry`.
        texts: of the training split only.
        min_frequency: how often a word must occur to have an id of its own.
        vectors: path of a file in GloVe's format.

    Raises:
        UsageError: the file is not there, or no text holds a word often enough.
        DataError: the file has a broken line, or lines of different lengths; names the line.
    """
    old = _tokenize(unready)
    tokenize = fit_vocabulary(
        texts, min_frequency=min_frequency, max_length=old.max_length, clean=old.clean
    )
    vocabulary = tokenize.vocabulary
    if len(vocabulary) <= 2:
        raise UsageError(
            f"no word occurs {min_frequency} times in the {len(texts)} training texts; give a "
            "smaller --min-frequency."
        )
    known = tokenize.coverage(texts)
    made = replace(unready, preprocess=tokenize)
    if vectors is None:
        return Words(made, known)
    path = Path(os.path.expanduser(vectors))
    if not path.is_file():
        raise UsageError(f"--vectors {path}: no such file.")
    found = read_glove(path, vocabulary)
    share = found.share(tokenize.encode(texts))
    stated = digest(found.matrix.tobytes()).hex()
    made = replace(made, vectors=found.matrix, digest=f"untrained-{stated}")
    return Words(made, known, share, int((~found.covered[2:]).sum()))


def _tokenize(one: Entry) -> Tokenize:
    if not isinstance(one.preprocess, Tokenize):
        raise TypeError(f"{one.name} is not a text network")
    return one.preprocess


def inject(one: Entry, path: str, join: str, texts: Sequence[str]) -> tuple[Entry, str]:
    """Return the entry with the vectors at ``path`` joined to its embeddings, and a note.

    Args:
        one: a ready entry of a text network.
        path: of a file in GloVe's format.
        join: "add" or "concat", see `headstart.backbones.injection`.
        texts: of the training split, to say how much of them has a vector.

    Raises:
        UsageError: the file is not there.
        DataError: it has a broken line; names the line.
    """
    file, tokenize = Path(os.path.expanduser(path)), _tokenize(one)
    if not file.is_file():
        raise UsageError(f"--inject {file}: no such file.")
    found = read_glove(file, words_of(tokenize.vocabulary))
    share = found.share(tokenize.encode(texts))
    stated = digest(found.matrix.tobytes()).hex()
    made = replace(
        one,
        injected=found.matrix,
        config={**one.config, "inject": join},
        digest=f"{one.digest}-{stated[:16]}",
    )
    pieces = int(found.covered.sum())
    said = Said(
        "{file}: vectors for {n} of {of} word pieces, {share:.1f} % of all tokens",
        file=file.name,
        n=pieces,
        of=len(found.covered),
        share=100 * share,
    )
    return made, said


def words_of(pieces: Sequence[str]) -> list[str]:
    """Return the word that each piece of a vocabulary begins; "" for those that begin none.

    >>> words_of(["play", "##ing"]), words_of(["Ġplay", "ing"])
    (['play', ''], ['play', ''])
    """
    marks = tuple(mark for mark in "Ġ▁" if any(piece.startswith(mark) for piece in pieces))
    if marks:
        return [piece[1:] if piece.startswith(marks) else "" for piece in pieces]
    return ["" if piece.startswith("##") else piece for piece in pieces]
