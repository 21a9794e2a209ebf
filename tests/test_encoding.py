"""Encodings are recognised, or refused with the place; no text comes out as another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.texts import encoding
from headstart.data.texts.encoding import of_file, to_text
from headstart.errors import ItemError

SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")

CHINESE = "这部电影很好看，我们都喜欢。\n不好看的时候也有，但是不多。\n"
WESTERN = [
    "« Très naïf », à peine élevé : une idée créée… ÉTÉ",
    "Größer als süß — ÄÖÜ",
    "Þetta er mjög góð mynd, ég mæli með henni",
    "¡¡¡Qué película!!! ¿¿¿No???",
    "I won £££ and °°° now",
    "é",
]
FOREIGN = [
    ("Очень хороший фильм, а он и не плох", "cp1251"),
    ("Очень хороший фильм, а он и не плох", "koi8-r"),
    ("Πολύ καλή ταινία", "iso8859-7"),
    ("とても良い映画でした。みんなに勧めます", "shift_jis"),
    ("とても良い映画でした。みんなに勧めます", "euc_jp"),
    ("아주 좋은 영화였습니다. 모두에게 추천합니다. 정말 재미있습니다.", "euc-kr"),
    ("這部電影很好看，我們都喜歡。推薦給大家", "big5"),
    ("סרט טוב מאוד", "cp1255"),
]


@settings(deadline=None)
@given(st.text(SIGNS), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_comes_back(text: str, name: str) -> None:
    assert to_text(text.encode(name)) == text


@settings(deadline=None)
@given(st.text(SIGNS), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_either_byte_order_comes_back(text: str, name: str) -> None:
    assert to_text(("\ufeff" + text).encode(name)) == text


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_text_or_are_refused(content: bytes) -> None:
    try:
        assert isinstance(to_text(content), str)
    except ItemError as error:
        assert "byte" in str(error)


@pytest.mark.parametrize("text", WESTERN)
def test_western_texts_come_back(text: str) -> None:
    assert to_text(text.encode("cp1252")) == text


@pytest.mark.parametrize("length", range(6, len(CHINESE)))
def test_chinese_comes_back_whole_and_is_refused_cut(length: int) -> None:
    content = CHINESE[:length].encode("gb18030")
    assert to_text(content) == CHINESE[:length]
    if CHINESE[length - 1] != "\n":
        at = len(content) - 2
        with pytest.raises(ItemError, match=f"damaged GB18030: byte {at} "):
            to_text(content[:-1])


@pytest.mark.parametrize(("text", "name"), FOREIGN)
def test_other_scripts_are_refused_not_garbled(text: str, name: str) -> None:
    with pytest.raises(ItemError, match="byte 2 is not in UTF-8, UTF-16 .*; save the file as UTF"):
        to_text(b"a " + text.encode(name))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\0c", "not a text: a zero byte at offset 3"),
        ("no mark".encode("utf-16-le"), "not a text: a zero byte at offset 1"),
        ("déjà vu, café".encode()[:-1], "damaged UTF-8: byte 14 "),
        (b"\xff\xfea\0b", "its mark says utf-16, but byte 4 is not"),
    ],
)
def test_what_is_damaged_is_refused_with_its_place(content: bytes, why: str) -> None:
    with pytest.raises(ItemError, match=why):
        to_text(content)


@pytest.mark.parametrize("lines", [1, 40, 400])
def test_what_comes_late_in_a_large_file_counts(
    lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_PIECE", 1000)
    plain, path = b"a line of plain words\n" * lines, tmp_path / "t.csv"
    path.write_bytes(plain + CHINESE.encode("gb18030"))
    assert of_file(path) == "gb18030"
    path.write_bytes(plain + "très naïf\n".encode("latin-1"))
    assert of_file(path) == "cp1252"
    path.write_bytes("déjà vu\n".encode() * lines + b"caf\xe9\n")
    with pytest.raises(ItemError, match=f"damaged UTF-8: byte {10 * lines + 3} "):
        of_file(path)
