"""Whether a provider keeps its contract (`unisafe_providers/base.py`), in one line:

    async def test_it_conforms():
        await conforms(MyProvider, says=lambda text: {"reply": text})

`says` returns the body with which the endpoint sends a text. The suite plays that endpoint on loopback, at its best and at its
worst. A model that the program starts itself is examined by `conforms_on_device`, which `unisafe check-command` plays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from unisafe_providers.base import Capabilities, Provider
from unisafe_providers.conformance.on_device import conforms_on_device
from unisafe_providers.conformance.server import Server
from unisafe_providers.conformance.suite import NotConforming, Suite
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Options, ProviderSpec

__all__ = ["NotConforming", "conforms", "conforms_on_device"]


async def conforms(
    make: Callable[[ProviderSettings], Provider] | ProviderSpec[Any],
    *,
    options: Mapping[str, Any] | None = None,
    says: Callable[[str], object] | None = None,
    draws: Callable[[bytes], object] | None = None,
    takes: Callable[[str], object] | None = None,
    capabilities: Capabilities | None = None,
    models: tuple[str, str] = ("model-a", "model-b"),
    nothing: Sequence[object] = (),
) -> None:
    """Check a provider, and return when it keeps its contract. Runs on asyncio; takes a few seconds.

    The suite checks the protocol and the identity, which tells models and addresses apart and never holds the key. It checks that
    requests of undeclared kinds are rejected unsent, that other requests get an answer of the right kind, and that the provider
    does not change requests. Thoughts must be separate, words must never become a picture, and an empty answer must be empty.
    Every failure of the endpoint must raise the error that the gateway needs, once, without the key. A call can be cancelled,
    calls at the same time each get their own answer, the provider can be opened again, and it leaves nothing behind.

    Args:
        make: what the entry point names. The options of a plain callable are given by functools.partial.
        options: those of a ProviderSpec.
        says: turns a text into the body (JSON or bytes) with which the endpoint sends it. Without it and `draws` the suite plays
            no server, for a provider that needs none; then errors are not checked.
        draws: turns a PNG's bytes into the body with which the endpoint sends that picture, for `image` and `edit`.
        takes: turns the name of a job into the body with which the endpoint takes a request for later; polls name the job in
            their address, and get what `says` or `draws` returns.
        capabilities: what the model is declared to take and give; text only if it is left out.
        models: two model names that the provider accepts.
        nothing: bodies of the endpoint that hold nothing to judge, such as a body with thoughts only, or one that ended before
            the first word, or an empty list of pictures. For each, the provider must raise an error or return an empty answer.

    Raises NotConforming, an AssertionError, whose message begins with the name of what failed.
    """
    if isinstance(make, ProviderSpec):
        make = partial(_build, make, make.options.model_validate(dict(options or {})))
    with ExitStack() as stack:
        server = stack.enter_context(Server(says, draws, takes)) if says or draws else None
        kinds = {"chat": says is not None, "image": draws is not None, "edit": draws is not None}
        answered = frozenset(kind for kind, hook in kinds.items() if hook or server is None)
        await Suite(make, server, capabilities or Capabilities(), models, answered, nothing).run()


def _build(spec: ProviderSpec[Any], options: Options, settings: ProviderSettings) -> Provider:
    return spec.build(settings, options)
