"""Applies today's rules to answers that an older version stored, once, when they are looked up, and reports the changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import anyio
from anyio import to_thread
from unisafe_cache import Answer, Store
from unisafe_cache.readings import Reread, asked_of, write_back
from unisafe_cache.records import Stored, note_mended
from unisafe_cache.reread_causes import (
    AGAIN,
    BROKEN,
    CUT,
    EMPTY,
    MEDIA_TYPE,
    NO_PICTURE,
    ONLY_THOUGHTS,
    PICTURE_FOUND,
    THOUGHTS,
    TOKENS,
    UNCHANGED,
)
from unisafe_providers.anatomy import FEW_TOKENS, examine_response
from unisafe_providers.base import Image, Malformed, Response
from unisafe_providers.pictures import NotAPicture, look
from unisafe_providers.registry import answers_from

AT_ONCE = 4
"""Pictures that are decoded at the same time."""


class Rereading:
    """Reads stored answers by today's rules.

    Attributes:
        counts: answers that were read anew, by result; `unchanged` are those that the older rules had read in the same way.
        keeps: whether the results are written back, so that each answer is read anew only once.
    """

    def __init__(self, store: Store) -> None:
        self.counts: Counter[str] = Counter()
        self.keeps = not store.read_only
        self._store = store
        self._counted: set[int] = set()

    async def read(self, found: dict[str, Answer]) -> dict[str, Answer]:
        """`found` by today's rules, without the answers for which the model must be asked again."""
        return await self._look_at(await self._read(found)) if found else found

    async def _read(self, found: dict[str, Answer]) -> dict[str, Answer]:
        unread = {answer.id: answer for answer in found.values() if answer.unread}
        if not unread:
            return found
        asked = await self._store.query(lambda connection: asked_of(connection, unread))
        anew: dict[int, tuple[Response, str]] = {}
        slots = anyio.Semaphore(AT_ONCE)

        async def one(answer: Answer) -> None:
            async with slots:
                anew[answer.id] = await _read_anew(answer.response, *asked.get(answer.id, ("", "")))

        async with anyio.create_task_group() as group:
            for answer in unread.values():
                group.start_soon(one, answer)
        self._count(anew)
        if self.keeps:
            await self._write_back(unread, anew)
        kept = {id_: Answer(id_, response) for id_, (response, cause) in anew.items() if cause not in AGAIN}
        return {key: kept.get(answer.id, answer) for key, answer in found.items() if not answer.unread or answer.id in kept}

    async def _look_at(self, found: dict[str, Answer]) -> dict[str, Answer]:
        """`found` with examined images, so that it is known which images are mended before they are judged."""
        unseen = {image.digest: image for answer in found.values() for image in answer.response.images if image.mended is None}
        if not unseen:
            return found
        mended: dict[str, str] = {}
        slots = anyio.Semaphore(AT_ONCE)

        async def one(image: Image) -> None:
            async with slots:
                try:
                    mended[image.digest] = (await to_thread.run_sync(look, await image.read())).mended or ""
                except NotAPicture:
                    mended[image.digest] = ""

        async with anyio.create_task_group() as group:
            for image in unseen.values():
                group.start_soon(one, image)
        if not self._store.read_only:
            await self._store.query(lambda connection: note_mended(connection, mended))
        return {key: replace(answer, response=_add_mended(answer.response, mended)) for key, answer in found.items()}

    def _count(self, anew: Mapping[int, tuple[Response, str]]) -> None:
        self.counts.update(cause for id_, (_, cause) in anew.items() if id_ not in self._counted)
        self._counted.update(anew)

    async def _write_back(self, unread: Mapping[int, Answer], anew: Mapping[int, tuple[Response, str]]) -> None:
        changed: list[Reread] = []
        pictures: dict[str, Stored] = {}
        for id_, (response, cause) in anew.items():
            if cause == UNCHANGED:
                continue
            before = unread[id_].response.images
            images = None
            if cause != BROKEN and response.images != before:
                images = tuple(image.digest for image in response.images)
                pictures |= {image.digest: await Stored.of(image) for image in _find_new(response.images, before)}
            changed.append(Reread(id=id_, text=response.text, thoughts=response.thoughts, missing=response.missing, images=images))
        unchanged = [id_ for id_, (_, cause) in anew.items() if cause == UNCHANGED]
        await self._store.query(lambda connection: write_back(connection, changed, unchanged, pictures))


async def _read_anew(response: Response, identity: str, kind: str) -> tuple[Response, str]:
    """A stored answer by today's rules, and the kind of change."""
    image_due = kind in ("image", "edit")
    provider = identity.partition("|")[0]
    try:
        anew = await examine_response(response, image_due=image_due, recorded=answers_from(provider) == "file")
    except Malformed as error:
        return replace(error.partial or replace(response, images=()), missing=str(error)), BROKEN
    return replace(anew, asks_again=False), _explain_change(response, anew)


def _add_mended(response: Response, mended: Mapping[str, str]) -> Response:
    if not response.images:
        return response
    return replace(
        response, images=tuple(replace(image, mended=mended.get(image.digest, image.mended)) for image in response.images)
    )


def _explain_change(before: Response, anew: Response) -> str:
    """What today's rules changed, in words; of several changes the most important one."""
    if anew.missing:
        if anew.finish == "length":
            return CUT
        if anew.thoughts:
            return ONLY_THOUGHTS
        return TOKENS if anew.usage.tokens_out > FEW_TOKENS else EMPTY
    if len(anew.images) > len(before.images):
        return PICTURE_FOUND
    if len(anew.images) < len(before.images):
        return NO_PICTURE
    if _find_new(anew.images, before.images):
        return MEDIA_TYPE
    return THOUGHTS if (anew.thoughts, anew.text) != (before.thoughts, before.text) else UNCHANGED


def _find_new(images: Iterable[Image], before: Iterable[Image]) -> list[Image]:
    """The pictures without repetitions of the same picture with the same media type."""
    known = set(before)
    return [image for image in images if image not in known]
