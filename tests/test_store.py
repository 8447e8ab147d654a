"""A stored program is the same program; a hostile file is a one-line complaint."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.programs import activation, bias, qparams, run_numpy, single_layer_program, weights
from tinyptq.errors import TinyptqError
from tinyptq.ops.conv_2d import Conv2D
from tinyptq.ops.window import Window
from tinyptq.program import Program
from tinyptq.store import DOCUMENT, load_program, program_bytes, save_program

HOSTILE_NAME = 'a"b*/\n../é\ud800\0'


def conv_program() -> Program:
    rng = np.random.default_rng(1)
    x, w = activation((1, 5, 6, 2), 0.02, -3), weights(rng, (3, 3, 2, 2), axis=0)
    attrs = Conv2D(Window((3, 2), (1, 1), (1, 1), 1, 0, 1, 0))
    return single_layer_program("conv_2d", attrs, [x, w, bias(rng, x, w)], qparams(0.3, 7))


def assert_same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if is_dataclass(a):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    else:
        assert a == b


def test_round_trip(tmp_path: Path) -> None:
    program = replace(conv_program(), warnings=("calibrated on random numbers",))
    save_program(program, tmp_path / "p.npz")
    loaded = load_program(tmp_path / "p.npz")
    assert_same(program, loaded)
    x = np.random.default_rng(0).integers(-128, 128, (2, 5, 6, 2)).astype(np.int8)
    np.testing.assert_array_equal(run_numpy(program, {"operand0": x}), run_numpy(loaded, {"operand0": x}))


def test_hostile_names_survive(tmp_path: Path) -> None:
    program = conv_program()
    value = replace(program.values["result"], name=HOSTILE_NAME)
    values = {**{n: v for n, v in program.values.items() if n != "result"}, HOSTILE_NAME: value}
    layer = replace(program.layers[0], name=HOSTILE_NAME, outputs=(HOSTILE_NAME,))
    program = replace(program, values=values, layers=(layer,), outputs=(HOSTILE_NAME,))
    save_program(program, tmp_path / "p.npz")
    assert_same(program, load_program(tmp_path / "p.npz"))


def test_same_program_same_bytes_and_numpy_opens_it(tmp_path: Path) -> None:
    assert program_bytes(conv_program()) == program_bytes(conv_program())
    save_program(conv_program(), tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as archive:
        shapes = [archive[name].shape for name in archive.files if name != DOCUMENT]
    assert (3, 3, 2, 2) in shapes
    assert shapes.count((3, 3, 2, 2)) == 1, "weights stand in params and in the Value, but once in the file"


def rewritten(change: Any, compression: int = zipfile.ZIP_STORED, extra: dict[str, bytes] | None = None) -> bytes:
    """A stored program whose JSON document went through change()."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(program_bytes(conv_program()))) as source,
        zipfile.ZipFile(stream, "w", compression) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == DOCUMENT:
                document = json.loads(content)
                content = json.dumps(change(document) or document).encode()
            target.writestr(name, (extra or {}).get(name, content))
    return stream.getvalue()


def npy_header(shape: str, descr: str) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


GOOD = program_bytes(conv_program())
HOSTILE = {
    "empty": (b"", "no program file"),
    "noise": (bytes(range(256)) * 8, "no program file"),
    "truncated": (GOOD[: len(GOOD) // 2], "no program file"),
    "another-version": (rewritten(lambda d: d.update(version=2)), "version 2"),
    "another-format": (rewritten(lambda d: d.update(format="x")), "no program file"),
    "not-a-document": (rewritten(lambda d: [1]), "no program file"),
    "compressed": (rewritten(lambda d: None, zipfile.ZIP_DEFLATED), "compressed"),
    "unknown-operator": (
        rewritten(lambda d: d["program"]["layers"][0].update(op="conv_2e")),
        "did you mean 'conv_2d'",
    ),
    "operator-no-text": (rewritten(lambda d: d["program"]["layers"][0].update(op=["conv_2d"])), "no text"),
    "missing-field": (rewritten(lambda d: d["program"].pop("digest") and None), "fields of Program"),
    "extra-field": (rewritten(lambda d: d["program"].update(evil=1)), "fields of Program"),
    "wrong-type": (rewritten(lambda d: d["program"].update(name=7)), "7 is no str"),
    "bool-as-int": (
        rewritten(lambda d: d["program"]["layers"][0]["params"].update(input_zero_point=True)),
        "True is no int",
    ),
    "text-as-list": (rewritten(lambda d: d["program"].update(inputs="operand0")), "not a list"),
    "short-window": (
        rewritten(lambda d: d["program"]["layers"][0]["params"]["window"].update(kernel=[3])),
        "1 items instead of 2",
    ),
    "missing-array": (
        rewritten(lambda d: d["program"]["layers"][0]["params"].update(weights={"array": "../../etc/passwd"})),
        "array is missing",
    ),
    "bad-dtype": (
        rewritten(lambda d: d["program"]["values"]["result"].update(dtype="object")),
        "dtype 'object'",
    ),
    "negative-shape": (
        rewritten(lambda d: d["program"]["values"]["result"].update(shape=[1, -4])),
        "shape (1, -4)",
    ),
    "unwritten-input": (
        rewritten(lambda d: d["program"]["layers"][0].update(inputs=["result"])),
        "reads a tensor nobody wrote",
    ),
    "unwritten-output": (rewritten(lambda d: d["program"].update(outputs=["x"])), "never written"),
    "pickled-array": (
        rewritten(lambda d: None, extra={"a00000.npy": npy_header("(1,)", "|O") + b"x" * 8}),
        "dtype",
    ),
    "huge-array": (
        rewritten(lambda d: None, extra={"a00000.npy": npy_header("(9999999999999,)", "|i1")}),
        "in 0 bytes",
    ),
    "deep-document": (rewritten(lambda d: None, extra={DOCUMENT: b"[" * 200000}), "no program file"),
    "no-document": (rewritten(lambda d: None, extra={DOCUMENT: b""}), "no program file"),
}


@pytest.mark.parametrize(("content", "complaint"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_file(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(TinyptqError) as caught:
        load_program(path)
    assert caught.value.reference == "bad-program-file"
    assert complaint in str(caught.value)
    assert "p.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    for length in range(0, len(GOOD), 97):
        path.write_bytes(GOOD[:length])
        with pytest.raises(TinyptqError):
            load_program(path)


def test_flipped_bytes_are_refused_or_read(tmp_path: Path) -> None:
    """No flipped byte ends in anything but a program or a TinyptqError (the zip's CRC catches nearly all)."""
    path = tmp_path / "p.npz"
    refused = 0
    for position in np.random.default_rng(0).integers(0, len(GOOD), 150):
        damaged = bytearray(GOOD)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            load_program(path)
        except TinyptqError:
            refused += 1
    assert refused > 100


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TinyptqError, match="cannot read"):
        load_program(tmp_path / "absent.npz")
