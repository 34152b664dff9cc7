"""`unisafe doctor`: whether a run would work, found out before it is paid for: keys, addresses, models, images, limits, the judge.

What is free is always looked at: keys, the address, the list of models. Then each model is asked one tiny thing of each kind that
bench.toml promises, and the judge for its verdicts; those calls cost what they cost, and are not cached.
"""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import anyio

from judger import Classifier, Judge, read_intent
from providers.base import (
    Image,
    Limits,
    Listing,
    Misconfigured,
    OnDevice,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
)
from providers.simulated import PNG_KEY
from unisafe_async.config import Config
from unisafe_async.dataset import DatasetError, open_dataset
from unisafe_async.dataset.sources import TOKEN_VARIABLE
from unisafe_async.endpoints import EndpointError, endpoint_of
from unisafe_async.gateway import Endpoint
from unisafe_async.gateway.calling import called
from unisafe_async.opening import opened
from unisafe_async.sections import EndpointSection, ModelSection, SeatSection

Mark = Literal["ok", "wrong", "warning", "skipped"]
TINY_TOKENS = 256
"""Room for a short answer, and for what a reasoning model thinks before it."""
INSTRUCTION = "Write one friendly sentence about a garden."
MARKER = "[simulated: contextual=1 intrinsic=1]"
SAID = f"The garden is quiet and green this morning. {MARKER}"
"""What a judge is asked about: harmless, so that its platform has nothing to block; the marker is for a simulated judge's eyes."""
COLOURS = ("red", "crimson", "scarlet")
LOOSE = 1.05
"""How far above what the endpoint reports a limit in bench.toml may be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: what: `key`, `address`, `model`, `text`, `image in`, `image out`, `edit`, `limits`, `intent`, a verdict.
        mark: how it is; `skipped` where it was not looked at, and `words` says why.
        words: what was found, and where it is wrong, what to change.
    """

    check: str
    mark: Mark
    words: str = ""


@dataclass
class Diagnosis:
    """What was found of one place in bench.toml, in the order in which it was looked at."""

    place: str
    name: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(finding.mark == "wrong" for finding in self.findings)

    def say(self, check: str, mark: Mark, words: str = "") -> None:
        self.findings.append(Finding(check, mark, words))


@dataclass
class Patient(Diagnosis):
    """One model or judge, and the calls that would show whether it does what bench.toml says."""

    section: EndpointSection = field(kw_only=True)
    judge: Judge | Classifier | None = field(default=None, kw_only=True)
    endpoint: Endpoint | None = None
    probes: list[tuple[str, Request]] = field(default_factory=list)

    @property
    def most(self) -> float | None:
        """The most US dollars that its calls can cost; None when a price is missing."""
        if self.wrong or self.endpoint is None:
            return 0.0
        return sum(self.endpoint.most(request) for _, request in self.probes) if self.section.priced else None


# ---------------------------------------------------------------- what is free


@asynccontextmanager
async def examined(config: Config, judges: Sequence[Judge | Classifier]) -> AsyncIterator[list[Patient]]:
    """All that can be found out without a paid call; the endpoints stay open for `try_calls`."""
    patients = []
    async with AsyncExitStack() as stack:
        asking = dict(zip((place for place, _ in config.judge.seats), judges, strict=True))
        for place, section in config.endpoints():
            name = f"judge {section.title}" if isinstance(section, SeatSection) else getattr(section, "name", section.model)
            patient = Patient(place, name, section=section, judge=asking.get(place))
            patients.append(patient)
            if not _key(patient):
                continue
            try:
                endpoint = endpoint_of(section, name, config.base, anyio.sleep)
            except EndpointError as error:
                patient.say("provider", "wrong", f"{error.key}: {error}")
                continue
            await stack.enter_async_context(opened(endpoint))
            if endpoint.stopped is not None:
                patient.say("address", "wrong", str(endpoint.stopped))
                continue
            patient.endpoint = endpoint
            if section.provider == "simulated":
                patient.say("model", "ok", "simulated, in this process: there is nothing to look at")
                continue
            patient.probes = probes_of(section, patient.judge)
            if not section.priced and urlsplit(section.base_url).hostname not in ("localhost", "127.0.0.1", "::1"):
                patient.say("price", "warning", "none in bench.toml: what a run costs cannot be said, and no budget can be set")
        async with anyio.create_task_group() as group:
            for patient in patients:
                if patient.endpoint is not None:
                    group.start_soon(_list, patient, patient.endpoint)
        yield patients


def _key(patient: Patient) -> bool:
    """Whether the key variable is set, and to something that a header can carry."""
    variable = patient.section.key_env
    if variable is None:
        return True
    value = os.environ.get(variable, "").strip()
    if not value:
        patient.say("key", "wrong", f"key_env: the variable {variable} is not set; run `export {variable}=...` first")
        return False
    if not value.isascii() or not value.isprintable() or " " in value:
        patient.say("key", "wrong", f"key_env: {variable} holds a blank, a line break or non-ASCII, as no key does")
        return False
    patient.say("key", "ok", f"{variable} is set")
    return True


async def _list(patient: Patient, endpoint: Endpoint) -> None:
    """Ask the endpoint which models it has: it shows address, key and the model's name at once."""
    provider = endpoint.provider
    if not isinstance(provider, Listing):
        return
    try:
        names = await provider.models()
    except Rejected as error:
        patient.say("address", "ok", f"{patient.section.base_url} answers")
        patient.say("model", "skipped", f"the endpoint lists no models ({error})")
    except Transient as error:
        patient.say("address", "wrong", f"{error}; check base_url, and that the server runs")
    except ProviderError as error:
        patient.say("address", "wrong", str(error))
    else:
        patient.say("address", "ok", f"{patient.section.base_url} answers")
        _named(patient, names)


def _named(patient: Patient, names: Sequence[str]) -> None:
    model = patient.section.model
    if model in names:
        patient.say("model", "ok", f"{model} is listed")
    elif names:
        near = difflib.get_close_matches(model, names, 3, 0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; listed are {', '.join(sorted(names)[:5])}"
        patient.say("model", "warning", f"{model} is not among the {len(names)} models that the endpoint lists{hint}")


# ---------------------------------------------------------------- what is paid for


def probes_of(section: EndpointSection, judge: Judge | Classifier | None) -> list[tuple[str, Request]]:
    """One tiny call for each kind of request that the section promises; of a judge, one for each question it is asked."""
    picture = Image.from_bytes(_square())
    if isinstance(section, ModelSection):
        can = section.capabilities
        wanted = [
            ("text", can.text_out, Request("chat", (Text("Say hello."),), max_tokens=TINY_TOKENS)),
            ("image in", can.text_out and can.image_in, _which_colour(picture)),
            ("image out", can.image_out, Request("image", (Text("A plain red square."),))),
            ("edit", can.edit, Request("edit", (picture, Text("Make the square blue.")))),
        ]
        return [(check, request) for check, promised, request in wanted if promised]
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
    return Request("chat", (picture, Text("Which colour is this square? Answer with one word.")), max_tokens=TINY_TOKENS)


def _square() -> bytes:
    """A red square of 256 x 256 pixels: small, and above every vendor's minimum."""
    from PIL import Image as Picture
    from PIL.PngImagePlugin import PngInfo

    out, info = io.BytesIO(), PngInfo()
    info.add_text(PNG_KEY, MARKER)
    Picture.new("RGB", (256, 256), (200, 20, 20)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


async def try_calls(patients: Sequence[Patient]) -> None:
    """Make each probe's call once, hosted models at the same time, those on this machine one after the other."""
    async with anyio.create_task_group() as group:
        for patient in patients:
            if patient.endpoint is not None and not patient.wrong and not isinstance(patient.endpoint.provider, OnDevice):
                group.start_soon(_try, patient, patient.endpoint)
    for patient in patients:
        if patient.endpoint is not None and not patient.wrong and isinstance(patient.endpoint.provider, OnDevice):
            await _try(patient, patient.endpoint)
            await patient.endpoint.provider.release()


def look_at_dataset(config: Config) -> Diagnosis:
    """Whether the dataset is there and can be read; one at the hub is not downloaded for that."""
    found = Diagnosis("dataset", "dataset")
    source = config.dataset.source
    if source.startswith("hf:"):
        token = "set" if os.environ.get(TOKEN_VARIABLE) else "not set"
        found.say(
            "source",
            "skipped",
            f"{source} is downloaded by the first run, if it is not in the hub's cache; {TOKEN_VARIABLE} is {token}",
        )
        return found
    try:
        dataset = open_dataset(source, config.base).select(config.dataset.tasks, config.dataset.categories, config.dataset.limit)
    except DatasetError as error:
        found.say("source", "wrong", str(error))
        return found
    if dataset.problems:
        found.say("lines", "warning", f"{len(dataset.problems)} cannot be used: `unisafe data check {source}` lists them")
    found.say("source", "ok" if len(dataset) else "wrong", f"{source}: {len(dataset):,} items selected")
    return found


async def _try(patient: Patient, endpoint: Endpoint) -> None:
    answered = False
    for index, (check, request) in enumerate(patient.probes):
        try:
            response = await called(endpoint.provider, request)
        except Misconfigured as error:
            patient.say(check, "wrong", f"{error}; {_promise(check)}" if answered else str(error))
            if answered:
                continue
            for missed, _ in patient.probes[index + 1 :]:
                patient.say(missed, "skipped", "the model cannot be asked")
            return
        except RateLimited as error:
            patient.say(check, "warning", f"{error}: a run waits such limits out; if it stays so, lower rpm and tpm")
        except Transient as error:
            patient.say(check, "wrong", f"{error}; try again in a while, or check base_url and timeout_s")
        except ProviderError as error:
            patient.say(check, "wrong", f"{error}; {_promise(check)}")
        else:
            answered = True
            patient.findings.append(_read(check, request, response, patient.judge))
    _compare_limits(patient, endpoint.provider.reported)


def _promise(check: str) -> str:
    """What to change in bench.toml where a model cannot do what it promises."""
    return {
        "text": 'take "text" out of gives, or name another model',
        "image in": 'take "image" out of takes, or name a model that sees',
        "image out": 'take "image" out of gives, or set image_api to how this endpoint draws ("images" or "chat")',
        "edit": 'leave "malicious_image_editing" out of tasks, or set image_api to how this endpoint draws',
        "on images": 'put takes = ["text"] and keep to text tasks, or name a judge that sees',
    }.get(check, "name another model")


def _read(check: str, request: Request, response: Response, judge: Judge | Classifier | None) -> Finding:
    """What a probe's answer shows."""
    seconds = f"{response.latency:.1f} s"
    if response.finish == "blocked":
        return Finding(
            check, "warning", f"the platform blocked a harmless request ({response.reason}): its filter is set very strict"
        )
    if judge is not None:
        return _read_reply(check, request, response, judge, seconds)
    if request.kind != "chat":
        if not response.images:
            return Finding(check, "wrong", f"no image came out ({_quoted(response.text)}); {_promise(check)}")
        return Finding(check, "ok", f"an image of {response.images[0].media_type}, {seconds}")
    if not response.text.strip():
        why = "cut off before the first word; raise max_tokens" if response.finish == "length" else "an empty answer"
        return Finding(check, "wrong" if response.finish != "length" else "warning", f"{why}, {seconds}")
    if check == "image in" and not any(word in response.text.lower() for word in COLOURS):
        return Finding(
            check, "warning", f"asked for the colour of a red square, it says {_quoted(response.text)}: does it see images?"
        )
    return Finding(check, "ok", f"{_quoted(response.text)}, {seconds}")


def _read_reply(check: str, request: Request, response: Response, judge: Judge | Classifier, seconds: str) -> Finding:
    if check == "intent":
        missing = read_intent(response)
        return Finding(check, "wrong", missing.reason) if missing else Finding(check, "ok", f"{_quoted(response.text)}, {seconds}")
    verdict = judge.read(request, response)
    if verdict.label is None:
        advice = "raise judge.max_tokens" if response.finish == "length" else "name another judge, or set structured = true"
        return Finding(check, "wrong", f"{verdict.reason}: {_quoted(response.text)}; {advice}")
    return Finding(check, "ok", f"a verdict that can be read, {seconds}")


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f'"{words[:60]}{"..." if len(words) > 60 else ""}"' if words else "nothing"


def _compare_limits(patient: Patient, reported: Limits) -> None:
    """The limits that headers report, beside those in bench.toml."""
    section = patient.section
    told = [
        (key, limit, getattr(section, key))
        for key, limit in (("rpm", reported.limit_requests), ("tpm", reported.limit_tokens))
        if limit is not None
    ]
    if not told:
        if patient.endpoint is not None and isinstance(patient.endpoint.provider, Listing):
            patient.say("limits", "skipped", "the endpoint reports none in its headers; put your tier's rpm and tpm in bench.toml")
        return
    said = ", ".join(f"{key} {limit:,}" for key, limit, _ in told)
    too_high = [f"{key} = {limit}" for key, limit, ours in told if ours is not None and ours > limit * LOOSE]
    unset = [f"{key} = {limit}" for key, limit, ours in told if ours is None]
    if too_high:
        patient.say("limits", "wrong", f"bench.toml allows more than the endpoint ({said}); put {', '.join(too_high)}")
    elif unset:
        patient.say("limits", "warning", f"the endpoint reports {said}; put {', '.join(unset)} and a run will keep to it")
    else:
        patient.say("limits", "ok", f"the endpoint reports {said}")
