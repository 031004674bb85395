# SPDX-License-Identifier: Apache-2.0
"""Terminal tables that a person likes to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from tinygen.names import for_shell

if TYPE_CHECKING:  # each command imports only the rooms that it uses
    from tinygen.boards import Board, Region
    from tinygen.fidelity import CheckResult, FusedCheck, LayerDifference, Quantised
    from tinygen.planner import Plan
    from tinygen.project import Created, Updated
    from tinygen.runner import Check, Profile, RunResult


def _table(*columns: str, title: str | None = None) -> Table:
    """Left-aligned columns; those whose name starts with > are numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        justify: JustifyMethod = "right" if column.startswith(">") else "left"
        table.add_column(column.lstrip(">"), justify=justify, no_wrap=i == 0)  # a name stays whole
    return table


def size(n: int) -> str:
    """Bytes for people."""
    if n < 10 * 1024:
        return f"{n:,} B"
    return f"{n / 1024:,.1f} KB" if n < 1024 * 1024 else f"{n / 1024 / 1024:,.1f} MB"


def boards_table(boards: list[Board]) -> RenderableType:
    table = _table("board", "core", ">clock", ">RAM", ">flash", "templates", "without hardware")
    for b in boards:
        run = b.emulation
        places = [
            name
            for name, there in (
                ("host", run.host),
                ("qemu", run.qemu_machine),
                ("unicorn", run.unicorn_cpu),
                ("gvsoc", run.gvsoc),
                ("chip", run.chip),
            )
            if there
        ]
        table.add_row(
            b.name,
            b.core.cpu,
            f"{b.core.clock_hz / 1e6:,.0f} MHz",
            size(sum(r.size for r in b.ram)),
            size(sum(r.size for r in b.flash)),
            ", ".join(b.templates),
            ", ".join(places) or "-",
        )
    return table


def plan_tables(plan: Plan) -> RenderableType:
    """What was recognised, layer by layer, and where its memory lies."""
    total = plan.instructions
    what = "cycles" if total is None and plan.cycles is not None else "instructions"  # a cluster
    total = plan.cycles if what == "cycles" else total
    layers = _table("layer", "operator", ">MAC", f">{what}", ">share", "schedule")
    for s in plan.steps:
        found = s.cycles if what == "cycles" else s.instructions
        part, whole = (s.macs, plan.macs) if total is None else (found, total)
        share = f"{100 * part / whole:.1f} %" if part and whole else ""
        count = "-" if found is None else f"{found:,}"
        layers.add_row(s.name, s.op, f"{s.macs:,}" if s.macs else "", count, share, s.schedule)
    memory = _table("memory", ">used", ">of", ">", ">reserved", "by")
    for region, used, by in _uses(plan):
        share = f"{100 * used / region.usable:.1f} %" if region.usable else ""
        kept = size(region.reserved) if region.reserved else ""
        memory.add_row(region.name, size(used), size(region.usable), share, kept, by)
    bound = plan.arena_lower_bound
    best = "provably the smallest" if plan.arena_bytes == bound else f"lower bound {bound:,} B"
    code = plan.footprint
    stack = "" if code is None else f", stack {code.stack:,} B"
    predicted = ""
    if total is not None and plan.latency_ms is not None and plan.cycles is not None:
        clock = plan.board.core.clock_hz / 1e6
        waits = sum(s.wait_weights + s.wait_memory for s in plan.steps)
        time = f"{plan.latency_ms:.3g} ms at {clock:g} MHz"
        predicted = f"; predicted {total:,} cycles, {time}"
        if what == "instructions":
            predicted = (
                f"; predicted {total:,} instructions, estimated {plan.cycles:,} cycles "
                f"({100 * waits / plan.cycles:.0f} % of them waits for memory), {time}"
            )
    if plan.energy_uj is not None and plan.board.power is not None:
        predicted += f", {plan.energy_uj:.3g} uJ ({plan.board.power.source})"
    summary = Text(
        f"{plan.model} on {plan.board.name}: {plan.macs:,} MAC, parameters "
        f"{size(plan.params_bytes)}, arena {plan.arena_bytes:,} B ({best}){stack}{predicted}"
    )
    notes = [Text(f"note: {n}", style="yellow") for n in plan.notes]
    ends: list[RenderableType] = [] if plan.single else [_ends_table(plan), Text()]
    forms: list[RenderableType] = [_fusion_table(plan), Text()] if plan.fusion else []
    return Group(layers, Text(), *ends, memory, Text(), *forms, summary, *notes)


def _ends_table(plan: Plan) -> RenderableType:
    """Several inputs and outputs."""
    table = _table("", "name", "in C", "shape", ">scale", ">zero point")
    for what, ends in (("input", plan.inputs), ("output", plan.outputs)):
        for end in ends:
            shape = " x ".join(str(n) for n in end.shape)
            grid = f"{end.quant.scale:.5g}", str(end.quant.zero_point)
            table.add_row(what, end.name, end.word, shape, *grid)
    return table


def _uses(plan: Plan) -> Iterator[tuple[Region, int, str]]:
    """(memory, bytes, what they are): the arena, hot kernels, then flash."""
    arena, code = {r.name: r.used for r in plan.regions}, plan.footprint
    for region in plan.board.ram:
        if region.name in arena:
            yield region, arena[region.name], "arena"
    if plan.code_region is not None and code is not None:
        yield plan.code_region, code.resident, "hot kernels, copied from flash at boot"
    for region in plan.board.flash[:1]:
        stage = plan.staging
        yield region, plan.resident_bytes - (stage.size if stage else 0), "weights and tables"
        if stage is not None:
            yield region, stage.size, f"buffer for layers in L3, {stage.slots} at a time"
        if code is not None:
            yield region, code.kernels, "kernels, predicted"
            yield region, code.network, "network, predicted"
    for region in plan.board.memory if plan.staging else ():
        if region.kind == "external" and plan.staging:
            yield region, plan.staging.l3_bytes, f"weights of {len(plan.staging.layers)} layers"


def _fusion_table(plan: Plan) -> RenderableType:
    """Per attention layer, the forms of its weights; the chosen one is bold."""
    what = "cycles" if plan.board.core.count > 1 else "instructions"
    table = _table("attention", "weights", ">parameters", f">{what}", ">mean error", "")
    for name, forms in plan.fusion.items():
        for i, f in enumerate(forms):
            predicted = f.cycles if what == "cycles" else f.instructions
            count = "-" if predicted is None else f"{predicted:,}"
            error = "" if f.error_lsb is None else f"{f.error_lsb:.2f} LSB"
            style = "bold" if f.chosen else None
            shown = name if i == 0 else ""
            table.add_row(shown, f.fusion, f"{f.params:,}", count, error, f.why, style=style)
    return table


def check_table(result: CheckResult, fused: Sequence[FusedCheck] = ()) -> RenderableType:
    """fused: a column each."""
    columns = [f">{f.fusion}" for f in fused]
    table = _table("integer model against onnxruntime", ">" if not fused else ">unfused", *columns)
    every = [result, *(f.result for f in fused)]
    row = table.add_row
    row("samples", f"{result.samples:,}")
    row("same answer (top 1)", *(f"{100 * r.top1_agreement:.2f} %" for r in every))
    row("mean logit difference", *(f"{r.mean_abs_lsb:.3f} LSB" for r in every))
    row("largest logit difference", *(f"{r.max_abs_lsb:.2f} LSB" for r in every))
    own = result.onnxruntime
    if own is not None:
        apart = f"{own.plain:.3f} LSB"
        row("onnxruntime from the definition", apart)
        row("onnxruntime, optimised, from it", f"{own.optimised:.3f} LSB")
    for name in result.outputs:
        mine = [r.outputs[name] for r in every]
        row(
            f"{name}: same answer",
            *(f"{100 * r.top1_agreement:.2f} %" for r in mine),
        )
        row(f"{name}: mean difference", *(f"{r.mean_abs_lsb:.3f} LSB" for r in mine))
        row(f"{name}: largest", *(f"{r.max_abs_lsb:.2f} LSB" for r in mine))
        right = result.outputs[name].accuracy_onnx
        if right is not None:
            row(f"{name}: accuracy, onnxruntime", f"{100 * right:.2f} %")
            found = (r.accuracy_int or 0 for r in mine)
            row(f"{name}: accuracy, integer", *(f"{100 * a:.2f} %" for a in found))
    if result.accuracy_onnx is not None:
        row("accuracy, onnxruntime", f"{100 * result.accuracy_onnx:.2f} %")
        row("accuracy, integer", *(f"{100 * (r.accuracy_int or 0):.2f} %" for r in every))
    if fused:
        params = [fused[0].params[0], *(f.params[1] for f in fused)]
        row("attention parameters", *(f"{n:,}" for n in params))
    return table


def with_notes(table: RenderableType, notes: Sequence[str]) -> RenderableType:
    """What the importer decided, under a table."""
    return Group(table, *(Text(f"note: {note}") for note in notes))


def layers_table(layers: list[LayerDifference], whole: RenderableType) -> RenderableType:
    """Differences in steps of each layer's output; the largest of a layer alone is marked."""
    table = _table("layer", "operator", ">mean LSB", ">largest", ">by itself", "tensor")
    worst = max((x.own_mean_abs_lsb or 0 for x in layers), default=0)
    for x in layers:
        own = "-" if x.own_mean_abs_lsb is None else f"{x.own_mean_abs_lsb:.3f}"
        marked = worst > 0 and x.own_mean_abs_lsb == worst
        means = f"{x.mean_abs_lsb:.3f}", f"{x.max_abs_lsb:.1f}"
        tensor = x.tensor.removesuffix("_DequantizeLinear_Output")
        table.add_row(x.name, x.op, *means, own, tensor, style="yellow" if marked else None)
    return Group(table, Text(), whole)


def quantised_tables(result: Quantised) -> RenderableType:
    """The noise that each layer adds; the noisiest is marked."""
    table = _table("layer", "operator", ">signal to noise", ">lost here")
    worst = max((x.lost_db for x in result.layers[1:]), default=0.0)
    for x in result.layers:
        lost = f"{x.lost_db:.1f} dB" if 0 < x.lost_db < 60 else ""
        style = "yellow" if x.lost_db == worst else None
        table.add_row(x.name, x.op, f"{x.snr_db:.1f} dB", lost, style=style)
    lines = [f"same answer (top 1) on {100 * result.top1_agreement:.2f} % of {result.samples}"]
    if result.accuracy_float is not None and result.accuracy_quantised is not None:
        before, after = (100 * a for a in (result.accuracy_float, result.accuracy_quantised))
        lines.append(f"accuracy: float {before:.2f} %, int8 {after:.2f} % (on the calibration set)")
    if result.left_out:
        lines.append(f"left in float (the device keeps 15 bits): {', '.join(result.left_out)}")
    lines.append(f"Created {result.output}")
    warned = [Text(f"warning: {w}", style="yellow") for w in result.warnings]
    return Group(table, Text(), *warned, Text("\n".join(lines)))


def run_table(result: RunResult) -> RenderableType:
    rows: list[RenderableType] = []
    if result.counter:
        estimated = [c.cycles for c in result.layers if c.cycles is not None]
        more = (">cycles, estimated",) if estimated else ()
        table = _table("layer", "operator", f">{result.counter}", ">share", *more)
        for c in result.layers:
            share = f"{100 * c.count / result.total:.1f} %" if c.count and result.total else ""
            cycles = [_number(c.cycles)] if estimated else []
            table.add_row(c.name, c.op, _number(c.count), share, *cycles)
        cycles = [_number(sum(estimated))] if estimated else []
        table.add_row("total", "", _number(result.total), "", *cycles, style="bold")
        rows += [table, Text()]
    style = "green" if result.passed else "bold red"
    rows.append(
        Text(f"{result.matching}/{result.samples} samples bit-equal on {result.on}", style=style)
    )
    if result.mismatch:
        m = result.mismatch
        rows.append(
            Text(f"first difference: sample {m.sample}, output {m.at}: {m.got}, not {m.promised}")
        )
    for a in result.answers:
        of = f"{a.name}: " if a.name else ""
        if a.accuracy is not None:
            share = f"{a.correct}/{a.labelled} ({100 * a.accuracy:.2f} %)"
            rows.append(Text(f"{of}correct on the labelled samples {share}"))
        elif a.name:
            rows.append(Text(f"{of}answers {_first(a.given)}"))
    if result.note:
        rows.append(Text(f"note: {result.note}", style="yellow"))
    if result.on == "chip":
        rows.append(Text(f"image {result.elf}"))
    stack = "" if result.stack is None else f", stack {size(result.stack)}"
    rows.append(
        Text(
            f"arena {size(result.arena_bytes)}, flash {size(result.flash_bytes)}{stack}; "
            f"compiled with {result.compiler}"
        )
    )
    return Group(*rows)


def _first(answers: Sequence[int], count: int = 16) -> str:
    more = f" and {len(answers) - count} more" if len(answers) > count else ""
    return " ".join(str(a) for a in answers[:count]) + more


def imported(board: Board, path: Path) -> RenderableType:
    """A board that was imported, and how to use it."""
    table = _table("memory", ">address", ">size", "section")
    for r in board.memory:
        table.add_row(r.name, f"0x{r.base:08x}", size(r.size), r.section or "default")
    use = Text(f"\nWrote {path}; use it: tinygen new --board {for_shell(path)}")
    return Group(boards_table([board]), Text(), table, use)


def profile_table(profile: Profile) -> RenderableType:
    """Measured beside predicted."""
    rows: list[RenderableType] = []
    if profile.counter:
        chip = (">counted on the chip's model",) if profile.counted else ()
        table = _table("layer", "operator", *chip, f">{profile.counter}", ">predicted", ">ratio")
        counts = profile.counted or [None] * len(profile.layers)
        for c, guess, count in zip(profile.layers, profile.predicted, counts, strict=True):
            table.add_row(c.name, c.op, *[_number(count)] * len(chip), *_beside(c.count, guess))
        known = [p for p in profile.predicted if p is not None]
        guess = sum(known) if len(known) == len(profile.layers) else None
        whole = [_number(sum(n or 0 for n in counts))] * len(chip)
        table.add_row("total", "", *whole, *_beside(profile.total, guess), style="bold")
        rows += [table, Text()]
    style = "green" if profile.passed else "bold red"
    verdict = f"{profile.matching}/{profile.samples} samples bit-equal on {profile.board}"
    rows.append(Text(verdict, style=style))
    if profile.mismatch:
        m = profile.mismatch
        rows.append(
            Text(f"first difference: sample {m.sample}, output {m.at}: {m.got}, not {m.promised}")
        )
    if profile.accuracy is not None:
        rows.append(Text(f"accuracy on the labelled samples {100 * profile.accuracy:.2f} %"))
    if profile.milliseconds is not None:
        rows.append(Text(f"one inference {profile.milliseconds:.3g} ms"))
    return Group(*rows)


def _number(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"


def _beside(measured: int | None, predicted: int | None) -> tuple[str, str, str]:
    ratio = f"{measured / predicted:.2f}" if measured and predicted else ""
    shown = ["-" if n is None else f"{n:,}" for n in (measured, predicted)]
    return shown[0], shown[1], ratio


def updated_text(updated: Updated) -> RenderableType:
    """What `tinygen update` did."""
    lines = [f"Updated {updated.folder}: {len(updated.written)} files written"]
    lines += [f"  kept, edited by you: {name}" for name in updated.kept]
    lines += [f"  removed: {name}" for name in updated.removed]
    lines += [f"Note: {updated.note}"] if updated.note else []
    return Text("\n".join(lines))


def doctor_table(checks: list[Check]) -> RenderableType:
    table = _table("", "tool", "found", "for", "remedy")
    for c in checks:
        if c.found:
            mark, remedy = Text("ok", style="green"), ""
        elif c.instead:
            mark, remedy = Text("ok", style="green"), f"not needed: {c.instead}"
        else:
            mark, remedy = Text("missing", style="yellow"), c.remedy
        table.add_row(mark, c.name, c.found or "-", c.needed_for, remedy)
    return table


def next_steps(created: Created) -> RenderableType:
    """The commands that follow `tinygen new`."""
    board = created.plan.board
    lines = [
        "",
        f"Created {created.folder} with {created.samples} "
        + ("labelled samples" if created.labelled else "samples")
        + " and the outputs promised for them.",
    ]
    emulation = board.emulation
    if created.template == "zephyr-module":
        lines.append(f"Next: see {created.folder / 'README.md'}")
    elif emulation.host or emulation.qemu_machine or emulation.unicorn_cpu:
        lines.append(f"Next: tinygen run {for_shell(created.folder)}")
    elif emulation.chip and board.zephyr and created.template == "zephyr":
        build = f"west build -b {board.zephyr.board} && west flash"
        lines.append(f"Next: cd {for_shell(created.folder)} && tinygen run . && {build}")
    elif board.zephyr and created.template == "zephyr":
        build = f"west build -b {board.zephyr.board} && west flash"
        lines.append(f"Next: cd {for_shell(created.folder)} && {build}")
    else:
        lines.append(f"Next: see {created.folder / 'README.md'}")
    return Text("\n".join(lines))
