"""Every operator, one record each; a new one is a line here."""

from __future__ import annotations

from tinyptq.ops import conv_2d
from tinyptq.ops.base import Op

OPS: tuple[Op, ...] = (conv_2d.OP,)
BY_NAME = {op.name: op for op in OPS}
BY_BUILTIN = {builtin: op for op in OPS for builtin in op.builtins}
