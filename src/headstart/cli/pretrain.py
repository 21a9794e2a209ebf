"""The commands of `headstart pretrain`."""

from __future__ import annotations

import shlex
from typing import Any

from headstart.cli.arguments import DATA
from headstart.cli.door import command, emit, pretrain_app


@command("pretrain glyphs", pretrain_app)
def pretrain_glyphs(as_json: bool, given: dict[str, Any]) -> None:
    """Make the embedded default again, from the fonts that matplotlib ships."""
    from headstart.pretraining.glyphs import pretrain_glyphs as run
    from headstart.progress import log

    result = run(progress=lambda line: log.info("%s", line), **given)
    if as_json:
        emit(result)
    else:
        for name, value in result.items():
            print(f"{name}: {value}")


def _pretrained(as_json: bool, given: dict[str, Any], result: dict[str, Any]) -> None:
    if as_json:
        emit(result)
        return
    print(f"{result['name']} learned from {result['source_domain']}; {result['check']}")
    print(f"{result['weights']} (--backbone takes this path)")
    both = f"{given.get('backbone') or result['backbone']},{result['weights']}"
    against = shlex.join(["headstart", "compare", "LABELLED-DATA", "--backbones", both])
    print(f"whether it helps, measured: {against}")


@command("pretrain supervised", pretrain_app, data=DATA)
def pretrain_supervised(as_json: bool, given: dict[str, Any]) -> None:
    """Make a backbone of labelled DATA, to carry over to other data."""
    from headstart.verbs.pretrain import supervised

    _pretrained(as_json, given, supervised(**given))


@command("pretrain autoencoder", pretrain_app, data=DATA)
def pretrain_autoencoder(as_json: bool, given: dict[str, Any]) -> None:
    """Make a backbone of pictures without labels, which it learns to mend."""
    from headstart.verbs.pretrain import autoencoder

    _pretrained(as_json, given, autoencoder(**given))


@command("pretrain masked", pretrain_app, data=DATA)
def pretrain_masked(as_json: bool, given: dict[str, Any]) -> None:
    """Tune an encoder on texts without labels, in which it learns to fill gaps."""
    from headstart.verbs.pretrain import masked

    _pretrained(as_json, given, masked(**given))
