# SPDX-License-Identifier: Apache-2.0
"""A product or a sum that is rounded twice in a row is rounded once."""

from __future__ import annotations

import numpy as np

from tinygen.graph import Float, Node, Quant
from tinygen.passes.constants import is_constant, is_scalar
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.factors import PRODUCTS, alone, factor_of, offset_of, scaled, shifted
from tinygen.passes.merged import merged
from tinygen.passes.quantisation import quant

MERGED = "rounds to 8 bits"
"""In notes: what the model does and the device need not."""
NARROWER = f"{MERGED} twice, to a narrower grid"


@rule("Quant")
def rounding_of_a_scaled_sum(scope: Scope, node: Node) -> Result:
    """round((a + b) c) to steps of s = c round(a + b) to steps of s / c: a sum is rounded once."""
    step, grid = scope.made_by(node.inputs[0], "Mul", "Div"), scope.quant(node.output)
    found = factor_of(scope, step) if step is not None else None
    if step is None or found is None or found[1].size != 1 or grid is None:
        return None
    x, c = found[0], float(found[1].reshape(-1)[0])
    both = scope.made_by(x, "Add")
    if both is None or c <= 0 or not alone(scope, x):
        return None
    for name in both.inputs:
        known = scope.quant(name) is not None or scope.made_by(name, "Join") is not None
        if not known and (not is_constant(scope, name) or is_scalar(scope, name)):
            return None
    y = quant(scope, x, Quant(grid.scale / c, grid.zero_point))
    y = scope.emit(Float("Mul"), (y, scope.constant(np.asarray(c))), scope.shape(node.output))
    return quant(scope, y, grid)


@rule("Quant")
def rounding_once(scope: Scope, node: Node) -> Result:
    """round(round(x W) c) = round((x W) c): a product is not rounded twice.

    This rule and the next two change values, by less than the rounding that they drop: of two, the
    finer one, if what lies between is a positive number.
    """
    return _once(scope, node, lossy=False)


@rule("Quant")
def rounding_to_a_narrower_grid(scope: Scope, node: Node) -> Result:
    """The same where the second grid holds much less, so that it may cut off what is there."""
    return _once(scope, node, lossy=True)


def _once(scope: Scope, node: Node, *, lossy: bool) -> Result:
    step = scope.made_by(node.inputs[0], "Mul", "Div")
    found = factor_of(scope, step) if step is not None else None
    inner = _rounded_product(scope, step, found[0]) if step is not None and found else None
    grid = scope.quant(node.output)
    if found is None or inner is None or grid is None:
        return None
    c = found[1]
    product, first = scope.producers[inner.inputs[0]], scope.quant(inner.output)
    if first is not None and c.size == 1 and c.flat[0] > 0:
        first = Quant(first.scale * float(c.flat[0]), first.zero_point)
        grid, loses = merged(first, grid)
    else:
        loses = False
    y = scaled(scope, product, c) if loses == lossy else None
    if y is None:
        return None
    if lossy:
        scope.notes.append(f"{product.name} {NARROWER}")
    return quant(scope, y, grid)


@rule("Quant")
def rounding_before_bias(scope: Scope, node: Node) -> Result:
    """round(round(x W) + c) = round(x W + c): see `MERGING`."""
    step = scope.made_by(node.inputs[0], "Add", "Sub")
    found = offset_of(scope, step) if step is not None else None
    inner = _rounded_product(scope, step, found[0]) if step is not None and found else None
    grid = scope.quant(node.output)
    if found is None or inner is None or grid is None:
        return None
    product = scope.producers[inner.inputs[0]]
    y = shifted(scope, product, found[1])
    if y is None:
        return None
    scope.notes.append(f"{product.name} {MERGED} before its bias")
    return quant(scope, y, grid)


def _rounded_product(scope: Scope, step: Node, x: str) -> Node | None:
    """The rounding of a product that a step alone reads, the step being read by the root alone."""
    inner = scope.made_by(x, "Quant")
    product = scope.made_by(inner.inputs[0], *PRODUCTS) if inner is not None else None
    if product is None or inner is None or scope.shape(x) != scope.shape(step.output):
        return None
    ones = step.output, x, product.output
    return inner if all(alone(scope, name) for name in ones) else None


@rule("Quant")
def rounding_to_two_grids(scope: Scope, node: Node) -> Result:
    """round(round(x W)) onto a second grid = round(x W) onto the coarser: the parts of a packed
    q/k/v that QOperator rounds together, then each by itself."""
    return _onto_the_coarser(scope, node, lossy=False)


@rule("Quant")
def parts_to_narrower_grids(scope: Scope, node: Node) -> Result:
    """The same where the second grid holds much less."""
    return _onto_the_coarser(scope, node, lossy=True)


def _onto_the_coarser(scope: Scope, node: Node, *, lossy: bool) -> Result:
    inner = scope.made_by(node.inputs[0], "Quant")
    grid = scope.quant(node.output)
    if inner is None or grid is None or not alone(scope, inner.output):
        return None
    product = scope.made_by(inner.inputs[0], *PRODUCTS)
    if product is None or not alone(scope, product.output):
        return None
    first = scope.quant(inner.output)
    assert first is not None
    kept, loses = merged(first, grid)
    if loses != lossy:
        return None
    if lossy:
        scope.notes.append(f"{product.name} {NARROWER}")
    return quant(scope, product.output, kept)


MERGING = (rounding_before_bias, rounding_to_a_narrower_grid, parts_to_narrower_grids)
"""Rules that drop a rounding which the model makes; only where that moves its outputs little."""
