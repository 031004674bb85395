# SPDX-License-Identifier: Apache-2.0
"""Any Cortex-M board of a Zephyr tree -> a board description, by its compiled devicetree."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from itertools import count, islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from tinygen.boards import Board, Core, Emulation, Region, Zephyr, fault
from tinygen.boards.chip import chip_names
from tinygen.boards.texts import FORBIDDEN, LONGEST, ZephyrBoard
from tinygen.errors import TinygenError
from tinygen.names import identifier
from tinygen.runner.zephyr import configure_only, zephyr_base

_RESERVED = 0x4000
"""Bytes of the default RAM for Zephyr and its stacks."""
_FLASH_RESERVED = 0x10000

_CPUS = {  # Kconfig symbol -> -mcpu
    "CPU_CORTEX_M0": "cortex-m0",
    "CPU_CORTEX_M0PLUS": "cortex-m0plus",
    "CPU_CORTEX_M1": "cortex-m1",
    "CPU_CORTEX_M3": "cortex-m3",
    "CPU_CORTEX_M4": "cortex-m4",
    "CPU_CORTEX_M7": "cortex-m7",
    "CPU_CORTEX_M23": "cortex-m23",
    "CPU_CORTEX_M33": "cortex-m33",
    "CPU_CORTEX_M55": "cortex-m55",
    "CPU_CORTEX_M85": "cortex-m85",
}
_DSP = {"cortex-m4", "cortex-m7", "cortex-m55", "cortex-m85"}
_D2_CLOCKS = {
    0x30000000: "LL_AHB2_GRP1_PERIPH_D2SRAM1",
    0x30020000: "LL_AHB2_GRP1_PERIPH_D2SRAM2",
    0x30040000: "LL_AHB2_GRP1_PERIPH_D2SRAM3",
}
"""STM32H74x/H75x: memories that start without a clock."""

_ON_CHIP = {"mmio-sram", "arm,dtcm", "arm,itcm", "st,stm32-ccm"}
_ETHERNET = 0x30040000, 0x4000
"""Where the driver of the STM32H7 keeps its buffers, networking or not."""

_BY_HAND = "write its file by hand, boards/README.md has the schema"
_SHARED = (
    "# The image runs from RAM: flash (code and constants) and sram are parts of one memory; the\n"
    "# border between them may be moved.\n"
)
Config = dict[str, str]


def import_board(name: str, output: Path | None = None) -> tuple[Board, Path]:
    """Configure an empty application for the board, describe what came out, write it as YAML.

    name: as `west build -b` takes it.  output: file to write, default <board>.yaml here.
    """
    try:
        TypeAdapter(ZephyrBoard).validate_python(name)
    except ValidationError as e:
        raise TinygenError(f"{fault(e)}: `west boards` lists them") from None
    path = output or Path(f"{name.replace('/', '_')}.yaml")
    if not path.parent.is_dir():
        raise TinygenError(f"{path.parent} is not a folder: create it first")
    if path.exists():
        raise TinygenError(f"{path} exists: remove it, or name another file with --output")
    with tempfile.TemporaryDirectory(prefix="tinygen-") as scratch:
        build = configure_only(name, Path(scratch))
        config = read_config(build / "zephyr" / ".config")
        tree = _devicetree(build / "zephyr" / "zephyr.dts")
        try:
            board = describe(name, config, tree)
        except ValidationError as e:
            raise TinygenError(f"{name} cannot be described ({fault(e)}): {_BY_HAND}") from None
        except ValueError as e:
            raise TinygenError(f"{name} cannot be described ({e}): {_BY_HAND}") from None
    path.write_text(_yaml(board, runs_from_ram(config)), encoding="utf-8", newline="\n")
    return board, path


def read_config(path: Path) -> Config:
    """Kconfig symbol, without CONFIG_, -> value without quotes."""
    found = re.findall(
        r"^CONFIG_(\w+)=(.*)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    return {name: value.strip('"') for name, value in found}


def _devicetree(path: Path) -> Any:
    """Zephyr's own reader of devicetrees."""
    folder = str(zephyr_base() / "scripts/dts/python-devicetree/src")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("devicetree.dtlib").DT(str(path))
    finally:
        sys.path.remove(folder)


def describe(name: str, config: Config, tree: Any) -> Board:
    """The board that Kconfig and devicetree speak of."""
    cpu = next((c for symbol, c in _CPUS.items() if config.get(symbol) == "y"), None)
    if cpu is None:
        raise TinygenError(f"{name} is no Cortex-M board: tinygen has no kernels for its core")
    memory, overlay = _memory(config, tree)
    conf = []
    if config.get("CPU_HAS_FPU") == "y":
        conf.append("CONFIG_FPU=y")
    if config.get("CPU_HAS_DCACHE") == "y":
        conf.append("CONFIG_CACHE_MANAGEMENT=y")
    return Board(
        name=name.replace("/", "_"),
        title=_title(tree, name),
        aliases=(name,) if "/" in name else (),
        core=Core(
            cpu=cpu,
            target="armv7em" if cpu in _DSP or config.get("ARMV8_M_DSP") == "y" else "portable",
            cflags=_cflags(cpu, config),
            clock_hz=_number(config, "SYS_CLOCK_HW_CYCLES_PER_SEC", 1),
        ),
        memory=memory,
        templates=("zephyr",),
        emulation=Emulation(chip=_chip(config)),
        zephyr=Zephyr(board=name, conf=tuple(conf), overlay=overlay),
    )


def runs_from_ram(config: Config) -> bool:
    """Whether the image lies in RAM: there is no flash, or none that the core fetches from."""
    return config.get("XIP") != "y" or _number(config, "FLASH_SIZE", 1) == 0


def _number(config: Config, symbol: str, unit: int) -> int:
    """0 where the board has no such symbol."""
    return int(config.get(symbol) or "0", 0) * unit


def _chip(config: Config) -> str | None:
    """The family whose model runs the board's image; Zephyr's series are stm32h7x and the like."""
    series = config.get("SOC_SERIES", "").removesuffix("x")
    return series if series in chip_names() else None


def _title(tree: Any, name: str) -> str:
    """What the devicetree calls the board, without the signs that a title cannot have."""
    model = tree.root.props.get("model")
    text = "".join(c for c in (model.to_string() if model else name) if c.isprintable())
    for sign in FORBIDDEN:
        text = text.replace(sign, " ")
    return " ".join(text.split())[:LONGEST] or name


def _cflags(cpu: str, config: Config) -> tuple[str, ...]:
    flags = ["-mthumb"]
    if config.get("CPU_HAS_FPU") == "y":
        double = config.get("CPU_HAS_FPU_DOUBLE_PRECISION") == "y"
        fpu = "fpv4-sp-d16" if cpu == "cortex-m4" else "fpv5-d16" if double else "fpv5-sp-d16"
        flags += ["-mfloat-abi=hard", f"-mfpu={fpu}"]
    return tuple(flags)


def _memory(config: Config, tree: Any) -> tuple[tuple[Region, ...], str]:
    """Flash, default RAM, then every other RAM; the overlay names those that have no region yet."""
    flash, code = (
        _number(config, f"FLASH_{s}", u) for s, u in (("BASE_ADDRESS", 1), ("SIZE", 1024))
    )
    ram, size = (_number(config, f"SRAM_{s}", u) for s, u in (("BASE_ADDRESS", 1), ("SIZE", 1024)))
    if size == 0:
        raise ValueError("its devicetree chooses no RAM (zephyr,sram)")
    fast = any("arm,dtcm" in _strings(node, "compatible") for node in tree.node_iter())
    if runs_from_ram(config):
        # Code and constants run from the RAM too, in front of the data.
        flash, code = ram, size // 2 // 1024 * 1024
        ram, size = ram + code, size - code
    regions = [
        Region(
            name="flash",
            kind="flash",
            base=flash,
            size=code,
            reserved=min(_FLASH_RESERVED, code // 2),
        ),
        Region(
            name="sram",
            kind="ram",
            base=ram,
            size=size,
            speed=1.3 if fast else 1.0,
            reserved=min(_RESERVED, size // 2),
        ),
    ]
    overlay = []
    for node in tree.node_iter():
        region = _region(node, regions, config, 1.6 if fast else 1.1)
        if region is not None:
            regions.append(region)
            if "zephyr,memory-region" not in _strings(node, "compatible"):
                overlay.append(
                    f"&{node.labels[0]} {{\n"
                    '    compatible = "zephyr,memory-region", "mmio-sram";\n'
                    f'    zephyr,memory-region = "{region.section}";\n}};\n'
                )
    return tuple(regions), "".join(overlay)


def _region(node: Any, known: list[Region], config: Config, slow: float) -> Region | None:
    """A RAM of the devicetree that nobody else uses, or None."""
    compatible = _strings(node, "compatible")
    on_chip = _ON_CHIP & set(compatible)
    plain = node.name.startswith("memory@") and not compatible  # as sram1 of the STM32L476
    if not (on_chip or plain) or not node.labels or "reg" not in node.props:
        return None
    if _strings(node, "status") not in ([], ["okay"]):
        return None
    base, size = _reg(node)
    if size == 0 or base >= 0x60000000:  # external memories: somebody has to set them up
        return None
    if any(base < r.base + r.size and r.base < base + size for r in known):
        return None
    label = node.labels[0]
    section = (_strings(node, "zephyr,memory-region") or [label.upper()])[0]
    dtcm = "arm,dtcm" in on_chip
    h7 = config.get("SOC_SERIES_STM32H7X") == "y" and "CPU_CORTEX_M7" in config
    ethernet = config.get("DT_HAS_ST_STM32H7_ETHERNET_ENABLED") == "y"
    return Region(
        name=_free(label, {identifier(r.name) for r in known}),
        kind="code" if "arm,itcm" in on_chip else "ram",
        base=base,
        size=size,
        speed=1.0 if dtcm or "arm,itcm" in on_chip else slow,
        section=section,
        reserved=_ETHERNET[1] if ethernet and base == _ETHERNET[0] else 0,
        clock=_D2_CLOCKS.get(base) if h7 else None,
    )


def _free(label: str, taken: set[str]) -> str:
    """The label, or with a number where a region has that name."""
    numbers = (f"{label}_{i}" for i in count(2))
    return next(n for n in (label, *islice(numbers, len(taken))) if identifier(n) not in taken)


def _reg(node: Any) -> tuple[int, int]:
    """Address and size of a node whose cells are one word each, as on Cortex-M."""
    words = node.props["reg"].to_nums()
    return (words[0], words[1]) if len(words) == 2 else (0, 0)


def _strings(node: Any, name: str) -> list[str]:
    prop = node.props.get(name)
    return [] if prop is None else list(prop.to_strings())


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, addresses in hexadecimal, small lists on one line."""


class _Hex(int):
    pass


_Dumper.add_representer(
    _Hex, lambda d, v: d.represent_scalar("tag:yaml.org,2002:int", f"0x{v:08x}")
)
_Dumper.add_representer(
    str,
    lambda d, v: d.represent_scalar("tag:yaml.org,2002:str", v, style="|" if "\n" in v else None),
)


def _yaml(board: Board, in_ram: bool) -> str:
    data = board.model_dump(mode="json", exclude_defaults=True)
    for region in data["memory"]:
        region.update({k: _Hex(region[k]) for k in ("base", "size", "reserved") if k in region})
    shared = _SHARED if in_ram else ""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)
    return (
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Imported from Zephyr's devicetree; check `reserved` (what the rest of the firmware\n"
        f"# needs) and `speed` (cost of an access, 1.0 = the fastest).\n{shared}{text}"
    )
