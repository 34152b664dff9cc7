"""Lists of models as vendors give them: bare, in pages, with aliases; and what a key may not list."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Misconfigured, ProviderError, Rejected
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from vendors import KEY, Asked, Reply, openai


async def listed(*replies: Any, cursor: str = "after") -> tuple[list[str], list[Asked]]:
    class Vendor(OpenAICompatible):
        LIST_CURSOR = cursor

    async with openai.OpenAIServer(*replies) as server, Vendor("m", server.url, KEY, Capabilities()) as provider:
        return await provider.models(), server.asked


@pytest.mark.parametrize(
    "page",
    [
        [{"id": "a", "type": "chat"}, {"id": "b"}],
        ["a", "b"],
        {"object": "list", "data": [{"id": "a"}, {"id": "b"}]},
        {"models": [{"name": "models/a"}, {"name": "models/b"}]},
        {"models": [{"model": "a"}, {"name": "b", "model": "b:latest"}]},
        {"data": [{"id": "a", "aliases": ["b"]}, None, 3, {}]},
    ],
)
async def test_a_list_has_many_shapes(page: object) -> None:
    assert (await listed(Reply(page)))[0] == ["a", "b"]


def entries(*names: str) -> dict[str, Any]:
    return {"data": [{"id": name} for name in names]}


@pytest.mark.parametrize(
    ("more", "query"),
    [
        ({"links": {"next": "/v1/models?page=2"}}, {"page": "2"}),
        ({"links": {"next": {"href": "?page=2"}}}, {"page": "2"}),
        ({"_links": {"next": {"href": "/v1/models?page=2"}}}, {"page": "2"}),
        ({"next": "/v1/models?offset=1"}, {"offset": "1"}),
        ({"nextPageToken": "t&1"}, {"pageToken": "t&1"}),
        ({"next_page_token": "t"}, {"page_token": "t"}),
        ({"has_more": True, "last_id": "a"}, {"after_id": "a"}),
        ({"has_more": True}, {"after_id": "a"}),
    ],
)
async def test_pages_are_followed_to_the_last(more: dict[str, Any], query: dict[str, str]) -> None:
    names, asked = await listed(
        Reply({**entries("a"), **more}), Reply({**entries("b"), "has_more": False, "next": None}), cursor="after_id"
    )
    assert names == ["a", "b"]
    assert asked[1].query == query
    assert asked[1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_page_that_leads_back_to_itself_ends_the_list() -> None:
    names, asked = await listed(Reply({**entries("a"), "next": "/v1/models"}))
    assert (names, len(asked)) == (["a"], 2)


async def test_a_list_without_end_is_bounded() -> None:
    def page(asked: Asked) -> Reply:
        number = int(asked.query.get("page", "0"))
        return Reply({**entries(f"m{number}"), "next": f"/v1/models?page={number + 1}"})

    names, asked = await listed(page)
    assert len(names) == len(asked) == 50


async def test_the_key_follows_no_page_to_another_host() -> None:
    async with openai.OpenAIServer(Reply(entries("b"))) as elsewhere:
        names, _ = await listed(Reply({**entries("a"), "links": {"next": f"{elsewhere.url}/models"}}))
        assert elsewhere.asked == []
    assert names == ["a"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({"error": "no"}, 404), Rejected),
        (Reply({"error": "no"}, 501), Rejected),
        (
            openai.error(None, "You have insufficient permissions for this operation. Missing scopes: api.model.read.", 403),
            Rejected,
        ),
        (openai.error("invalid_api_key", "Incorrect API key provided", 401), Misconfigured),
        (Reply("just words"), ProviderError),
        (Reply({"data": {"a": 1}}), ProviderError),
    ],
)
async def test_what_cannot_be_listed_is_told_from_what_is_wrong(reply: Reply, error: type[ProviderError]) -> None:
    with pytest.raises(error):
        await listed(reply)
