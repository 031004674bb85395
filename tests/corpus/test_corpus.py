# SPDX-License-Identifier: Apache-2.0
"""Every model of the corpus imports and agrees with onnxruntime, or is refused by its sentence.

`docs/forms.md` lists the same combinations; this keeps it true.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.fidelity.compare import session
from tinygen.graph import Graph
from tinygen.passes import import_model
from tinygen.planner import make_plan
from tinygen.reference import dequantise, quantise, run

MODELS = Path(__file__).parent / "models"
DOCS = Path(__file__).parents[2] / "docs" / "forms.md"

REFUSED = {
    "dynamo20-qdq-mask": "has a mask added to its scores",
}
# Mean logit difference in steps of the output.
USUAL, OTHER_TOOLS = 0.5, 1.0
ROUNDED_MORE = {
    "dynamo20-raw-base": 0.85,
    "dynamo20-raw-post": 0.8,
    "legacy17-raw-post": 0.8,
    "legacy14-qdq-base": 0.8,
    "dynamo20-softmax-post": 0.55,
}
"""The model rounds where the device does not: before each bias (raw), within a spelled-out norm
(legacy14), the softmax to 8 bits (softmax). Without those roundings it agrees with the device as
the others do, and the device is as near to the float model."""
SUPPORTED = sorted({p.stem for p in MODELS.glob("*.onnx")} - set(REFUSED))


LABELLED = ("dynamo20-qdq-vit", "dynamo20-qdq-leaf")


def limit(name: str) -> float:
    other = name.split("-")[1] in ("xnnpack", "x86", "brevitas")
    return ROUNDED_MORE.get(name, OTHER_TOOLS if other else USUAL)


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
    quant = graph.values[graph.output].quant
    assert quant is not None and len(mine) == 256
    assert (mine.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.99
    assert np.abs(mine - theirs).mean() / quant.scale <= limit(name)


@pytest.mark.parametrize("name", ROUNDED_MORE)
def test_where_it_differs_more_it_is_no_further_from_the_float_model(name: str) -> None:
    quant = imported(name).values["output"].quant
    assert quant is not None
    real, theirs = data(name)["real"], data(name)["logits"]
    mine, other = (np.abs(a - real).mean() / quant.scale for a in (ours(name), theirs))
    assert mine <= 1.02 * other


@pytest.mark.parametrize("name", ROUNDED_MORE)
def test_where_it_differs_more_that_is_the_roundings_of_the_model(name: str) -> None:
    """Without them, the model agrees with the device."""
    pytest.importorskip("onnxruntime")
    model = onnx.load(MODELS / f"{name}.onnx")
    assert left_out(model, name) >= 1
    ready = session(model.SerializeToString())
    feed = ready.get_inputs()[0].name
    theirs = [ready.run(None, {feed: x[None]})[0].reshape(-1) for x in data(name)["x"]]
    quant = imported(name).values["output"].quant
    assert quant is not None
    assert np.abs(ours(name) - theirs).mean() / quant.scale <= 0.1


def left_out(model: onnx.ModelProto, name: str) -> int:
    """Takes the roundings out of the model that the device does not make; their number."""
    made = {o: n for n in model.graph.node for o in n.output}
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for i in node.input:
            readers.setdefault(i, []).append(node.op_type)
    plain: dict[str, str] = {}
    for node in model.graph.node:
        before = made.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if before is None or before.op_type != "QuantizeLinear":
            continue
        source = before.input[0]
        maker = made[source].op_type if source in made else ""
        in_norm = "norm" in source and not source.endswith("Add_1_output_0")
        before_bias = maker == "MatMul" and readers.get(node.output[0]) == ["Add"]
        if {"legacy14": in_norm, "raw": before_bias, "softmax": maker == "Softmax"}[
            next(k for k in ("legacy14", "raw", "softmax") if k in name)
        ]:
            plain[node.output[0]] = source
    for node in model.graph.node:
        node.input[:] = [plain.get(i, i) for i in node.input]
    return len(plain)


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


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(TinygenError, match=REFUSED[name]) as caught:
        import_model(MODELS / f"{name}.onnx")
    assert "\n" not in str(caught.value) and f"{name}.onnx" in str(caught.value)


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
    difference, same = row.split("|")[3:5]
    named = re.search(r"`(\w+)` ([0-9.]+)", difference)
    worst: dict[bool, float] = {}
    agreement = 1.0
    for name in (n for n in SUPPORTED if n.split("-")[1] == quantiser):
        quant, theirs = imported(name).values["output"].quant, data(name)["logits"]
        assert quant is not None
        lsb = float(np.abs(ours(name) - theirs).mean() / quant.scale)
        apart = named is not None and name.startswith(named[1])
        worst[apart] = max(worst.get(apart, 0.0), lsb)
        agreement = min(agreement, (ours(name).argmax(axis=1) == theirs.argmax(axis=1)).mean())
    assert f"{worst[False]:.2f}" == difference.split(";")[0].strip()
    assert named is None or f"{worst[True]:.2f}" == named[2]
    assert f"{100 * agreement:.1f} %" == same.strip().replace("100 %", "100.0 %")


def test_the_page_lists_every_combination() -> None:
    page = DOCS.read_text()
    counts = f"{len(SUPPORTED)} combinations that are supported and {len(REFUSED)} that is refused"
    assert counts in page
    for name, sentence in REFUSED.items():
        assert sentence in page, name
    for name in SUPPORTED:
        exporter, quantiser, net = name.split("-")
        for word in (exporter, quantiser, net):
            assert f"`{word}`" in page, word
