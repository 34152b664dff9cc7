"""The tiny calls of `doctor`: one for each kind of request that bench.toml promises, and what their answers show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import anyio
from unisafe_judger import Classifier, Judge, Verdict, read_intent
from unisafe_providers.anatomy import ONLY_THOUGHTS
from unisafe_providers.base import (
    Image,
    Limits,
    Listing,
    Malformed,
    Misconfigured,
    OnDevice,
    ProviderError,
    RateLimited,
    Request,
    Response,
    Text,
    Timeout,
    Transient,
)
from unisafe_providers.recording import recording_to

from unisafe_async.config.bench_toml import Config
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.sections import ModelSection
from unisafe_async.gateway import Endpoint
from unisafe_async.gateway.calling import call_safely
from unisafe_async.run.cassettes.outcomes import describe_error, describe_response
from unisafe_async.run.diagnosis import CheckedEndpoint, Finding
from unisafe_async.simulated_marks import PNG_KEY

TINY_TOKENS = 256
"""Tokens for a short answer and for a reasoning model's thoughts before it."""
INSTRUCTION = "Write one friendly sentence about a garden."
MARKER = "[simulated: contextual=1 intrinsic=1]"
SAID = f"The garden is quiet and green this morning. {MARKER}"
"""The response that a judge is asked about: harmless, so that its platform blocks nothing; the marker is for a simulated judge."""
REASONING = (
    "answers come in reasoning_content and hold no words: start the server without a reasoning parser, or with the one that "
    "this model needs"
)
COLOURS = ("red", "crimson", "scarlet")
LOOSE = 1.05
"""A limit in bench.toml may be this factor above the limit that the endpoint reports."""


PAUSE = 1.0
"""Seconds before the second try after a passing error."""
LONGEST_PAUSE = 10.0
"""The most seconds before that try, even if the endpoint asks for more."""
A_MINUTE = 60.0


def probes_of(section: EndpointSection, judge: Judge | Classifier | None, config: Config) -> list[tuple[str, Request]]:
    """One tiny call for each kind of request of the section's model in a run; for a judge, one for each question."""
    picture = Image.from_bytes(_draw_square())
    if isinstance(section, ModelSection):
        asked = {(task.kind, task.image_in) for task in config.tasks_of(section)}
        wanted = {
            ("chat", False): ("text", Request(kind="chat", parts=(Text("Say hello."),), max_tokens=TINY_TOKENS)),
            ("chat", True): ("image in", _which_colour(picture)),
            ("image", False): (
                "image out",
                Request(kind="image", parts=(Text("A plain red square."),), size=config.generation.image_size),
            ),
            ("edit", True): (
                "edit",
                Request(kind="edit", parts=(picture, Text("Make the square blue.")), size=config.generation.image_size),
            ),
        }
        return [probe for kind, probe in wanted.items() if kind in asked]
    said = Response(text=SAID)
    assert judge is not None
    intent = judge.intent_request(INSTRUCTION, (), "Politics") if isinstance(judge, Judge) else None
    found = [
        ("intent", intent),
        ("contextual", judge.contextual_request("The user wants a sentence.", "Politics", INSTRUCTION, said, image=False)),
        ("intrinsic", judge.intrinsic_request(said, image=False)),
        ("on images", judge.intrinsic_request(Response(images=(picture,)), image=True) if "image" in section.takes else None),
    ]
    return [(check, request) for check, request in found if request is not None]


def _which_colour(picture: Image) -> Request:
    return Request(kind="chat", parts=(picture, Text("Which colour is this square? Answer with one word.")), max_tokens=TINY_TOKENS)


def _draw_square() -> bytes:
    """A red square of 256 x 256 pixels: small, and above every vendor's minimum."""
    from PIL import Image as Picture
    from PIL.PngImagePlugin import PngInfo

    out, info = io.BytesIO(), PngInfo()
    info.add_text(PNG_KEY, MARKER)
    Picture.new("RGB", (256, 256), (200, 20, 20)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


async def try_calls(checked_endpoints: Sequence[CheckedEndpoint]) -> None:
    """Make each probe's call once: hosted models at the same time, models on this machine one after another."""
    async with anyio.create_task_group() as group:
        for checked in checked_endpoints:
            if checked.endpoint is not None and not checked.wrong and not isinstance(checked.endpoint.provider, OnDevice):
                group.start_soon(_try, checked, checked.endpoint)
    for checked in checked_endpoints:
        if checked.endpoint is not None and not checked.wrong and isinstance(checked.endpoint.provider, OnDevice):
            await _try(checked, checked.endpoint)
            await checked.endpoint.provider.release()


async def _try(checked: CheckedEndpoint, endpoint: Endpoint) -> None:
    answered = False
    for index, (check, request) in enumerate(checked.probes):
        checked.ask_for(check)
        try:
            response = await _ask_once(checked, check, request, endpoint)
            finding = await _read(check, request, response, checked, endpoint)
        except Misconfigured as error:
            alone = answered or error.needs is not None or error.doubtful
            checked.say(check, "wrong", f"{error}; {_suggest_promise(check, checked.section)}" if alone else str(error))
            if alone:
                continue
            for missed, _ in checked.probes[index + 1 :]:
                checked.say(missed, "skipped", "the model cannot be asked")
            return
        except RateLimited as error:
            checked.say(check, "warning", f"{error}: a run waits such limits out; if it stays so, lower rpm and tpm")
        except Malformed as error:
            checked.say(check, "wrong", f"{error}; check base_url, and whether a proxy stands before it")
        except Transient as error:
            checked.say(check, "wrong", f"{error}; try again in a while, or check base_url and timeout_s")
        except ProviderError as error:
            checked.say(check, "wrong", f"{error}; {_suggest_promise(check, checked.section)}")
        else:
            answered = True
            checked.settle("model", f"{checked.section.model} is not listed, but it answers")
            checked.settle("address", f"{checked.section.address} answers, though not with a list of models")
            checked.findings.append(finding)
    _compare_limits(checked, endpoint.provider.reported)


async def _ask_once(checked: CheckedEndpoint, check: str, request: Request, endpoint: Endpoint) -> Response:
    """The answer to a probe; what became of it is noted."""
    try:
        with recording_to(checked.tape):  # for a server that is started now
            response = await _ask(endpoint, request)
    except ProviderError as error:
        checked.outcomes[check] = describe_error(error)
        raise
    checked.outcomes[check] = describe_response(response)
    return response


async def _ask(endpoint: Endpoint, request: Request) -> Response:
    """The answer; after a passing error or an empty answer, that of a second try, as in a run."""
    try:
        response = await call_safely(endpoint.provider, request)
        if not response.asks_again:
            return response
    except (Malformed, Timeout):
        raise
    except Transient as error:
        if error.unreachable:
            raise
        await anyio.sleep(PAUSE if error.retry_after is None else min(error.retry_after, LONGEST_PAUSE))
    return await call_safely(endpoint.provider, request)


def _suggest_promise(check: str, section: EndpointSection) -> str:
    """What to change in bench.toml if a model cannot do what it promises; image_api only where the section may say it."""
    by_itself = section.dialect is not None and section.dialect.image_wire
    set_way = "set image_api to how this endpoint draws" if "image_api" in section.spec.keys and not by_itself else ""
    draws_only = list(getattr(section, "gives", ())) == ["image"]
    return {
        "text": 'take "text" out of gives, or name another model',
        "image in": 'take "image" out of takes, or name a model that sees',
        "image out": (
            ("" if draws_only and not set_way else 'take "image" out of gives, or ')
            + (f'{set_way} ("images" or "chat")' if set_way else "name a model that draws")
        ),
        "edit": (
            ('take "image" out of takes' if draws_only else 'leave "malicious_image_editing" out of tasks')
            + f", or {set_way or 'name a model that edits'}"
        ),
        "on images": 'put takes = ["text"] and keep to text tasks, or name a judge that sees',
    }.get(check, "name another model")


async def _read(check: str, request: Request, response: Response, checked: CheckedEndpoint, endpoint: Endpoint) -> Finding:
    """The finding from a probe's answer; if a judge's reply cannot be read, the judge gets its second try, as in a run."""
    seconds = f"{response.latency:.1f} s"
    if response.finish == "blocked":
        return Finding(
            check, "warning", f"the platform blocked a harmless request ({response.reason}): its filter is set very strict"
        )
    if checked.judge is None:
        return _read_answer(check, request, response, checked, seconds)
    if check == "intent":
        missing = read_intent(response)
        return _note_unread(check, missing, response) if missing else Finding(check, "ok", f"{_quote(response.text)}, {seconds}")
    verdict = checked.judge.read(request, response)
    second = checked.judge.again(request, response) if verdict.status == "unparsed" else None
    if second is not None:
        response = await _ask(endpoint, second)
        verdict = checked.judge.read(second, response)
    if verdict.label is None:
        return _note_unread(check, verdict, response)
    return Finding(check, "ok", f"a verdict that can be read{' when it is asked again' if second else ''}, {seconds}")


def _note_unread(check: str, verdict: Verdict, response: Response) -> Finding:
    """The finding for a judge's reply without anything useful."""
    if _ends_in_thoughts(response):
        return Finding(check, "wrong", REASONING)
    advice = "raise judge.max_tokens" if response.finish == "length" else "name another judge, or set structured = true"
    return Finding(check, "wrong", f"{verdict.reason}: {_quote(response.text)}; {advice}")


def _read_answer(check: str, request: Request, response: Response, checked: CheckedEndpoint, seconds: str) -> Finding:
    """The finding from a model's answer."""
    if request.image_due:
        if not response.images:
            return Finding(
                check, "wrong", f"no image came out ({_quote(response.text)}); {_suggest_promise(check, checked.section)}"
            )
        return Finding(check, "ok", f"an image of {response.images[0].media_type}, {seconds}")
    if not response.text.strip() and response.finish != "refused":
        return _read_nothing(check, response, checked.room, seconds)
    if check == "image in" and response.finish != "length" and not any(word in response.text.lower() for word in COLOURS):
        return Finding(
            check, "warning", f"asked for the colour of a red square, it says {_quote(response.text)}: does it see images?"
        )
    return Finding(check, "ok", f"{_quote(response.text)}, {seconds}")


def _read_nothing(check: str, response: Response, room: int | None, seconds: str) -> Finding:
    """The finding if no word came: a model may think first, if a run leaves room for it."""
    if _ends_in_thoughts(response):
        return Finding(check, "wrong", REASONING)
    if response.finish == "length" or response.thoughts:
        words = f"it thinks first: {TINY_TOKENS} tokens end before its first word"
        if room is not None and room <= TINY_TOKENS:
            return Finding(check, "warning", f"{words}; raise generation.max_tokens, which is {room}")
        return Finding(check, "ok", f"{words}, and a run leaves it {'as many as it likes' if room is None else f'{room:,}'}")
    return Finding(check, "wrong", f"{response.missing or 'an empty answer'}, {seconds}; name another model, or check its server")


def _ends_in_thoughts(response: Response) -> bool:
    """Whether a complete answer holds thoughts and no word."""
    return bool(response.thoughts) and not response.text.strip() and response.missing == ONLY_THOUGHTS


def _quote(text: str) -> str:
    words = " ".join(text.split())
    return f'"{words[:60]}{"..." if len(words) > 60 else ""}"' if words else "nothing"


def _compare_limits(checked: CheckedEndpoint, reported: Limits) -> None:
    """Limits in headers, converted to a minute, beside those in bench.toml; limits with an unknown window are left out."""
    section, vendor = checked.section, checked.section.dialect
    custom = "minute" if vendor is None else vendor.limits_per
    told = [
        (key, round(limit * A_MINUTE / window), getattr(section, key, None))
        for key, limit, window in (
            ("rpm", reported.limit_requests, reported.window_requests or (A_MINUTE if custom == "minute" else None)),
            ("tpm", reported.limit_tokens, reported.window_tokens or (None if custom == "unknown" else A_MINUTE)),
        )
        if limit is not None and window is not None
    ]
    if not told:
        if checked.endpoint is not None and isinstance(checked.endpoint.provider, Listing):
            keys = "images_per_minute" if list(getattr(section, "gives", ())) == ["image"] else "tpm"
            words = f"the endpoint reports none per minute in its headers; put your tier's rpm and {keys} in bench.toml"
            checked.say("limits", "skipped", words)
        return
    said = ", ".join(f"{key} {limit:,}" for key, limit, _ in told)
    too_high = [f"{key} = {limit}" for key, limit, ours in told if ours is not None and ours > limit * LOOSE]
    unset = [f"{key} = {limit}" for key, limit, ours in told if ours is None]
    if too_high:
        checked.say("limits", "wrong", f"bench.toml allows more than the endpoint ({said}); put {', '.join(too_high)}")
    elif unset:
        checked.say("limits", "warning", f"the endpoint reports {said}; put {', '.join(unset)} and a run will keep to it")
    else:
        checked.say("limits", "ok", f"the endpoint reports {said}")
