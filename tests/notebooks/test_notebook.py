"""The wheel in a kernel without ipywidgets, as a notebook's cells use it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.notebooks.conftest import ROOT, Notebook

DOCS = ROOT / "docs"


def test_a_cell_awaits_a_run_and_shows_how_far_it_is(notebook: Notebook, python: Path) -> None:
    notebook.run("import importlib.util, unisafe_async")
    assert not notebook.value("importlib.util.find_spec('ipywidgets') is not None")
    assert Path(notebook.value("unisafe_async.__file__")).is_relative_to(python.parents[1])
    (bar,) = notebook.run("result = await unisafe_async.evaluate('bench.toml')")
    assert bar.output_type == "display_data"
    assert bar.data["text/plain"].startswith("75 of 75 items done, 0 unjudged, ")
    assert "$0.00" in bar.data["text/plain"]
    assert '<progress value="75" max="75"' in bar.data["text/html"]
    assert notebook.value("len(result.rows())") == 75


def test_a_run_is_quiet_where_that_is_asked(notebook: Notebook) -> None:
    assert notebook.run("quiet = await unisafe_async.evaluate('bench.toml', progress=False)") == []


def test_a_result_is_a_table_in_which_names_are_text(notebook: Notebook) -> None:
    (shown,) = notebook.run("await unisafe_async.evaluate('bench.toml', progress=False)")
    page = shown.data["text/html"]
    assert "SIMULATED: models and judge are simulated" in page
    assert "<td>&lt;b&gt;Bold&lt;/b&gt;</td>" in page
    assert "<b>" not in page
    assert "75 items: 75 judged" in page
    assert shown.data["text/plain"].startswith("<Result of run ")


def test_a_result_whose_cache_is_gone_still_shows_what_it_is(notebook: Notebook) -> None:
    (shown,) = notebook.run(
        "from pathlib import Path; unisafe_async.Result(run='20260101-000000-abcd', status='done', cache=Path('gone.duckdb'), unjudged=3)"
    )
    assert shown.data["text/plain"] == "<Result of run 20260101-000000-abcd in gone.duckdb: done, 3 unjudged>"
    assert "text/html" not in shown.data


def test_without_await_the_cell_says_what_is_missing(notebook: Notebook) -> None:
    (shown,) = notebook.run("unisafe_async.evaluate('bench.toml')")
    assert "`await unisafe_async.evaluate(...)` in a notebook" in shown.data["text/plain"]


def test_tab_completes_the_api(notebook: Notebook) -> None:
    listed = notebook.value("dir(unisafe_async)")
    assert {"evaluate", "load", "Result", "load_config", "open_dataset", "agree", "__version__"} <= set(listed)
    assert not [name for name in listed if name.startswith("_") and not name.endswith("__")]


def test_frames_show_what_was_asked_and_answered(notebook: Notebook) -> None:
    (shown,) = notebook.run("unisafe_async.load().to_dataframe()[['model', 'prompt', 'response', 'contextual']].head()")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in shown.data["text/html"]
    (shown,) = notebook.run("unisafe_async.load().scores_dataframe('model', 'category')")
    assert "c_u_low" in shown.data["text/html"]


def test_the_kernels_interrupt_keeps_what_was_answered(notebook: Notebook) -> None:
    notebook.run("import os, signal")
    stop = "lambda row: os.kill(os.getpid(), signal.SIGINT)"
    error = notebook.error(f"await unisafe_async.evaluate('bench.toml', fresh=True, progress=False, on_row={stop})")
    assert error.startswith(("KeyboardInterrupt", "CancelledError"))
    assert notebook.value("[unisafe_async.load().status, len(unisafe_async.load().rows()) > 0]") == ["interrupted", True]
    notebook.run("again = await unisafe_async.evaluate('bench.toml', progress=False)")
    assert notebook.value("[again.status, again.unjudged]") == ["done", 0]


def test_a_run_in_the_background_is_read_by_the_cells_after_it(notebook: Notebook) -> None:
    notebook.run(
        "import asyncio\n"
        "seen, read = [], []\n"
        "def heard(row):\n"
        "    seen.append(row)\n"
        "    if len(seen) % 15 == 0:\n"
        "        read.append(len(unisafe_async.load().rows()))\n"
        "task = asyncio.create_task(unisafe_async.evaluate('bench.toml', fresh=True, on_row=heard))"
    )
    notebook.run("result = await task")
    assert notebook.value("[len(seen), len(read), read[-1], read == sorted(read)]") == [75, 5, 75, True]


def test_a_change_of_folder_during_a_run_moves_nothing(notebook: Notebook) -> None:
    notebook.run("import os, tempfile\nhome, away = os.getcwd(), tempfile.mkdtemp()")
    notebook.run("result = await unisafe_async.evaluate('bench.toml', fresh=True, on_row=lambda row: os.chdir(away))")
    assert notebook.value("[len(result.rows()), os.listdir(away)]") == [75, []]
    notebook.run("os.chdir(home)")


def test_a_script_inside_a_cell_is_told_what_to_do(notebook: Notebook) -> None:
    assert "running event loop" in notebook.error("asyncio.run(unisafe_async.evaluate('bench.toml'))")


@pytest.mark.parametrize("path", sorted(DOCS.glob("notebooks/*.ipynb")), ids=lambda path: path.name)
def test_the_notebooks_of_the_docs_run_and_show_what_they_showed(notebook: Notebook, path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            shown = [output.output_type for output in notebook.run(cell.source)]
            assert shown == [output.output_type for output in cell.outputs], cell.source
