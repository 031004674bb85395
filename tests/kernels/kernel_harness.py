# SPDX-License-Identifier: Apache-2.0
"""Builds the driver for a machine, runs cases on it, compares every bit."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from kernel_cases import Case

from tinygen.targets import Target, every_kernel, get_target

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "kernels"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror")
INCLUDES = (f"-I{KERNELS / 'include'}", f"-I{KERNELS / 'src'}", f"-I{HERE}")
IN, OUT, MOST_IN, MOST_OUT = 0x20180000, 0x20300000, 0x180000, 0x100000


def target_sources(target: Target) -> list[str]:
    forms = [t for t in (target, target.compact()) if t is not None]
    files = {file for t in forms for kernel in every_kernel() for file in t.sources(kernel)}
    return [str(KERNELS / "src" / file) for file in sorted(files)]


def have_zig() -> bool:
    return find_spec("ziglang") is not None


def have_unicorn() -> bool:
    return find_spec("unicorn") is not None


def call(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    said = f"{done.stdout[-4000:]}{done.stderr[-8000:]}"
    assert done.returncode == 0, f"{' '.join(command)}\nexit status {done.returncode}\n{said}"


@dataclass(frozen=True)
class Machine:
    """Where kernels run: `run` takes the input stream and gives the output stream."""

    name: str
    target: Target
    run: Callable[[bytes], bytes]

    def check(self, cases: Sequence[Case]) -> list[int]:
        """Every case must be bit-equal to the reference; returns timer ticks of each."""
        stream = struct.pack("<i", len(cases)) + b"".join(c.stream for c in cases)
        words = memoryview(self.run(stream))
        at = 0

        def word() -> int:
            nonlocal at
            at += 4
            return int(struct.unpack_from("<i", words, at - 4)[0])

        counts = []
        for case in cases:
            counts.append(word())
            sizes = [word() for _ in range(word())]
            assert sizes == case.sizes, f"{case.note}: C sizes {sizes}, Python {case.sizes}"
            for i, want in enumerate(case.buffers):
                size = word()
                got = np.frombuffer(words[at : at + size], np.int8)
                at += (size + 3) // 4 * 4
                wrong = np.flatnonzero(got != want) if len(got) == len(want) else [-1]
                assert not len(wrong), (
                    f"{self.name}: {case.note}: buffer {i}, {len(wrong)} of {size} differ, first "
                    f"at {wrong[0]}: {got[wrong[0]]}, reference {want[wrong[0]]}"
                )
            assert word() == 0, f"{self.name}: {case.note}: wrote outside its buffers"
        assert at == len(words)
        return counts


def room(stream: bytes) -> int:
    return 4 * len(stream) + (1 << 16)


# -- the host, with sanitizers -------------------------------------------------------------------


DRIVER = HERE / "driver.c"


def build_host(target: Target, build: Path, driver: Path = DRIVER) -> Path:
    """driver: a C file that defines `run_cases`."""
    program = build / f"host_{target.name}_{driver.stem}"
    sanitize = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    sources = [*target_sources(target), str(driver), str(HERE / "main_host.c")]
    flags = ("-O1", "-g", "-DTG_HOST", *sanitize, *WARNINGS, *INCLUDES)
    call(["cc", *flags, *sources, "-o", str(program)])
    return program


def on_host(program: Path, stream: bytes, most_out: int) -> bytes:
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        paths = [str(Path(folder) / name) for name in ("in.bin", "out.bin")]
        Path(paths[0]).write_bytes(stream)
        call([str(program), *paths, str(most_out)])
        return Path(paths[1]).read_bytes()


@functools.cache
def host(target_name: str, build: Path) -> Machine:
    target = get_target(target_name)
    program = build_host(target, build)
    return Machine(
        f"host/{target_name}", target, lambda stream: on_host(program, stream, room(stream))
    )


# -- emulated cores ------------------------------------------------------------------------------

BOARDS = {  # core -> QEMU machine, GCC flags, Zig's name
    "cortex-m3": ("mps2-an385", ("-mcpu=cortex-m3", "-mfloat-abi=soft"), "cortex_m3"),
    "cortex-m4": ("mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard"), "cortex_m4"),
    "cortex-m7": ("mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard"), "cortex_m7"),
    "cortex-m0plus": ("", ("-mcpu=cortex-m0plus",), "cortex_m0plus"),
    "cortex-m33": ("", ("-mcpu=cortex-m33", "-mfloat-abi=hard"), "cortex_m33"),
}


def build_firmware(
    target: Target, core: str, compiler: str, build: Path, driver: Path = DRIVER
) -> Path:
    _, gcc_flags, zig_cpu = BOARDS[core]
    program = build / f"{target.name}_{core}_{compiler}_{driver.stem}.elf"
    common = [
        "-O3",
        *WARNINGS,
        *INCLUDES,
        "-ffreestanding",
        "-fno-unwind-tables",
        "-T",
        str(HERE / "mps2.ld"),
    ]
    if target.name == "portable":
        # The compiler itself may merge bytes into unaligned words; the sources must not.
        common += ["-DTG_TRAP_UNALIGNED", "-mno-unaligned-access"]
    sources = [*target_sources(target), str(driver), str(HERE / "main_mps2.c")]
    if compiler == "gcc":
        command = [
            "arm-none-eabi-gcc",
            *gcc_flags,
            "-mthumb",
            "-nostdlib",
            "-Wl,-n",
            *common,
            *sources,
            "-lgcc",
        ]
    else:
        abi = "eabihf" if core in ("cortex-m4", "cortex-m7", "cortex-m33") else "eabi"
        where = ["-target", f"thumb-freestanding-{abi}", f"-mcpu={zig_cpu}"]
        command = [sys.executable, "-m", "ziglang", "cc", *where, "-fno-sanitize=all"]
        command += [*common, *sources]
    call([*command, "-o", str(program)])
    return program


@functools.cache
def qemu(target_name: str, core: str, build: Path, compiler: str = "gcc") -> Machine:
    target = get_target(target_name)
    program = build_firmware(target, core, compiler, build)

    def run(stream: bytes) -> bytes:
        assert len(stream) <= MOST_IN and room(stream) <= 8 * MOST_OUT
        return in_qemu(program, core, stream)

    return Machine(f"qemu/{core}/{target_name}/{compiler}", target, run)


def in_qemu(program: Path, core: str, stream: bytes) -> bytes:
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        (Path(folder) / "in.bin").write_bytes(stream)
        command = ["qemu-system-arm", "-M", BOARDS[core][0], "-nographic", "-monitor", "none"]
        command += ["-serial", "none", "-icount", "shift=8", "-kernel", str(program)]
        command += ["-semihosting-config", "enable=on,target=native"]
        command += ["-device", f"loader,file=in.bin,addr={IN:#x},force-raw=on"]
        call(command, Path(folder))
        return (Path(folder) / "out.bin").read_bytes()


def load_elf(program: Path) -> tuple[list[tuple[int, bytes]], dict[str, int]]:
    """Segments to load, and symbols, of a 32-bit little-endian ELF."""
    from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped]

    with program.open("rb") as f:
        elf = ELFFile(f)
        load = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
        segments = [(s["p_paddr"], s.data()) for s in load]
        symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
    return segments, symbols


@functools.cache
def unicorn(target_name: str, core: str, build: Path, compiler: str = "zig") -> Machine:
    target = get_target(target_name)
    program = build_firmware(target, core, compiler, build)
    return Machine(
        f"unicorn/{core}/{target_name}/{compiler}",
        target,
        lambda stream: in_unicorn(program, core, stream),
    )


def in_unicorn(program: Path, core: str, stream: bytes) -> bytes:
    import unicorn as uc
    from unicorn import arm_const

    segments, symbols = load_elf(program)
    machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
    model = core.removesuffix("plus").upper().replace("-", "_")  # Unicorn has no M0+
    machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{model}"))
    for base, size in ((0, 1 << 22), (0x20000000, 1 << 22), (0x40000000, 0x1000)):
        machine.mem_map(base, size)
    machine.mem_map(0xE000E000, 0x1000)
    for base, data in segments:
        machine.mem_write(base, bytes(data))
    machine.mem_write(IN, stream)
    stack, reset = struct.unpack("<II", machine.mem_read(0, 8))
    machine.reg_write(arm_const.UC_ARM_REG_SP, stack)
    machine.emu_start(reset | 1, symbols["finished"] & ~1)
    size = struct.unpack("<I", machine.mem_read(OUT, 4))[0]
    return bytes(machine.mem_read(OUT + 4, size))
