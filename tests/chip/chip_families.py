# SPDX-License-Identifier: Apache-2.0
"""The registers that firmware.c sets up, by family, from the reference manuals: not from the files
under boards/chips, which these tests check."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinygen.boards import Board, Core, Emulation, Region, Zephyr, load_board


@dataclass(frozen=True)
class Family:
    """board: a shipped board, or the description of one that we do not ship.

    defines: macros of family.h.  power: C that waits for the voltage.
    """

    name: str
    board: str
    defines: dict[str, int | str]
    power: str = ""
    flags: tuple[str, ...] = ()
    description: Board | None = field(default=None, compare=False)

    def load(self) -> Board:
        return self.description or load_board(self.board)

    @property
    def header(self) -> str:
        board = self.load()
        macros = {
            "FLASH_BASE": board.flash[0].base,
            "ABSENT": 0x2F000000,
            **self.defines,
        }
        lines = [
            f"#define {n} {hex(v) + 'u' if isinstance(v, int) else v}" for n, v in macros.items()
        ]
        if any("mfpu" in f for f in board.core.cflags):
            lines.append("#define HAS_FPU")
        if board.core.cpu != "cortex-m0plus":
            lines.append("#define HAS_CYCLES")
        if board.core.cpu == "cortex-m33":
            lines.append("#define MPU_V8")
        lines.append(f"#define POWER_READY() do {{ {self.power} }} while (0)")
        return "\n".join(lines) + "\n"


def _clock(
    rcc: int, cfgr: int, sws: int, pll: int, hse: tuple[int, int] = (16, 17)
) -> dict[str, int | str]:
    """sws: lowest bit of the status of the system clock.  pll: the value that selects the PLL."""
    width = 7 if sws == 3 else 3
    return {
        "RCC_CR": rcc,
        "RCC_CFGR": rcc + cfgr,
        "HSE_ON": 1 << hse[0],
        "HSE_READY": 1 << hse[1],
        "PLL_ON": 1 << 24,
        "PLL_READY": 1 << 25,
        "SW_MASK": width,
        "SW_PLL": pll,
        "SWS_MASK": width << sws,
        "SWS_PLL": pll << sws,
    }


def _flash(acr: int, control: int, program: int) -> dict[str, int | str]:
    return {"FLASH_ACR": acr, "FLASH_CONTROL": control, "FLASH_PROGRAM": 1 << program}


_NEW: dict[str, int | str] = {"USART_ISR_TDR": 1}


def _board(name: str, chip: str, cpu: str, cflags: tuple[str, ...], ram: int) -> Board:
    return Board(
        name=name,
        title=name,
        core=Core(cpu=cpu, target="portable", cflags=("-mthumb", *cflags), clock_hz=32_000_000),
        memory=(
            Region(name="flash", kind="flash", base=0x08000000, size=0x30000),
            Region(name="sram", kind="ram", base=0x20000000, size=ram),
        ),
        templates=("zephyr",),
        zephyr=Zephyr(board=name),
        emulation=Emulation(chip=chip),
    )


_M4F = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_M33F = ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")

FAMILIES = {
    f.name: f
    for f in (
        Family(
            "stm32h7",
            "nucleo_h743zi",
            {
                **_clock(0x58024400, 0x10, 3, 3),
                **_flash(0x52002000, 0x5200200C, 1),
                **_NEW,
                "USART": 0x40004800,
                "UART_IRQ": 39,
                "CLOCKED": 0x30020000,
                "CLOCKED_ENABLE": 0x580244DC,
                "CLOCKED_BIT": 1 << 30,
            },
            "REG(0x58024818) |= 0xC000; while (!(REG(0x58024818) & 0x2000)); "
            "while ((REG(0x58024804) & 0xE000) != 0xE000);",
        ),
        Family(
            "stm32f7",
            "nucleo_f746zg",
            {
                **_clock(0x40023800, 0x08, 2, 2),
                **_flash(0x40023C00, 0x40023C10, 0),
                **_NEW,
                "USART": 0x40004800,
            },
            "REG(0x40007000) |= 1 << 16; while (!(REG(0x40007004) & 1 << 16)); "
            "REG(0x40007000) |= 1 << 17; while (!(REG(0x40007004) & 1 << 17));",
        ),
        Family(
            "stm32f4",
            "nucleo_f401re",
            {
                **_clock(0x40023800, 0x08, 2, 2),
                **_flash(0x40023C00, 0x40023C10, 0),
                "USART": 0x40004400,
            },
            "while (!(REG(0x40007004) & 1 << 14));",
        ),
        Family(
            "stm32l4",
            "nucleo_l476rg",
            {
                **_clock(0x40021000, 0x08, 2, 3),
                **_flash(0x40022000, 0x40022014, 0),
                **_NEW,
                "USART": 0x40004400,
            },
            "while (REG(0x40007014) & 1 << 10);",
        ),
        Family(
            "stm32g4",
            "nucleo_g474re",
            {
                **_clock(0x40021000, 0x08, 2, 3),
                **_flash(0x40022000, 0x40022014, 0),
                **_NEW,
                "USART": 0x40008000,
            },
            "while (REG(0x40007014) & 1 << 10);",
        ),
        Family(
            "stm32g0",
            "nucleo_g071rb",
            {
                **_clock(0x40021000, 0x08, 3, 2),
                **_flash(0x40022000, 0x40022014, 0),
                **_NEW,
                "USART": 0x40004400,
                "UART_IRQ": 28,
            },
            "while (REG(0x40007014) & 1 << 10);",
        ),
        Family(
            "stm32u5",
            "nucleo_u575zi_q",
            {
                **_clock(0x46020C00, 0x1C, 2, 3),
                **_flash(0x40022000, 0x40022028, 0),
                **_NEW,
                "USART": 0x40013800,
                "UART_IRQ": 61,
            },
            "REG(0x4602080C) |= 7 << 16; while ((REG(0x4602080C) & 3 << 14) != 3 << 14);",
        ),
        Family(
            "stm32h5",
            "an_H5",
            {
                **_clock(0x44020C00, 0x1C, 3, 3),
                **_flash(0x40022000, 0x40022028, 1),
                **_NEW,
                "USART": 0x40004800,
            },
            "REG(0x44020810) = 3 << 4; while ((REG(0x44020814) & 0xE008) != 0xE008);",
            description=_board("an_H5", "stm32h5", "cortex-m33", _M33F, 0xA0000),
        ),
        Family(
            "stm32l0",
            "an_L0",
            {
                **_clock(0x40021000, 0x0C, 2, 3),
                "FLASH_CONTROL": 0x40022004,
                "FLASH_PROGRAM": 1 << 3,
                **_NEW,
                "USART": 0x40004400,
            },
            "while (REG(0x40007004) & 1 << 4);",
            description=_board("an_L0", "stm32l0", "cortex-m0plus", (), 0x5000),
        ),
        Family(
            "stm32wb",
            "a_WB",
            {
                **_clock(0x58000000, 0x08, 2, 3),
                **_flash(0x58004000, 0x58004014, 0),
                **_NEW,
                "USART": 0x40013800,
            },
            "while (REG(0x58001480 + 4 * 5) != 0x80000400); REG(0x58001400 + 4 * 5) = 0;",
            description=_board("a_WB", "stm32wb", "cortex-m4", _M4F, 0x30000),
        ),
    )
}
