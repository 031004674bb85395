# SPDX-License-Identifier: Apache-2.0
"""Reductions, products, norms, softmax, windows."""

from __future__ import annotations

import numpy as np

from semantics.case import Case, Weight, each, ints, live, reals, scalar, weight

X = live(2, 3, 4)


def reductions() -> list[Case]:
    found = []
    for op in ("ReduceMean", "ReduceMax"):
        for axes in ((0,), (1,), (2,), (-1,), (0, 2), (-3, -1), (0, 1, 2)):
            first = 11 if min(axes) < 0 else 7
            for keep in (1, 0):
                old = {"axes": list(axes), "keepdims": keep}
                found.append(Case(op, (X,), old, opsets=(first, 17)))
                found.append(Case(op, (X, ints(*axes)), {"keepdims": keep}, opsets=(18, 25)))
        found += [
            Case(op, (X,)),
            Case(op, (X,), {"keepdims": 0}),
            Case(op, (X, None), {"keepdims": 0}, opsets=(18, 25)),
            Case(op, (X, ints()), opsets=(18, 25)),
            Case(op, (X, ints()), {"noop_with_empty_axes": 1}, opsets=(18, 25)),
            Case(op, (X,), {"noop_with_empty_axes": 1}, opsets=(18, 25)),
            Case(op, (X, ints(1)), {"noop_with_empty_axes": 1}, opsets=(18, 25)),
            Case(op, (live(5),), {"axes": [0], "keepdims": 0}, opsets=(7, 17)),
            Case(op, (live(1, 2, 3, 2), ints(1, 3)), opsets=(18, 25)),
        ]
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        found += [Case(op, (x,)) for x in (live(1, 2, 4), live(1, 2, 3, 2), live(2, 2, 3))]
        found += [Case(op, (live(1, 2, 2, 2, 2),)), Case(op, (live(2, 3, 2, 2),))]
    return found


def gemms() -> list[Case]:
    x, w = live(3, 4), weight(4, 5)
    found = [Case("Gemm", (x, w, reals(5)))]
    found += [Case("Gemm", (x, w, None), opsets=(11, 25)), Case("Gemm", (x, w), opsets=(11, 25))]
    found += [Case("Gemm", (x, weight(4, 5, axis=1), reals(5)))]
    found += [Case("Gemm", (x, weight(5, 4, axis=0), reals(5)), {"transB": 1})]
    found += [Case("Gemm", (x, weight(5, 4), c), {"transB": 1}) for c in (reals(1), reals(1, 5))]
    found += [Case("Gemm", (x, w, c)) for c in (scalar(0.5), reals(1, 1))]
    found += [Case("Gemm", (x, w, c), roundings=3) for c in (reals(3, 5), reals(3, 1))]
    square = {"roundings": 2, "note": "as many rows as columns"}
    found += [Case("Gemm", (x, weight(4, 3), reals(3, 1)), **square)]
    found += each("Gemm", (x, w, reals(5)), [{"alpha": 0.5}, {"beta": 2.0}, {"beta": 0.0}])
    found += each("Gemm", (x, w, reals(3, 1)), [{"alpha": 0.5, "beta": 2.0}], roundings=2)
    found += [Case("Gemm", (live(4, 3), w, reals(5)), {"transA": 1})]
    found += [Case("Gemm", (live(4, 3), weight(5, 4), reals(5)), {"transA": 1, "transB": 1})]
    found += [Case("Gemm", (x, w, live(3, 5))), Case("Gemm", (x, w, live(5)))]
    found += [Case("Gemm", (x, live(4, 5), reals(5))), Case("Gemm", (x, live(4, 5), live(3, 5)))]
    found += [Case("Gemm", (weight(3, 4), live(4, 5), reals(5)))]
    both = {"transA": 1, "transB": 1, "alpha": 0.5}
    found += [Case("Gemm", (live(4, 3), live(5, 4), reals(5)), both)]
    return found


def matmuls() -> list[Case]:
    pairs = [
        (live(3, 4), weight(4, 5)),
        (live(3, 4), weight(4, 5, axis=1)),
        (live(3, 4), weight(4, 5, axis=-1)),
        (live(3, 4), weight(4, 5, axis=0)),
        (live(4), weight(4, 5)),
        (live(3, 4), weight(4)),
        (live(4), weight(4)),
        (X, weight(4, 5)),
        (live(1, 2, 3, 4), weight(4, 5)),
        (X, weight(1, 4, 5)),
        (X, weight(2, 4, 5)),
        (live(3, 4), weight(2, 4, 5)),
        (weight(3, 4), live(4, 5)),
        (weight(3, 4), live(2, 4, 5)),
        (weight(4), live(4, 5)),
        (weight(3, 4), live(4)),
        (X, live(2, 4, 3)),
        (live(2, 1, 3, 4), live(1, 2, 4, 3)),
        (live(2, 2, 3, 4), live(2, 1, 4, 3)),
        (X, live(4, 3)),
        (live(3, 4), live(2, 4, 3)),
        (live(3, 4), live(4, 2)),
        (live(4), live(4, 3)),
        (live(3, 4), live(4)),
        (live(4), live(4)),
        (live(2, 3, 4), live(4)),
        (live(4), live(2, 4, 3)),
    ]
    return [Case("MatMul", p) for p in pairs]


def softmaxes() -> list[Case]:
    found = []
    for op in ("Softmax", "LogSoftmax"):
        says = ("last step",) if op == "LogSoftmax" else ()
        for x in (live(5), live(2, 5), X, live(2, 2, 3, 3)):
            rank = len(x.shape)
            found.append(Case(op, (x,), opsets=(7 if rank > 1 else 13, 25), says=says))
            for axis in range(-rank, rank):
                first = 11 if axis < 0 else 7
                found.append(Case(op, (x,), {"axis": axis}, opsets=(first, 25), says=says))
    return found


def channel_norms() -> list[Case]:
    found = []
    for x in (live(1, 4, 5), live(1, 4, 2, 3), live(2, 4, 5), live(1, 1, 9)):
        factors, offsets = reals(x.shape[1], low=0.5), reals(x.shape[1], seed=2)
        for attrs in ({}, {"epsilon": 0.1}):
            more = {"roundings": 3} if x.shape[1] > 1 else {}
            found.append(Case("InstanceNormalization", (x, factors, offsets), attrs, **more))
        for groups in sorted({1, x.shape[1]} | {g for g in (2,) if x.shape[1] % g == 0}):
            more = {"roundings": 3} if x.shape[0] * groups > 1 else {}
            attrs = {"num_groups": groups}
            full = (x, factors, offsets)
            for other in ({}, {"epsilon": 0.1}, {"stash_type": 1}):
                how = attrs | other
                found.append(Case("GroupNormalization", full, how, opsets=(21, 25), **more))
    return found


def norms() -> list[Case]:
    found = []
    for x, axes in ((live(2, 8), (-1, 1, 0, -2)), (X, (None, -1, 2, 1, -2, 0)), (live(6), (0, -1))):
        for axis in axes:
            shape = x.shape[-1 if axis is None else axis :] or (1,)
            attrs = {} if axis is None else {"axis": axis}
            gamma, beta = reals(*shape, low=0.5), reals(*shape, seed=2)
            found += [
                Case("LayerNormalization", (x, gamma, beta), attrs),
                Case("LayerNormalization", (x, gamma), attrs),
            ]
    gamma, beta = reals(4, low=0.5), reals(4, seed=2)
    full = (X, gamma, beta)
    found += each("LayerNormalization", full, [{"epsilon": 0.1}, {"stash_type": 1}])
    found += each("LayerNormalization", full, [{"stash_type": 10}, {"stash_type": 16}])
    found += [
        Case("LayerNormalization", (X, gamma, None)),
        Case("LayerNormalization", (X, scalar(0.7) * np.ones(1, np.float32))),
        Case("LayerNormalization", (X, reals(3, 4), reals(4)), note="gamma for each row"),
        Case("LayerNormalization", (X, gamma, reals(3, 1)), note="beta for each row", roundings=2),
        Case("LayerNormalization", full, outputs=("y", "m", "d"), note="other outputs unread"),
        Case("LayerNormalization", full, outputs=("y", "m"), read=1, says=("mean",)),
        Case("LayerNormalization", full, outputs=("y", "", "d"), read=2, says=("deviation",)),
        Case("LayerNormalization", (X, live(4), beta), says=("scale",)),
        *channel_norms(),
        Case("RMSNormalization", (X, gamma)),
        Case("RMSNormalization", (X, gamma), {"axis": 1}, says=("RMSNormalization",)),
        Case("RMSNormalization", (X, gamma), {"epsilon": 0.1}, says=("RMSNormalization",)),
        Case("RMSNormalization", (X, gamma), {"stash_type": 1}, says=("RMSNormalization",)),
    ]
    return found + batch_norms()


def batch_norms() -> list[Case]:
    found = []
    for x in (live(3, 4), live(1, 4, 3), live(2, 4, 3), live(1, 4, 2, 2)):
        p = [reals(4, low=0.5), reals(4, seed=2), reals(4, seed=3), reals(4, seed=4, low=0.5)]
        found.append(Case("BatchNormalization", (x, *p)))
    x = live(1, 4, 3)
    found += each("BatchNormalization", (x, *p), [{"epsilon": 0.1}, {"momentum": 0.5}])
    found += each("BatchNormalization", (x, *p), [{"spatial": 1}], opsets=(7, 8))
    wide = [reals(4, 3, seed=s, low=0.5) for s in range(4)]
    found += each("BatchNormalization", (x, *wide), [{"spatial": 0}], opsets=(7, 8))
    training = {"training_mode": 1}
    names = ("y", "m", "v")
    found.append(Case("BatchNormalization", (x, *p), training, opsets=(14, 25), outputs=names))
    found.append(Case("BatchNormalization", (x, live(4), *p[1:]), says=("scale",)))
    return found


def windows() -> list[Case]:
    found = []
    pools = [
        ({"kernel_shape": [2]}, live(1, 2, 6)),
        ({"kernel_shape": [2, 3]}, live(1, 2, 4, 5)),
        ({"kernel_shape": [2, 2], "strides": [2, 1]}, live(1, 2, 5, 5)),
        ({"kernel_shape": [3, 3], "pads": [1, 0, 1, 2]}, live(1, 2, 4, 4)),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, live(1, 2, 5, 4)),
        ({"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}, live(1, 2, 6)),
        ({"kernel_shape": [3], "strides": [3], "pads": [0, 1], "ceil_mode": 1}, live(1, 2, 7)),
        ({"kernel_shape": [2, 2], "dilations": [2, 1]}, live(1, 2, 5, 5)),
        ({"kernel_shape": [2, 2], "dilations": [1, 1]}, live(1, 2, 3, 3)),
        ({"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"}, live(1, 2, 4, 5)),
        ({"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}, live(1, 2, 5, 5)),
        ({"kernel_shape": [2, 2], "auto_pad": "VALID"}, live(1, 2, 4, 5)),
        ({"kernel_shape": [2, 2], "storage_order": 1}, live(1, 2, 4, 5)),
        ({"kernel_shape": [2, 2, 2]}, live(1, 2, 3, 3, 3)),
        ({"kernel_shape": [2, 2]}, live(2, 2, 3, 3)),
    ]
    for attrs, x in pools:
        says = ("space",) if len(x.shape) == 5 else ()
        says = ("batch",) if x.shape[0] > 1 else says
        found.append(Case("MaxPool", (x,), attrs, says=says))
    indices = {"outputs": ("y", "i"), "read": 1, "says": ("indices",), "opsets": (8, 25)}
    found.append(Case("MaxPool", (live(1, 1, 4),), {"kernel_shape": [2]}, **indices))
    return found + convolutions()


def convolutions() -> list[Case]:
    x, w = live(1, 2, 5, 6), weight(3, 2, 3, 2)
    b = reals(3)
    found = [
        Case("Conv", (live(1, 2, 7), weight(3, 2, 3))),
        Case("Conv", (live(1, 2, 7), weight(3, 2, 3, axis=0), b)),
        Case("Conv", (x, w)),
        Case("Conv", (x, w, b)),
        Case("Conv", (x, weight(3, 2, 3, 2, axis=0), b)),
        Case("Conv", (x, weight(3, 2, 3, 2, axis=1), b), says=("inputs",)),
    ]
    attrs = [
        {"kernel_shape": [3, 2]},
        {"strides": [2, 1]},
        {"strides": [2, 2], "pads": [1, 0, 2, 1]},
        {"dilations": [2, 3]},
        {"dilations": [1, 2], "pads": [0, 1, 0, 1], "strides": [1, 2]},
        {"auto_pad": "VALID"},
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
    ]
    found += each("Conv", (x, w, b), attrs)
    found += each("Conv", (x, w, b), [{"auto_pad": "SAME_UPPER", "dilations": [2, 1]}])
    found += [Case("Conv", (live(1, 4, 5), weight(6, 2, 3)), {"group": 2})]
    found += [Case("Conv", (live(1, 4, 5), weight(4, 1, 3, axis=0), reals(4)), {"group": 4})]
    found += [Case("Conv", (live(1, 4, 5, 4), weight(8, 1, 2, 2)), {"group": 4})]
    found += [Case("Conv", (live(2, 2, 5), weight(3, 2, 3)), says=("batch",))]
    found += [Case("Conv", (live(1, 1, 3, 3, 3), weight(2, 1, 2, 2, 2)), says=("space",))]
    found += [Case("Conv", (live(1, 2, 5), live(3, 2, 3)), says=("weight",))]
    found += [Case("Conv", (live(1, 2, 5), weight(3, 2, 3), live(3)), says=("bias",))]
    return found


CASES = [*reductions(), *gemms(), *matmuls(), *softmaxes(), *norms(), *windows()]
__all__ = ["CASES", "Weight"]
