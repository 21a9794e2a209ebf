"""How many lines of ``src`` are of what was there before the house was rebuilt, and how many came.

    python benchmarks/lines.py

Each file is counted once, whole, with the ability that it came for; what is not named here existed
before, in another place perhaps. Files that existed and have grown since count as what existed.
"""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "headstart"

ABILITIES = {
    "adaptation to unlabelled items": "adaptation/* verbs/adapt.py",
    "detection": """
        detection/* tasks/box* tasks/average_precision.py verbs/detect.py cli/detect.py
    """,
    "own pre-training": """
        pretraining/kept.py pretraining/denoising.py pretraining/masking.py verbs/pretrain.py
        cli/pretrain.py
    """,
    "several labels, numbers": "tasks/label* tasks/number.py tasks/iterative.py",
    "the cut in any network": """
        backbones/cut.py backbones/look.py backbones/passage.py backbones/known.py
    """,
    "checks of data and of results": "checks/* findings.py",
    "forecasts, choosing, racing, ranking, luck": """
        evaluation/forecast.py evaluation/choosing.py evaluation/racing.py evaluation/luck.py
        evaluation/bias.py evaluation/floors.py evaluation/suits.py evaluation/names.py
        evaluation/pace.py evaluation/advice.py evaluation/conclusions.py evaluation/design.py
        boundary/affordable.py verbs/auto.py verbs/rank.py
    """,
    "items without labels, forgetting, rehearsal": """
        evaluation/selftraining.py evaluation/forgetting.py report/forgotten.py
        training/remembering.py training/earlier.py verbs/unlabelled.py verbs/probing.py
        strategies/rehearsal.py strategies/lwf.py data/beside.py
    """,
    "pages and pictures (html.py: 186 before)": """
        report/answers.py report/chinese.py report/comparison_page.py report/confusion.py
        report/diagrams.py report/filters.py report/fit_page.py report/sections.py report/svg.py
        report/thumbnails.py report/tsne.py report/view.py report/words.py report/maps.py
        report/board.py verbs/gathering.py cards.py
    """,
    "what Python users hold, Excel": """
        data/memory/handed.py data/memory/frames.py data/tables/arrow.py data/pictures/stacks.py
        data/tables/workbook.py
    """,
    "columns, word vectors, static encoders": """
        data/injected.py backbones/injection.py backbones/static.py
    """,
    "a catalogue, the usual backbone, downloads": """
        backbones/catalogue.py backbones/usual.py backbones/choice.py backbones/fetched.py
        verbs/backbones.py
    """,
    "safety: damage, schemas, places, interrupts": """
        data/pictures/damage.py data/pictures/room.py facts.py place.py training/interrupts.py
        visible.py verbs/trained.py data/pictures/corruptions.py data/texts/alphabets.py
    """,
    "bitfit, LDA, blending, refitting": "strategies/bitfit.py strategies/adapt_refit.py "
    "tasks/solvers/lda.py training/blending.py",
}


def ability(path: str) -> str:
    """Return what the file came for; "" where it existed before."""
    found = [name for name, files in ABILITIES.items() if any(map(path_is(path), files.split()))]
    assert len(found) < 2, f"{path} is counted as {found}"
    return found[0] if found else ""


def path_is(path: str):
    return lambda pattern: fnmatch(path, pattern)


def check() -> None:
    """Refuse to count by names that nothing is called any more."""
    gone = [one for files in ABILITIES.values() for one in files.split() if not [*SRC.glob(one)]]
    assert not gone, f"no file is called {', '.join(gone)}"


def main() -> None:
    """Print files and lines of each ability, the most first, and of what existed."""
    check()
    counts: dict[str, list[int]] = defaultdict(list)
    for path in sorted(SRC.rglob("*.py")):
        counts[ability(path.relative_to(SRC).as_posix())].append(len(path.read_text().splitlines()))
    before = counts.pop("")
    for name, lines in sorted(counts.items(), key=lambda row: -sum(row[1])):
        print(f"{sum(lines):6,} lines in {len(lines):3} files: {name}")
    new = [n for lines in counts.values() for n in lines]
    print(f"{sum(new):6,} lines in {len(new):3} files: all of these")
    print(f"{sum(before):6,} lines in {len(before):3} files: what existed before")


if __name__ == "__main__":
    main()
