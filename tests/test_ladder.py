"""Imports only go down the ladder, and the heavy libraries stay where they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import headstart

ROOT = Path(headstart.__file__).parent

# From the ground up. What stands on one rung may not import each other either.
RUNGS = [
    "errors wording visible",
    "cards",
    "settings progress findings facts",
    "store compute place",
    "tasks",
    "data",
    "backbones",
    "boundary",
    "model",
    "strategies",
    "training",
    "adaptation detection pretraining",
    "evaluation",
    "checks",
    "bundle",
    "report",
    "verbs",
    "estimator",
    "cli",
    "__main__",
]
HEIGHT = {room: height for height, rooms in enumerate(RUNGS) for room in rooms.split()}

# The front door knows every room, and gives each only its version.
FRONT = "__init__"

# Types alone may point up: nothing is imported when the program runs.
TYPES_ONLY = {("report.tables", "verbs")}

HEAVY = {"torch", "torchvision", "timm", "transformers", "sklearn", "matplotlib", "onnx", "peft"}

# The modules that are about tensors or plots, and may import what they are about at once. All
# others must stay importable in a blink.
MAY_BE_HEAVY = {
    "adaptation.above",
    "adaptation.candidates",
    "adaptation.cdan",
    "adaptation.coral",
    "adaptation.cycle",
    "adaptation.dann",
    "adaptation.gaussian",
    "adaptation.kept",
    "adaptation.mcc",
    "adaptation.method",
    "adaptation.none",
    "adaptation.norm",
    "adaptation.objective",
    "adaptation.painted",
    "adaptation.pseudo",
    "adaptation.registry",
    "adaptation.reweight",
    "adaptation.shot",
    "adaptation.space",
    "adaptation.statistics",
    "adaptation.styled",
    "adaptation.translate",
    "adaptation.vectors",
    "verbs.adapt",
    "backbones.blocks",
    "backbones.build",
    "backbones.cut",
    "backbones.encoders",
    "backbones.glyphs",
    "backbones.injection",
    "backbones.libraries",
    "backbones.look",
    "backbones.parts",
    "backbones.passage",
    "backbones.pooling",
    "backbones.surgery",
    "backbones.textnets",
    "backbones.vision",
    "backbones.weights",
    "detection.detector",
    "detection.maps",
    "detection.objective",
    "estimator",
    "pretraining.characters",
    "pretraining.denoising",
    "pretraining.glyphs",
    "pretraining.masking",
    "pretraining.strokes",
    "report.canvas",
    "report.maps",
    "report.pictures",
    "verbs.show",
    "boundary.activations",
    "compute.running",
    "training.adapters",
    "boundary.views",
    "training.batchnorm",
    "training.blending",
    "training.best",
    "training.checkpoint",
    "training.contrastive",
    "training.freezing",
    "boundary.inputs",
    "training.l2sp",
    "training.guard",
    "training.loop",
    "training.objective",
    "training.objectives",
    "training.optimiser",
    "training.remembering",
    "boundary.forward",
    "training.snapshots",
    "training.soup",
    "training.sources",
    "training.start",
}

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.py")
)


def is_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def statements(body: list[ast.stmt], *, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield each import statement, and whether only the type checker sees it."""
    for node in body:
        inner = [node] if isinstance(node, ast.Import | ast.ImportFrom) else ast.walk(node)
        if at_import and (is_types(node) or not isinstance(node, ast.Import | ast.ImportFrom)):
            continue
        for found in inner:
            if isinstance(found, ast.Import | ast.ImportFrom):
                yield found, is_types(node)


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert isinstance(node, ast.ImportFrom)
    assert node.level == 0, "imports are absolute"
    # `from headstart.data import folders` may name a module or a name in one.
    return [f"{node.module}.{alias.name}" for alias in node.names]


@cache
def body(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text("utf-8")).body


def imports(module: str, *, at_import: bool = False) -> Iterator[tuple[str, bool]]:
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    for node, types in statements(body(path), at_import=at_import):
        for name in names(node):
            yield name, types


def own(name: str) -> str:
    """Return the module of ours that ``headstart.x.y.name`` lies in; empty for the front door."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES and ".".join([*parts, FRONT]) not in MODULES:
        parts.pop()
    found = ".".join(parts)
    return found if found in MODULES or not found else f"{found}.{FRONT}"


def test_every_room_stands_on_a_rung() -> None:
    assert {module.split(".")[0] for module in MODULES} - {FRONT} == set(HEIGHT)


def ups(module: str) -> list[str]:
    """Return what ``module`` imports from its own height or above."""
    room = module.split(".")[0]
    found = []
    for name, types in imports(module):
        other = own(name).split(".")[0]
        if not name.startswith("headstart") or other in ("", room):
            continue
        if types and (module, other) in TYPES_ONLY:
            continue
        if HEIGHT[other] >= HEIGHT[room]:
            found.append(name)
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if module != FRONT])
def test_imports_only_go_down(module: str) -> None:
    assert ups(module) == []


def test_a_step_up_would_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text("def f():\n    from headstart.verbs.fit import fit\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert ups("store") == ["headstart.verbs.fit.fit"]


def heavy(module: str, seen: set[str]) -> Iterator[str]:
    """Yield the heavy libraries that importing ``module`` brings, with the module that does."""
    seen.add(module)
    for name, _ in imports(module, at_import=True):
        library = name.split(".")[0]
        if library in HEAVY:
            yield f"{module} imports {library}"
        elif library == "headstart" and (below := own(name)) and below not in seen:
            yield from heavy(below, seen)


@pytest.mark.parametrize("module", sorted(set(MODULES) - MAY_BE_HEAVY))
def test_light_modules_stay_light(module: str) -> None:
    assert list(heavy(module, set())) == []


def test_the_list_of_heavy_modules_is_no_longer_than_it_must_be() -> None:
    assert {m for m in MODULES if list(heavy(m, set()))} == MAY_BE_HEAVY & set(MODULES)
