# SPDX-License-Identifier: Apache-2.0
"""Operators that the importer spells out: Einsum, onnxruntime's fused ones; average pooling."""

from __future__ import annotations

from semantics.case import MICROSOFT, Case, Live, each, live, reals, weight

X = live(2, 3, 4)


def einsums() -> list[Case]:
    two = [
        ("ij,jk->ik", live(3, 4), weight(4, 5)),
        ("ij,kj->ik", live(3, 4), weight(5, 4)),
        ("abc,cde->abde", live(1, 3, 4), weight(4, 2, 3)),
        ("bij,bjk->bik", X, live(2, 4, 3)),
        ("bhqd,bhkd->bhqk", live(1, 2, 3, 4), live(1, 2, 5, 4)),
        ("aecd,abcd->acbe", live(1, 5, 2, 4), live(1, 3, 2, 4)),
        ("bij,bjk", X, live(2, 4, 3)),
        ("...ij,...jk->...ik", X, live(2, 4, 3)),
        ("i,j->ij", live(3), live(4)),
        ("ij,ik->jk", live(3, 4), live(3, 2)),
        ("ijk,il->jl", X, live(2, 5)),
        ("ii,ij->ij", live(3, 3), live(3, 4)),
        ("i j , j k -> i k", live(3, 4), live(4, 2)),
    ]
    found = [
        Case("Einsum", (a, b), {"equation": text}, roundings=2, says=("diagonal",))
        for text, a, b in two
    ]
    one = ["ijk->kij", "ijk->ik", "ijk->", "ijk", "...k->k...", "iij->j"]
    found += [
        Case(
            "Einsum", (X if t != "iij->j" else live(2, 2, 3),), {"equation": t}, says=("diagonal",)
        )
        for t in one
    ]
    three = (live(2, 3), live(3, 4), live(4, 2))
    for text in ("ij,jk,kl->il", "ij,jk,kl->lj", "ij,jk,kl->i"):
        found.append(Case("Einsum", three, {"equation": text}, roundings=3))
    return found


def averages() -> list[Case]:
    line, plane = live(1, 2, 7), live(1, 2, 5, 6)
    attrs = [
        {"kernel_shape": [2]},
        {"kernel_shape": [3], "strides": [2]},
        {"kernel_shape": [3], "pads": [1, 1]},
        {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1},
        {"kernel_shape": [3], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2], "auto_pad": "SAME_LOWER", "strides": [2]},
        {"kernel_shape": [2], "auto_pad": "VALID", "strides": [3]},
    ]
    found = each("AveragePool", (line,), attrs)
    later = [
        {"kernel_shape": [2], "strides": [2], "ceil_mode": 1},
        {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "pads": [1, 0]},
    ]
    found += each("AveragePool", (line,), later, opsets=(10, 25))
    wide = [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [2, 3], "strides": [2, 1]},
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ]
    found += each("AveragePool", (plane,), wide)
    how = {"kernel_shape": [2], "dilations": [2]}
    found += each("AveragePool", (line,), [how], opsets=(19, 25))
    found += [
        Case("AveragePool", (live(1, 1, 3, 3, 3),), {"kernel_shape": [2, 2, 2]}, says=("3 ",))
    ]
    found += [Case("AveragePool", (live(2, 2, 5),), {"kernel_shape": [2]}, says=("batch",))]
    return found


def fused() -> list[Case]:
    x, rows = live(1, 3, 4), (live(1, 3, 4), live(1, 3, 4))
    gamma, beta = reals(4), reals(4, seed=2)
    how = {"domain": MICROSOFT}
    two = {**how, "roundings": 2}
    found = [Case("Gelu", (x,), **how), Case("FastGelu", (x,), **how)]
    found += [Case("BiasGelu", (x, gamma), **two), Case("FastGelu", (x, gamma), **two)]
    found += each("QuickGelu", (x,), [{}, {"alpha": 1.0}], **how)
    flags = [{}, {"alpha": 0.5}, {"transA": 1}, {"transB": 1}, {"transA": 1, "transB": 1}]
    shapes = [((2, 3, 4), (2, 4, 3))] * 2
    shapes += [((2, 4, 3), (2, 4, 3)), ((2, 3, 4), (2, 3, 4)), ((2, 4, 3), (2, 3, 4))]
    found += [
        Case("FusedMatMul", (Live(a), Live(b)), f, **two)
        for f, (a, b) in zip(flags, shapes, strict=True)
    ]
    found.append(Case("FusedMatMul", (Live((2, 3, 4)), Live((4, 5))), **two))
    odd = {"transBatchA": 1}
    found.append(Case("FusedMatMul", (live(3, 2, 4), live(2, 4, 3)), odd, **two))
    activations = [{"activation": a} for a in ("Relu", "Tanh", "Sigmoid")]
    gemm = (live(3, 4), weight(4, 5), reals(5))
    found += each("FusedGemm", gemm, activations[:1], **two)
    # what a steep function of a sum that the model does not round loses is the sum's own grid
    found += each("FusedGemm", gemm, activations[1:], whole=False, **how)
    conv = (live(1, 2, 7), weight(3, 2, 3), reals(3))
    found += each("FusedConv", conv, [{"activation": "Relu", "pads": [1, 1]}], **two)
    eps = {"epsilon": 1e-5}
    norm = {**how, "roundings": 3}
    found += [
        Case("SkipLayerNormalization", (*rows, gamma, beta), eps, **norm),
        Case("SkipLayerNormalization", (*rows, gamma), eps, **norm),
        Case("SkipLayerNormalization", (*rows, gamma, beta, reals(4, seed=3)), eps, **norm),
    ]
    heads = {"num_heads": 2}
    packed = (live(1, 3, 4), weight(4, 12, axis=1), reals(12))
    apart = (live(1, 3, 4), live(1, 5, 4), live(1, 5, 4))
    rms = {**how, "roundings": 3}
    found += [
        Case("SkipSimplifiedLayerNormalization", (*rows, gamma), eps, **rms),
        Case("SkipSimplifiedLayerNormalization", (*rows, gamma, beta), eps, **rms),
    ]
    inside = {**how, "whole": False}  # scores are rounded within: tests/passes/test_general.py
    found += [
        Case("Attention", packed, heads, **inside),
        Case("Attention", packed, {**heads, "unidirectional": 1}, **inside),
        Case("Attention", packed, {**heads, "scale": 0.3}, **inside),
        Case("MultiHeadAttention", apart, heads, **inside),
        Case("MultiHeadAttention", (*apart, reals(12)), heads, **inside),
    ]
    return found


CASES = [*einsums(), *averages(), *fused()]
