"""One try of one request: it takes a slot, waits for limits and troubles of the endpoint, calls, and learns from the result."""

from __future__ import annotations

import logging
import random
from contextlib import nullcontext

from unisafe_providers.base import (
    Limits,
    Malformed,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Timeout,
    Transient,
    Withdrawn,
)

from unisafe_async.gateway.budget import Draining
from unisafe_async.gateway.calling import call_safely
from unisafe_async.gateway.clock import Pauses
from unisafe_async.gateway.endpoint import Endpoint
from unisafe_async.gateway.trying import FIRST_WAIT, Tries, replace_error

log = logging.getLogger(__name__)
LONGEST_WINDOW = 60.0
"""An answer's report of its limits may hold an endpoint for at most so many seconds; a 429 says how long it really takes."""
NO_OUTAGE = nullcontext(False)


async def send(endpoint: Endpoint, request: Request, tries: Tries, pauses: Pauses) -> Response:
    """The endpoint's billed answer. Raises ProviderError, whose usage is billed too, or Draining."""
    images = int(request.image_due)
    tokens = endpoint.estimate_tokens_in(request) + endpoint.estimate_tokens_out(request) if endpoint.rates.counts_tokens else 0.0
    if endpoint.proven:
        endpoint.concurrency.widen()
    since = await endpoint.concurrency.acquire()
    try:
        response = await _send_when_admitted(endpoint, request, tries, pauses, tokens, images)
    except (RateLimited, Transient) as error:
        _slow_down(endpoint, error, since)
        raise
    finally:
        endpoint.concurrency.release()
    endpoint.concurrency.note_success()
    endpoint.rates.correct(tokens, response.usage.tokens_in + response.usage.tokens_out)
    _obey(endpoint, endpoint.provider.reported)
    return response


async def _send_when_admitted(
    endpoint: Endpoint, request: Request, tries: Tries, pauses: Pauses, tokens: float, images: int
) -> Response:
    """Call as soon as no stop, doubt, outage or limit prevents it."""
    while True:
        if endpoint.doubts.settling:
            await endpoint.doubts.settle()
        _check(endpoint, request, pauses)
        async with endpoint.outage.turn(pauses, endpoint.max_wait) if endpoint.outage.down else NO_OUTAGE as probe:
            await endpoint.rates.wait(tokens, images)
            _check(endpoint, request, pauses)
            if not endpoint.doubts.settling and (probe or not endpoint.outage.down):
                return await _call(endpoint, request, tries)


def _check(endpoint: Endpoint, request: Request, pauses: Pauses) -> None:
    stopped = endpoint.find_stop(request)
    if stopped is not None:
        raise stopped
    pauses.check()


async def _call(endpoint: Endpoint, request: Request, tries: Tries) -> Response:
    """The answer; notes what it shows about the endpoint."""
    try:
        return await _call_counted(endpoint, request)
    except (RateLimited, Transient) as error:
        tries.note_failure(error)
        raise
    except Rejected:
        endpoint.outage.note_answer()
        raise
    except Misconfigured as error:
        endpoint.outage.note_answer()
        failure = await _note_stop(endpoint, error)
    raise failure


async def _call_counted(endpoint: Endpoint, request: Request) -> Response:
    """The billed answer. Until it comes, the call counts as under way."""
    answered = False
    endpoint.doubts.begin()
    try:
        response = await call_safely(endpoint.provider, request, endpoint.notes)
        response = endpoint.bill(request, response if endpoint.jobs is None else endpoint.jobs.add_cost(request, response))
        answered = True
        endpoint.outage.note_answer()
        endpoint.concurrency.widen()
        if log.isEnabledFor(logging.DEBUG):
            _log_answer(endpoint, request, response)
        return response
    except Withdrawn as error:
        raise Draining(str(error)) from None
    except ProviderError as error:
        endpoint.bill_failure(request, error)
        if isinstance(error, Rejected | Malformed):
            endpoint.doubts.reset()
        raise
    finally:
        endpoint.doubts.end(answered=answered)


def _log_answer(endpoint: Endpoint, request: Request, response: Response) -> None:
    """Note an answer, without what was asked or said."""
    usage = response.usage
    fields = {
        "event": "answer",
        "model": endpoint.name,
        "kind": request.kind,
        "finish": response.finish,
        "seconds": round(response.latency, 3),
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "images": usage.images,
        "cost": usage.cost,
    }
    log.debug("%s answered", endpoint.name, extra=fields)


async def _note_stop(endpoint: Endpoint, error: Misconfigured) -> ProviderError:
    """The error of a request that may stop its model; if the model does answer, a doubtful error fails only the item."""
    if not error.doubtful or error.needs is not None:
        return endpoint.stop(error)
    if not endpoint.proven:
        await endpoint.doubts.wait_for_others()
    if endpoint.stopped is not None:
        return endpoint.stopped
    alone = not endpoint.doubts.note_doubt() if endpoint.proven else endpoint.doubts.may_be_alone()
    if alone:
        return replace_error(error, Rejected(str(error)))
    return endpoint.stop(error)


def _slow_down(endpoint: Endpoint, error: RateLimited | Transient, since: float) -> None:
    """Allow fewer calls at once, and none before the endpoint's time; a model that asks for more than `max_wait` is stopped."""
    limited = isinstance(error, RateLimited)
    endpoint.counts.rate_limited += limited
    if limited or isinstance(error, Timeout) or error.retry_after is not None:
        endpoint.concurrency.note_overload(since)
    if error.retry_after is not None:
        if error.retry_after > endpoint.max_wait:
            raise endpoint.stop(_explain_too_long(error, error.retry_after, endpoint.max_wait)) from error
        endpoint.rates.block(error.retry_after)
    elif limited and not endpoint.rates.blocked_for:
        endpoint.rates.block(random.uniform(FIRST_WAIT, 2 * FIRST_WAIT))


def _explain_too_long(error: ProviderError, seconds: float, timeout: float) -> Misconfigured:
    return Misconfigured(
        f"asks to wait {seconds:,.0f} s, more than max_wait_s ({timeout:g}): the limit is spent; go on later or raise max_wait_s "
        f"({error})"
    )


def _obey(endpoint: Endpoint, limits: Limits) -> None:
    """Hold the endpoint if it reports that a limit is spent."""
    if not isinstance(limits, Limits):
        return
    if limits.remaining_requests == 0 and limits.reset_requests:
        endpoint.rates.block(min(LONGEST_WINDOW, limits.reset_requests))
    if limits.remaining_tokens == 0 and limits.reset_tokens:
        endpoint.rates.block(min(LONGEST_WINDOW, limits.reset_tokens))
