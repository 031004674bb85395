# SPDX-License-Identifier: Apache-2.0
"""Each file under bad/ has one fault; its second line holds what the sentence must say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tinygen.boards import all_boards, read_board
from tinygen.errors import TinygenError

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


def words(file: Path) -> str:
    """Of the sentence, in whatever encoding the file is."""
    return file.read_text(encoding="latin-1").splitlines()[1].removeprefix("# ")


@pytest.mark.parametrize("file", BAD, ids=lambda f: f.stem)
def test_one_sentence_that_names_the_field(file: Path) -> None:
    with pytest.raises(TinygenError) as refusal:
        read_board(file)
    said = str(refusal.value)
    assert said.startswith(f"{file}: ")
    assert words(file) in said
    assert "\n" not in said


def test_the_base_of_the_files_is_right(tmp_path: Path) -> None:
    """So that each file's one change is what is refused."""
    good = tmp_path / "good.yaml"
    good.write_text(
        (Path(__file__).parent / "bad/no_clock.yaml")
        .read_text()
        .replace("clock_hz: 0", "clock_hz: 9")
    )
    assert read_board(good).name == "tiny"


def test_an_umlaut_a_byte_order_mark_and_a_line_end(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "bad/no_clock.yaml").read_text()
    text = text.replace("clock_hz: 0", "clock_hz: 9").replace("a title", "it's größer (x)")
    for encoding, end in (("utf-8-sig", "\n"), ("utf-8", "\r\n")):
        file = tmp_path / "board.yaml"
        file.write_bytes(text.replace("\n", end).encode(encoding))
        assert read_board(file).title == "it's größer (x)"


def test_another_encoding_of_all_signs(tmp_path: Path) -> None:
    file = tmp_path / "board.yaml"
    for encoding in ("utf-16", "utf-32"):
        file.write_text("name: tiny\n", encoding=encoding)
        with pytest.raises(TinygenError, match="line 1 is not UTF-8"):
            read_board(file)


@pytest.mark.parametrize("what", ("folder", "nothing", "unreadable"))
def test_what_is_no_file(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if what == "folder":
        path.mkdir()
    if what == "unreadable":
        path.symlink_to(path)
    with pytest.raises(TinygenError, match="cannot be read"):
        read_board(path)


def test_the_command_line_says_it_too(tmp_path: Path) -> None:
    for command in ("new", "inspect"):
        model = () if command == "new" else ("nowhere.onnx",)
        done = subprocess.run(
            [sys.executable, "-m", "tinygen", command, *model, "--board", str(BAD[0])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert not list(tmp_path.iterdir())


def test_every_shipped_board_is_taken() -> None:
    assert len(all_boards()) >= 12
