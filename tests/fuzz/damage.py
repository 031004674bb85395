# SPDX-License-Identifier: Apache-2.0
"""Damaged files: models whose bytes or fields are wrong, samples, and descriptions of boards."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

Rng = np.random.Generator
GIANT = (0, -1, 1, 3, 1 << 20, 1 << 33, (1 << 62) + 1, -(1 << 40))
BAD = (0.0, -0.0, -0.5, math.inf, -math.inf, math.nan, 1e-42, 3e38)
NAMES = ("", "x", "a b", "line\nbreak", "q\x00", "ü" * 3, "../up", "t" * 300, "%s{}", "*/")


def pick(rng: Rng, items: Any) -> Any:
    items = list(items)
    return items[int(rng.integers(len(items)))]


# bytes


def flip(content: bytes, rng: Rng) -> bytes:
    damaged = bytearray(content)
    for _ in range(pick(rng, (1, 2, 8, 32))):
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def truncate(content: bytes, rng: Rng) -> bytes:
    return content[: int(rng.integers(len(content)))]


def splice(content: bytes, rng: Rng) -> bytes:
    """A stretch left out, doubled, or overwritten."""
    start = int(rng.integers(len(content)))
    end = min(len(content), start + int(rng.integers(1, 64)))
    middle = pick(rng, (b"", content[start:end] * 2, b"\0" * (end - start), b"\xff" * 9))
    return content[:start] + bytes(middle) + content[end:]


BYTES = (flip, truncate, splice)


# models


def _scales(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Initialisers that are a scale or zero point."""
    names = {
        i
        for n in model.graph.node
        if "Quantize" in n.op_type or n.op_type.startswith("Q")
        for i in n.input[1:]
    }
    return [t for t in model.graph.initializer if t.name in names]


def _bad_scale(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = pick(rng, _scales(model) or model.graph.initializer)
    data = numpy_helper.to_array(tensor).copy()
    if data.dtype.kind == "f":
        data.reshape(-1)[int(rng.integers(data.size))] = pick(rng, BAD)
    else:
        data = data.astype(pick(rng, (np.uint8, np.int8, np.int32, np.float32, np.int64)))
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(data), tensor.name))


def _rename(model: onnx.ModelProto, rng: Rng) -> None:
    """A dangling input, a name twice, or a name that is hard to print."""
    nodes = model.graph.node
    node = pick(rng, nodes)
    new = pick(rng, (*NAMES, pick(rng, nodes).output[0]))
    match int(rng.integers(4)):
        case 0 if node.input:
            node.input[int(rng.integers(len(node.input)))] = new
        case 1:
            node.output[0] = new
        case 2:
            node.name = new
        case _:
            old = node.output[0]
            for n in nodes:
                for names in (n.input, n.output):
                    for i, name in enumerate(names):
                        names[i] = new if name == old else name


def _exchange(model: onnx.ModelProto, rng: Rng) -> None:
    """Inputs, operators or attributes of two nodes for one another; or their order."""
    a, b = pick(rng, model.graph.node), pick(rng, model.graph.node)
    match int(rng.integers(5)):
        case 0 if a.input and b.input:
            a.input[0], b.input[-1] = b.input[-1], a.input[0]
        case 1:
            a.op_type, b.op_type = b.op_type, a.op_type
        case 2:
            kept = [
                helper.make_attribute(x.name, helper.get_attribute_value(x))
                for x in b.attribute
                if x.type not in (5, 10)
            ]
            del a.attribute[:]
            a.attribute.extend(kept)
        case 3:
            a.output[0], b.output[0] = b.output[0], a.output[0]
        case _:
            order = rng.permutation(len(model.graph.node))
            nodes = [
                onnx.NodeProto.FromString(model.graph.node[i].SerializeToString()) for i in order
            ]
            del model.graph.node[:]
            model.graph.node.extend(nodes)


def _remove(model: onnx.ModelProto, rng: Rng) -> None:
    graph = model.graph
    field: Any = pick(
        rng,
        (graph.node, graph.initializer, graph.input, graph.output, model.opset_import, None, None),
    )
    if field is None:
        node = pick(rng, graph.node)
        field = pick(rng, (node.input, node.output, node.attribute))
    if len(field):
        del field[int(rng.integers(len(field)))]


def _shape(model: onnx.ModelProto, rng: Rng) -> None:
    graph = model.graph
    match int(rng.integers(4)):
        case 0:
            entry = pick(rng, (*graph.input, *graph.output))
            dims = entry.type.tensor_type.shape.dim
            if len(dims):
                dim = pick(rng, dims)
                if rng.random() < 0.3:
                    dim.dim_param = pick(rng, NAMES)
                else:
                    dim.dim_value = pick(rng, GIANT)
        case 1:
            tensor = pick(rng, graph.initializer)
            if tensor.dims:
                tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(rng, GIANT)
            else:
                tensor.dims.append(pick(rng, GIANT))
        case 2:
            entry = pick(rng, (*graph.input, *graph.output))
            entry.type.tensor_type.elem_type = int(rng.integers(0, 30))
        case _:
            tensor = pick(rng, graph.initializer)
            tensor.data_type = int(rng.integers(0, 30))


def _attribute(model: onnx.ModelProto, rng: Rng) -> None:
    nodes = [n for n in model.graph.node if n.attribute]
    if not nodes:
        return
    attribute = pick(rng, pick(rng, nodes).attribute)
    match int(rng.integers(5)):
        case 0:
            attribute.i = pick(rng, GIANT)
        case 1 if attribute.ints:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = pick(rng, GIANT)
        case 2:
            attribute.type = int(rng.integers(0, 15))
        case 3:
            attribute.f = pick(rng, BAD)
        case _:
            attribute.name = pick(rng, (*NAMES, "axis", "perm", "alpha"))


def _constant(model: onnx.ModelProto, rng: Rng) -> None:
    """Shapes, axes and indices that ask for too much; too few bytes; values that are no numbers."""
    tensor = pick(rng, model.graph.initializer)
    if tensor.data_type == TensorProto.INT64 and tensor.raw_data and rng.random() < 0.7:
        data = numpy_helper.to_array(tensor).copy()
        data.reshape(-1)[int(rng.integers(data.size))] = pick(rng, GIANT)
        tensor.CopyFrom(numpy_helper.from_array(data, tensor.name))
    elif tensor.data_type == TensorProto.FLOAT and rng.random() < 0.6:
        data = numpy_helper.to_array(tensor).copy()
        if data.size:
            data.reshape(-1)[int(rng.integers(data.size))] = pick(rng, BAD)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(data), tensor.name))
    elif tensor.raw_data:
        tensor.raw_data = pick(rng, (tensor.raw_data[:-1], b"", tensor.raw_data * 2))


def _external(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = pick(rng, model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    keys = {
        "location": pick(rng, ("none.bin", "../../etc/passwd", "/dev/zero", "", ".", "ext.bin")),
        "offset": pick(rng, ("0", "-5", "99999999999", "x")),
        "length": pick(rng, ("4", "-1", "99999999999", "")),
    }
    for key, value in keys.items():
        if rng.random() < 0.8:
            tensor.external_data.add(key=key, value=value)
    if rng.random() < 0.5:
        tensor.ClearField("raw_data")


def _version(model: onnx.ModelProto, rng: Rng) -> None:
    if rng.random() < 0.2:
        model.ir_version = pick(rng, (0, 1, 3, 99, 1 << 40))
    elif rng.random() < 0.3:
        pick(rng, model.opset_import).domain = pick(rng, ("com.acme", "ai.onnx", "ai.onnx.ml"))
    else:
        pick(rng, model.opset_import).version = pick(rng, (*range(1, 27), 0, -1, 99, 1 << 40))


def _operator(model: onnx.ModelProto, rng: Rng) -> None:
    node = pick(rng, model.graph.node)
    known = sorted({s.name for s in onnx.defs.get_all_schemas()})
    node.op_type = pick(rng, (*known, "QGemm", "QLinearAdd", "iGELU", "Attention"))
    if rng.random() < 0.3:
        node.domain = pick(rng, ("", "com.microsoft", "ai.onnx", "com.acme", "PACTOps"))


def _double(model: onnx.ModelProto, rng: Rng) -> None:
    """A part of the graph twice."""
    graph = model.graph
    field: Any = pick(rng, (graph.node, graph.initializer, graph.input, graph.output))
    copy = type(field[0])()
    copy.CopyFrom(pick(rng, field))
    field.append(copy)
    if rng.random() < 0.5 and hasattr(copy, "name"):
        field[-1].name = pick(rng, NAMES)


EDITS = (_bad_scale, _bad_scale, _rename, _exchange, _remove, _shape, _attribute, _constant)
EDITS += (_external, _version, _operator, _double)


def edit(content: bytes, rng: Rng) -> bytes:
    """A file that parses, and lies."""
    model = onnx.load_from_string(content)
    for _ in range(pick(rng, (1, 1, 1, 2, 4))):
        try:
            pick(rng, EDITS)(model, rng)
        except (IndexError, TypeError, ValueError):  # what an edit before has left is no use for it
            continue
    return bytes(model.SerializeToString())


def model_file(content: bytes, rng: Rng) -> bytes:
    return bytes((edit if rng.random() < 0.75 else pick(rng, BYTES))(content, rng))


# samples


def samples_file(content: bytes, rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return bytes(pick(rng, BYTES)(content, rng))
    with np.load(io.BytesIO(content)) as held:
        arrays: dict[str, Any] = {k: held[k] for k in ("x", "y") if k in held}
    x = arrays["x"]
    arrays.setdefault("y", np.zeros(len(x), np.int64))
    change: dict[str, Callable[[], Any]] = {
        "type": lambda: x.astype(
            pick(rng, (object, "U3", complex, "M8[s]", bool, np.float16, ">f8"))
        ),
        "shape": lambda: pick(
            rng, (x[0], x[:0], x[..., None], x.reshape(-1), x[:, :0], np.float32(3))
        ),
        "values": lambda: _with(x, pick(rng, (*BAD, 1e30)), rng),
        "zeros": lambda: x * 0,
        "huge": lambda: x.astype(np.float64) * 1e300,
    }
    how = pick(rng, (*change, "y", "names", "header", "member"))
    if how in change:
        arrays["x"] = change[how]()
    elif how == "y":
        y = np.arange(len(x))
        arrays["y"] = pick(
            rng,
            (
                *(y - 1, y + 10**12, y * 0.5, y[:-1], y[None], y.astype("U2"), y.astype(object)),
                *(y > 0, np.full(len(x), np.nan), np.full(len(x), 2**63, np.uint64)),
            ),
        )
    elif how == "names":
        arrays = {pick(rng, ("X", "x ", "data", "y", "../x")): x}
    out = io.BytesIO()
    np.savez(out, **arrays)
    if how in ("header", "member"):
        return _zip(out.getvalue(), how, rng)
    return out.getvalue()


def _with(x: Any, value: float, rng: Rng) -> Any:
    y = x.astype(np.float32)
    y.reshape(-1)[int(rng.integers(y.size))] = value
    return y


def _zip(content: bytes, how: str, rng: Rng) -> bytes:
    """An archive whose arrays promise more than they hold, or that holds something else."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if how == "header":
                old_shape = data[: data.index(b"\n")]
                at = old_shape.index(b"'shape': (") + 10
                wide = pick(rng, (b"9", b"99999999999,", b"-", b"x", b"1e9,"))
                data = data[:at] + wide + data[at + len(wide) :]
            elif rng.random() < 0.5:
                data = pick(rng, (b"", b"no array", data[:50], b"\x93NUMPY\x09\x00"))
            new.writestr(name, data)
        if how == "member":
            new.writestr("other.txt", "hello")
    return out.getvalue()


# boards


def board_file(content: bytes, rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return bytes(pick(rng, BYTES)(content, rng))
    board = yaml.safe_load(content)
    for _ in range(pick(rng, (1, 1, 2))):
        places = list(_places(board))
        holder, key = places[int(rng.integers(len(places)))]
        values: tuple[Any, ...] = (None, "", "text", "*/", -1, 0, 1, 1 << 40, 1 << 70, 0.5, True)
        values += (
            [],
            {},
            [1, 2],
            {"a": 1},
            math.nan,
            math.inf,
            "{{x}}",
            "ü",
            "a\nb",
            "../x",
            "a b",
        )
        if rng.random() < 0.25:
            del holder[key]
        elif isinstance(holder, dict) and rng.random() < 0.15:
            holder[pick(rng, ("extra", 3, None, ""))] = 1
        else:
            holder[key] = pick(rng, values)
    text = yaml.safe_dump(board, allow_unicode=True, sort_keys=False)
    how = rng.random()
    if how < 0.1:
        return text.encode("utf-16")
    if how < 0.15:
        return text.replace("title:", "title: Nucléo").encode("latin-1", "replace")
    if how < 0.2:
        return (text + "title: again\n").encode()
    if how < 0.25:
        return b"a: &a [x,x,x]\n" + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c]\n" % (98 + i, 98 + i, *[97 + i] * 4) for i in range(12)
        )
    return text.encode()


def _places(value: Any) -> Any:
    """Each (holder, key) within lists and mappings."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list) and inner:
            yield from _places(inner)


def source(folder: Path, rng: Rng, pattern: str) -> Path:
    return Path(pick(rng, sorted(folder.glob(pattern))))
