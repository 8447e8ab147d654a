"""What would work instead of operators that do not exist here."""

from __future__ import annotations

BEHIND = "let the model end before it, and do this in C on its outputs"
BEFORE = "let the model begin behind it, and compute its features in C or with your DSP library"
MAYBE = "only as part of a function of one tensor and single numbers"

REMEDIES = {
    "CUSTOM": "leave it out of the model, and do it in C before or behind",
    "TOPK_V2": BEHIND,
    "NON_MAX_SUPPRESSION_V4": BEHIND,
    "NON_MAX_SUPPRESSION_V5": BEHIND,
    "UNIQUE": BEHIND,
    "WHERE": BEHIND,
    "ONE_HOT": BEHIND,
    "MULTINOMIAL": BEHIND,
    "SEGMENT_SUM": BEHIND,
    "RFFT2D": BEFORE,
    "IMAG": BEFORE,
    "REAL": BEFORE,
    "COMPLEX_ABS": BEFORE,
    "HASHTABLE_LOOKUP": BEFORE,
    "HASHTABLE_FIND": BEFORE,
    "LSH_PROJECTION": BEFORE,
    "SKIP_GRAM": BEFORE,
    "CONV_3D": "2-D convolutions, with the frames as channels or one by one (TimeDistributed)",
    "CONV_3D_TRANSPOSE": "2-D transposed convolutions, frame by frame",
    "LOCAL_RESPONSE_NORMALIZATION": "batch normalization, which costs nothing",
    "ADD_N": "a chain of ADD (one of floats becomes that)",
    "CUMSUM": "a FULLY_CONNECTED with a triangle of ones (one of floats becomes that)",
    "LSTM": "convert with TensorFlow 2: it writes UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "two LSTM layers and a REVERSE_V2, as Keras' Bidirectional writes it",
    "BIDIRECTIONAL_SEQUENCE_RNN": "two layers and a REVERSE_V2, as Keras' Bidirectional writes it",
    "RNN": "the .keras file, or a layer converted with unroll=True",
    "IF": "one branch, chosen before conversion",
    "DENSIFY": "convert without sparsity: a microcontroller's kernels are dense",
    **dict.fromkeys(("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL"), MAYBE),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "SELECT", "SELECT_V2"), MAYBE),
    **dict.fromkeys(("FLOOR", "CEIL", "ROUND", "SIN", "COS", "SIGN", "POW", "FLOOR_DIV", "FLOOR_MOD"), MAYBE),
}


def no_such_operator(builtin: str) -> str:
    """Why an unknown operator is refused, and what would work."""
    remedy = REMEDIES.get(builtin)
    return "no such operator here" if remedy is None else f"no such operator here, what works: {remedy}"
