"""Where a key may go: to the endpoint's own host and to other hosts of the same vendor. An answer alone sends it nowhere."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2


def may_get_key(address: str, base_url: str, key_hosts: Sequence[str]) -> bool:
    """Whether the key of the endpoint at `base_url` may go to `address`, which an answer names.

    Args:
        key_hosts: the vendor's own hosts: one by its name, or all below `.name`. They count by https alone, and only for an
            endpoint that stands there too: a proxy's key, or a test server's, is no business of the vendor's hosts.
    """
    try:
        there, here = httpx2.URL(address), httpx2.URL(base_url)
    except (httpx2.InvalidURL, ValueError):
        return False
    if there.userinfo:
        return False
    if (there.scheme, there.host, _port_of(there)) == (here.scheme, here.host, _port_of(here)):
        return True
    return there.scheme == "https" and _port_of(there) == 443 and all(_is_listed(url.host, key_hosts) for url in (there, here))


def _is_listed(host: str, names: Sequence[str]) -> bool:
    return any(host.endswith(name) if name.startswith(".") else host == name for name in names)


def _port_of(url: httpx2.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
