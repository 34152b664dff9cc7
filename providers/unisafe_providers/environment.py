"""Proxy and certificates on the way to an endpoint, as environment variables name them."""

from __future__ import annotations

import os
import re
import ssl
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

from unisafe_providers.base import BadEnvironment, Misconfigured, ProviderError, Transient

UNREAD = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that other programs take certificates from."""


class Variable(NamedTuple):
    """A variable that is set: its name, and its value without user name and password."""

    name: str
    shown: str

    def __str__(self) -> str:
        return f"{self.name}={self.shown}"


def hide_credentials(value: str) -> str:
    """An address without credentials, path and query, on one line."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|", value)
    beginning = scheme[0] if scheme else ""
    host = re.split(r"[/?#]", value[len(beginning) :].rpartition("@")[2])[0]
    return " ".join(f"{beginning}{host}".split())[:200]


def find_proxy_address(url: str) -> str | None:
    """The whole address of the proxy that leads to `url`, with its user and password; None if `url` is reached without one."""
    if proxy_of(url) is None:
        return None
    proxies = getproxies()
    value = next(proxies[key] for key in (urlsplit(url).scheme, "all") if proxies.get(key))
    return value if "://" in value else f"http://{value}"


def proxy_of(url: str) -> Variable | None:
    """The variable whose proxy leads to `url`; None if `url` is reached without a proxy."""
    parts = urlsplit(url)
    proxies = getproxies()
    key = next((key for key in (parts.scheme, "all") if proxies.get(key)), None)
    if key is None or proxy_bypass(parts.hostname or ""):
        return None
    return _variable(key, proxies[key])


def _variable(key: str, value: str) -> Variable:
    names = [name for name in os.environ if name.lower() == f"{key}_proxy" and os.environ[name] == value]
    return Variable(names[0] if names else f"the system's proxy for {key}", hide_credentials(value))


def check_proxies(url: str) -> None:
    """Raises BadEnvironment for a proxy of a wrong form, and for a SOCKS proxy that would lead to `url`."""
    used, proxies = proxy_of(url), getproxies()
    if "*" in map(str.strip, proxies.get("no", "").split(",")):
        return
    for key in ("http", "https", "all"):
        value = proxies.get(key)
        if not value:
            continue
        variable = _variable(key, value)
        address = value if "://" in value else f"http://{value}"
        scheme = address.partition("://")[0].lower()
        if scheme.startswith("socks") and (variable == used or scheme not in ("socks5", "socks5h")):
            raise BadEnvironment(
                f"{variable}: SOCKS proxies are not spoken here; name an HTTP proxy in its place, or unset the variable "
                "(hosts in NO_PROXY are reached without one)"
            )
        try:
            httpx2.Proxy(address)
        except (httpx2.InvalidURL, ValueError) as error:
            why = "its scheme is none of http and https" if "scheme" in str(error) else str(error)
            form = "HOST:PORT or http://NAME:PASSWORD@HOST:PORT"
            raise BadEnvironment(f"{variable}: is no proxy's address ({why}); it should be {form}, or unset") from None


@cache
def load_certificates() -> ssl.SSLContext:
    """The certificates that we trust; all clients share one context, because reading it takes 30 ms. Raises BadEnvironment."""
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise BadEnvironment(f"SSL_CERT_DIR={folders}: there is no such folder; name one with certificates, or unset the variable")
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        if not file:
            raise Misconfigured(f"this machine's certificates cannot be read: {error.strerror or error}") from None
        if not isinstance(error, ssl.SSLError):
            why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            why = "is a folder" if Path(file).is_dir() else why
        else:
            why = "holds no certificate in PEM"
        raise BadEnvironment(f"SSL_CERT_FILE={file}: {why}; name a file of certificates in PEM, or unset the variable") from None


def check_environment(url: str) -> None:
    """Raises BadEnvironment if the environment alone makes `url` unreachable for every request."""
    check_proxies(url)
    load_certificates()


def explain_network_error(cause: BaseException, url: str, *, answered: bool) -> ProviderError | None:
    """The error if a proxy or a certificate on the way to `url` is behind aiohttp's error `cause`; None if the endpoint is.

    `answered` says that the endpoint was reached before: then the way is right and only broken for now.
    """
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return None if answered else _explain_untrusted(cause, url)
    proxy = proxy_of(url)
    if proxy is None:
        return None
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return _explain_refusal(cause.status, cause.message, proxy, answered=answered)
    if not isinstance(cause, aiohttp.ClientConnectorError):
        return None
    why = cause.os_error.strerror or str(cause.os_error)
    if answered:
        return Transient(f"the proxy cannot be reached ({proxy}): {why}", unreachable=True)
    return BadEnvironment(f"{proxy}: the proxy cannot be reached: {why}; start it, correct the variable, or unset it")


def wants_credentials(proxy: Variable | None) -> Misconfigured:
    """A proxy that answers 407."""
    name = str(proxy) if proxy is not None else "a proxy on the way"
    return BadEnvironment(
        f"{name}: the proxy wants a name and a password (407); put them into its address: http://NAME:PASSWORD@HOST:PORT"
    )


def _explain_refusal(status: int, message: str, proxy: Variable, *, answered: bool) -> ProviderError:
    if status == 407:
        return wants_credentials(proxy)
    words = f"{proxy}: the proxy did not connect to the endpoint ({status}: {' '.join(message.split())[:200]})"
    if answered or status >= 500 or status in (408, 425, 429):
        return Transient(words)
    return BadEnvironment(f"{words}; allow it there, or put the endpoint's host into NO_PROXY")


def _explain_untrusted(cause: aiohttp.ClientConnectorCertificateError, url: str) -> Misconfigured:
    why = getattr(cause.certificate_error, "verify_message", "") or str(cause.certificate_error)
    named = [f"{name}={os.environ[name]}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    unread = [name for name in UNREAD if os.environ.get(name)]
    words = f"the certificate of {urlsplit(url).netloc.rpartition('@')[2]} is not trusted here: {why}"
    words += f" (those trusted are in {named[0]})" if named else ""
    advice = "name a PEM file with its authority's certificate, such as a company's proxy has, in SSL_CERT_FILE"
    return Misconfigured(f"{words}; {advice}" + (f" ({unread[0]} is not looked at)" if unread else ""))
