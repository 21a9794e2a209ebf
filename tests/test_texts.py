"""Texts become tokens once, the same everywhere: cleaned, cut, padded, batched, counted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from headstart.data.texts.tokens import Tokenize, by_length, clean_text, fit_vocabulary
from headstart.errors import BundleError, UsageError

TEXTS = ["The cat sat.", "the dog sat, THE dog ran", "好 电影 好", "a cat"]


def words(max_length: int = 16, **options) -> Tokenize:
    return fit_vocabulary(TEXTS, min_frequency=1, max_length=max_length, **options)


def with_specials(max_length: int = 16, **options) -> Tokenize:
    """A tokenizer as encoders have it: [CLS] and [SEP] around each text, its own settings."""
    made = Tokenizer.from_str(words().tokenizer)
    made.add_special_tokens(["[CLS]", "[SEP]"])
    ids = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=ids)
    made.enable_truncation(4)
    made.enable_padding(length=4)
    return Tokenize(made.to_str(), max_length, **options)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("Great film.<br /><br />Truly", "Great film. Truly"),
        ("Haiti #39;s  quot;straits quot;", 'Haiti\'s "straits"'),
        ("J amp;J pays  #36;10", "J&J pays $10"),
        ("#39;tis &lt;b&gt;...&lt;/b&gt; &amp; done", "'tis ... & done"),
        ('Inc. &lt;A HREF="http://x.y?a=1"&gt;GOOG.O&lt;/A&gt; rose', "Inc. GOOG.O rose"),
        (r"second\team of\\two", "second team of two"),
        ("3 < 4 and x > y; item #12", "3 < 4 and x > y; item #12"),
        ("  好的\u3000电影 \n", "好的 电影"),
    ],
)
def test_cleaning_gives_what_was_meant(raw: str, meant: str) -> None:
    assert clean_text(raw) == meant
    assert clean_text(meant) == meant


def test_cleaning_is_an_option() -> None:
    raw, plain = "the<br />cat", words(clean=False)
    assert len(words().encode([raw])[0]) == 2
    assert len(plain.encode([raw])[0]) == 6


def test_vocabulary_is_the_training_words_by_frequency() -> None:
    made = words()
    assert made.vocabulary[:6] == ["[PAD]", "[UNK]", "the", "cat", "dog", "sat"]
    assert "好" in made.vocabulary
    assert words(lower=False).coverage(["tHE cat"]) == 0.5
    rare = fit_vocabulary(TEXTS, min_frequency=3, max_length=9)
    assert rare.vocabulary == ["[PAD]", "[UNK]", "the"]
    assert len(words(most_words=2).vocabulary) == 4


def test_vocabulary_does_not_depend_on_order() -> None:
    shuffled = random.Random(0).sample(TEXTS, len(TEXTS))
    again = fit_vocabulary(iter(shuffled), min_frequency=1, max_length=16)
    assert again == words()
    assert again.key() == words().key()


def test_coverage_counts_tokens_without_special_ones() -> None:
    assert words().coverage(["the cat flew"]) == pytest.approx(2 / 3)
    assert with_specials().coverage(["the cat flew"]) == pytest.approx(2 / 3)
    assert words().coverage([]) == 0
    long = words(max_length=2).coverage(["the cat flew flew"])
    assert long == 0.5


def test_settings_inside_the_tokenizer_do_not_cut_or_pad() -> None:
    made = with_specials()
    short, long = made.encode(["cat", "the dog sat , the dog"])
    assert len(short) == 3
    assert len(long) == 8
    assert len(with_specials(max_length=5).encode([TEXTS[1]])[0]) == 5


def test_too_small_a_length_is_refused() -> None:
    with pytest.raises(UsageError, match="adds 2 special tokens"):
        with_specials(max_length=2).encode(["cat"])
    with pytest.raises(UsageError, match="1 or more"):
        words(max_length=0)


def test_batches_are_padded_to_their_longest_only() -> None:
    made = with_specials(pad_id=0)
    rows = made.encode(["cat", "the dog ran"])
    ids, mask = made.collate(rows)
    assert ids.dtype == mask.dtype == np.int64
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert ids[0, 3:].tolist() == [0, 0]
    assert ids[1].tolist() == rows[1].tolist()


def test_a_text_without_tokens_still_has_one() -> None:
    ids, mask = words().collate(words().encode(["", "   "]))
    assert ids.tolist() == [[0], [0]]
    assert mask.tolist() == [[1], [1]]


def test_batches_by_length_hold_each_text_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 200)
    for limits in ({"batch": 7}, {"tokens": 128}, {"batch": 5, "tokens": 100}):
        batches = by_length(lengths, **limits)
        assert sorted(np.concatenate(batches).tolist()) == list(range(200))
        for batch in batches:
            assert len(batch) <= limits.get("batch", 200)
            assert len(batch) * lengths[batch].max() <= limits.get("tokens", 10**6)
    assert [b.tolist() for b in by_length([500], tokens=10)] == [[0]]
    assert by_length([], batch=3) == []
    with pytest.raises(UsageError, match="limit"):
        by_length([1])


def test_saved_and_loaded_tokenizers_are_equal(tmp_path: Path) -> None:
    made = with_specials(max_length=9, pad_id=0, clean=False)
    made.save(tmp_path)
    again = Tokenize.saved(tmp_path)
    assert again == made
    assert again.key() == made.key()
    assert [r.tolist() for r in again.encode(TEXTS)] == [r.tolist() for r in made.encode(TEXTS)]


def test_the_key_follows_everything_that_decides_tokens() -> None:
    other = fit_vocabulary([*TEXTS, "more"], min_frequency=1, max_length=16)
    keys = {words().key(), other.key(), words(max_length=9).key(), words(clean=False).key()}
    assert len(keys) == 4


@pytest.mark.parametrize("broken", ["missing", "no json", "no tokenizer"])
def test_a_damaged_folder_is_refused(tmp_path: Path, broken: str) -> None:
    words().save(tmp_path)
    if broken == "missing":
        (tmp_path / "tokenizer.json").unlink()
    elif broken == "no json":
        (tmp_path / "tokenize.json").write_text("{")
    else:
        (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(BundleError, match=r"tokenizer\.json and tokenize\.json"):
        Tokenize.saved(tmp_path)


def test_neither_torch_nor_transformers_is_imported() -> None:
    code = (
        "import sys; from headstart.data.texts.tokens import fit_vocabulary as f;"
        "f(['a b'], min_frequency=1, max_length=4).encode(['a']);"
        "import headstart.backbones.huggingface, headstart.data.texts.glove;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
