# SPDX-License-Identifier: Apache-2.0
"""A Plan as one JSON object: what a report needs, without the weights themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tinygen.lowering import TICKS, Step
from tinygen.planner import plan as p
from tinygen.planner.choose import NEGLIGIBLE
from tinygen.planner.cost import load_cost_model
from tinygen.planner.ends import End

ROLES = ("q", "k", "v", "context", "sums", "hidden")


def describe(plan: p.Plan) -> dict[str, Any]:
    """Sizes in bytes, times in ticks (`TICKS` a layer); see the fields of `Plan`."""
    board = plan.board
    model = load_cost_model(plan.target, board.core.cpu)
    return {
        "model": plan.model,
        "model_hash": plan.model_hash,
        "board": {
            "name": board.name,
            "title": board.title,
            "cpu": board.core.cpu,
            "clock_hz": board.core.clock_hz,
            "flash_bytes": sum(r.usable for r in board.flash),
            "power": None if board.power is None else board.power.model_dump(),
        },
        "target": plan.target,
        **_ends(plan),
        "macs": plan.macs,
        "params_bytes": plan.params_bytes,
        "const_bytes": plan.const_bytes,
        "resident_bytes": plan.resident_bytes,
        "staging": None if plan.staging is None else asdict(plan.staging),
        "code": None if plan.footprint is None else asdict(plan.footprint),
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.arena_lower_bound,
        "instructions": plan.instructions,
        "cycles": plan.cycles,
        "wait_cycles": {
            "weights": sum(s.wait_weights for s in plan.steps),
            "memory": sum(s.wait_memory for s in plan.steps),
        },
        "latency_ms": plan.latency_ms,
        "energy_uj": plan.energy_uj,
        "cost_model": None
        if model is None
        else {"cycle_model": model.cycle_model, "error": dict(model.error)},
        "regions": [
            {
                "name": r.name,
                "used": r.used,
                "size": r.size,
                "lower_bound": r.lower_bound,
                "proven": r.proven,
            }
            for r in plan.regions
        ],
        "ticks": TICKS,
        "layers": _layers(plan.steps),
        "buffers": _buffers(plan),
        "alternatives": {
            name: {"why": why(every), "schedules": [_alternative(a) for a in every]}
            for name, every in plan.alternatives.items()
        },
        "fusion": {name: [vars(f) for f in forms] for name, forms in plan.fusion.items()},
        "notes": list(plan.notes),
    }


def _ends(plan: p.Plan) -> dict[str, Any]:
    if plan.single:
        return {"input": _tensor(plan.inputs[0]), "output": _tensor(plan.outputs[0])}
    return {
        "inputs": [{"name": end.name, **_tensor(end)} for end in plan.inputs],
        "outputs": [{"name": end.name, **_tensor(end)} for end in plan.outputs],
    }


def _tensor(end: End) -> dict[str, Any]:
    quant = end.quant
    return {"shape": list(end.shape), "scale": quant.scale, "zero_point": quant.zero_point}


def _layers(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """from: indices of the layers that made the inputs, -1 for the network's input."""
    writer: dict[str, int] = {}
    layers = []
    for i, step in enumerate(steps):
        layers.append(
            {
                "name": step.name,
                "op": step.op,
                "macs": step.macs,
                "schedule": step.schedule,
                "instructions": step.instructions,
                "cycles": step.cycles,
                "from": [writer.get(slot.buffer, -1) for slot in step.inputs],
                "constants": [
                    {"role": role or "w", "bytes": -(-array.nbytes // 4) * 4}
                    for role, array in step.args.constants()
                ],
            }
        )
        writer[step.output.buffer] = i
    return layers


def _buffers(plan: p.Plan) -> list[dict[str, Any]]:
    values = {s.output.buffer for s in plan.steps}
    made = []
    for q in plan.placements:
        role = "activation" if q.buffer.name in values else q.buffer.name.rsplit("_", 1)[0]
        made.append(
            {
                "name": q.buffer.name,
                "kind": role if role in (*ROLES, "activation") else "scratch",
                "region": q.region,
                "offset": q.offset,
                "size": q.buffer.size,
                "first": q.buffer.first,
                "last": q.buffer.last,
                "traffic": q.buffer.traffic,
            }
        )
    return made


def _alternative(a: p.Alternative) -> dict[str, Any]:
    return {
        "schedule": str(a.schedule),
        "kind": a.schedule.kind,
        "bytes": a.working_bytes,
        "instructions": a.instructions,
        "cycles": a.cycles,
        "chosen": a.chosen,
    }


def why(every: Sequence[p.Alternative]) -> str:
    """One sentence: why the chosen schedule won."""
    chosen = next(a for a in every if a.chosen)
    if len(every) == 1:
        return "The only schedule that was allowed."
    if chosen.cycles is None:
        return "No cost model of this core: the first schedule that fits."
    fastest = min(every, key=lambda a: a.cycles or 0)
    slower = chosen.cycles / max(1, fastest.cycles or 1) - 1
    less = fastest.working_bytes - chosen.working_bytes
    if slower == 0:
        return "It is predicted to be the fastest."
    if slower <= NEGLIGIBLE:
        percent = f"{100 * slower:.1f} %"
        return f"Within {percent} of the fastest ({fastest.schedule}), with {less:,} bytes less."
    return (
        f"The fastest that fits its memory: {fastest.schedule} would be {100 * slower:.0f} % "
        f"faster but needs {less:,} bytes more."
    )
