"""Made-up facts for pages: any number of classes, names in any script, nothing fitted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from headstart.findings import finding
from headstart.report.thumbnails import thumbnails
from headstart.tasks.class_figures import evaluate
from headstart.wording import Said, joined

CHINESE = ("蚂蚁", "蜜蜂与大黄蜂", "蝴蝶")


def picture(number: int) -> bytes:
    """Return a small PNG, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((80, 64)).save(file, "PNG")
    return file.getvalue()


def of_fit(names: Sequence[str], *, texts: bool = False, each: int = 12) -> tuple[Any, Any]:
    """Return the facts of a fit on so many held-out items a class, and what its page has besides.

    The last of many classes has no held-out item.
    """
    rng = np.random.default_rng(0)
    n = len(names)
    labels = np.repeat(np.arange(n - (n > 20)), each)
    chances = rng.dirichlet(np.full(n, 0.3), len(labels)).astype(np.float32)
    chances[np.arange(len(labels)), labels] += np.where(rng.random(len(labels)) < 0.8, 1.2, 0)
    chances /= chances.sum(axis=1, keepdims=True)
    answers = chances.argmax(axis=1)
    items = [f"val/{names[c]}/photo number {i}.jpg" for i, c in enumerate(labels)]
    mistakes = [
        {
            "item": items[i],
            "label": names[labels[i]],
            "predicted": names[answers[i]],
            "probability": float(chances[i].max()),
        }
        for i in np.flatnonzero(answers != labels)
    ]
    classes = [
        {"name": name, "train": 20 + c, "held": each, "items": items[c * each : c * each + 2]}
        for c, name in enumerate(names)
    ]
    wanted = [row["item"] for row in mistakes[:24]]
    wanted += [item for row in classes for item in row["items"]]
    number = {item: i for i, item in enumerate(items)}
    pictures = thumbnails(wanted, lambda item: picture(number[item]))
    said = {item: f"a text, 一段文字, that begins like number {number[item]} …" for item in wanted}
    points = rng.normal(size=(len(labels), 2)).round(3).tolist()
    facts = {
        "task": "classes",
        "task_facts": {},
        "classes": list(names),
        "strategy": "partial:-1",
        "backbones": [{"name": "tiny", "source_domain": "made up", "licence": "MIT"}],
        "metrics": evaluate(chances, labels, tuple(names)).to_json(),
        "errors": mistakes[:24],
        "history": [
            {
                "stage": 0,
                "epoch": e,
                "boundary": 2,
                "loss": 1 / (1 + e),
                "selection_loss": 0.5 + abs(e - 4) / 10,
                "selection_accuracy": 0.6 + e / 30,
                "seconds": 1.5,
            }
            for e in range(8)
        ],
        "seconds": {"total": 9.0, "features": 2.0, "train": 6.0},
        "data": {"n_train": 99, "n_val": len(labels), "fingerprint": "0" * 32},
        "notes": [Said("{n} items lie in both domains", n=3)],
        "skipped": [{"item": "broken.jpg", "reason": "empty file"}],
        "versions": {"python": "3.11", "torch": "2.15"},
        "headstart": "0.1.0",
        "seed": 0,
    }
    more = {
        "title": names[0],
        "date": "2026-01-31",
        "folder": "my model",
        "classes_shown": classes,
        "mistakes": mistakes,
        ("texts" if texts else "pictures"): said if texts else pictures,
        "map": {
            "pca": points,
            "tsne": points[::-1],
            "labels": labels.tolist(),
            "answers": answers.tolist(),
            "items": items,
            "names": list(names),
            "variance": 0.4,
        },
        "filters": {"before": next(iter(pictures.values())), "after": "", "change": 0.2},
        "findings": [
            finding(
                "HS001",
                "{n} held-out items tell the score to within {half:.1f} points only: "
                "what lies closer than that cannot be told apart. For {widest:.0f} points "
                "about {needed} are needed.",
                n=9,
                half=9.0,
                widest=5.0,
                needed=40,
            ),
            finding(
                "HS006",
                "about {n} of {of} training items seem to have a wrong label: models that have not "
                "seen them are sure of another one. Look at those first; a wrong label costs more "
                "than a missing one.",
                items=[
                    {"item": item, "label": names[0], "likely": names[1], "margin": 0.9}
                    for item in wanted[:9]
                ],
                n=3,
                of=99,
            ),
        ],
        "floors_shown": [
            {"name": "this model", "value": 0.8, "low": 0.7, "high": 0.88},
            {"name": "always the largest class", "value": 0.5, "low": 0.4, "high": 0.6},
        ],
        "command": "headstart fit data --strategy partial:-1 --label-column 标签",
        "python": "import headstart\n\nheadstart.fit('data', strategy='partial:-1')",
    }
    more["filters"]["after"] = more["filters"]["before"]
    return facts, more


def of_comparison(names: Sequence[str], *, backbones: int = 2) -> tuple[Any, Any]:
    """Return what ``compare --json`` prints, whole with forecast, and what the page has besides."""
    _, more = of_fit(names)
    summary: list[dict[str, Any]] = [
        {
            "backbone": f"torchvision:network_{b}",
            "strategy": strategy,
            "shots": shots,
            "mean": 0.6 + 0.05 * k + 0.02 * s - 0.01 * b,
            "low": 0.55 + 0.05 * k + 0.02 * s,
            "high": 0.66 + 0.05 * k + 0.02 * s,
            "seconds": (1 + 9 * s) * (k + 1) / 3,
            "verdict": "best" if b == s == 0 else "not distinguishable",
            "stopped": s == 2,
            "trained": 2 * (20 if shots == "all" else int(shots)),
        }
        for k, shots in enumerate((4, 8, 16, "all"))
        for b in range(backbones)
        for s, strategy in enumerate(("frozen", "partial:-2", "warm"))
    ]
    ahead = [
        {
            "backbone": "torchvision:network_0",
            "strategy": "frozen",
            "shots": n,
            "labels": 2 * n,
            "mean": 0.8 + n / 1000,
            "low": 0.76,
            "high": 0.9,
        }
        for n in (32, 64)
    ]
    facts = {
        "task": "classes",
        "score": "accuracy",
        "n": 99,
        "runs": [row | {"draw": d, "accuracy": row["mean"]} for row in summary for d in range(3)],
        "summary": summary,
        "unfinished": 2,
        "floors": [
            {"name": "constant answer", "shots": n, "mean": 0.5, "low": 0.4, "high": 0.6}
            for n in (4, 8, 16, "all")
        ],
        "advice": {
            "backbone": "torchvision:network_0",
            "strategy": "frozen",
            "shots": "all",
            "sentence": joined(
                [
                    Said(
                        "Take {strategy} on {backbone}: expect {score} {share} (95 %: {span}) at "
                        "{time} a fit",
                        strategy="frozen",
                        backbone="torchvision:network_0",
                        score="accuracy",
                        share="90.0 %",
                        span="85.0 to 95.0",
                        time="1 s",
                    )
                ]
            ),
            "more": "",
        },
        "forecast": ahead,
        "backtest": [ahead[0] | {"shots": 16, "measured": 0.79}],
        "checks": [],
    }
    keep = ("title", "date", "classes_shown", "pictures", "findings", "command", "python")
    held = {"n_held_out": 99, "seconds": 61.0, "seed": 0, "headstart": "0.1.0", "versions": {}}
    return facts, {name: more[name] for name in keep} | held
