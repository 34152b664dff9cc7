"""The two pages: the list of runs, and a run, which is the static page with its figures and items read as they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import jinja2
from markupsafe import Markup

from unisafe_async.page.summary import Summary
from unisafe_async.page.write import SCRIPTS, STYLES, build_policy, describe_figures, fill_template, frame, read_own, to_script_data
from unisafe_async.text import plain

HERE = "unisafe_async.view"
FRAMED = "frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its policy, which goes into a header."""

    content: bytes
    policy: str


def build_run_list(cache: str) -> Page:
    """The list of runs; a script fills it. `cache` is the name of the file."""
    style = read_own("page.css") + read_own("view.css", package=HERE)
    script = "\n".join((read_own("common.js"), read_own("live.js", "runs.js", package=HERE)))
    policy = build_policy(style, script, "'none'", "'self'")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        read_own("runs.html", package=HERE)
    )
    filled = template.render(
        cache=plain(cache),
        policy=policy,
        style=Markup(style),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
    )
    return Page(filled.encode("utf-8", "replace"), f"{policy}; {FRAMED}")


def build_run_page(run: str, facts: dict[str, Any]) -> Page:
    """A run's page without its figures; `facts` are what its script has to know."""
    style = read_own(*STYLES) + read_own("view.css", package=HERE)
    script = "\n".join((read_own(*SCRIPTS[:-1]), read_own("live.js", "view.js", package=HERE)))
    policy = build_policy(style, script, "'self'", "'self'")
    filled = fill_template(
        ("frame", "items"),
        **frame(style, script, policy),
        report=SimpleNamespace(run=run),
        live=to_script_data({**facts, "run": run}),
        version=version("unisafe-async"),
    )
    return Page(filled, f"{policy}; {FRAMED}")


def build_figures(summary: Summary, *, plots: bool) -> bytes:
    """The figures of a run as the static page shows them, for the run's page."""
    return fill_template(("figures",), **describe_figures(summary, plots=plots), live="")
