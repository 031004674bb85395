# SPDX-License-Identifier: Apache-2.0
"""Names that C or CMake have taken, and those of headers, which a model may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_toy import make_project

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.names import check_folder, identifier, model_name
from tinygen.runner import run

TAKEN = """
print profile platform self_test float run all clean help install test firmware int main tg_print
conv linear attention
"""
FREE = """
string stdint stdio math time features limits soc version offsets autoconf device kernel printf
"""
"""A header of a libc or of Zephyr is called so, or a function."""


@pytest.mark.parametrize("name", TAKEN.split())
def test_taken_names_get_a_prefix(name: str) -> None:
    clean = model_name(name)
    assert clean == f"m_{name}" and model_name(clean) == clean


@pytest.mark.parametrize("name", FREE.split())
def test_names_of_headers_stay(name: str) -> None:
    assert model_name(name) == name


def test_identifiers() -> None:
    assert identifier("Model-v2") == "model_v2"
    assert identifier("2nd") == "m_2nd"
    assert identifier("modèle") == "mod_le"
    assert identifier("...") == "model"
    assert identifier("int") == "m_int"
    assert identifier("print") == model_name("m_print")[2:] == "print"


NOT_OF_MODELS = {"platform.h", "print.h", "profile.h", "self_test.h"}


def bare_headers(project: Path) -> set[str]:
    """Headers that no folder of their own keeps apart: those of the templates and no others."""
    return {f.name for folder in ("src", "include") for f in (project / folder).glob("*.h")}


@pytest.mark.slow
@pytest.mark.parametrize("board", ["host", "mps2_an500"])
@pytest.mark.parametrize(
    "name", ["print", "test", "float", "main", "conv", "string", "stdio", "profile_", "limits"]
)
def test_projects_of_such_models_build(name: str, board: str, tmp_path: Path) -> None:
    from tinygen.project import Request, new_project

    described = load_board(board)
    made = new_project(Request(described, folder=tmp_path / "p", name=name, self_test=1))
    header = made.folder / f"include/tinygen_model/{made.graph.name}.h"
    assert header.is_file() and bare_headers(made.folder) == NOT_OF_MODELS
    try:
        assert run(made.folder, described, max_samples=1).passed
    except TinygenError as e:
        if "found" not in str(e):
            raise
        pytest.skip(str(e))


@pytest.mark.parametrize("character", list(';"\\$#?<>[]|\n'))
def test_folders_that_cmake_cannot_take(character: str, tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="choose another folder"):
        check_folder(tmp_path / f"a{character}b" / "c")


def test_folders_that_cmake_takes(tmp_path: Path) -> None:
    project = make_project(tmp_path / "a b(é)&'{}", load_board("host"))
    check_folder(project)
    assert run(project, load_board("host"), max_samples=1).passed
