"""Headstart: give a small labelled data set a head start.

>>> import headstart
>>> "fit" in headstart.__all__
True

Nothing heavy is imported until a name below is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from headstart.api import Fit, audit, compare, evaluate, features, fit, predict
    from headstart.backbones.registry import available, resolve
    from headstart.bundle import Bundle, load
    from headstart.data.dataset import Dataset
    from headstart.data.reading import read
    from headstart.data.split import split
    from headstart.demo import demo
    from headstart.errors import HeadstartError
    from headstart.estimator import TransferClassifier
    from headstart.strategies.plan import Options, Plan

_HOME = {
    "Bundle": "bundle",
    "Dataset": "data.dataset",
    "Fit": "api",
    "HeadstartError": "errors",
    "Options": "strategies.plan",
    "Plan": "strategies.plan",
    "TransferClassifier": "estimator",
    "audit": "api",
    "available": "backbones.registry",
    "compare": "api",
    "demo": "demo",
    "evaluate": "api",
    "features": "api",
    "fit": "api",
    "load": "bundle",
    "predict": "api",
    "read": "data.reading",
    "resolve": "backbones.registry",
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
    "audit",
    "available",
    "compare",
    "demo",
    "evaluate",
    "features",
    "fit",
    "load",
    "predict",
    "read",
    "resolve",
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


class _Front(ModuleType):
    """Keeps the verbs `features` and `demo` from being hidden by the modules of the same names.

    Importing ``headstart.features.extract`` (every other verb does) makes Python set the attribute
    ``headstart.features`` to that package. ``from headstart.features import extract`` still works.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front
