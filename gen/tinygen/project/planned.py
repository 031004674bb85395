# SPDX-License-Identifier: Apache-2.0
"""A graph, a board and samples -> the plan, with fused attention weights where they win."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.fidelity import FusedModel, Progress, fuse_within, load_samples, shortened
from tinygen.graph import Graph
from tinygen.planner import FusionForm, Options, Plan, fusion_forms, make_plan, smallest, wanted
from tinygen.project.offer import with_offer

Forms = Mapping[str, tuple[FusionForm, ...]]
NO_SAMPLES = "no samples to choose scales on (--samples)"


@dataclass(frozen=True, eq=False)
class Planned:
    """graph: what the plan computes, the model itself or with fused weights."""

    graph: Graph
    plan: Plan


def plan_model(
    graph: Graph,
    board: Board,
    options: Options,
    samples: Path | None,
    progress: Progress | None = None,
) -> Planned:
    """Plan the model as it is and, where the cost model or the user asks for fused weights, with
    them: they are taken if samples show no loss beyond the bounds of `tinygen.fidelity.fusion`, the
    plan fits, and it is predicted to be faster.

    With options.short, of the model with short arithmetic; without, a note says what that would
    gain on boards where it does. Raises `TinygenError` if nothing fits,
    or if fused weights were asked for and cannot be had.
    """
    if options.short:
        graph = shortened(graph, samples)
    planned = _planned(graph, board, options, samples, progress)
    if samples is None:
        return planned
    return replace(planned, plan=with_offer(planned.plan, planned.graph, board, options, samples))


def _planned(
    graph: Graph,
    board: Board,
    options: Options,
    samples: Path | None,
    progress: Progress | None,
) -> Planned:
    forms: Forms = fusion_forms(graph, board, options.fusion)
    if wanted(forms) and options.fusion is not None:
        return _as_asked(graph, board, options, forms, samples, progress)
    plain = _try(graph, board, options)
    if isinstance(plain, TinygenError) and not wanted(forms) and options.fusion is None:
        forms = smallest(forms)  # it may fit with fewer parameters
    if samples is None:
        forms = _refused(forms, dict.fromkeys(forms, NO_SAMPLES))
    if samples is None or not wanted(forms):
        return _plain(graph, plain, forms)
    made = _fuse(graph, forms, samples, options, progress)
    forms = _refused(_measured(forms, made), made.refused)
    if not wanted(forms):
        return _plain(graph, plain, forms)
    fused = _try(made.graph, board, options)
    if isinstance(fused, TinygenError):
        return _plain(graph, plain, _refused(forms, dict.fromkeys(forms, "no such plan fits")))
    if not isinstance(plain, TinygenError) and (fused.cycles or 0) >= (plain.cycles or 0):
        return _plain(graph, plain, _refused(forms, dict.fromkeys(forms, "no faster as it fits")))
    return Planned(made.graph, _noted(fused, forms, made))


def _as_asked(
    graph: Graph,
    board: Board,
    options: Options,
    forms: Forms,
    samples: Path | None,
    progress: Progress | None,
) -> Planned:
    if samples is None:
        raise TinygenError(
            f"--attention {options.fusion} needs --samples: the scales of fused weights are "
            "chosen on them, and their accuracy is measured"
        )
    made = _fuse(graph, forms, samples, options, progress)
    for name, reason in made.refused.items():
        raise TinygenError(
            f"{graph.name}: node {name} is refused fused weights, because {reason}: use "
            "--attention unfused, or give other samples"
        )
    plan = make_plan(made.graph, board, options)
    return Planned(made.graph, _noted(plan, _measured(forms, made), made))


def _fuse(
    graph: Graph, forms: Forms, samples: Path, options: Options, progress: Progress | None
) -> FusedModel:
    x, y = load_samples(samples, graph)
    return fuse_within(graph, wanted(forms), x, y, progress, options.short)


def _try(graph: Graph, board: Board, options: Options) -> Plan | TinygenError:
    try:
        return make_plan(graph, board, options)
    except TinygenError as error:
        return error


def _plain(graph: Graph, plan: Plan | TinygenError, forms: Forms) -> Planned:
    if isinstance(plan, TinygenError):
        raise plan
    return Planned(graph, replace(plan, fusion=forms))


def _refused(forms: Forms, reasons: Mapping[str, str]) -> Forms:
    """Unfused after all, for these reasons."""
    made = {}
    for name, every in forms.items():
        if name in reasons and wanted({name: every}):
            every = tuple(
                replace(f, chosen=f.fusion == "unfused", why=reasons[name] if f.chosen else f.why)
                for f in every
            )
        made[name] = every
    return made


def _measured(forms: Forms, made: FusedModel) -> Forms:
    """With the errors of what was made, and of the unfused layer."""

    def of(name: str, form: FusionForm) -> float | None:
        if name not in made.errors:
            return form.error_lsb
        before, after = made.errors[name]
        return after if form.chosen else before if form.fusion == "unfused" else None

    return {
        name: tuple(replace(f, error_lsb=of(name, f)) for f in every)
        for name, every in forms.items()
    }


def _noted(plan: Plan, forms: Forms, made: FusedModel) -> Plan:
    count = len(wanted(forms))
    before, after = (_params(forms, chosen) for chosen in (False, True))
    text = (
        f"fused weights in {count} attention layer{'s' * (count > 1)}: {after:,} parameters there "
        f"instead of {before:,}; {100 * made.top1_agreement:.1f} % of {made.samples} samples get "
        f"the same class, outputs differ by {made.mean_abs_lsb:.2f} LSB on average"
    )
    if made.accuracy_unfused is not None and made.accuracy_fused is not None:
        text += (
            f", accuracy {100 * made.accuracy_fused:.1f} % instead of "
            f"{100 * made.accuracy_unfused:.1f} %"
        )
    return replace(plan, fusion=forms, notes=(*plan.notes, text))


def _params(forms: Forms, chosen: bool) -> int:
    """Of the layers that are fused: as chosen, or as the model has them."""
    total = 0
    for name in wanted(forms):
        total += sum(
            f.params for f in forms[name] if (f.chosen if chosen else f.fusion == "unfused")
        )
    return total
