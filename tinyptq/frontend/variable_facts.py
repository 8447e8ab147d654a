"""What a .tflite file says of its variables: which there are, how they begin, and why one cannot be kept.

Source: TFLite Micro micro_resource_variable.cc, call_once.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from tinyptq.frontend.flatbuffer import require, text
from tinyptq.frontend.subgraphs import FileOperator, Subgraph
from tinyptq.graph import Tensor

Uses = tuple[tuple[str, Tensor], ...]
Key = tuple[str, str]  # container and shared name: one variable, whatever the number of handles
HANDLE, READ, ASSIGN, ONCE = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"
BRANCHES = ("WHILE", "IF", "CALL")  # operators that run other subgraphs
MAX_NAME = 1 << 14
MAX_STATE_BYTES = 1 << 26
UNKNOWN_HANDLE = "uses a handle that no VAR_HANDLE of its own subgraph makes"


@dataclass(frozen=True, eq=False)
class Facts:
    """keys: handle tensor of the model -> variable. uses: per variable (READ or ASSIGN, the tensor read into or
    assigned), in order. initial: constants that CALL_ONCE assigns.

    complaints: per variable why it cannot be kept, None where it can.
    """

    keys: Mapping[str, Key]
    uses: Mapping[Key, Uses]
    initial: Mapping[Key, Tensor]
    complaints: Mapping[Key, str | None]


def read_facts(subgraphs: tuple[Subgraph, ...]) -> Facts:
    main = subgraphs[0]
    keys = handle_keys(main, main)
    initial, refusal = first_values(subgraphs)
    refusal = refusal or elsewhere(subgraphs) or unknown_handles(main, keys)
    uses = accesses(main, keys)
    refusal = refusal or too_large(uses)
    complaints = {key: refusal or complaint(main, key, uses[key], initial.get(key)) for key in uses}
    return Facts(keys, uses, initial, complaints)


def too_large(uses: Mapping[Key, Uses]) -> str | None:
    size = sum(size_bytes(found[0][1]) for found in uses.values() if found)
    return f"the variables hold {size} bytes, beyond any microcontroller" if size > MAX_STATE_BYTES else None


def size_bytes(tensor: Tensor) -> int:
    return prod(tensor.shape) * tensor.dtype.itemsize


def spelled(key: Key) -> str:
    return "/".join(filter(None, key))


def named(tensor: Tensor | None) -> str:
    return "" if tensor is None else tensor.name


def handle_keys(subgraph: Subgraph, main: Subgraph) -> dict[str, Key]:
    """{handle tensor: its variable}. Without a container it is the first one of that name, the model's first."""
    found: dict[str, Key] = {}
    first: dict[str, Key] = {}
    for item in (*main.operators, *subgraph.operators):
        if item.operator.builtin != HANDLE:
            continue
        require(len(item.operator.outputs) == 1, f"{item.source}: VAR_HANDLE has one output")
        options = item.operator.options
        shared = text(options.SharedName() if options else None, MAX_NAME)
        container = text(options.Container() if options else None, MAX_NAME)
        key = (container, shared) if container else first.get(shared, ("", shared))
        first.setdefault(shared, key)
        found[named(item.operator.outputs[0])] = key
    own = {named(t) for item in subgraph.operators if item.operator.builtin == HANDLE for t in item.operator.outputs}
    return {name: key for name, key in found.items() if name in own}


def variable_of(item: FileOperator, keys: Mapping[str, Key]) -> Key | None:
    """What an operator reads or assigns, by its handle."""
    return keys.get(named(item.operator.inputs[0])) if item.operator.inputs else None


def accesses(subgraph: Subgraph, keys: Mapping[str, Key]) -> dict[Key, Uses]:
    found: dict[Key, Uses] = dict.fromkeys(keys.values(), ())
    for item in subgraph.operators:
        key = variable_of(item, keys)
        if item.operator.builtin not in (READ, ASSIGN) or key is None:
            continue
        is_read = item.operator.builtin == READ
        tensors = item.operator.outputs if is_read else item.operator.inputs[1:]
        require(len(tensors) == 1, f"{item.source} has {len(tensors)} values")
        tensor = tensors[0]
        require(tensor is not None, f"{item.source} has no value")
        if tensor is not None:
            found[key] = (*found[key], (item.operator.builtin, tensor))
    return found


def complaint(main: Subgraph, key: Key, uses: Uses, initial: Tensor | None) -> str | None:
    """Why a variable cannot be kept; None when it can."""
    name = f"variable '{spelled(key)}'"
    if initial is None and not any(builtin == ASSIGN for builtin, _ in uses):
        return f"{name} is read and never assigned"
    inputs = {tensor.name for tensor in main.inputs}
    for builtin, tensor in uses:
        if tensor.name in main.operands.oddities:
            return f"{name}: tensor '{tensor.name}' has {main.operands.oddities[tensor.name]}"
        if builtin == READ and (tensor.data is not None or tensor.name in inputs):
            return f"{name} is read into '{tensor.name}', which holds something else"
    kinds = [("is read" if builtin == READ else "is assigned", tensor) for builtin, tensor in uses]
    kinds += [("begins", initial)] if initial is not None else []
    words = dict.fromkeys(f"{how} as {tensor.dtype} {list(tensor.shape)}" for how, tensor in kinds)
    sizes = {(tensor.dtype, prod(tensor.shape)) for _, tensor in kinds}
    return f"{name} {' and '.join(words)}" if len(sizes) > 1 else None


def unknown_handles(main: Subgraph, keys: Mapping[str, Key]) -> str | None:
    """An assignment through a handle from elsewhere may mean any variable."""
    for item in main.operators:
        if item.operator.builtin == ASSIGN and variable_of(item, keys) is None:
            return f"{item.source} {UNKNOWN_HANDLE}"
    return None


def elsewhere(subgraphs: tuple[Subgraph, ...]) -> str | None:
    """Bodies of loops and branches that use variables: what they leave behind is not known before they run."""
    main, *others = subgraphs
    once = set(first_calls(main))
    if all(item.operator.builtin not in BRANCHES for item in main.operators):
        return None
    for index, subgraph in enumerate(others, start=1):
        if index not in once and any(item.operator.builtin in (HANDLE, ASSIGN) for item in subgraph.operators):
            return f"subgraph {index}, the body of a loop or branch, uses variables too"
    return None


def first_calls(main: Subgraph) -> dict[int, int]:
    """{number of the subgraph that a CALL_ONCE names: the operator's place}."""
    calls: dict[int, int] = {}
    for place, item in enumerate(main.operators):
        if item.operator.builtin == ONCE:
            options = item.operator.options
            calls.setdefault(int(options.InitSubgraphIndex()) if options else 0, place)
    return calls


def first_values(subgraphs: tuple[Subgraph, ...]) -> tuple[dict[Key, Tensor], str | None]:
    """({variable: the constant that CALL_ONCE assigns}, why this cannot be told)."""
    main = subgraphs[0]
    values: dict[Key, Tensor] = {}
    for index, place in first_calls(main).items():
        require(0 <= index < len(subgraphs), f"CALL_ONCE of subgraph {index}, the file has {len(subgraphs)}")
        if {item.operator.builtin for item in main.operators[:place]} & {READ, ASSIGN}:
            return {}, "CALL_ONCE comes behind operators that use variables"
        found = assigned_constants(subgraphs[index], main)
        if isinstance(found, str):
            return {}, f"subgraph {index}, which CALL_ONCE runs, {found}"
        values.update(found)
    return values, None


def assigned_constants(subgraph: Subgraph, main: Subgraph) -> dict[Key, Tensor] | str:
    """{variable: constant} of a subgraph that assigns constants to variables, or what else it does."""
    keys = handle_keys(subgraph, main)
    values: dict[Key, Tensor] = {}
    for item in subgraph.operators:
        if item.operator.builtin == HANDLE:
            continue
        if item.operator.builtin != ASSIGN:
            return f"holds {item.shown}, not only assignments of constants"
        key, inputs = variable_of(item, keys), item.operator.inputs
        if key is None:
            return UNKNOWN_HANDLE
        value = inputs[1] if len(inputs) > 1 else None
        if value is None or value.data is None or value.name in subgraph.operands.oddities:
            return f"assigns '{named(value)}', which is no constant"
        values[key] = value
    return values
