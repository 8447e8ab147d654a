"""Graph -> Graph: what every frontend's graph goes through before quantization."""

from __future__ import annotations

import numpy as np

from tinyptq.graph import Graph, Pass, is_quantized, require_well_formed
from tinyptq.obstacles import require_supported
from tinyptq.passes.centre_weights import centre_weights
from tinyptq.passes.copy_inputs import copy_inputs
from tinyptq.passes.dequantize_constants import dequantize_constants
from tinyptq.passes.drop_dead import drop_dead
from tinyptq.passes.drop_identities import drop_identities
from tinyptq.passes.fold_constants import fold_constants
from tinyptq.passes.fold_float_islands import fold_float_islands
from tinyptq.passes.fold_functions import fold_functions
from tinyptq.passes.fold_integers import fold_integers
from tinyptq.passes.fold_pad import fold_pad
from tinyptq.passes.fold_scale import fold_scale
from tinyptq.passes.fold_space_to_batch import fold_space_to_batch
from tinyptq.passes.fuse_activation import fuse_activation
from tinyptq.passes.fuse_hard_swish import fuse_hard_swish
from tinyptq.passes.fuse_silu import fuse_silu
from tinyptq.passes.hoist_elementwise import hoist_elementwise
from tinyptq.passes.integer_variables import integer_variables
from tinyptq.passes.lead_with_batch import lead_with_batch
from tinyptq.passes.merge_pads import merge_pads
from tinyptq.passes.merge_reshapes import drop_flatten, merge_reshapes
from tinyptq.passes.own_constants import own_constants
from tinyptq.passes.rescale_inputs import rescale_inputs
from tinyptq.passes.reshape_transposes import reshape_transposes
from tinyptq.passes.shift_uint8 import shift_uint8
from tinyptq.passes.strip_float_ends import strip_float_ends
from tinyptq.passes.strip_quantize import strip_quantize
from tinyptq.passes.unroll_samples import unroll_samples

PASSES: tuple[Pass, ...] = (
    drop_dead,  # shape arithmetic that only fed a reshape
    dequantize_constants,  # hybrid and float16 weights are floats from here on
    strip_quantize,  # so are the ends of models with int8 inputs
    fold_constants,
    fold_functions,  # of comparisons, selections, powers, sines
    drop_identities,
    reshape_transposes,
    fold_space_to_batch,  # dilated convolutions of older exporters
    unroll_samples,
    lead_with_batch,  # dense layers over sequences, unrolled recurrences
    drop_identities,
    hoist_elementwise,  # Conv1D: batch norm and relu meet the convolution before its reshape
    merge_reshapes,
    drop_flatten,
    drop_identities,  # two reshapes that cancel
    merge_pads,
    fold_pad,
    fold_scale,  # batch norm
    fuse_activation,
    fuse_silu,
    fuse_hard_swish,  # behind fuse_activation: its gate is an add that clamps
    own_constants,
    copy_inputs,
    drop_dead,
)

# A model that is already quantized is compiled as it is: its layers are to equal TFLM's, one by one.
INTEGER_PASSES: tuple[Pass, ...] = (
    drop_dead,
    strip_float_ends,
    integer_variables,
    shift_uint8,  # whole models in uint8, of converters before 2019
    dequantize_constants,  # numbers that float operators between integer ones read
    fold_constants,
    fold_float_islands,
    fold_functions,  # of comparisons and selections
    fold_integers,
    fold_space_to_batch,
    centre_weights,
    unroll_samples,
    lead_with_batch,
    rescale_inputs,
    copy_inputs,
    drop_dead,
)


def simplify(graph: Graph) -> Graph:
    """All passes in order, each followed by a check. What cannot be compiled stays; `obstacles` lists it."""
    graph = require_well_formed(graph, "import")
    with np.errstate(all="ignore"):  # constants that are not finite are an obstacle, not a warning
        for step in INTEGER_PASSES if is_quantized(graph) else PASSES:
            graph = require_well_formed(step(graph), step.__name__)
    return graph


def normalize(graph: Graph, file: str | None = None) -> Graph:
    """simplify, then one error that lists everything that cannot be compiled, and names the file."""
    return require_supported(simplify(graph), file or graph.name)
