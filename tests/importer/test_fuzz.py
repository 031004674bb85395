# SPDX-License-Identifier: Apache-2.0
"""A thousand damaged models: a clean error or an import, in bounded time and memory."""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from tinygen.errors import TinygenError
from tinygen.passes import import_model

FOLDER = Path(__file__).parents[1] / "corpus" / "models"
SOURCES = (
    *("dynamo20-qdq-base", "dynamo20-qop-base", "dynamo20-x86-post", "dynamo23-qdq-sdpa"),
    *("hand10-quantlib-post", "hand10-quantlib_ops-base", "dynamo20-qdq-maxpool"),
    *("legacy17-brevitas-base", "dynamo20-qop-ids", "dynamo20-raw-post", "legacy14-qdq-base"),
    *("dynamo20-qdq-causal", "dynamo23-qdq-sdpa_causal", "dynamo20-qop-padding"),
)
GIANT = (0, -1, 1 << 20, 1 << 33, (1 << 62) + 1)


def flip(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 4, 16))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def edit(content: bytes, rng: random.Random) -> bytes:
    """Giant dimensions, cycles, wrong operators and attributes, in a file that parses."""
    model = onnx.load_from_string(content)
    nodes, tensors = model.graph.node, model.graph.initializer
    node = rng.choice(nodes)
    match rng.randrange(7):
        case 0:
            dims = model.graph.input[0].type.tensor_type.shape.dim
            rng.choice(dims).dim_value = rng.choice(GIANT[2:])
        case 1:
            tensor = rng.choice([t for t in tensors if t.dims])
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(GIANT)
        case 2:  # a cycle
            node.input[0] = rng.choice(nodes).output[0]
        case 3 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(GIANT)
            if attribute.ints:
                attribute.ints[0] = rng.choice(GIANT)
        case 4:
            kinds = "Relu", "MatMul", "Reshape", "Concat", "Conv", "Attention", "QGemm", "Expand"
            node.op_type = rng.choice(kinds)
            node.domain = rng.choice(("", "com.microsoft"))
        case 5:
            del node.input[-1:]
        case _:  # a shape or an index that asks for everything
            tensor = rng.choice([t for t in tensors if t.data_type == 7] or list(tensors))
            if tensor.data_type == 7 and tensor.raw_data:
                giant = rng.choice(GIANT).to_bytes(8, "little", signed=True)
                tensor.raw_data = giant + tensor.raw_data[8:]
    return model.SerializeToString()


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("part", range(len(SOURCES)))
def test_a_thousand_damaged_models(part: int, tmp_path: Path) -> None:
    rng = random.Random(part)
    content = (FOLDER / f"{SOURCES[part]}.onnx").read_bytes()
    samples = np.load(FOLDER / f"{SOURCES[part]}.npz")["x"][:4].astype(np.float32)
    path = tmp_path / "damaged.onnx"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(112):
        path.write_bytes(rng.choice((flip, truncate, edit, edit))(content, rng))
        start = time.process_time()
        try:
            import_model(path, samples=samples if i % 2 else None)
        except TinygenError as error:
            assert "\n" not in str(error)
        assert time.process_time() - start < 10
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 512 << 10, "KiB of memory"
