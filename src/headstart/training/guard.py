"""The promise of the freeze boundary, checked: what is frozen does not move, in nothing."""

from __future__ import annotations

from headstart.backbones.blocks import Backbone
from headstart.errors import HeadstartError


class Guard:
    """Remembers what is frozen as it is now; make a new one when the boundary has moved."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._digest = backbone.frozen_digest()

    def check(self) -> None:
        """Raise `HeadstartError` if a frozen weight or buffer is no longer what it was."""
        if self.backbone.frozen_digest() != self._digest:
            raise HeadstartError("a frozen block changed during training; nothing was saved.")

    def check_modes(self) -> None:
        """Raise if a frozen block drops out, or looks at the statistics of a batch."""
        for name, module in self.backbone.net.named_modules():
            frozen = self.backbone.owner(name) not in self.backbone.trainable
            if module.training and name and frozen:
                raise HeadstartError(f"a frozen block changed to training mode: {name}.")
