"""Checks: each finds what was put in, and is silent where there is nothing."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import headstart
from conftest import bars, make_images, sentences, truth
from headstart.checks import held_out, inputs, labels
from headstart.checks.label_errors import label_errors, suspects
from headstart.checks.shift import auc
from headstart.checks.shortcuts import shortcuts
from headstart.data.memory.arrays import from_items
from headstart.data.texts.tokens import fit_vocabulary
from headstart.findings import TITLES, Finding, finding
from headstart.tasks.heads import Examples, out_of_fold, solve
from headstart.tasks.solvers import softmax
from headstart.wording import Said, fields

ROOT = Path(__file__).resolve().parents[1]


def codes(findings: object) -> list[str]:
    return [one.code for one in findings]  # type: ignore[attr-defined]


def test_every_code_is_raised_somewhere_and_has_its_section() -> None:
    source = "".join(p.read_text("utf-8") for p in (ROOT / "src/headstart/checks").glob("*.py"))
    assert set(re.findall(r'"(HS\d{3})"', source)) == TITLES.keys()
    page = (ROOT / "docs/checks.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (HS\d{3})\n\n\*\*(.+?)\.\*\*", page, re.M))
    assert sections == TITLES


def test_a_sentence_remembers_its_template() -> None:
    one = Said("{n:.1f} of {name}", n=3, name="{braces}")
    assert one == "3.0 of {braces}"
    assert fields(one.template) == {"n", "name"}
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert (again, again.template, again.values) == (one, one.template, one.values)
    made = finding("HS001", "{n} items", n=2, items=[{"item": "a"}])
    assert made.to_json()["docs"] == "docs/checks.md#hs001"
    assert made.to_json()["message"] == "2 items"


# -- labels and counts --------------------------------------------------------------------------


def test_labels_that_look_alike() -> None:
    found = labels.alike(["World", "world ", "01", "1", "1.0", "Sport", "中文", "中 文"])
    assert found is not None
    assert found.facts["groups"] == [["World", "world "], ["01", "1", "1.0"], ["中文", "中 文"]]
    assert labels.alike(["a", "b", "C++", "C#", "!", "?"]) is None or labels.alike(["C++", "C#"])
    assert labels.alike(["!", "?"]) is None
    assert labels.alike(["cat", "dog", "10", "100"]) is None


def test_counts() -> None:
    assert labels.few({"a": 5, "b": 0}) is None
    found = labels.few({"a": 4, "b": 50, "c": 1})
    assert found is not None and found.facts["counts"] == {"a": 4, "c": 1}
    assert labels.uneven({"a": 19, "b": 1}) is None
    found = labels.uneven({"rare": 2, "usual": 1000})
    assert found is not None and "500 times" in found.message and "99.8 %" in found.message
    assert labels.uneven({}) is None
    assert labels.unmeasured({"a": 3, "b": 0}, {"a": 1}) is None
    found = labels.unmeasured({"a": 3, "b": 1, "c": 1}, {"a": 1, "b": 0})
    assert found is not None and found.facts["classes"] == ["b", "c"]


# -- what the held-out items can carry ----------------------------------------------------------


def test_too_few_held_out_items_and_how_many_are_needed() -> None:
    found = held_out.small(16, (0.6, 0.9))
    assert found is not None
    needed = found.facts["needed"]
    # By the normal approximation, half the interval shrinks with the root of n.
    assert 0.15 * (16 / needed) ** 0.5 <= held_out.WIDEST
    assert 0.15 * (16 / (needed - 20)) ** 0.5 > held_out.WIDEST
    assert held_out.small(400, (0.9, 0.99)) is None
    assert held_out.small(0, (0.0, 1.0)) is None
    assert held_out.small(9, (None, None)) is None


def test_learned_by_heart() -> None:
    assert held_out.by_heart(1.0, 50, 0.9, (0.85, 0.95)) is None
    assert held_out.by_heart(1.0, 50, 0.8, (0.7, 0.89)) is not None
    rows = [
        {"loss": loss, "selection_loss": inner}
        for loss, inner in zip([1.0, 0.5, 0.2, 0.05], [0.9, 0.5, 0.6, 0.8], strict=True)
    ]
    found = held_out.turned(rows)
    assert found is not None and found.facts["best"] == 2
    assert held_out.turned(rows[:2]) is None
    assert held_out.turned([{"loss": 1.0}] * 5) is None
    assert held_out.turned([*rows[:3], {"loss": 0.3, "selection_loss": 0.55}]) is None


@pytest.mark.parametrize(("stated", "found"), [(0.98, True), (0.82, False), (0.6, True)])
def test_probabilities_that_lie(stated: float, found: bool) -> None:
    bins = [{"n": 300, "confidence": stated, "right": 0.8}]
    assert (held_out.lying(bins) is not None) == found
    assert held_out.lying([]) is None
    assert held_out.lying([{"n": 5, "confidence": 0.95, "right": 0.8}]) is None, "luck"


# -- likely label errors ------------------------------------------------------------------------


def test_confident_joint_by_hand() -> None:
    # Thresholds: of class 0 the mean of .9, .8 and .4, that is .7; of class 1 of .7 and .29, .495.
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.71, 0.29]], np.float32)
    found = suspects(chances, np.array([0, 0, 0, 1, 1]))
    assert [(one.row, one.other, one.confident) for one in found] == [(4, 0, True), (2, 1, True)]
    assert [one.margin for one in found] == pytest.approx([0.42, 0.2])
    chances[2] = [0.49, 0.51]
    chances[3] = [0.1, 0.9]
    (_, doubted) = suspects(chances, np.array([0, 0, 0, 1, 1]))
    assert (doubted.row, doubted.confident) == (2, False), "below the threshold of .6"


def test_order_is_that_of_the_odds() -> None:
    """An item that its label hardly allows comes before one with the same margin, and more."""
    chances = np.array([[0.05, 0.95, 0], [0.54, 0.01, 0.45], [0.9, 0.1, 0]], np.float32)
    found = suspects(chances, np.array([1, 1, 1]))
    assert [one.row for one in found] == [1, 2]
    assert found[0].margin < found[1].margin


def test_wrong_labels_come_first_and_clean_ones_raise_no_word() -> None:
    rng = np.random.default_rng(0)
    right = np.arange(300) % 3
    x = (np.eye(3)[right] * 6 + rng.normal(size=(300, 3))).astype(np.float32)
    wrong = rng.choice(300, 15, replace=False)
    noisy = right.copy()
    noisy[wrong] = (right[wrong] + 1) % 3
    data = from_items(np.zeros((300, 4, 4), np.uint8), right)
    for given, expected in ((noisy, set(wrong.tolist())), (right, set())):
        rows, outputs = out_of_fold("logistic", Examples(x, truth(given)))
        found = label_errors(data, rows, softmax(outputs), given[rows], ("a", "b", "c"))
        if not expected:
            assert found is None
            continue
        assert found is not None
        named = [row["item"] for row in found.items[: len(wrong)]]
        hits = {data.names[i] for i in expected} & set(named)
        assert len(hits) >= 14
        assert found.items[0]["margin"] > found.items[-1]["margin"]


def test_who_cannot_answer_cannot_doubt() -> None:
    rng = np.random.default_rng(0)
    labels_ = np.arange(200) % 2
    chances = rng.dirichlet([0.2, 0.2], 200).astype(np.float32)
    data = from_items(np.zeros((200, 4, 4), np.uint8), labels_)
    assert len(suspects(chances, labels_)) > 60
    assert label_errors(data, np.arange(200), chances, labels_, ("a", "b")) is None


def test_answers_out_of_fold_are_those_of_heads_that_have_not_seen_the_item() -> None:
    rng = np.random.default_rng(1)
    labels_ = np.arange(40) % 2
    x = (rng.normal(size=(40, 6)) + labels_[:, None]).astype(np.float32)
    rows, outputs = out_of_fold("logistic", Examples(x, truth(labels_)), seed=3)
    assert sorted(rows.tolist()) == list(range(40))
    again = out_of_fold("logistic", Examples(x, truth(labels_)), seed=3)
    assert np.array_equal(outputs, again[1])
    chosen = float(solve("logistic", Examples(x, truth(labels_)), seed=3)[0].chosen[2:])
    same = out_of_fold("logistic", Examples(x, truth(labels_)), seed=3, strength=chosen)
    assert np.allclose(outputs, same[1], rtol=1e-5), "the C that solve chose"
    random = rng.permutation(labels_)
    rows, outputs = out_of_fold(
        "logistic", Examples(x * 0 + rng.normal(size=(40, 6)).astype(np.float32), truth(random))
    )
    assert (outputs.argmax(1) == random[rows]).mean() < 0.8, "nothing to learn, nothing learned"
    assert len(out_of_fold("logistic", Examples(x[:2], truth([0, 1])))[0]) == 0


# -- shift and shortcuts ------------------------------------------------------------------------


def test_auc_as_scikit_learn_has_it() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 9, 200).astype(np.float32), rng.random(200) > 0.4
    assert auc(scores, positive)[0] == pytest.approx(roc_auc_score(positive, scores))
    assert auc(scores, np.zeros(200, np.bool_)) == (0.5, 0.5)


def test_a_shortcut_is_named_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(120) % 3
    width = rng.integers(200, 400, 120).astype(np.float32)
    traits = {"width": width, "height": width * 0.75}
    every = np.arange(120)
    assert shortcuts(traits, every, groups, ("a", "b", "c")) is None
    traits = {"width": np.where(groups == 1, 900, width).astype(np.float32), "height": width}
    found = shortcuts(traits, every, groups, ("a", "b", "c"))
    assert found is not None
    assert [(one["class"], one["by"]) for one in found.facts["classes"]] == [("b", "size")]
    flat = {"characters": np.full(120, 7, np.float32)}
    assert shortcuts(flat, every, groups, ("a", "b", "c")) is None
    unknown = {"characters": np.full(120, np.nan, np.float32)}
    assert shortcuts(unknown, every, groups, ("a", "b", "c")) is None


def test_a_border_that_gives_the_class_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, edge in (("cats", 20), ("dogs", 230)):
        (tmp_path / name).mkdir()
        for i in range(30):
            pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
            framed = np.pad(pixels, ((4, 4), (4, 4), (0, 0)), constant_values=edge)
            Image.fromarray(framed).save(tmp_path / name / f"{i}.png")
    found = headstart.audit(tmp_path)
    assert "HS008" in codes(found.findings)
    assert found.traits["width"].tolist() == [40.0] * 60
    again = headstart.audit(tmp_path)
    assert all(np.array_equal(again.traits[k], v) for k, v in found.traits.items()), "kept facts"
    assert "border colour" in next(one for one in found.findings if one.code == "HS008").message


def test_splits_that_come_from_different_places(tmp_path: Path) -> None:
    for part, colour in (("train", 60), ("test", 180)):
        for name, bar in (("left", 4), ("right", 24)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(24):
                rng = np.random.default_rng([colour, bar, i])
                pixels = rng.integers(0, 60, (32, 32)).astype(np.uint8)
                pixels += np.uint8(colour)
                pixels[:, bar : bar + 3] = 0
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    found = headstart.audit(tmp_path, backbone="glyphs")
    assert "HS007" in codes(found.findings)
    assert "HS007" not in codes(headstart.audit(tmp_path).findings), "needs features"


# -- backbones ----------------------------------------------------------------------------------


def words(max_length: int = 16):  # type: ignore[no-untyped-def]
    return fit_vocabulary(["a good film", "a bad film"], min_frequency=1, max_length=max_length)


def test_unknown_scripts_and_cut_texts() -> None:
    class Entry:
        name, ready, preprocess = "tiny", True, words(4)

    assert words(4).lengths(["a good film", "a " * 9]) == [3, 9]
    assert words().strangeness(["a good film"])[0] == 0
    assert words().strangeness(["这家店真不错"]) == (1.0, 0.0)
    signs = " ".join(map(chr, range(0x4E00, 0x4E00 + 1200)))
    reads, some = (
        fit_vocabulary([f"{one} абв"], min_frequency=1, max_length=9) for one in (signs, signs[:99])
    )
    assert reads.strangeness(["丁 七 万"]) == (0.0, 0.0), "to it each is a word"
    assert some.strangeness(["丁 七 万"]) == (0.0, 1.0)
    assert codes(inputs.texts(Entry(), ["a good film"] * 9)) == []  # type: ignore[arg-type]
    assert codes(inputs.texts(Entry(), ["这家店真不错"] * 9)) == ["HS011", "HS012"]  # type: ignore
    (cut,) = inputs.texts(Entry(), ["a good film film film film"] * 2)  # type: ignore[arg-type]
    assert cut.code == "HS012" and "33 % of all tokens" in cut.message


def test_pictures_that_are_unlike_photos() -> None:
    from headstart.backbones.registry import resolve

    entry = resolve("glyphs")

    def traits(side: float, bright: float, contrast: float) -> dict[str, np.ndarray]:
        values = {"width": side, "height": side, "brightness": bright, "contrast": contrast}
        return {name: np.full(9, value, np.float32) for name, value in values.items()}

    mean, std = entry.preprocess.mean[0] * 255, entry.preprocess.std[0] * 255
    assert inputs.pictures(entry, traits(32, mean, std)) == []
    assert inputs.pictures(entry, traits(9, mean, std)) == [], "no smaller size to offer"
    wide = entry.with_image_size(224)
    assert "--image-size 32 " in inputs.pictures(wide, traits(28, mean, std))[0].message
    assert "unlike" in inputs.pictures(entry, traits(32, mean + 3 * std, std))[0].message
    assert inputs.pictures(entry, {}) == []


# -- whole runs ---------------------------------------------------------------------------------


def test_fit_compare_and_audit_hand_them_on(tmp_path: Path, glyph_graph: Path) -> None:
    data = bars(per_class=10)
    made = headstart.fit(data)
    assert codes(made.findings) == ["HS001"]
    assert made.to_json()["checks"][0]["code"] == "HS001"
    compared = headstart.compare(data, strategies="frozen", draws=1)
    assert [one["code"] for one in compared.to_json()["checks"]] == ["HS001"]
    assert headstart.audit(bars(per_class=20)).to_json()["checks"] == []
    texts = sentences(per_class=20)
    assert "HS008" not in codes(headstart.audit(texts).findings)


def test_scores_of_other_tasks_are_called_by_their_names(glyph_graph: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (40, 8, 8)).astype(np.uint8)
    number = headstart.fit(from_items(pictures, rng.random(40).tolist()))
    said = {one.code: one for one in number.findings}["HS001"].message
    assert re.match(r"\d+ held-out items tell R² to within 0\.\d\d only", said), said
    heart = held_out.by_heart(0.9, 30, -0.1, (-0.4, 0.2), number.model.task)
    assert heart is not None
    assert heart.message.startswith("R² is 0.9 on the 30 training items, but -0.1 on the held-out")
    assert "%" not in heart.message
    labels = headstart.fit(from_items(pictures, [[*"abc"[: 1 + i % 3]] for i in range(40)]))
    heart = held_out.by_heart(0.9, 30, 0.1, (0.05, 0.2), labels.model.task)
    assert heart is not None and heart.message.startswith("macro F1 is 90.0 % on the 30 training")


def test_too_few_draws_are_said(glyph_graph: Path) -> None:
    how: dict[str, Any] = {"strategies": "frozen", "backbones": "glyphs", "shots": "2,4"}
    how |= {"folds": 0}
    once = headstart.compare(bars(per_class=20), draws=1, **how)
    said = next(one for one in once.findings if one.code == "HS015")
    best = max(row.mean for row in once.summary if row.shots == 2)
    n = len(once.held_out.targets)
    eased = (n * best + 2) / (n + 4)  # what is usual: p (1 - p) / sqrt(labels in all)
    assert said.facts["points"] == pytest.approx(100 * eased * (1 - eased) / 4**0.5)
    assert said.message.startswith("draws 1: ") and "with 2 labels a class" in said.message
    for enough in ({"draws": 3}, {"draws": 1, "folds": 3}, {"draws": 1, "shots": "all"}):
        found = headstart.compare(bars(per_class=20), **how | enough)
        assert "HS015" not in codes(found.findings), enough


@pytest.mark.slow
def test_data_with_hardly_anything_in_it(tmp_path: Path, glyph_graph: Path) -> None:
    make_images(tmp_path / "five", {"a": 3, "b": 2}, side=32)
    made = headstart.fit(tmp_path / "five")
    assert {"HS001", "HS003"} <= set(codes(made.findings))
    make_images(tmp_path / "lone", {"a": 12, "b": 12, "lone": 1}, side=32)
    assert {"HS002", "HS003"} <= set(codes(headstart.fit(tmp_path / "lone").findings))
    make_images(tmp_path / "uneven", {"usual": 60, "rare": 2}, side=32)
    assert "HS013" in codes(headstart.fit(tmp_path / "uneven").findings)
    make_images(tmp_path / "split/train", {"a": 8, "b": 8, "c": 8}, side=32)
    make_images(tmp_path / "split/test", {"a": 4, "b": 4}, side=32, seed=1)
    found = headstart.fit(tmp_path / "split").findings
    assert next(one for one in found if one.code == "HS002").facts["classes"] == ["c"]
    make_images(tmp_path / "one", {"only": 9}, side=32)
    with pytest.raises(headstart.HeadstartError, match="only one class"):
        headstart.fit(tmp_path / "one")


def test_copies_are_found_on_both_sides(tmp_path: Path, glyph_graph: Path) -> None:
    make_images(tmp_path / "train", {"a": 6, "b": 6}, side=32)
    make_images(tmp_path / "test", {"a": 4, "b": 4}, side=32, seed=1)
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    photo = coarse.resize((160, 120), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "train/a/photo.png")
    photo.save(tmp_path / "test/a/photo.jpg", quality=80)
    found = next(one for one in headstart.fit(tmp_path).findings if one.code == "HS004")
    assert isinstance(found, Finding)
    assert found.items == (
        {"item": "test/a/photo.jpg", "like": "train/a/photo.png", "same_class": True},
    )
