"""The page over HTTP on 127.0.0.1: two pages, their data as JSON, images, and labels that people give."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from anyio import to_thread
from unisafe_cache import CacheBusy, CacheError
from unisafe_providers.errors import UnisafeError

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.browse.pictures import NoPicture, Pictures, folders_of
from unisafe_async.page.answers import LABELS, is_digest
from unisafe_async.page.summary import read_summary
from unisafe_async.results.rows import read_facets
from unisafe_async.text import plain
from unisafe_async.view.asked import Asked, read_asked, read_keys
from unisafe_async.view.export import MEDIA_TYPES, name_file, write_selection
from unisafe_async.view.guard import Guard, add_headers, build_middleware
from unisafe_async.view.items import find_item, read_entries, read_item
from unisafe_async.view.pages import Page, build_figures, build_run_list, build_run_page
from unisafe_async.view.pictures import MEDIA_TYPE, Gallery
from unisafe_async.view.rating import LabelBook, show_answers, show_entry
from unisafe_async.view.reading import CacheReader
from unisafe_async.view.runs import list_runs, read_progress
from unisafe_async.view.selection import count_by, select_items

HOST = "127.0.0.1"
MAX_BODY = 64 * 1024
PART = 1024 * 1024
"""Bytes of a file that are sent at once."""


class Viewer:
    """Answers the page's requests about one cache.

    Args:
        cache: the cache file.
        config: the path of the configuration, beside which a run's dataset may lie.
        book: where labels go.
        blind: every verdict stays hidden until the answer is labelled.
    """

    def __init__(self, cache: Path, config: Path, book: LabelBook, *, blind: bool = False) -> None:
        self._reader = CacheReader(cache)
        self._config = config
        self._book = book
        self._blind = blind
        self._galleries: dict[str, Gallery] = {}
        self._checked: set[str] = set()
        self._models: dict[str, list[str]] = {}

    def build_app(self, guard: Guard) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[build_middleware(guard), _explain])
        app.on_response_prepare.append(add_headers)
        app.router.add_get("/", self._list)
        app.router.add_get("/favicon.ico", _send_nothing)
        app.router.add_get("/runs/{run}", self._run)
        app.router.add_get("/runs/{run}/figures", self._figures)
        app.router.add_get("/runs/{run}/images/{digest}", self._image)
        app.router.add_get("/api/runs", self._api_runs)
        app.router.add_get("/api/runs/{run}/progress", self._api_progress)
        app.router.add_get("/api/runs/{run}/items", self._api_items)
        app.router.add_get("/api/runs/{run}/entries", self._api_entries)
        app.router.add_get("/api/runs/{run}/item", self._api_item)
        app.router.add_get("/api/runs/{run}/find", self._api_find)
        app.router.add_get("/api/runs/{run}/export", self._api_export)
        app.router.add_post("/api/runs/{run}/labels", self._api_label)
        return app

    # -------------------------------------------------------- pages

    async def _list(self, _: web.Request) -> web.Response:
        return _send_page(build_run_list(str(self._reader.path)))

    async def _run(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        there = await self._reader.read_once(("names", run), partial(count_by, run=run))
        models = await self._list_models(run)
        facts = {
            "choices": {
                "model": list(dict.fromkeys(map(plain, [*models, *there["model"]]))),
                "task": [_name_task(task) for task in sorted(there["task"], key=_place_task)],
                "category": list(map(plain, there["category"])),
                "outcome": list(map(plain, there["outcome"])),
            },
            "task_keys": {name: task.title for task in TASKS.values() for name in (task.key, task.short)},
            "numbers": LABELS,
            "labeller": plain(self._book.labeller),
            "labels": plain(str(self._book.path)),
            "forced": self._blind,
        }
        return _send_page(build_run_page(run, facts))

    async def _figures(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        if self._blind:
            raise web.HTTPForbidden(text="the figures are hidden while you label blind")
        ended = (await self._reader.read_once(("progress", run), partial(read_progress, run=run)))["status"] != "running"
        content = await self._reader.make_once(
            ("figures", run, ended), partial(read_summary, name=run), partial(build_figures, plots=ended)
        )
        return web.Response(body=content, content_type="text/html", charset="utf-8")

    async def _image(self, request: web.Request) -> web.Response:
        run, digest = await self._find(request), request.match_info["digest"]
        if not is_digest(digest):
            raise web.HTTPNotFound(text="is not named by a digest")
        gallery = self._galleries.get(run)
        if gallery is None:
            facets = await self._reader.read(partial(read_facets, name=run))
            pictures = Pictures(self._reader.path, facets, folders_of(self._config, self._reader.path))
            gallery = self._galleries[run] = Gallery(pictures)
        item, small = request.query.get("item", ""), request.query.get("small") == "1"
        content = await to_thread.run_sync(lambda: gallery.read(digest, item, small=small))
        return web.Response(body=content, content_type=MEDIA_TYPE, headers={"Cache-Control": "private, max-age=3600"})

    # -------------------------------------------------------- data

    async def _api_runs(self, _: web.Request) -> web.Response:
        return _send({"runs": await self._reader.read_once("runs", list_runs)})

    async def _api_progress(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        return _send(await self._reader.read_once(("progress", run), partial(read_progress, run=run)))

    async def _api_items(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        choice = (await self._ask(request, run)).choice
        found = await self._reader.read(partial(select_items, run=run, choice=choice))
        total = {"items": found.all_items, "answers": found.all_answers}
        return _send({"keys": found.keys, "answers": found.answers, "any": choice.is_filter, "total": total})

    async def _api_entries(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        asked, keys = await self._ask(request, run), read_keys(request.query.get("keys", ""))
        models = await self._list_models(run)
        found = await self._reader.read(partial(read_entries, run=run, keys=keys, choice=asked.choice, models=models))
        await to_thread.run_sync(self._book.refresh)
        return _send({"entries": {str(key): show_entry(one, self._book, blind=asked.blind) for key, one in found.items()}})

    async def _api_item(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        asked, (key, *_) = await self._ask(request, run), read_keys(request.query.get("key", ""))
        models = await self._list_models(run)
        found = await self._reader.read(partial(read_item, run=run, key=key, choice=asked.choice, models=models))
        if not found:
            raise web.HTTPNotFound(text="this item is no longer in the cache")
        await to_thread.run_sync(self._book.refresh)
        answers = show_answers(found["answers"], self._book, blind=asked.blind)
        return _send({"item": {name: value for name, value in found.items() if name != "item"} | {"answers": answers}})

    async def _api_find(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        key = await self._reader.read(partial(find_item, run=run, name=request.query.get("name", "")))
        return _send({"key": -1 if key is None else key})

    async def _api_export(self, request: web.Request) -> web.StreamResponse:
        run, kind = await self._find(request), request.query.get("format", "")
        if kind not in MEDIA_TYPES:
            raise web.HTTPBadRequest(text=f"format: should be one of {', '.join(MEDIA_TYPES)}")
        asked = await self._ask(request, run)
        if asked.blind:
            raise web.HTTPForbidden(text="the answers cannot be saved while their verdicts are hidden")
        with tempfile.TemporaryDirectory(prefix="unisafe-view-") as folder:
            file = Path(folder) / "selection"
            await self._reader.read(partial(write_selection, run=run, choice=asked.choice, kind=kind, path=file))
            headers = {"Content-Disposition": f'attachment; filename="{name_file(run, kind)}"', "Content-Type": MEDIA_TYPES[kind]}
            answer = web.StreamResponse(headers=headers)
            await answer.prepare(request)
            async with await anyio.open_file(file, "rb") as written:
                while part := await written.read(PART):
                    await answer.write(part)
            return answer

    async def _api_label(self, request: web.Request) -> web.Response:
        run = await self._find(request)
        given = _read_body(await request.read())
        key, number = given.get("key"), given.get("number")
        if not isinstance(key, int) or not 0 <= key < 2**62:
            raise web.HTTPBadRequest(text="key: should be the key of an item")
        models = await self._list_models(run)
        asked = await self._ask(request, run)
        found = await self._reader.read(partial(read_item, run=run, key=key, choice=asked.choice, models=models))
        answer = next((one for one in found.get("answers", ()) if one["number"] == number), None)
        if answer is None or answer["place"] is None or answer["place"][-1] != given.get("seen"):
            raise web.HTTPConflict(text="this answer has changed since it was shown; nothing was written")
        add = partial(self._book.add, run, answer["place"], given, drawn=answer["drawn"])
        await to_thread.run_sync(add)
        return _send({"saved": True})

    # -------------------------------------------------------- what requests share

    async def _find(self, request: web.Request) -> str:
        """The run that the address names, which is checked once: it may come from a stranger's cache."""
        run = request.match_info["run"]
        if run not in self._checked:
            facets = await self._reader.read(partial(read_facets, name=run))
            if facets.run != run:
                raise web.HTTPNotFound(text=f"there is no run {run!r}")
            self._checked.add(run)
        return run

    async def _ask(self, request: web.Request, run: str) -> Asked:
        names = await self._reader.read_once(("names", run), partial(count_by, run=run))
        return read_asked(request.query, names, blind=self._blind)

    async def _list_models(self, run: str) -> list[str]:
        """The run's models in the order of its configuration."""
        if run not in self._models:
            facets = await self._reader.read(partial(read_facets, name=run))
            self._models[run] = [model.name for model in facets.config.models]
        return self._models[run]


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an error of ours with its sentence."""
    try:
        return await handler(request)
    except CacheBusy as error:
        return _send({"error": plain(str(error))}, 503)
    except NoPicture as error:
        return _send({"error": plain(str(error))}, 404)
    except CacheError as error:
        return _send({"error": plain(str(error))}, 404)
    except UnisafeError as error:
        return _send({"error": plain(str(error))}, 400)


async def _send_nothing(_: web.Request) -> web.Response:
    """There is no picture for the browser's tab."""
    return web.Response(status=204)


def _send(content: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json", charset="utf-8")


def _send_page(page: Page) -> web.Response:
    headers = {"Content-Security-Policy": page.policy}
    return web.Response(body=page.content, content_type="text/html", charset="utf-8", headers=headers)


def _read_body(content: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(content)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise web.HTTPBadRequest(text="the body should be a JSON object")
    return given


def _name_task(task: str) -> tuple[str, str]:
    title = TASKS[task].title if task in TASKS else plain(task)
    return title, title


def _place_task(task: str) -> tuple[int, str]:
    return (list(TASKS).index(task) if task in TASKS else len(TASKS), task)


@asynccontextmanager
async def open_view(viewer: Viewer, guard: Guard, port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; yields the address, with the token. Raises OSError for a taken port."""
    runner = web.AppRunner(viewer.build_app(guard), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}/?token={guard.token}"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
