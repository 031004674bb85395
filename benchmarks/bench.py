# SPDX-License-Identifier: Apache-2.0
"""Instructions of whole attention layers on Cortex-M4 and M7, exact, beside other libraries.

    python benchmarks/bench.py            both cores; compare with counts.json, fail over +1 %
    python benchmarks/bench.py --update   write counts.json and the tables of README.md

Conditions: GCC -O3, QEMU (-icount shift=8, CMSDK timer, an empty bracket subtracted), one layer
with its four projections, softmax and biases, per-channel multipliers, zero points other than 0,
output bit-equal to tinygen.reference. The parts come from a block profile in Unicorn, whose total
must be QEMU's. LDM, STM, LDRD, STRD, PUSH and POP count once a word.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import chart
import cycles
from graphs import GraphBuilder
from tinygen.numeric import Requant
from tinygen.operators import Add, Attention, Fusion, LayerNorm, Linear, Lut
from tinygen.operators.attention.layer import pack_project
from tinygen.passes import fuse
from tinygen.targets import PackedLinear, get_target

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CORES = {"cortex-m7": "mps2-an500", "cortex-m4": "mps2-an386"}
TARGET = "armv7em"
SHAPES = ((81, 32, 32, 8), (66, 16, 2, 8), (5, 32, 32, 8), (64, 64, 64, 4))
FORMS: tuple[Fusion, ...] = ("fused-scores", "fused")
PARTS = ("qkv", "scores", "softmax", "context", "out")
BASELINES = {  # shape -> core -> contender -> instructions: shared measurements, July 2026
    (81, 32, 32, 8): {
        "cortex-m7": {"cmsis_tflm": 45274462, "cmsis_best": 42573321, "paper": 15490948},
        "cortex-m4": {"cmsis_tflm": 44952662, "cmsis_best": 42310172, "paper": 15608948},
    },
    (66, 16, 2, 8): {
        "cortex-m7": {"cmsis_tflm": 21303064, "cmsis_best": 20670400, "paper": 3209076},
        "cortex-m4": {"cmsis_tflm": 20947688, "cmsis_best": 20353059, "paper": 3186012},
    },
    (5, 32, 32, 8): {
        "cortex-m7": {"cmsis_tflm": 782062, "cmsis_best": 772014, "paper": 722818},
        "cortex-m4": {"cmsis_tflm": 784870, "cmsis_best": 775233, "paper": 729212},
    },
    (64, 64, 64, 4): {
        "cortex-m7": {"cmsis_tflm": 22931396, "cmsis_best": 21414397, "paper": 12704658},
        "cortex-m4": {"cmsis_tflm": 22955428, "cmsis_best": 21479528, "paper": 12848956},
    },
}


def macs(shape: tuple[int, ...]) -> int:
    s, e, p, h = shape
    return s * h * p * (4 * e + 2 * s)


# -- the layer as C --------------------------------------------------------------------------------


def array(name: str, data: NDArray[Any], ctype: str) -> str:
    words = np.frombuffer(data.tobytes() + bytes(-data.nbytes % 4), np.uint32)
    body = ",".join(f"{w}u" for w in words)
    return (
        f"static const uint32_t {name}_words[] = {{{body}}};\n"
        f"#define {name} ((const {ctype} *){name}_words)\n"
    )


def linear(name: str, packed: PackedLinear, n: int, k: int, r: Requant) -> tuple[str, str]:
    data = array(f"{name}_w", packed.w, "void")
    fields = [f".w = {name}_w_words"]
    for role in ("bias", "m"):
        values = getattr(packed, role)
        if len(values):
            data += array(f"{name}_{role}", values, "int32_t")
            fields.append(f".{role} = {name}_{role}")
    numbers = f".k = {k}, .n = {n}, .s = {r.s}, .zp = {r.zp}, .form = {packed.form}"
    return data, f"{{{', '.join(fields)}, {numbers}}}"


def layer_source(target_name: str, op: Attention, x: NDArray[np.int8]) -> str:
    target = get_target(target_name)
    s, e = x.shape
    h, p = op.heads, op.value_dim
    inner, n = h * p, len(op.wo)
    text = '#include "layer.h"\n#include "tinygen/attention.h"\n'
    parts, makers = {}, {}
    for which, w, r in (("q", op.wq, op.rq), ("k", op.wk, op.rk), ("v", op.wv, op.rv)):
        if len(w):
            data, parts[which] = linear(which, pack_project(target, op, which), len(w), e, r)
            text += data
            makers[which] = f"project_{which}_s8(&op, input, {s}, {e}, 0, {h}, {which}, scratch)"
        else:
            parts[which] = f"{{.zp = {r.zp}}}"
            makers[which] = f"load_{which}_s8(&op, input, {s}, {e}, {which})"
    data, parts["o"] = linear("o", target.pack_linear(op.wo, op.bo, op.ro), n, inner, op.ro)
    text += data + array("exponents", target.pack_exp(op.exp_table), "uint16_t")
    text += array("input", x, "int8_t")
    expected = op.reference([x])
    c = op.context
    members = ", ".join(f".{w} = {parts[w]}" for w in "qkvo")
    scratch = max(
        target.project_scratch(op.dim, op.wq.shape[1], s),
        target.attend_scratch(op.dim, s, s),
        target.linear_scratch(n, inner, s),
    )

    def buffer(name: str, size: int) -> str:
        return f"static uint32_t {name}[{-(-size // 4)}];\n"

    text += (
        f"const int8_t bench_expected[] = {{{','.join(map(str, expected.reshape(-1)))}}};\n"
        "int8_t bench_output[BENCH_OUTPUT];\n"
        f"static const tg_attention_t op = {{{members}, .heads = {h}, .dim = {op.dim}, "
        f".value_dim = {p}, .score_m = {int(op.score.m[0])}, .score_s = {op.score.s}, "
        f".score_zp = {op.score.zp}, "
        f".exp_table = (const uint16_t *)exponents_words, .context_mult = {c.mult}, "
        f".context_frac = {c.frac}, .context_s = {c.s}, .context_offset = {c.offset}}};\n"
    )
    k_heads, v_heads = (1 if one else h for one in (op.keys_are_x, op.values_are_x))
    text += buffer("q", target.q_bytes(op.dim, h, s))
    text += buffer("k", target.k_bytes(op.dim, k_heads, s))
    text += buffer("v", target.v_bytes(op.value_dim, v_heads, s))
    text += buffer("scratch", max(scratch, 4))
    text += buffer("context", s * inner)
    q_step = target.q_bytes(op.dim, 1, s)
    k_step = 0 if op.keys_are_x else target.k_bytes(op.dim, 1, s)
    v_step = 0 if op.values_are_x else target.v_bytes(op.value_dim, 1, s)
    text += f"""
void bench_run(void) {{
  tg_attention_{makers["k"]};
  tg_attention_{makers["v"]};
  tg_attention_{makers["q"]};
  for (int32_t i = 0; i < {h}; i++)
    tg_attention_attend_s8(&op, (uint8_t *)q + i * {q_step}, (uint8_t *)k + i * {k_step},
                           (uint8_t *)v + i * {v_step}, {s}, {s}, (int8_t *)context + i * {p},
                           {inner}, scratch);
  tg_linear_s8(&op.o, (int8_t *)context, {s}, {inner}, bench_output, {n}, scratch);
}}
"""
    return text


def bench_layer(shape: tuple[int, int, int, int], fusion: Fusion) -> tuple[Attention, Any, Any]:
    """A random layer, its input, and the mean error in LSB of its output against its dequantised
    weights in real arithmetic (None unless fused: then unfused and fused)."""
    s, e, p, h = shape
    builder = GraphBuilder((s, e), seed=1)
    op = builder.attention(e, p, h)
    x = builder.int8(s, e)
    if fusion == "unfused":
        return op, x, None
    half = 1 << (op.context.s - 33)  # contexts of the builder's layers round down
    builder.add("layer", replace(op, context=replace(op.context, offset=half)))
    made = fuse(builder.graph(), {"layer": fusion}, [builder.int8(s, e) for _ in range(16)])
    fused = made.graph.nodes[0].op
    assert isinstance(fused, Attention)
    return fused, x, made.errors["layer"]


def layer_header(size: int) -> str:
    return (
        "#include <stdint.h>\n"
        f"#define BENCH_OUTPUT {size}\n"
        "extern const int8_t bench_expected[BENCH_OUTPUT];\n"
        "extern int8_t bench_output[BENCH_OUTPUT];\nvoid bench_run(void);\n"
    )


def operator_source(target_name: str, op: Any, inputs: list[NDArray[np.int8]]) -> str:
    """A linear layer, LayerNorm, residual or table by itself."""
    target = get_target(target_name)
    text = '#include "layer.h"\n#include "tinygen/add.h"\n#include "tinygen/lut.h"\n'
    text += '#include "tinygen/layernorm.h"\n#include "tinygen/linear.h"\n'
    for name, x in zip("xz", inputs, strict=False):
        text += array(f"input_{name}", x, "int8_t")
    rows, width = inputs[0].shape
    expected = op.reference(inputs)
    text += f"const int8_t bench_expected[] = {{{','.join(map(str, expected.reshape(-1)))}}};\n"
    text += "int8_t bench_output[BENCH_OUTPUT];\n"
    match op:
        case Linear():
            packed = target.pack_linear(op.weight, op.bias, op.requant)
            data, fields = linear("op", packed, *op.weight.shape, op.requant)
            text += data
            if op.table is not None:
                text += array("op_table", op.table, "int8_t")
                fields = fields[:-1] + ", .table = (const int8_t *)op_table_words}"
            n, k = op.weight.shape
            text += f"static const tg_linear_t op = {fields};\n"
            text += f"static uint32_t scratch[{target.linear_scratch(n, k, rows) // 4 + 1}];\n"
            call = f"tg_linear_s8(&op, input_x, {rows}, {k}, bench_output, {n}, scratch)"
        case LayerNorm():
            text += array("norm_gamma", op.gamma.astype(np.int16), "int16_t")
            text += array("norm_beta", op.beta, "int32_t")
            text += (
                "static const tg_layernorm_t op = {.gamma = (const int16_t *)norm_gamma_words, "
                f".beta = (const int32_t *)norm_beta_words, .eps = {op.eps_term}, "
                f".features = {width}, "
                f".frac = {op.frac}, .s = {op.s}}};\n"
            )
            call = f"tg_layernorm_s8(&op, input_x, {rows}, {width}, bench_output, {width})"
        case Add():
            text += f"static const tg_add_t op = {{{op.ma}, {op.mb}, {op.c}, {op.s}}};\n"
            call = f"tg_add_s8(&op, input_x, input_z, {rows * width}, bench_output)"
        case Lut():
            text += array("op_table", op.table, "int8_t")
            call = f"tg_lut_s8(op_table, input_x, {rows * width}, bench_output)"
    return text + f"void bench_run(void) {{\n  {call};\n}}\n"


def build(
    target_name: str, core: str, source: str, size: int, operators: Sequence[str], folder: Path
) -> Path:
    (folder / "layer.c").write_text(source)
    (folder / "layer.h").write_text(layer_header(size))
    kernels = ROOT / "kernels"
    target = get_target(target_name)
    sources = sorted({str(kernels / "src" / f) for o in operators for f in target.sources(o)})
    elf = folder / "layer.elf"
    command = [
        "arm-none-eabi-gcc",
        f"-mcpu={core}",
        "-mthumb",
        "-mfloat-abi=hard",
        "-O3",
        "-std=c11",
    ]
    command += ["-ffreestanding", "-fomit-frame-pointer", "-nostdlib", "-Wl,-n", "-Wl,-e,0"]
    command += [f"-I{kernels / 'include'}", f"-I{kernels / 'src'}", f"-I{folder}"]
    command += ["-T", str(HERE / "mps2.ld"), *sources, str(folder / "layer.c")]
    command += [str(HERE / "firmware.c"), "-lgcc", "-o", str(elf)]
    subprocess.run(command, check=True)
    return elf


# -- counting --------------------------------------------------------------------------------------


def count_qemu(elf: Path, core: str) -> int:
    """Instructions of bench_run; its output must be the reference's."""
    command = ["qemu-system-arm", "-M", CORES[core], "-icount", "shift=8", "-display", "none"]
    command += ["-monitor", "none", "-serial", "none", "-chardev", "stdio,id=c"]
    command += ["-semihosting-config", "enable=on,target=native,chardev=c", "-kernel", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{elf}: exit status {done.returncode} {done.stderr}")
    wrong, took, empty = map(int, done.stdout.split())
    if wrong:
        raise RuntimeError(f"{core}: {wrong} bytes of the output differ from the reference")
    return round((took - empty) * 5 / 32)


@dataclass
class Code:
    """What objdump says of an ELF."""

    at: dict[int, tuple[int, cycles.Instruction]]
    symbols: dict[str, int]

    def block(self, address: int, size: int) -> list[cycles.Instruction]:
        found, end = [], address + size
        while address < end:
            length, instruction = self.at[address]
            found.append(instruction)
            address += length
        return found


def disassemble(elf: Path) -> Code:
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-d", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    at, symbols = {}, {}
    for line in text.splitlines():
        if m := re.match(r"([0-9a-f]{8}) <(\w+)>:", line):
            symbols[m[2]] = int(m[1], 16)
        elif m := re.match(r" +([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)\s*([^@;<]*)", line):
            length = len(m[2].replace(" ", "")) // 2
            name = re.sub(r"\.[wn]$", "", m[3])
            at[int(m[1], 16)] = (length, cycles.Instruction(name, m[4].strip()))
    return Code(at, symbols)


def profile(elf: Path, core: str, code: Code) -> Counter[tuple[str, int, int, bool]]:
    """(part, block, size, taken) -> executions, within bench_run."""
    import unicorn as uc
    from elftools.elf.elffile import ELFFile
    from unicorn import arm_const

    machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm_const, "UC_CPU_ARM_" + core.upper().replace("-", "_")))
    for base, size in (
        (0, 1 << 22),
        (0x20000000, 1 << 22),
        (0x40000000, 0x1000),
        (0xE000E000, 0x1000),
    ):
        machine.mem_map(base, size)
    with elf.open("rb") as f:
        for segment in ELFFile(f).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                machine.mem_write(segment["p_paddr"], segment.data())
    symbols = code.symbols
    epilogue_part = {}
    for name, address in symbols.items():
        for kind, part in (("score", "scores"), ("raw16", "scores"), ("context", "context")):
            if re.fullmatch(rf"tg_{kind}_\d", name):
                epilogue_part[address | 1] = part
    entries = {
        **{
            a: "qkv"
            for n, a in symbols.items()
            if n.startswith(("tg_attention_project_", "tg_attention_load_"))
        },
        symbols["tg_attention_attend_s8"]: "softmax",
        symbols["tg_linear_s8"]: "out",
    }
    tiles = {symbols[f"tg_attend_{r}"] for r in (1, 2, 4)}
    start = symbols["tg_attention_attend_s8"]
    end = min((a for a in symbols.values() if a > start), default=start)
    within = range(start, end)
    first, last = symbols["bench_run"], symbols["finished"]
    counts: Counter[tuple[str, int, int, bool]] = Counter()
    state: dict[str, Any] = {"part": None, "block": None}

    def on_block(machine: Any, address: int, size: int, _: object) -> None:
        part, block = state["part"], state["block"]
        if block is not None:
            counts[part, block[0], block[1], address != block[0] + block[1]] += 1
            state["block"] = None
        if address == first:
            part = "qkv"
        elif address == last:
            part = None
        elif part is None:
            return
        elif address in entries:
            part = entries[address]
        elif address in tiles:
            sp = machine.reg_read(arm_const.UC_ARM_REG_SP)
            epilogue = int.from_bytes(machine.mem_read(sp + 8, 4), "little")
            part = epilogue_part[epilogue]
        elif address in within:
            part = "softmax"
        state["part"] = part
        if part is not None:
            state["block"] = (address, size)

    machine.hook_add(uc.UC_HOOK_BLOCK, on_block)
    stack, reset = np.frombuffer(bytes(machine.mem_read(0, 8)), "<u4")
    machine.reg_write(arm_const.UC_ARM_REG_SP, int(stack))
    machine.emu_start(int(reset) | 1, last)
    return counts


def measure(
    target_name: str, core: str, shape: tuple[int, int, int, int], fusion: Fusion = "unfused"
) -> dict[str, Any]:
    s = shape[0]
    op, x, error = bench_layer(shape, fusion)
    operators = ("attention",) if error is None else ("attention", "attention_load")
    with tempfile.TemporaryDirectory() as name:
        source = layer_source(target_name, op, x)
        elf = build(target_name, core, source, s * len(op.wo), operators, Path(name))
        counted = count_qemu(elf, core)
        code = disassemble(elf)
        blocks = profile(elf, core, code)
    unique = {key: code.block(*key) for key in {(b[1], b[2]) for b in blocks}}
    plain = sum(n * len(unique[b[1], b[2]]) for b, n in blocks.items())
    # QEMU's bracket also holds the call and the return.
    if abs(plain - counted) > 8:
        raise RuntimeError(f"{shape}: QEMU counts {counted}, the block profile {plain}")
    parts: Counter[str] = Counter()
    extra = 0
    model_b = {"cortex-m7": cycles.m7, "cortex-m4": cycles.m4}[core]
    keys = sorted(unique)
    model_a = cycles.mca([unique[k] for k in keys], core)
    a_of = dict(zip(keys, model_a, strict=True)) if model_a else None
    total_a = total_b = 0.0
    for (part, address, size, taken), n in blocks.items():
        block = unique[address, size]
        words = sum(max(i.words - 1, 0) for i in block)
        extra += n * words
        parts[part] += n * (len(block) + words)
        total_b += n * model_b(block, taken)
        total_a += n * a_of[address, size] if a_of else 0
    return {
        "shape": list(shape),
        "fused": False if fusion == "unfused" else fusion,
        "params": op.wq.size + op.wk.size + op.wv.size + op.wo.size,
        "error_lsb": error,
        "insn": counted + extra,
        "ldm_words": extra,
        "cycles_a": round(total_a) if a_of else None,
        "cycles_b": round(total_b),
        "parts": {part: parts[part] for part in PARTS},
    }


def measure_operators(target_name: str, core: str) -> dict[str, tuple[int, int]]:
    """What -> (instructions, elements or MACs) of the other operators of an encoder block."""
    b = GraphBuilder((1, 1), seed=2)
    found = {}

    def one(what: str, op: Any, inputs: list[NDArray[np.int8]], per: int) -> None:
        kind = type(op).__name__.lower()
        size = op.reference(inputs).size
        with tempfile.TemporaryDirectory() as name:
            source = operator_source(target_name, op, inputs)
            found[what] = (
                count_qemu(build(target_name, core, source, size, (kind,), Path(name)), core),
                per,
            )

    for s, e in ((66, 16), (81, 32), (64, 64)):
        one(f"layernorm {s}x{e}", b.norm(e), [b.int8(s, e)], s * e)
    s, e = 64, 64
    one("residual 64x64", Add(2600000 >> 1, 900000, 5 << 20, 21), [b.int8(s, e)] * 2, s * e)
    one("table 64x64", Lut(b.table()), [b.int8(s, e)], s * e)
    one(
        "feed-forward 64x64 -> 128, GELU", b.linear(128, e, table=True), [b.int8(s, e)], s * e * 128
    )
    one("feed-forward 64x128 -> 64", b.linear(e, 128), [b.int8(s, 128)], s * e * 128)
    one(
        "feed-forward 64x64 -> 256, GELU", b.linear(256, e, table=True), [b.int8(s, e)], s * e * 256
    )
    one("feed-forward 64x256 -> 64", b.linear(e, 256), [b.int8(s, 256)], s * e * 256)
    return found


def operator_table(title: str, found: dict[str, tuple[int, int]]) -> str:
    text = [f"**{title}**\n", "| operator | instructions | an element or MAC |", "|---|--:|--:|"]
    text += [f"| {what} | {n:,} | {n / per:.2f} |" for what, (n, per) in found.items()]
    return "\n".join(text) + "\n"


# -- reporting -------------------------------------------------------------------------------------


def table(title: str, core: str, rows: list[dict[str, Any]]) -> str:
    text = [
        f"**{title}**\n",
        "| S, E, P, H | instructions | a MAC | QKV | scores | softmax (an element) | context "
        "| output | cycles a | cycles b | CMSIS-NN best | TFLite-Micro's calls | paper's kernels |",
        "|---|" + "--:|" * 12,
    ]
    for row in rows:
        shape = tuple(row["shape"])
        parts, base = row["parts"], BASELINES[shape][core]
        elements = shape[0] * shape[0] * shape[3]
        cells = [
            ", ".join(map(str, shape)),
            f"{row['insn']:,}",
            f"{row['insn'] / macs(shape):.2f}",
            *(f"{parts[part]:,}" for part in ("qkv", "scores")),
            f"{parts['softmax']:,} ({parts['softmax'] / elements:.1f})",
            *(f"{parts[part]:,}" for part in ("context", "out")),
            f"{row['cycles_a']:,}" if row["cycles_a"] else "-",
            f"{row['cycles_b']:,}",
            *(
                f"{base[c]:,} ({base[c] / row['insn']:.1f}x)"
                for c in ("cmsis_best", "cmsis_tflm", "paper")
            ),
        ]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def fused_table(title: str, rows: list[dict[str, Any]], fused: list[dict[str, Any]]) -> str:
    """fused: for each of the rows, its forms in the order of FORMS."""
    text = [
        f"**{title}, fused weights**\n",
        "| S, E, P, H | unfused | " + " | ".join(FORMS) + " | parameters | mean error, LSB |",
        "|---|" + "--:|" * (3 + len(FORMS)),
    ]
    for i, row in enumerate(rows):
        mine = fused[len(FORMS) * i : len(FORMS) * (i + 1)]
        gains = (f"{f['insn']:,} ({100 * (f['insn'] / row['insn'] - 1):+.0f} %)" for f in mine)
        errors = [mine[0]["error_lsb"][0], *(f["error_lsb"][1] for f in mine)]
        cells = [
            ", ".join(map(str, row["shape"])),
            f"{row['insn']:,}",
            *gains,
            " / ".join(f"{f['params']:,}" for f in (row, *mine)),
            " / ".join(f"{e:.2f}" for e in errors),
        ]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def regressions(found: dict[str, Any], recorded: dict[str, Any]) -> list[str]:
    """Counts that grew by more than 1 %."""
    return [
        f"{core} {shape}: {count:,} instructions, recorded {recorded[core][shape]:,}"
        for core, shapes in found.items()
        for shape, count in shapes.items()
        if shape in recorded.get(core, {}) and count > 1.01 * recorded[core][shape]
    ]


def between(page: Path, what: str, body: str) -> None:
    """Replace what stands between two comments of a page."""
    begin, end = f"<!-- {what} -->\n", f"<!-- end of {what} -->\n"
    text = page.read_text()
    page.write_text(text.split(begin)[0] + begin + body + end + text.split(end)[1])


def update_front_page(found: dict[str, dict[str, int]]) -> None:
    """The README's table and its chart, docs/speed.svg."""
    rows, bars = [], {}
    for shape in SHAPES:
        name, key = ", ".join(map(str, shape)), "x".join(map(str, shape))
        counts = {core: found[core][key] for core in CORES}
        base = BASELINES[shape]["cortex-m7"]
        rows.append((name, {**base, **counts, "macs": macs(shape)}))
        bars[name] = {
            "tinygen": counts["cortex-m7"],
            "the paper's kernels": base["paper"],
            "CMSIS-NN": base["cmsis_best"],
        }
    between(ROOT / "README.md", "speed", chart.summary(rows))
    title = "Instructions of one int8 attention layer, Cortex-M7, logarithmic"
    title += " (tokens, features, a head, heads)"
    (ROOT / "docs" / "speed.svg").write_text(chart.chart(bars, title))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write counts.json and README.md")
    parser.add_argument("--core", choices=CORES, action="append")
    options = parser.parse_args()
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if not shutil.which(tool):
            print(f"bench: {tool} is not installed", file=sys.stderr)
            return 1
    (HERE / "out").mkdir(exist_ok=True)
    found, tables = {}, []
    for core in options.core or CORES:
        rows = [measure(TARGET, core, shape) for shape in SHAPES]
        fused = [measure(TARGET, core, shape, form) for shape in SHAPES for form in FORMS]
        (HERE / "out" / f"{core}.json").write_text(json.dumps(rows + fused, indent=1) + "\n")
        found[core] = {"x".join(map(str, row["shape"])): row["insn"] for row in rows}
        for row in fused:
            found[core][f"{'x'.join(map(str, row['shape']))} {row['fused']}"] = row["insn"]
        others = measure_operators(TARGET, core)
        found[core] |= {name: n for name, (n, _) in others.items()}
        made = [
            table(core, core, rows),
            fused_table(core, rows, fused),
            operator_table(core, others),
        ]
        tables += made
        print("\n".join(made))
    counts = HERE / "counts.json"
    if options.update:
        counts.write_text(json.dumps(found, indent=1) + "\n")
        between(HERE / "README.md", "tables", "\n".join(tables))
        if not options.core:
            update_front_page(found)
        return 0
    worse = regressions(found, json.loads(counts.read_text())) if counts.exists() else []
    for line in worse:
        print(f"bench: more than 1 % slower: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
