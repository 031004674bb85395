# SPDX-License-Identifier: Apache-2.0
"""The objects that `--json` prints; DESIGN.md gives their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # each command imports only the rooms that it uses
    from tinygen.boards import Board
    from tinygen.fidelity import CheckResult, FusedCheck, LayerDifference, Quantised
    from tinygen.planner import Plan
    from tinygen.project import Created, Updated
    from tinygen.runner import Check, LayerCount, Profile, RunResult

Record = dict[str, Any]


def board_record(board: Board) -> Record:
    return {
        "name": board.name,
        "title": board.title,
        "cpu": board.core.cpu,
        "clock_hz": board.core.clock_hz,
        "ram_bytes": sum(r.size for r in board.ram),
        "flash_bytes": sum(r.size for r in board.flash),
        "templates": list(board.templates),
        "emulated": bool(
            board.emulation.qemu_machine or board.emulation.host or board.emulation.chip
        ),
    }


def plan_record(plan: Plan) -> Record:
    """`inspect --json`. Predictions are null where the core has no cost model."""
    return {
        **ends_record(plan),
        "macs": plan.macs,
        "params_bytes": plan.params_bytes,
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.arena_lower_bound,
        "board": plan.board.name,
        "regions": regions_record(plan),
        "const_bytes": plan.const_bytes,
        "code": code_record(plan),
        "flash_bytes": plan.flash_bytes,
        "insn_predicted": plan.instructions,
        "cycles_estimated": plan.cycles,
        "latency_estimated_ms": plan.latency_ms,
        "energy_estimated_uj": plan.energy_uj,
        "fusion": {name: [vars(f) for f in forms] for name, forms in plan.fusion.items()},
        "notes": list(plan.notes),
        "layers": [
            {
                "name": s.name,
                "op": s.op,
                "macs": s.macs,
                "schedule": s.schedule,
                "insn_predicted": s.instructions,
                "cycles_estimated": s.cycles,
            }
            for s in plan.steps
        ],
    }


def ends_record(plan: Plan) -> Record:
    """Of several inputs or outputs, which they are."""
    if plan.single:
        return {}
    return {
        key: [
            {
                "name": end.name,
                "c_name": end.word,
                "shape": list(end.shape),
                "scale": end.quant.scale,
                "zero_point": end.quant.zero_point,
            }
            for end in ends
        ]
        for key, ends in (("inputs", plan.inputs), ("outputs", plan.outputs))
    }


def regions_record(plan: Plan) -> list[Record]:
    """Every memory of the board. used: by this model, predicted.  size: what is left for it."""
    arena = {r.name: r.used for r in plan.regions}
    code = plan.footprint
    hot = code.resident if code else None
    first = plan.board.flash[:1]
    regions = []
    for r in plan.board.memory:
        used: int | None = arena.get(r.name, 0)
        if r.kind == "flash":
            used = plan.flash_bytes if r in first else 0
        elif r.kind == "external":
            used = plan.staging.l3_bytes if plan.staging else 0
        elif r.kind == "code":
            used = hot if r == plan.code_region else 0
        regions.append(
            {"name": r.name, "kind": r.kind, "used": used, "size": r.usable, "reserved": r.reserved}
        )
    return regions


def code_record(plan: Plan) -> Record | None:
    """Bytes of code; null where the core's code was never measured."""
    code = plan.footprint
    if code is None:
        return None
    return {
        "kernels_bytes": code.kernels,
        "network_bytes": code.network,
        "stack_bytes": code.stack,
        "region": code.code_region,
        "compiler": code.compiler,
    }


def check_record(result: CheckResult, fused: Sequence[FusedCheck] = ()) -> Record:
    """fused: the same model with fused attention weights, in those layers that gain by them."""
    return _check_record(result) | {
        "fused": [
            {
                "attention": f.fusion,
                "layers": f.layers,
                "params_unfused": f.params[0],
                "params": f.params[1],
                **_check_record(f.result),
            }
            for f in fused
        ]
    }


def _check_record(result: CheckResult) -> Record:
    return {
        "samples": result.samples,
        "top1_agreement": result.top1_agreement,
        "mean_abs_lsb": result.mean_abs_lsb,
        "max_abs_lsb": result.max_abs_lsb,
        "accuracy_onnx": result.accuracy_onnx,
        "accuracy_int": result.accuracy_int,
        **_yardstick(result),
        **(
            {"outputs": [{"name": n, **_check_record(r)} for n, r in result.outputs.items()]}
            if result.outputs
            else {}
        ),
    }


def _yardstick(result: CheckResult) -> Record:
    own = result.onnxruntime
    if own is None:
        return {}
    return {
        "onnxruntime_mean_abs_lsb": own.plain,
        "onnxruntime_optimised_mean_abs_lsb": own.optimised,
        "compared_with": "the spelled-out model" if own.spelled else "the model",
    }


def layers_record(layers: list[LayerDifference]) -> Record:
    """What `check --per-layer` adds."""
    return {"layers": [vars(layer) for layer in layers]}


def quantised_record(result: Quantised) -> Record:
    """`quantize --json`."""
    return {
        "output": str(result.output),
        "samples": result.samples,
        "top1_agreement": result.top1_agreement,
        "accuracy_float": result.accuracy_float,
        "accuracy_quantised": result.accuracy_quantised,
        "left_out": list(result.left_out),
        "layers": [vars(layer) for layer in result.layers],
        "warnings": list(result.warnings),
    }


def run_record(result: RunResult) -> Record:
    """`run --json`: counts are those of one inference, the worst sample (ns: the median)."""
    return {
        "passed": result.passed,
        "board": result.board,
        "on": result.on,
        "samples": result.samples,
        "matching": result.matching,
        "accuracy": result.accuracy,
        **_answers(result),
        "counter": result.counter,
        "total": result.total,
        "layers": [_layer_record(result, c) for c in result.layers],
        "arena_bytes": result.arena_bytes,
        "flash_bytes": result.flash_bytes,
        "ram_bytes": result.ram_bytes,
        "stack_bytes": result.stack,
        "compiler": result.compiler,
        **({"model_hash": result.model_hash, "note": result.note} if result.on == "chip" else {}),
    }


def _answers(result: RunResult) -> Record:
    """Of each of several outputs."""
    if len(result.answers) < 2:
        return {}
    return {
        "outputs": [
            {"name": a.name, "answers": list(a.given), "accuracy": a.accuracy}
            for a in result.answers
        ]
    }


def _layer_record(result: RunResult, layer: LayerCount) -> Record:
    record: Record = {"name": layer.name, "op": layer.op, "count": layer.count}
    return record | ({"cycles_estimated": layer.cycles} if result.on == "chip" else {})


def created_record(created: Created) -> Record:
    return {
        "folder": str(created.folder),
        "model": created.graph.name,
        "samples": created.samples,
        **plan_record(created.plan),
    }


def updated_record(updated: Updated) -> Record:
    return {
        "folder": str(updated.folder),
        "model": updated.graph.name,
        "samples": updated.samples,
        "written": list(updated.written),
        "kept": list(updated.kept),
        "removed": list(updated.removed),
        "note": updated.note or None,
        **plan_record(updated.plan),
    }


def profile_record(profile: Profile) -> Record:
    """`profile --json`: like `run --json`, with the prediction beside each count."""
    return {
        "passed": profile.passed,
        "on": profile.board,
        "samples": profile.samples,
        "matching": profile.matching,
        "accuracy": profile.accuracy,
        "counter": profile.counter,
        "total": profile.total,
        "milliseconds": profile.milliseconds,
        "layers": [
            {"name": c.name, "op": c.op, "count": c.count, "predicted": predicted, **counted}
            for c, predicted, counted in zip(
                profile.layers,
                profile.predicted,
                [{"counted": n} for n in profile.counted] or [{}] * len(profile.layers),
                strict=True,
            )
        ],
        **({"model_hash": profile.model_hash} if profile.counted else {}),
        "stack_bytes": profile.stack,
        "compiler": "what was flashed",
    }


def doctor_record(checks: list[Check]) -> Record:
    return {
        "checks": [
            {"name": c.name, "found": c.found, "needed_for": c.needed_for, "remedy": c.remedy}
            for c in checks
        ]
    }
