"""Writes the page: gathers data from the cache, renders it, and puts the file in place."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import jinja2
import orjson
from markupsafe import Markup
from unisafe_cache import read_file
from unisafe_cache.records import now

from unisafe_async.benchmark import Dataset, DatasetError
from unisafe_async.extras import missing_extra
from unisafe_async.files import write_whole
from unisafe_async.page import plots
from unisafe_async.page.errors import PageError
from unisafe_async.page.figures import TITLES, build_metadata, draw_figure, find_overall, inline_figure, missing_plots
from unisafe_async.page.first_screen import FirstScreen
from unisafe_async.page.gallery import Gallery, gallery_of
from unisafe_async.page.headline import build_headline
from unisafe_async.page.images import PageImages, embed_images, read_item_images, read_made_images, store_in
from unisafe_async.page.records import Records, read_records
from unisafe_async.page.summary import Summary, read_summary
from unisafe_async.page.view import SECTIONS, Help, View, heat_class_of, link
from unisafe_async.results.reopening import reopen
from unisafe_async.results.scores import ALL, Where
from unisafe_async.text import count, format_dollars, format_duration, plain

GENERATOR = "unisafe-async"
STYLES = ("page.css", "opening.css")
SCRIPTS = ("common.js", "layout.js", "links.js", "gallery.js", "page.js")
"""The page's style and its script are these files, in this order."""
MARK = f'<meta name="generator" content="{GENERATOR}'.encode()


@dataclass(frozen=True)
class Written:
    """The written file, and the parts that the page lacks, one line each."""

    file: Path
    size: int
    lacking: tuple[str, ...]


def write_page(
    cache: Path,
    file: Path,
    run: str | None = None,
    where: Where = ALL,
    *,
    base: Path = Path(),
    images: Path | None = None,
    embed: bool = False,
) -> Written:
    """Write the page about the rows `where` of a run (the newest by default) to `file`.

    Args:
        base: the folder that the dataset's path in bench.toml is relative to.
        images: a folder for the images; with `embed`, small copies go into the page instead; without both, images are left out.

    Raises PageError if `file` is no earlier page or cannot be written, CacheError if there is no such run.
    """
    if images is not None and embed:
        raise PageError("--embed: images go either into the page or, with --images, beside it; keep one of the two")
    check_target(file)

    def read(connection: duckdb.DuckDBPyConnection) -> tuple[Summary, Records]:
        summary = read_summary(connection, run, where)
        return summary, read_records(connection, summary.report.run, summary.report.where)

    summary, records = read_file(cache, read)
    gallery = gallery_of(records, summary.models)
    without_plots = missing_plots()
    lacking = [f"the page has no plots: {without_plots}"] if without_plots else []
    dataset = None
    if gallery.unknown or ((images or embed) and gallery.inputs):
        dataset, problem = _dataset(summary, base)
        lacking += [problem] if problem else []
    if dataset is not None and gallery.unknown:
        wanted = set(gallery.unknown)
        gallery = gallery_of(records, summary.models, {item.name: item.prompt for item in dataset.items() if item.name in wanted})
    pictures = PageImages()
    if images is not None or embed:
        found = chain(read_made_images(cache, gallery.outputs), read_item_images(dataset, gallery.inputs) if dataset else ())
        pictures = store_in(images, file, found) if images is not None else embed_images(found)
        lacking += _list_missing(gallery, pictures)
    page = render(summary, gallery, pictures)
    try:
        with write_whole(file) as draft:
            draft.write_bytes(page)
    except OSError as error:
        raise PageError(f"--html {file}: cannot be written: {error.strerror}") from None
    return Written(file, len(page), tuple(lacking))


def check_target(file: Path) -> None:
    """Raises PageError unless `file` is new, empty, or an earlier page."""
    try:
        if os.path.isdir(file):
            raise PageError(f"--html {file}: is a folder; name a file, such as {file / 'report.html'}")
        if not os.path.isdir(file.parent):
            raise PageError(f"--html {file}: there is no folder {file.parent}")
        if os.path.exists(file):
            with file.open("rb") as opened:
                head = opened.read(2048)
            if head and MARK not in head:
                raise PageError(f"--html {file}: exists and is no page of ours; name another file, or delete it first")
    except OSError as error:
        raise PageError(f"--html {file}: cannot be read: {error.strerror}") from None


def _dataset(summary: Summary, base: Path) -> tuple[Dataset | None, str | None]:
    try:
        return reopen(summary.config, base), None
    except DatasetError as error:
        return None, f"the dataset cannot be opened, so its images and unanswered requests are not on the page: {error}"


def _list_missing(gallery: Gallery, images: PageImages) -> Iterator[str]:
    if images.unusable:
        yield f"{count(len(images.unusable), 'image')} could not be decoded and stayed out"
    gone = len(set(gallery.inputs.values()) | gallery.outputs) - len(images.names) - len(images.data) - len(images.unusable)
    if gone > 0:
        yield f"{count(gone, 'image')} of the run {'was' if gone == 1 else 'were'} not found"


def render(summary: Summary, gallery: Gallery, images: PageImages) -> bytes:
    """The whole file."""
    style, script = read_own(*STYLES), read_own(*SCRIPTS)
    index, strings = gallery.parts()
    pictures = {"base": quote(images.base), "names": images.names, "data": images.data}
    sources = "'self'" if images.names else "data:" if images.data else "'none'"
    figures = describe_figures(summary, plots=True)
    return fill_template(
        ("frame", "figures", "items"),
        **figures,
        **frame(style, script, build_policy(style, script, sources), figures["shown"]),
        live="",
        items=len(gallery.index["items"]["name"]),
        index=pack(index),
        strings=pack(strings),
        pictures=to_script_data(pictures),
    )


def fill_template(parts: Sequence[str], **values: Any) -> bytes:  # noqa: ANN401 the template's values
    """The page's template, or some of its `parts`: the frame, the figures, the items."""
    return _build_environment().get_template("page.html").render(parts=parts, **values).encode("utf-8", "replace")


@cache
def _build_environment() -> jinja2.Environment:
    """The environment of the page's templates, which are compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_own),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    environment.filters |= {"dollars": format_dollars, "duration": format_duration, "quote": quote}
    environment.globals |= {"count": count, "heat": heat_class_of, "link": link, "help": Help}
    return environment


def describe_figures(summary: Summary, *, plots: bool) -> dict[str, Any]:
    """The values of the template's figures; without `plots` nothing is drawn, which takes some seconds."""
    view = View(summary)
    scatter = inline_figure(summary, "scatter", 2) if plots else None
    return {
        "view": view,
        "first": FirstScreen(summary),
        "summary": summary,
        "report": summary.report,
        "record": summary.provenance,
        "headline": build_headline(summary.models, find_overall(summary), summary.report.ranking, summary.duels),
        "shown": view.list_sections(scatter=scatter is not None),
        "missing_plots": missing_plots() if plots else None,
        "scatter": scatter,
        "narrow_scatter": inline_figure(summary, "scatter", 1) if scatter else None,
        "dots": inline_figure(summary, "panels", 2) if plots else None,
        "narrow_dots": inline_figure(summary, "panels", 1) if plots else None,
        "version": version("unisafe-async"),
        "written": now(),
    }


def frame(style: str, script: str, policy: str, sections: Mapping[str, str] = SECTIONS) -> dict[str, Any]:
    """The values of the template's frame: our own style and script, the policy that lets only them run, links to `sections`."""
    return {
        "generator": GENERATOR,
        "policy": policy,
        "sections": list(sections.items()),
        "style": Markup(style),  # noqa: S704 our own file
        "script": Markup(script),  # noqa: S704 our own file
    }


def to_script_data(content: object) -> Markup:
    """JSON for a script element of a page: nothing in it can end the element."""
    return Markup(orjson.dumps(content).decode().replace("<", "\\u003c"))  # noqa: S704 JSON without `<`


def pack(data: bytes) -> str:
    """The data compressed by gzip, in base64: nothing in it can end an element, and it has a third of the size."""
    compressor = zlib.compressobj(6, wbits=31)
    return base64.b64encode(compressor.compress(data) + compressor.flush()).decode()


def read_own(*names: str, package: str = "unisafe_async.page") -> str:
    """The content of files of a package, one after another."""
    return "\n".join(files(package).joinpath(name).read_text("utf-8") for name in names)


def build_policy(style: str, script: str, images: str, connect: str = "") -> str:
    """The policy: only our script and style, images from `images` alone, and requests to `connect` alone if it names anything."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src {images}; "
        f"{f'connect-src {connect}; ' if connect else ''}base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def write_plots(
    cache: Path,
    run: str | None,
    png: Path | None,
    svg: Path | None,
    where: Where = ALL,
    *,
    pdf: Path | None = None,
    columns: plots.Columns = 2,
) -> list[Path]:
    """Write the figures for papers, `FILE-NAME.KIND` for each NAME in TITLES that has something to draw. Raises PageError."""
    chosen: dict[plots.FileKind, Path | None] = {"png": png, "svg": svg, "pdf": pdf}
    files = {kind: file for kind, file in chosen.items() if file is not None}
    if (missing := missing_extra("matplotlib", f"report --{next(iter(files), 'png')}")) is not None:
        raise PageError(missing)
    summary = read_file(cache, lambda connection: read_summary(connection, run, where))
    metadata = build_metadata(summary)
    written = []
    for name, title in TITLES.items():
        figure = draw_figure(summary, name, columns)
        if figure is None:
            continue
        for kind, file in files.items():
            target = file.with_name(f"{file.stem}-{name}.{kind}")
            try:
                plots.save(figure, target, kind, title, metadata)
            except OSError as error:
                raise PageError(f"--{kind} {target}: cannot be written: {error.strerror}") from None
            written.append(target)
    if not written:
        raise PageError("nothing to draw: the run has no judged item yet")
    return written
