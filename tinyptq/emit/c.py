"""Program + Plan + Board -> C files. Knows Jinja and no operator by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyptq import resources
from tinyptq.board import Board
from tinyptq.emit.ports import argument_name, glue_arguments, io_layout, ports, run_signature, unread
from tinyptq.emit.render import CTYPES, c_list, dimensions, render, shortest
from tinyptq.emit.state import state_bytes, state_fields, variable_field
from tinyptq.graph import Array, QParams
from tinyptq.kernels.base import Kernel
from tinyptq.ops import BY_NAME
from tinyptq.plan.types import Plan, Slot
from tinyptq.program import Layer, Program
from tinyptq.version import RUNTIME_VERSION, VERSION

RUNTIME_HEADERS = ("tq_math.h", "tq_memory.h", "tq_trace.h")


@dataclass(frozen=True)
class Constant:
    """One const array of <model>_weights.c. owner: the layer or operand it belongs to, in words."""

    symbol: str
    data: Array
    owner: str

    @property
    def ctype(self) -> str:
        return CTYPES[str(self.data.dtype)]

    @property
    def size(self) -> int:
        return int(self.data.size)

    @property
    def bytes(self) -> int:
        return int(self.data.nbytes)

    @property
    def shape(self) -> str:
        return dimensions(self.data.shape)


@dataclass(frozen=True)
class KernelText:
    """A rendered kernel, shared by every layer whose text is the same."""

    name: str
    text: str


def emit_c(program: Program, plan: Plan, board: Board) -> dict[str, str]:
    """{file name: text} of everything in src/: model, constants, headers and the runtime they include."""
    constants = program_constants(program, plan.kernels)
    kernels, kernel_names = shared_kernels(program, plan)
    inputs, outputs = ports(program, program.inputs, "input"), ports(program, program.outputs, "output")
    context: dict[str, Any] = {
        "name": program.name,
        "guard": program.name.upper(),
        "title": f"{len(program.layers)} layers, inference in integers only",
        "version": VERSION,
        "runtime_version": RUNTIME_VERSION,
        "digest": program.digest,
        "board": board.title,
        "isa": ", ".join(board.isa),
        "arena_bytes": plan.arena_size,
        "weights_bytes": sum(c.bytes for c in constants.values()),
        "macs": sum(BY_NAME[layer.op].work(layer.params).macs for layer in program.layers),
        "warnings": program.warnings,
        "ports": (*inputs, *outputs),
        "inputs": inputs,
        "outputs": outputs,
        "unread": unread(program, inputs),
        "states": state_fields(program),
        "state_bytes": state_bytes(program),
        "endings": endings(program, plan),
        "signature": run_signature(program, inputs, outputs),
        "constants": tuple(constants.values()),
        "constant_sizes": c_list("", [f"sizeof({c.symbol})" for c in constants.values()], "").replace(",", " +"),
        "kernels": kernels,
        "layers": [layer_context(program, plan, i, kernel_names[i]) for i in range(len(program.layers))],
        "steps": step_contexts(program, plan),
        "input_bytes": io_layout([p.size_bytes for p in inputs])[1],
        "output_bytes": io_layout([p.size_bytes for p in outputs])[1],
        "glue_arguments": glue_arguments(program, inputs, outputs),
    }
    name = program.name
    files = {
        f"{name}.h": "model.h.j2",
        f"{name}_io.h": "model_io.h.j2",
        f"{name}.c": "model.c.j2",
        f"{name}_weights.h": "weights.h.j2",
        f"{name}_weights.c": "weights.c.j2",
        "tq_model.h": "tq_model.h.j2",
    }
    rendered = {path: render(template, **context) for path, template in files.items()}
    runtime = {h: (resources.templates() / "runtime" / h).read_text() for h in RUNTIME_HEADERS}
    return {**rendered, **runtime}


def program_constants(program: Program, kernels: Sequence[Kernel]) -> dict[str, Constant]:
    """Everything const, by key: packed per-layer arrays ("layer3_weights"), constant operands ("operand_2"), and what
    variables begin with.
    """
    result = {}
    for index, (layer, kernel) in enumerate(zip(program.layers, kernels, strict=True)):
        for argument, data in kernel.pack(layer.params).items():
            key = f"layer{index}_{argument}"
            result[key] = Constant(f"{program.name}_{key}", data, f"layer {index} '{layer.name}'")
    for name, symbol in operand_symbols(program).items():
        operand = program.values[name].data
        assert operand is not None
        result[f"value:{name}"] = Constant(symbol, operand, f"operand '{name}'")
    for field in state_fields(program):
        if field.fill is None:
            result[field.name] = Constant(field.symbol, field.initial, field.title)
    return result


def operand_symbols(program: Program) -> dict[str, str]:
    """Constant operand value -> the C array that holds it."""
    operands = [n for layer in program.layers for n in layer.inputs if program.values[n].data is not None]
    return {name: f"{program.name}_operand_{i}" for i, name in enumerate(dict.fromkeys(operands))}


def shared_kernels(program: Program, plan: Plan) -> tuple[tuple[KernelText, ...], tuple[str, ...]]:
    """(the distinct functions, callees first; the name of each layer's)."""
    names: dict[str, str] = {}
    texts: list[KernelText] = []

    def shared(stem: str, template: str, context: Mapping[str, Any]) -> str:
        key = stem + render(f"kernels/{template}", name="kernel", **context)
        if key not in names:
            names[key] = f"{stem}_{sum(t.name.rpartition('_')[0] == stem for t in texts)}"
            texts.append(KernelText(names[key], render(f"kernels/{template}", name=names[key], **context)))
        return names[key]

    per_layer = []
    for layer, kernel in zip(program.layers, plan.kernels, strict=True):
        wanted = kernel.parts(layer.params)
        parts = {stem: shared(stem, part.template, {"k": part.details}) for stem, part in wanted.items()}
        context = {"p": layer.params, "k": kernel.details(layer.params), "parts": parts}
        per_layer.append(shared(layer.op, kernel.template, context))
    return tuple(texts), tuple(per_layer)


def layer_context(program: Program, plan: Plan, index: int, kernel_name: str) -> dict[str, Any]:
    layer, kernel = program.layers[index], plan.kernels[index]
    sources = [argument_name("input", i, len(layer.inputs)) for i in range(len(layer.inputs))]
    targets = [argument_name("output", i, len(layer.outputs)) for i in range(len(layer.outputs))]
    arguments = [*sources, *targets, *(f"{program.name}_layer{index}_{a}" for a in kernel.pack(layer.params))]
    states = [field for field in state_fields(program) if field.layer == index]
    arguments += [f"state->{field.name}" for field in states]
    scratch = plan.scratch.get(index)
    if scratch is not None:
        arguments.append(f"&arena[{scratch.offset}]")
    signature = [f"const {value_ctype(program, n)} *{s}" for n, s in zip(layer.inputs, sources, strict=True)]
    signature += [f"{value_ctype(program, n)} *{t}" for n, t in zip(layer.outputs, targets, strict=True)]
    if states:
        signature.insert(0, f"{program.name}_state *state")
    if kernel.by_rows(layer.params):
        arguments += ["first_row", "end_row"]
        signature += ["int32_t first_row", "int32_t end_row"]
    return {
        "index": index,
        "op": layer.op,
        "title": layer.name,
        "kernel": kernel.isa,
        "function": layer_function(layer, index),
        "signature": ", ".join(signature),
        "call": c_list(f"{kernel_name}(", arguments, ");"),
        "scratch_place": place_text(scratch),
        "operands": [
            operand_context(program, plan, name, role)
            for role, names in (("input ", layer.inputs), ("output", layer.outputs))
            for name in names
        ],
    }


def operand_context(program: Program, plan: Plan, name: str, role: str) -> dict[str, Any]:
    value = program.values[name]
    qparams = value.qparams or QParams.per_tensor(1.0)
    constant = value.data is not None
    return {
        "role": role,
        "dtype": str(value.dtype),
        "shape": dimensions(value.shape),
        "scale": shortest(float(qparams.scale[0])),
        "zero_point": int(qparams.zero_point[0]),
        "place": "constant" if constant else place_text(plan.slots.get(name)) or other_place(program, plan, name),
    }


def step_contexts(program: Program, plan: Plan) -> list[dict[str, Any]]:
    last = {step.layer: position for position, step in enumerate(plan.schedule)}
    contexts = []
    for position, step in enumerate(plan.schedule):
        layer = program.layers[step.layer]
        arguments = [pointer(program, plan, name) for name in (*layer.inputs, *layer.outputs)]
        if any(field.layer == step.layer for field in state_fields(program)):
            arguments.insert(0, "state")
        if plan.kernels[step.layer].by_rows(layer.params):
            arguments += [str(step.first_row), str(step.end_row)]
        contexts.append(
            {
                "layer": step.layer,
                "call": f"{layer_function(layer, step.layer)}({', '.join(arguments)});",
                "finishes": last[step.layer] == position,
                "outputs": [(pointer(program, plan, n), program.values[n].size_bytes) for n in layer.outputs],
            }
        )
    return contexts


def pointer(program: Program, plan: Plan, name: str) -> str:
    """C expression for a value: caller's buffer, constant array, or a place in the arena."""
    value = program.values[name]
    if value.data is not None:
        return operand_symbols(program)[name]
    field = variable_field(program, plan.kept.get(name, name))
    if field is not None:
        return f"state->{field}"
    if name in program.outputs:
        return argument_name("output", program.outputs.index(name), len(program.outputs))
    if name in program.inputs:
        return argument_name("input", program.inputs.index(name), len(program.inputs))
    address = f"&arena[{plan.slots[name].offset}]"
    return address if value.dtype == np.int8 else f"({CTYPES[str(value.dtype)]} *)(void *){address}"


def other_place(program: Program, plan: Plan, name: str) -> str:
    return "caller" if variable_field(program, plan.kept.get(name, name)) is None else "state"


def endings(program: Program, plan: Plan) -> tuple[tuple[str, str, int], ...]:
    """(variable's memory, where its last value lies, bytes) of those that are copied when the run ends."""
    return tuple(
        (f"state->{variable_field(program, v.before)}", pointer(program, plan, v.after), int(v.initial.nbytes))
        for v in program.variables
        if plan.kept.get(v.after) != v.before
    )


def layer_function(layer: Layer, index: int) -> str:
    return f"layer{index}_{layer.op}"


def value_ctype(program: Program, name: str) -> str:
    return CTYPES[str(program.values[name].dtype)]


def place_text(slot: Slot | None) -> str:
    return f"arena [{slot.offset}, {slot.offset + slot.size})" if slot else ""


def weights_bytes(program: Program, plan: Plan) -> int:
    """Bytes of all const arrays."""
    return sum(c.bytes for c in program_constants(program, plan.kernels).values())
