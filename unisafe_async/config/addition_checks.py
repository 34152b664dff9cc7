"""Checks a user's additions to requests (`extra`, `headers`): nothing secret, nothing that HTTP cannot carry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel
from unisafe_providers.endpoint_options import EndpointOptions, VendorOptions

from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.secret_words import AUTHORIZATION, find_secrets, is_secret_header, looks_secret
from unisafe_async.config.sections import ModelSection

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = frozenset(
    {
        *(
            "host",
            "content-type",
            "content-length",
            "content-encoding",
            "transfer-encoding",
            "connection",
            "expect",
            "te",
            "trailer",
        ),
        *("upgrade", "keep-alive", "proxy-connection", "accept-encoding", "anthropic-version"),
    }
)
"""Headers that say how a request is sent; the HTTP client sets them."""
STORED = "is stored with each run"
USER_OR_QUERY = re.compile(r"@|\?")
"""Mistakes in an address, which the checks of addresses refuse by themselves."""
SEARCHED = frozenset({"extra", "extra_chat", "extra_image", "extra_edit", "headers", "headers_env", "options", "kind_options"})
"""Tables whose checks have messages of their own."""


def mistakes_of_additions(endpoint: EndpointSection) -> Iterator[str]:
    """Each mistake with its key in the section; a text that looks like a secret is not repeated."""
    for key in ("extra", "extra_chat", "extra_image", "extra_edit"):
        for place in find_secrets(getattr(endpoint, key, {}), key):
            yield (
                f"{place}: looks like a secret, and `{key}` {STORED}; a key goes into a variable named by "
                "key_env, a header's value into one named by headers_env"
            )
    for place in find_secrets(getattr(endpoint, "options", {}), "options"):
        yield f"{place}: looks like a secret, and `options` {STORED}; keys go into a variable named by key_env"
    for place in find_secrets(getattr(endpoint, "command", ()), "command"):
        yield f"{place}: looks like a secret, or holds one, and it {STORED}; name a variable in `env`"
    for key, value in endpoint:
        said = key == "key_env" or (key == "base_url" and USER_OR_QUERY.search(str(value)))
        if isinstance(value, str) and not said and looks_secret(value):
            yield f"{key}: looks like a secret, or holds one, and it {STORED}; a key goes into a variable named by key_env"
        elif (isinstance(value, dict) and key not in SEARCHED) or key == "replicas":
            yield from (f"{place}: looks like a secret, and it {STORED}" for place in find_secrets(value, key))
        elif isinstance(value, BaseModel):
            found = find_secrets(value.model_dump(), key)
            yield from (
                f"{place}: looks like a secret, and it {STORED}; `export` it and name the variable in `env`" for place in found
            )
    key_env = endpoint.key_env if isinstance(endpoint, EndpointOptions) else None
    if key_env is not None and (not VARIABLE.fullmatch(key_env) or looks_secret(key_env)):
        yield "key_env: should be the name of a variable, such as OPENAI_API_KEY; the key itself never stands in this file"
    if isinstance(endpoint, VendorOptions):
        yield from _mistakes_of_kinds(endpoint)
        yield from _mistakes_of_headers(endpoint, endpoint.spec.key_header)


def _mistakes_of_kinds(options: VendorOptions) -> Iterator[str]:
    draws = isinstance(options, ModelSection) and "image" in options.gives
    for key in ("extra_image", "extra_edit"):
        if getattr(options, key) and not draws:
            asked = 'a model with "image" in gives' if isinstance(options, ModelSection) else "models under test"
            yield f"{key}: goes with {asked} only; this one is asked in chats (extra_chat)"


def _mistakes_of_headers(options: VendorOptions, key_header: str) -> Iterator[str]:
    for name, value in options.headers.items():
        if looks_secret(name):
            yield f"headers: the name of one looks like a secret, and it {STORED}; headers_env names variables with values"
            continue
        yield from _mistakes_of_name(options, "headers", name, key_header)
        if is_secret_header(name) or looks_secret(value) or AUTHORIZATION.search(value):
            yield (
                f"headers.{name}: looks like a secret, and `headers` {STORED}; put it into a variable and name that: "
                f'headers_env = {{ "{name}" = "VARIABLE" }}'
            )
        elif not value.isascii() or not value.isprintable() or value != value.strip():
            yield f"headers.{name}: holds a line break, non-ASCII, or blanks at its ends, as no header can"
    for name, variable in options.headers_env.items():
        yield from _mistakes_of_name(options, "headers_env", name, key_header)
        if not VARIABLE.fullmatch(variable) or looks_secret(variable):
            yield f"headers_env.{name}: should be a variable's name, such as GATEWAY_KEY; the value never stands in this file"
    names = [name.lower() for name in (*options.headers, *options.headers_env)]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        yield f"headers: {twice!r} is given twice (case does not count, and headers_env counts); keep one of them"


def _mistakes_of_name(options: VendorOptions, table: str, name: str, key_header: str) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f"{table}: {name!r} is no name of a header: letters, digits and hyphens, without blanks"
    elif name.lower() in OURS:
        yield f"{table}.{name}: is set by how requests are sent; leave it out"
    elif options.key_env is not None and name.lower() == key_header:
        yield f"{table}.{name}: carries the key that key_env names already; keep one of the two"
