"""Every option once: ranges, who reads it, and the doors that are made from the table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

import headstart
from conftest import bars, save_bars, save_sentences, sentences
from headstart import cli
from headstart.errors import UsageError
from headstart.report.options import page
from headstart.settings import table as groups
from headstart.settings.groups import Carried, Options
from headstart.settings.option import (
    REQUIRED,
    Settings,
    deciding,
    other_settings,
    require_kind,
    table,
)
from headstart.settings.table import VERBS, Fitting
from headstart.strategies.plan import STEPS
from headstart.strategies.registry import STRATEGIES, readers, strategies, strategy

ROOT = Path(__file__).resolve().parents[1]

# -- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_row_is_whole_and_its_default_is_allowed(verb: str) -> None:
    for name, row in table(VERBS[verb]).items():
        assert row.name == name
        assert row.help.endswith(".")
        assert row.type in (int, float, bool, str, Path, tuple)
        assert row.default is REQUIRED or row.fault(row.default) is None


def test_an_option_stands_in_one_group_alone() -> None:
    kinds = [one for one in vars(groups).values() if inspect.isclass(one)]
    own = [
        (name, kind.__name__)
        for kind in kinds
        if issubclass(kind, Settings)
        for name in vars(kind).get("__annotations__", {})
    ]
    several = {name for name, _ in own if [n for n, _ in own].count(name) > 1}
    # What a verb writes and how many labels it draws is another thing for each, and a detector
    # has its own default of what is one thing otherwise.
    detectors = {"batch", "image_size", "strategy"}
    # What has no labels is another thing for fit and for adapt.
    assert several == {"out", "shots", "draws", "workers", "budget", "unlabelled", *detectors}


def test_fields_and_lists_of_strategies_are_options() -> None:
    rows = table(Fitting)
    for kind in STRATEGIES.values():
        assert kind.options <= rows.keys()
        own = {one.name for one in fields(kind)} & rows.keys()  # type: ignore[arg-type]
        assert all(rows[name].by == "field" for name in own)
    for name, row in rows.items():
        assert readers(row), f"nobody reads {name}"
        assert (name in STEPS) == (row.by == "steps")


def test_own_numbers_are_handed_over() -> None:
    assert strategy("lora").rank == Options().rank  # type: ignore[attr-defined]
    assert strategy("l2-sp", Options(pull=0.5)).pull == 0.5  # type: ignore[attr-defined]
    frozen = strategy("auto-freeze", Options(freeze_threshold=0.1, freeze_patience=7))
    assert (frozen.freeze_threshold, frozen.freeze_patience) == (0.1, 7)  # type: ignore[attr-defined]


# -- values ---------------------------------------------------------------------------------------


def test_what_was_given_is_known_and_none_is_not_given() -> None:
    run = Fitting.of({"epochs": np.int64(5), "batch": None, "out": "model", "decay": 1})
    assert (run.epochs, run.batch, run.out, run.decay) == (5, 32, Path("model"), 1.0)
    assert run.given == {"epochs", "out", "decay"}
    assert type(run.epochs) is int
    assert replace(run, seed=3).given == run.given
    assert run == replace(run, given=frozenset())


def test_usual_values_stand_in_place_of_the_defaults_and_are_not_given() -> None:
    run = Fitting.of({"batch": 4}, Options(epochs=7, batch=8))
    assert (run.epochs, run.batch, run.given) == (7, 4, {"batch"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"backbon": "glyphs"}, "unknown option 'backbon'; did you mean 'backbone'?"),
        ({"epoch": 5}, "did you mean 'epochs'?"),
        ({"zzzz": 5}, "unknown option 'zzzz'. Allowed: "),
        ({"epochs": "5"}, "epochs is 5, but must be 1 or more"),
        ({"epochs": 5.0}, "epochs is 5.0, but must be 1 or more"),
        ({"epochs": True}, "epochs is True"),
        ({"epochs": [5]}, "epochs is [5]"),
        ({"class_weights": 1}, "class_weights is 1, but must be True or False"),
        ({"decay": float("nan")}, "decay is nan, but must be above 0 and at most 1"),
        ({"pull": float("inf")}, "pull is inf, but must be 0 or more"),
        ({"augment": "lite"}, "must be off, light, strong; did you mean 'light'?"),
        ({"augment": 3}, "augment is 3"),
        ({"val": 0.0}, "val is 0.0, but must be between 0 and 1"),
        ({"out": ""}, "out is "),
        ({"text_column": 3}, "text_column is 3"),
        ({"resume": True}, "give the folder"),
        ({"epochs": 0, "batch": 0, "rank": 0}, "epochs is 0, but must be 1 or more; batch is 0"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Fitting.of(given)
    assert said in str(refused.value)


def test_what_must_be_given_is_asked_for() -> None:
    with pytest.raises(UsageError, match="out is missing: Parquet file"):
        headstart.features(bars())


def test_words_are_read_in_both_doors() -> None:
    run = groups.Comparing.of({"strategies": "warm, frozen", "shots": "8,all", "budget": "2m"})
    assert (run.strategies, run.shots, run.budget) == (("warm", "frozen"), (8, "all"), 120.0)
    run = groups.Comparing.of({"strategies": ["warm"], "shots": [8, "all"], "budget": 120})
    assert (run.strategies, run.shots, run.budget) == (("warm",), (8, "all"), 120.0)
    for wrong in ({"shots": "many"}, {"budget": "soon"}):
        with pytest.raises(UsageError, match="write"):
            groups.Comparing.of(wrong)


# -- who reads what -------------------------------------------------------------------------------

UNREAD = [
    ("frozen", {"epochs": 5}),
    ("frozen", {"augment": "light", "views": 2}),
    ("frozen", {"rank": 4}),
    ("frozen", {"pull": 0.1}),
    ("frozen", {"cache_limit": 1.0}),
    ("frozen", {"checkpoint_every": 5.0}),
    ("warm", {"head": "logistic"}),
    ("warm", {"rank": 4}),
    ("warm", {"cache_limit": 1.0}),
    ("partial:-1", {"pull": 0.1}),
    ("l2-sp", {"freeze_patience": 1}),
    ("scratch", {"decay": 0.5}),
    ("lora", {"decay": 0.5}),
    ("contrastive", {"smoothing": 0.1}),
]


@pytest.mark.parametrize(("name", "given"), UNREAD)
def test_what_the_strategy_does_not_read_is_refused(name: str, given: dict[str, Any]) -> None:
    run = Fitting.of(given)
    with pytest.raises(UsageError) as refused:
        strategies([name], run)
    for option in given:
        assert f"{option} is not read here: it is for " in str(refused.value)
    assert f"not for {name}" in str(refused.value)
    # From a shared value it is no more than a default.
    shared = Fitting.of({}, Options(**{k: v for k, v in given.items() if k in table(Options)}))
    strategies([name], shared)


@pytest.mark.parametrize("name", STRATEGIES)
def test_all_that_a_strategy_reads_may_be_given(name: str) -> None:
    values = {"text_column": ("a",), "out": Path("x"), "resume": False}
    given = {}
    for option, row in table(Fitting).items():
        if STRATEGIES[name].reads(row) and option not in ("kind", "task"):
            usual = values.get(option, row.default)
            given[option] = {int: 8, float: 0.5, bool: True, Path: Path("x")}.get(row.type, usual)
    given |= {"optimiser": "sgd"} if STRATEGIES[name].options & {"optimiser"} else {}
    strategies([STRATEGIES[name].example or name], Fitting.of(given))


def test_compare_takes_what_one_of_the_strategies_reads() -> None:
    run = groups.Comparing.of({"epochs": 1, "head": "svm"})
    strategies(["frozen", "warm"], run)
    with pytest.raises(UsageError, match="epochs is not read here"):
        strategies(["frozen"], run)
    with pytest.raises(UsageError, match="pull is not read here"):
        headstart.compare(bars(), strategies=["frozen", "warm"], pull=0.1)


def test_options_for_the_other_kind_of_items_are_refused(glyph_graph: Path) -> None:
    with pytest.raises(UsageError, match="max_length is not read here: it is for texts"):
        headstart.fit(bars(), max_length=8)
    with pytest.raises(UsageError, match="image_size is not read here: it is for images"):
        headstart.fit(sentences(), backbone="bigru", strategy="scratch", image_size=32)
    with pytest.raises(UsageError, match="augment is not read here: it is for images"):
        headstart.fit(sentences(), backbone="bigru", strategy="scratch", augment="light")
    with pytest.raises(UsageError, match="pooling is not read here: it is for texts"):
        headstart.features(bars(), out="never.parquet", pooling="max")
    with pytest.raises(UsageError, match="max_length is not read here: it is for texts"):
        headstart.compare(bars(), strategies=["frozen"], max_length=8)


def test_options_for_other_tasks_are_refused() -> None:
    run = Fitting.of({"class_weights": True})
    require_kind(run, "image", "data")
    require_kind(run, "image", "data", "labels")
    with pytest.raises(UsageError, match="it is for the task classes or labels, .* is number"):
        require_kind(run, "image", "data", "number")


def test_words_are_learned_where_a_network_is_trained_here(tmp_path: Path) -> None:
    from conftest import save_encoder

    texts = [sentences().content(i).decode() for i in range(24)]
    encoder = str(save_encoder(tmp_path / "encoder", texts))
    with pytest.raises(UsageError, match="min_frequency is not read here: it is for networks"):
        headstart.fit(sentences(), backbone=encoder, min_frequency=1)
    with pytest.raises(UsageError, match="vectors is not read here"):
        headstart.compare(sentences(), strategies=["frozen"], backbones=encoder, vectors="x.txt")


def test_options_of_reading_are_refused_where_nothing_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="have been read already; give kind, label_column to read"):
        headstart.audit(bars(), label_column="y", kind="image")
    folder = save_bars(tmp_path / "data")
    with pytest.raises(UsageError, match="are of tables, and .* holds none"):
        headstart.audit(folder, label_column="y")


# -- the doors ------------------------------------------------------------------------------------


# In Python the name `backbones` is the room's, and `for` is a word of the language.
IN_PYTHON = [verb for verb in VERBS if " " not in verb and verb != "backbones"]


@pytest.mark.parametrize("verb", IN_PYTHON)
def test_python_and_the_command_line_take_the_same_names(verb: str) -> None:
    command = get_command(cli.app).commands[verb]  # type: ignore[attr-defined]
    there = {option.name for option in command.params if option.param_type_name == "option"}
    assert there - {"as_json", "help"} == table(VERBS[verb]).keys()
    flags = {flag for option in command.params for flag in option.opts}
    assert {f"--{name.replace('_', '-')}" for name in table(VERBS[verb])} <= flags
    here = inspect.signature(getattr(headstart, verb)).parameters
    keywords = {n for n, one in here.items() if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == table(VERBS[verb]).keys()
    for name, row in table(VERBS[verb]).items():
        assert f"{name}: " in getattr(headstart, verb).__doc__
        assert row.default is REQUIRED or here[name].default == row.default


def test_verbs_take_keywords(glyph_graph: Path) -> None:
    found = headstart.fit(bars(), strategy="partial:-1", epochs=2, batch=8, device="cpu")
    assert [row["epoch"] for row in found.fitted.history] == [0, 1]
    with pytest.raises(UsageError, match="unknown option 'backbon'; did you mean 'backbone'?"):
        headstart.fit(bars(), backbon="glyphs")
    with pytest.raises(UsageError, match="unknown head 'svn'; did you mean 'svm'?"):
        headstart.fit(bars(), head="svn")
    with pytest.raises(TypeError, match="data"):
        headstart.fit(epochs=3)
    assert headstart.audit(data=bars()).n == 24


def test_the_command_line_refuses_what_python_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(save_bars(tmp_path / "data"))
    with pytest.raises(SystemExit) as ended:
        cli.app(["fit", data, "--epochs", "3"])
    assert ended.value.code == 2
    assert "epochs is not read here" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        cli.app(["fit", data, "--head", "logistic", "--strategy", "warm"])
    assert "head is not read here" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        cli.app(["fit", data, "--backbon", "x"])
    assert ended.value.code == 2
    assert "--backbone" in capsys.readouterr().err


def test_the_estimator_takes_the_options_of_fit() -> None:
    from sklearn.base import clone

    made = headstart.TransferClassifier(strategy="warm", epochs=2, batch=8)
    assert made.get_params().keys() == {*table(Carried), "columns", "image_shape"}
    assert clone(made).get_params() == made.get_params()
    with pytest.raises(UsageError, match="unknown option 'epoch'; did you mean 'epochs'?"):
        headstart.TransferClassifier(epoch=2)
    pictures = np.zeros((8, 8, 8), np.uint8)
    pictures[4:, :, 4] = 255
    labels = [0] * 4 + [1] * 4
    with pytest.raises(UsageError, match="epochs is not read here: it is for .*, not for frozen"):
        headstart.TransferClassifier(epochs=2, device="cpu").fit(pictures, labels)
    with pytest.raises(UsageError, match="max_length is not read here: it is for texts"):
        headstart.TransferClassifier(max_length=2).fit(pictures, labels)
    made.set_params(strategy="partial:-1", image_size=16, device="cpu").fit(pictures, labels)
    assert len(made.fitted_.history) == 2
    assert made.fitted_.model.entries[0].preprocess.size == (16, 16)


def test_the_page_of_options_is_up_to_date() -> None:
    said = "run: python -m headstart.report.options > docs/options.md"
    assert (ROOT / "docs" / "options.md").read_text("utf-8") == page(), said


# -- what a run is checked against ----------------------------------------------------------------


def facts(**given: Any) -> dict[str, Any]:
    return {"seed": 0, "options": deciding(Options(**given), Options)}


@pytest.mark.parametrize(
    ("was", "now", "wrong"),
    [
        (facts(), facts(), []),
        (facts(cache_limit=1.0), facts(cache_limit=9.0), []),
        (facts(epochs=1), facts(epochs=2), ["options.epochs: was 1, is 2"]),
        (facts() | {"seed": 1}, facts(), ["seed: was 1, is 0"]),
        # From an earlier version, which knew one option less, or from one with all of them.
        ({"seed": 0, "options": {"epochs": 3}}, facts(epochs=3), []),
        ({"seed": 0, "options": {"epochs": 3}}, facts(epochs=3, soup=2), ["options.soup: was 0"]),
        ({"seed": 0, "options": facts()["options"] | {"cache_limit": 3.0}}, facts(), []),
        ({"seed": 0}, facts(), []),
        # From a later version, which knows more than we can judge.
        ({"seed": 0, "options": {"new": 1}}, facts(), ["options.new: was 1, is "]),
    ],
)
def test_only_what_decides_makes_another_run(
    was: dict[str, Any], now: dict[str, Any], wrong: list[str]
) -> None:
    found = other_settings(was, now, Options)
    assert len(found) == len(wrong)
    assert all(line.startswith(said) for line, said in zip(found, wrong, strict=True))


def test_a_comparison_goes_on_with_other_workers_and_another_limit(
    tmp_path: Path, glyph_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"strategies": "partial:-1", "draws": 1, "epochs": 1, "out": tmp_path}
    first = headstart.compare(bars(), **how)
    again = headstart.compare(bars(), **how, resume=True, cache_limit=0.0, workers=2, budget="1h")
    assert again.runs == first.runs
    with pytest.raises(UsageError, match="options.batch: was 32, is 8"):
        headstart.compare(bars(), **how, resume=True, batch=8)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("compare.json", "runs.csv", "curves.png", "report.html")
    }


def test_tables_are_read_with_options_of_either_door(tmp_path: Path) -> None:
    path = save_sentences(tmp_path / "texts.csv")
    verbs: list[Callable[..., Any]] = [headstart.audit, headstart.read]
    for verb in verbs:
        verb(path, text_column="text", label_column="label", kind="text")
        with pytest.raises(UsageError, match="unknown option 'label_colum'"):
            verb(path, label_colum="label")
