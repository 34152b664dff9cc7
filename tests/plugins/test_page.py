"""What docs/providers.md shows works, and what `unisafe providers` prints fits the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unisafe_providers.conformance import conforms

from unisafe_async.screens.providers import Known, list_providers, print_providers


async def test_the_provider_on_the_page_conforms() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.S)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    await conforms(names["ECHO"], options={"times": 2})


@pytest.mark.parametrize("width", [80, 140])
def test_the_list_fits_the_terminal(width: int) -> None:
    broken = Known(
        name="b\x1b[2Jad",
        kind="plugin",
        what="plugin some-long-package-name 1.2.3.dev4",
        target="a.module:Thing",
        note="no " * 60,
        broken=True,
    )
    out = io.StringIO()
    print_providers(Console(file=out, width=width, force_terminal=True, color_system=None), [*list_providers(), broken])
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "\x1b[2J" not in out.getvalue()
    assert "https://generativelanguage.googleapis.com/v1beta" in out.getvalue()


def test_a_pipe_gets_one_line_each() -> None:
    out = io.StringIO()
    known = list_providers()
    print_providers(Console(file=out, width=80), known)
    assert [row.split()[0] for row in out.getvalue().splitlines()] == [one.name for one in known]
