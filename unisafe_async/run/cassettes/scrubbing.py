"""Removes from exchanges what nobody else may see: keys, accounts, ids, queries of signed addresses, pictures."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from unisafe_async.config.secret_words import OPTION, hide_in_text
from unisafe_async.run.cassettes import removed_words as words
from unisafe_async.run.cassettes.small_pictures import DATA_URL, shrink_base64

T = TypeVar("T")
REMOVED = "removed"
SHORTEST_SECRET, SHORTEST_ID, SHORTEST_NAME = 8, 6, 4
TAKEN_SHORTER = 600
"""The most characters of one text in a call: what we send can be built again."""


class Scrubber:
    """Removes the same things in the same way everywhere in one cassette.

    Args:
        secrets: values that must not be seen in any form, such as keys.
        private_hosts: hosts that tell whose account it is.
        private_folders: folders of this machine, as in a model's path.

    Attributes:
        removed: how often each thing was removed.
        pictures: notes on the pictures that the last body held.
    """

    def __init__(self, secrets: Iterable[str], private_hosts: Iterable[str] = (), private_folders: Iterable[str] = ()) -> None:
        self.removed: Counter[str] = Counter()
        self.pictures: list[dict[str, Any]] = []
        self._secrets = list_forms(secrets)
        self._hosts = sorted(filter(None, private_hosts), key=len, reverse=True)
        self._folders = sorted({folder.rstrip("/") + "/" for folder in private_folders if len(folder) > 1}, key=len, reverse=True)
        self._ids: dict[str, str] = {}
        self._names: set[str] = set()
        self._addresses: dict[tuple[str, str], str] = {}

    # -------------------------------------------------------- learning, before anything is removed

    def learn_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Remember what headers call an account or a request: messages say it too, without saying what it is."""
        for name, value in headers:
            if words.ACCOUNT.search(name) and len(value) >= SHORTEST_NAME:
                self._names.add(value)
            elif words.ID.search(name) and len(value) >= SHORTEST_ID:
                self._number(value)

    def learn_ids(self, value: object, *, apart: Iterable[str] = ()) -> None:
        """Remember every id in a body, so that it is removed wherever else it stands, as in an address; `apart` are no ids."""
        if isinstance(value, dict):
            for key, inner in value.items():
                ids = inner if isinstance(inner, list) else [inner]
                if words.ACCOUNT.search(str(key)) and key != "owned_by":
                    self._names |= {one for one in ids if isinstance(one, str) and is_name(one) and one not in apart}
                if words.ID.search(str(key)) and not words.ACCOUNT.search(str(key)):
                    for one in ids:
                        if isinstance(one, str) and len(one) >= SHORTEST_ID and " " not in one and one not in apart:
                            self._number(one)
                self.learn_ids(inner, apart=apart)
        elif isinstance(value, list):
            for inner in value:
                self.learn_ids(inner, apart=apart)

    def learn_download(self, url: str, media_type: str) -> None:
        """Remember where a picture was fetched: its host is kept, the path has a number."""
        parts = urlsplit(url)
        ending = media_type.partition(";")[0].rpartition("/")[2] or "bin"
        there = f"{parts.scheme}://{parts.netloc}/picture-{len(self._addresses) + 1}.{ending}"
        self._addresses.setdefault((parts.netloc, unquote(parts.path)), there)

    def _number(self, name: str) -> str:
        return self._ids.setdefault(name, f"id-{len(self._ids) + 1}")

    # -------------------------------------------------------- removing

    def body(self, value: Any, place: str = "", *, sent: bool = False) -> Any:  # noqa: ANN401 JSON
        """A body without what is removed; of one that was `sent`, long texts are shortened."""
        if isinstance(value, dict):
            said = "logprob" in value
            return {
                self.text(str(key)): self._value(str(key), inner, f"{place}.{key}" if place else str(key), sent, said)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.body(inner, f"{place}[{index}]", sent=sent) for index, inner in enumerate(value)]
        return self._string(value, place, sent) if isinstance(value, str) else value

    def _value(self, key: str, value: Any, place: str, sent: bool, said: bool) -> Any:  # noqa: ANN401 JSON
        if words.ACCOUNT.search(key) and not isinstance(value, bool):
            return self._empty(value, "account")
        if isinstance(value, str) and value and not said and OPTION.search(key):
            return self._count("key", "")
        if isinstance(value, str) and len(value) > 20 and words.OPAQUE.search(key):
            return self._count("signature", REMOVED)
        return self.body(value, place, sent=sent)

    def _empty(self, value: Any, what: str) -> Any:  # noqa: ANN401 JSON
        """`value` with all text and numbers below it removed."""
        if isinstance(value, dict):
            return {self.text(str(key)): self._empty(inner, what) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._empty(inner, what) for inner in value]
        if isinstance(value, str) and value:
            return self._count(what, REMOVED)
        return self._count(what, 0) if isinstance(value, int | float) and not isinstance(value, bool) else value

    def _string(self, text: str, place: str, sent: bool) -> str:
        shrunk = shrink_base64(text)
        if shrunk is not None:
            return self._note_picture(place, *shrunk)
        if words.BLOB.fullmatch(text):
            return self._count("long text without words", f"{REMOVED}: {len(text)} characters")
        text = DATA_URL.sub(lambda found: self._shrink_data_url(found, place), text)
        if sent and len(text) > TAKEN_SHORTER and "data:image/" not in text:
            text = f"{text[: TAKEN_SHORTER // 2]} ... and {len(text) - TAKEN_SHORTER // 2} more characters"
        return self.text(text)

    def _shrink_data_url(self, found: re.Match[str], place: str) -> str:
        shrunk = shrink_base64(found[2])
        return found[0] if shrunk is None else found[1] + self._note_picture(place, *shrunk)

    def _note_picture(self, place: str, text: str, note: dict[str, Any]) -> str:
        self.pictures.append({"at": place, **note})
        return self._count("picture", text)

    def text(self, text: str) -> str:
        """A text without secrets, accounts, ids and signed addresses."""
        for secret in self._secrets:
            if secret in text:
                text = self._count("key", text.replace(secret, REMOVED))
        for folder in self._folders:
            if folder in text:
                text = self._count("folder of this machine", text.replace(folder, ""))
        text = words.URL.sub(lambda found: self.url(found[0]), text)
        for host in self._hosts:
            if host in text:
                text = self._count("address of your own", text.replace(host, "address.example"))
        for name in sorted(self._names, key=len, reverse=True):
            if name in text:
                text = self._count("account", text.replace(name, REMOVED))
        for name in sorted(self._ids, key=len, reverse=True):
            if name in text:
                text = self._count("id", text.replace(name, self._ids[name]))
        for pattern in (words.UUID, words.HEXADECIMAL, words.NUMBERED):
            text = pattern.sub(lambda found: self._count("id", self._number(found[0])), text)
        for what, pattern, instead in words.IN_TEXT:
            text, times = pattern.subn(instead, text)
            self.removed[what] += times
        hidden = hide_in_text(text)
        return text if hidden == text else self._count("key", hidden)

    def url(self, url: str) -> str:
        """An address with its query's values removed; that of a downloaded picture gets a path of its own."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return self._count("address", "https://removed.example")
        if there := self._addresses.get((parts.netloc, unquote(parts.path))):
            return self._count("address of a picture", there)
        netloc = parts.netloc.rpartition("@")[2]
        asked = parse_qsl(parts.query, keep_blank_values=True)
        query = urlencode([(name, value if name in words.KEPT_QUERY else REMOVED) for name, value in asked])
        if query != parts.query or netloc != parts.netloc:
            self.removed["address's query"] += 1
        return urlunsplit((parts.scheme, netloc, parts.path, query, ""))

    def _count(self, what: str, value: T) -> T:
        self.removed[what] += 1
        return value


def is_name(text: str) -> bool:
    """Whether a text under an account's key is a name, to be removed elsewhere too, and no plain word such as `standard`."""
    return len(text) >= SHORTEST_ID and re.search(r"[\dA-Z_@ -]", text) is not None


def list_forms(secrets: Iterable[str]) -> list[str]:
    """Each secret as it is, as JSON and addresses write it, and in base64; the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            encoded = base64.b64encode(secret.encode()).decode()
            forms |= {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), encoded, encoded.rstrip("=")}
    return sorted(forms, key=len, reverse=True)
