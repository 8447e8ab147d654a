"""Outputs kept in a list of tensors, as loops that were converted with TensorFlow operators have them.

FlexTensorListReserve makes the list, the loop sets an item in every round, FlexTensorListStack makes a tensor of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyptq.frontend.affine import UnrecognizedError
from tinyptq.frontend.subgraphs import FileOperator, Subgraph
from tinyptq.graph import Tensor

RESERVE, SET, STACK = "TensorListReserve", "TensorListSetItem", "TensorListStack"


@dataclass(frozen=True, eq=False)
class RowList:
    """row: what a round writes. last: always into the first item, else into that of its round. count: of the items.

    stacked: the tensors made of the list. absorbed: the operators that make the list and these, by source.
    """

    row: str
    last: bool
    count: int
    stacked: tuple[Tensor, ...]
    absorbed: tuple[str, ...]


def is_operator(item: FileOperator, name: str) -> bool:
    return item.operator.builtin == "CUSTOM" and f"'Flex{name}'" in item.shown


def names(tensors: tuple[Tensor | None, ...]) -> list[str]:
    return [tensor.name for tensor in tensors if tensor is not None]


def read_list(
    place: int, loop: FileOperator, body: Subgraph, counters: frozenset[str], around: tuple[FileOperator, ...]
) -> RowList:
    """place: of the list among the loop's variables. around: the operators of the graph that the loop stands in."""
    before, result = loop.operator.inputs[place], loop.operator.outputs[place]
    made = [item for item in around if before is not None and before.name in names(item.operator.outputs)]
    if len(made) != 1 or not is_operator(made[0], RESERVE) or len(made[0].operator.inputs) != 2:
        raise UnrecognizedError("it goes on with a list of tensors from elsewhere")
    readers = [item for item in around if result.name in names(item.operator.inputs)]
    if not all(is_operator(item, STACK) for item in readers):
        raise UnrecognizedError("its list of tensors is read otherwise than as a whole")
    count = made[0].operator.inputs[1]
    if count is None or count.data is None or count.data.size != 1:
        raise UnrecognizedError("its list of tensors has an unknown size")
    row, last = written_item(body, place, counters)
    stacked = tuple(item.operator.outputs[0] for item in readers)
    absorbed = (made[0].source, *(item.source for item in readers))
    return RowList(row, last, int(count.data.reshape(-1)[0]), stacked, absorbed)


def written_item(body: Subgraph, place: int, counters: frozenset[str]) -> tuple[str, bool]:
    """(what a round writes, whether always into the first item)"""
    before, after = body.inputs[place], body.outputs[place]
    setters = [item for item in body.operators if after.name in names(item.operator.outputs)]
    if len(setters) != 1 or not is_operator(setters[0], SET) or len(setters[0].operator.inputs) != 3:
        raise UnrecognizedError("it does not write its list item by item")
    source, index, row = setters[0].operator.inputs
    if source is None or index is None or row is None or source.name != before.name:
        raise UnrecognizedError("it does not write its list item by item")
    first = index.data is not None and index.data.reshape(-1).tolist() == [0]
    if not first and index.name not in counters:
        raise UnrecognizedError("it writes its list in another order")
    return row.name, first
