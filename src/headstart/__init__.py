"""Headstart: give a small labelled data set a head start.

>>> import headstart
>>> "fit" in headstart.__all__
True

Nothing heavy is imported until a name below is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headstart.backbones.registry import available, resolve
    from headstart.bundle import Bundle, load
    from headstart.data.dataset import Dataset
    from headstart.data.reading import read
    from headstart.data.split import split
    from headstart.errors import HeadstartError
    from headstart.estimator import TransferClassifier
    from headstart.settings.groups import Options
    from headstart.strategies.plan import Plan
    from headstart.verbs.adapt import adapt
    from headstart.verbs.audit import audit
    from headstart.verbs.backbones import fetch
    from headstart.verbs.compare import compare
    from headstart.verbs.demo import demo
    from headstart.verbs.evaluate import evaluate
    from headstart.verbs.features import features
    from headstart.verbs.fit import fit
    from headstart.verbs.fit_result import Fit
    from headstart.verbs.predict import predict
    from headstart.verbs.rank import rank
    from headstart.verbs.show import show

_HOME = {
    "Bundle": "bundle",
    "Dataset": "data.dataset",
    "Fit": "verbs.fit_result",
    "HeadstartError": "errors",
    "Options": "settings.groups",
    "Plan": "strategies.plan",
    "TransferClassifier": "estimator",
    "TransferRegressor": "estimator",
    "adapt": "verbs.adapt",
    "audit": "verbs.audit",
    "available": "backbones.registry",
    "compare": "verbs.compare",
    "demo": "verbs.demo",
    "evaluate": "verbs.evaluate",
    "features": "verbs.features",
    "fetch": "verbs.backbones",
    "fit": "verbs.fit",
    "load": "bundle",
    "predict": "verbs.predict",
    "rank": "verbs.rank",
    "read": "data.reading",
    "resolve": "backbones.registry",
    "show": "verbs.show",
    "split": "data.split",
}

__all__ = [
    "Bundle",
    "Dataset",
    "Fit",
    "HeadstartError",
    "Options",
    "Plan",
    "TransferClassifier",
    "TransferRegressor",
    "adapt",
    "audit",
    "available",
    "compare",
    "demo",
    "evaluate",
    "features",
    "fetch",
    "fit",
    "load",
    "predict",
    "rank",
    "read",
    "resolve",
    "show",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'headstart' has no attribute '{name}'")
    found = getattr(import_module(f"headstart.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
