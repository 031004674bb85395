# SPDX-License-Identifier: Apache-2.0
"""The table of docs/chips.md: the example models as unchanged Zephyr images on every chip model.

ZEPHYR_BASE must name a Zephyr tree. Projects are made in `out/chips` and kept there, so that a
second run only builds what changed. The MPS2 boards beside them are bare-metal projects.
"""

from __future__ import annotations

from pathlib import Path

from tinygen import runner
from tinygen.boards import load_board
from tinygen.project import Request, new_project

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "chips.md"
EXAMPLES = HERE.parent / "example_models"
MODELS = {
    "digits": EXAMPLES / "digits",
    "activity": EXAMPLES / "activity",
    "eegformer": EXAMPLES / "paper_shapes" / "eegformer",
}
BOARDS = (  # and the emulated board of the same core
    ("nucleo_h743zi", "mps2_an500"),
    ("nucleo_f746zg", "mps2_an500"),
    ("nucleo_l476rg", "mps2_an386"),
    ("disco_l475_iot1", "mps2_an386"),
    ("nucleo_g474re", "mps2_an386"),
    ("nucleo_f401re", "mps2_an386"),
    ("nucleo_u575zi_q", None),
    ("nucleo_g071rb", None),
)
BEGIN, END = "<!-- counts -->\n", "<!-- end of counts -->"


def measure(model: str, board: str) -> runner.RunResult:
    folder = HERE / "out" / "chips" / f"{model}-{board}"
    described = load_board(board)
    if not folder.exists():
        path = MODELS[model]
        template = "baremetal" if "baremetal" in described.templates else None
        request = Request(
            described, path / "model.onnx", path / "samples.npz", folder, template, model
        )
        new_project(request)
    result = runner.run(folder, described)
    assert result.passed, f"{model} on {board}"
    return result


def row(board: str, emulated: str | None) -> str:
    cells = [board, load_board(board).core.cpu.removeprefix("cortex-").replace("plus", "+").upper()]
    for model in MODELS:
        total = measure(model, board).total
        cells.append(f"{total:,}")
        reference = measure(model, emulated).total if emulated else None
        cells.append(f"{100 * (total / reference - 1):+.2f} %" if total and reference else "")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    head = [f"| {m} | against MPS2 " for m in MODELS]
    lines = [f"| board | core {''.join(head)}|", f"|---|---|{'--:|--:|' * len(MODELS)}"]
    lines += [row(*pair) for pair in BOARDS]
    text = PAGE.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(text[:start] + "\n".join(lines) + "\n" + text[end:])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
