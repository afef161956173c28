"""What codecs without weights share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar, Self

from torch import Tensor


class Plain:
    """A JSON round trip, and that the codec is of the items themselves."""

    kind: ClassVar[str]

    @property
    def items(self) -> Self:
        return self

    def outward(self, x: Tensor) -> Tensor:
        return x

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind} | asdict(self)  # type: ignore[call-overload]
