"""Lists of models from endpoints: the names on one page, and the address of the next page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

PAGES = 50
"""The most pages of a list that are read."""


def read_names(page: object) -> list[str]:
    """The models of one page: a list under `data` or `models`, or a bare one, of names or of tables with `id`, `name` or `model`.

    Raises ValueError if the page is no list of models.
    """
    entries = page
    if isinstance(page, dict):
        entries = next((page[key] for key in ("data", "models") if isinstance(page.get(key), list)), None)
    if not isinstance(entries, list):
        raise ValueError("the answer is no list of models")
    return [name.removeprefix("models/") for entry in entries for name in _names_of(entry)]


def _names_of(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        name = next((entry[key] for key in ("id", "name", "model") if isinstance(entry.get(key), str) and entry[key]), None)
        aliases = entry.get("aliases")
        yield from [name] if name is not None else []
        yield from [alias for alias in aliases if isinstance(alias, str)] if isinstance(aliases, list) else []


def find_next_page(page: object, url: str, cursor: str) -> str | None:
    """The address of the page after this one, which was read at `url`; None if this is the last page, or the next is elsewhere.

    `cursor` is the query parameter for the last entry's id, for vendors that only say that there is more. The request carries the
    key, so an address at another host is not followed.
    """
    if not isinstance(page, dict):
        return None
    links = page.get("links") if isinstance(page.get("links"), dict) else page.get("_links")
    told = [_address(links.get("next"))] if isinstance(links, dict) else []
    told += [_address(page.get("next")), _address(page.get("next_page_url"))]
    for address in filter(None, told):
        return _at_home(url, address)
    for key, parameter in (
        ("nextPageToken", "pageToken"),
        ("next_page_token", "page_token"),
        ("pagination_token", "pagination_token"),
    ):
        if isinstance(page.get(key), str) and page[key]:
            return _set_parameter(url, parameter, page[key])
    last = _find_last(page)
    return _set_parameter(url, cursor, last) if page.get("has_more") is True and last else None


def _address(link: object) -> str:
    href = link.get("href") if isinstance(link, dict) else link
    return href if isinstance(href, str) else ""


def _find_last(page: dict[str, Any]) -> str:
    """The id of a page's last entry."""
    if isinstance(page.get("last_id"), str):
        return str(page["last_id"])
    entries = page.get("data")
    last = entries[-1] if isinstance(entries, list) and entries else None
    return str(last.get("id") or "") if isinstance(last, dict) else ""


def _at_home(url: str, address: str) -> str | None:
    """`address`, which may be relative or only a query, at the host of `url`; None if it is at another host."""
    there = urljoin(url, address)
    here, other = urlsplit(url), urlsplit(there)
    return there if (here.scheme, here.netloc) == (other.scheme, other.netloc) else None


def _set_parameter(url: str, parameter: str, value: str) -> str:
    parts = urlsplit(url)
    query = [(name, held) for name, held in parse_qsl(parts.query) if name != parameter]
    return urlunsplit(parts._replace(query=urlencode([*query, (parameter, value)])))


def is_unlistable(status: int, body: object) -> bool:
    """Whether an answer only says that models cannot be listed here, or not with this (restricted) key."""
    if status in (404, 405, 406, 501):
        return True
    words = (body if isinstance(body, str) else json.dumps(body)).lower()
    return status in (401, 403) and any(
        word in words for word in ("missing scope", "insufficient permission", "model.read", "bedrock:list")
    )
