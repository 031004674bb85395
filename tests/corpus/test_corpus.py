# SPDX-License-Identifier: Apache-2.0
"""Every model of the corpus imports and agrees with onnxruntime.

`docs/forms.md` lists the same combinations; this keeps it true.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygen.boards import load_board
from tinygen.graph import Graph
from tinygen.operators import DotProductAttention
from tinygen.passes import import_model
from tinygen.planner import make_plan
from tinygen.reference import dequantise, quantise, run

MODELS = Path(__file__).parent / "models"
DOCS = Path(__file__).parents[2] / "docs" / "forms.md"

# Mean logit difference in steps of the output.
USUAL, OTHER_TOOLS = 0.5, 1.0
SUPPORTED = sorted(p.stem for p in MODELS.glob("*.onnx"))


LABELLED = ("dynamo20-qdq-vit", "dynamo20-qdq-leaf")


def limit(name: str) -> float:
    other = name.split("-")[1] in ("xnnpack", "x86", "brevitas")
    return OTHER_TOOLS if other else USUAL


@cache
def data(name: str) -> dict[str, Any]:
    with np.load(MODELS / f"{name}.npz") as archive:
        return {k: archive[k].astype(np.float32) for k in archive.files}


@cache
def ours(name: str) -> np.ndarray[Any, Any]:
    """The reference's logits, [samples, classes]."""
    graph = imported(name)
    rows = [dequantise(graph, run(graph, quantise(graph, x))) for x in data(name)["x"]]
    return np.stack([r.reshape(-1) for r in rows])


@cache
def imported(name: str) -> Graph:
    return import_model(MODELS / f"{name}.onnx", samples=data(name)["x"][:64])


def test_the_corpus_is_large_and_small() -> None:
    assert len(SUPPORTED) >= 60
    assert sum(f.stat().st_size for f in MODELS.iterdir()) < 6 << 20


@pytest.mark.parametrize("name", SUPPORTED)
def test_agrees_with_onnxruntime(name: str) -> None:
    graph, mine, theirs = imported(name), ours(name), data(name)["logits"]
    quant = graph.values[graph.only_output].quant
    assert quant is not None and len(mine) == 256
    assert (mine.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.99
    assert np.abs(mine - theirs).mean() / quant.scale <= limit(name)


def test_roundings_of_a_model_are_followed_where_they_show() -> None:
    """And a note says so, or what it is without them."""
    rounding = ("raw", "softmax", "default", "qop_uint8", "legacy14")
    for name in (n for n in SUPPORTED if any(word in n for word in rounding)):
        (note,) = (n for n in imported(name).notes if "rounds to 8 bits" in n)
        assert "which onnxruntime's preprocessing or `tinygen quantize` avoids" in note
        kinds = {type(node.op).__name__ for node in imported(name).nodes}
        followed = "the device does so too" in note
        assert followed or float(note.split(" LSB")[0].split()[-1]) <= 0.3
        if "legacy14" not in name:
            assert followed == ("DotProductAttention" in kinds)
    assert "DotProductAttention" not in {
        type(node.op).__name__ for node in imported("dynamo20-qdq-base").nodes
    }


@pytest.mark.parametrize("name", [n for n in SUPPORTED if "causal" in n or "padding" in n])
def test_a_mask_is_kept(name: str) -> None:
    """Later tokens, or the last two, do not show."""
    graph = imported(name)
    (op,) = (n.op for n in graph.nodes if isinstance(n.op, DotProductAttention))
    assert op.mask is not None
    if "padding" in name:
        assert op.mask.tolist() == [[1, 1, 1, 1, 0, 0]]
    else:
        assert op.mask.tolist() == np.tril(np.ones((6, 6))).tolist()


@pytest.mark.parametrize("name", LABELLED)
def test_accuracy_on_real_data(name: str) -> None:
    """At most one point below the quantised model; the models are worth something."""
    labels, theirs = data(name)["y"], data(name)["logits"]
    accuracy = (ours(name).argmax(axis=1) == labels).mean()
    assert accuracy >= (theirs.argmax(axis=1) == labels).mean() - 0.01 and accuracy > 0.8


def test_a_long_sequence_and_an_image_model_are_there() -> None:
    tokens = {n: max(v.shape[0] for v in imported(n).values.values()) for n in LABELLED}
    kinds = {n: {type(node.op).__name__ for node in imported(n).nodes} for n in LABELLED}
    assert max(tokens.values()) >= 200
    assert any({"Conv", "PrependTokens", "SelectToken"} <= k for k in kinds.values())


def test_scales_that_a_model_lacks_are_said() -> None:
    for name in SUPPORTED:
        chosen = [n for n in imported(name).notes if "has no scale in the model" in n]
        tools = "xnnpack", "x86", "brevitas", "qop", "qop_uint8"
        lacking = name.split("-")[1] in tools or "dynamo23" in name or "quantlib" in name
        assert lacking or not chosen, (name, chosen)
        if "x86" in name:
            assert any("64 samples" in n for n in chosen)


@pytest.mark.parametrize("name", [n for n in SUPPORTED if n.startswith(("dynamo20-q", "legacy"))])
def test_a_plan_exists(name: str) -> None:
    assert make_plan(imported(name), load_board("mps2_an500")).arena_bytes > 0


@pytest.mark.parametrize("quantiser", sorted({n.split("-")[1] for n in SUPPORTED}))
def test_the_page_has_the_worst_numbers(quantiser: str) -> None:
    lines = DOCS.read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{quantiser}`"))
    difference, same = (cell.strip() for cell in row.split("|")[3:5])
    worst, agreement = 0.0, 1.0
    for name in (n for n in SUPPORTED if n.split("-")[1] == quantiser):
        quant, theirs = imported(name).values["output"].quant, data(name)["logits"]
        assert quant is not None
        worst = max(worst, float(np.abs(ours(name) - theirs).mean() / quant.scale))
        agreement = min(agreement, (ours(name).argmax(axis=1) == theirs.argmax(axis=1)).mean())
    assert f"{worst:.2f}" == difference
    assert f"{100 * agreement:.1f} %" == same.replace("100 %", "100.0 %")


def test_the_page_lists_every_combination() -> None:
    page = DOCS.read_text()
    assert f"{len(SUPPORTED)} combinations" in page
    for name in SUPPORTED:
        exporter, quantiser, net = name.split("-")
        for word in (exporter, quantiser, net):
            assert f"`{word}`" in page, word
