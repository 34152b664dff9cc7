"""One call of a provider that may be anybody's: what comes out is a sound Response or a ProviderError, whatever it does."""

from __future__ import annotations

from providers.anatomy import examined
from providers.base import Provider, ProviderError, Rejected, Request, Response
from providers.recorded import Recorded
from providers.soundness import wrong_with_response


async def called(provider: Provider, request: Request) -> Response:
    """The provider's answer. An error that it should not raise, or an answer that is none, is Rejected: one item fails."""
    try:
        response = await provider.call(request)
    except ProviderError:
        raise
    except (Exception, SystemExit) as error:
        raise Rejected(f"the provider broke: {type(error).__name__}: {error}") from error
    wrong = wrong_with_response(response)
    if wrong:
        raise Rejected(f"the provider broke: {wrong}")
    return await examined(response, image_due=request.image_due, recorded=isinstance(provider, Recorded))
