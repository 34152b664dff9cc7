"""`unisafe doctor`: checks before a paid run whether it would work: keys, addresses, models, images, limits, the judge.

Free checks are always made: keys, the address, the list of models. Then each model gets one tiny request of each kind that
bench.toml promises, and the judge is asked for its verdicts. These calls cost money and are not cached.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import anyio
from unisafe_judger import Classifier, Judge
from unisafe_providers.base import Listing, Misconfigured, ProviderError, RateLimited, Rejected, Transient

from unisafe_async.benchmark import DatasetError, open_dataset
from unisafe_async.benchmark.sources import TOKEN_VARIABLE
from unisafe_async.config.bench_toml import Config
from unisafe_async.config.sections import SeatSection
from unisafe_async.extras import missing_extra
from unisafe_async.gateway import Endpoint
from unisafe_async.run.diagnosis import Diagnosis, Patient
from unisafe_async.run.endpoints import EndpointError, endpoint_of
from unisafe_async.run.listed_names import listed_as, listed_of
from unisafe_async.run.opening import opened
from unisafe_async.run.probing import probes_of


@asynccontextmanager
async def examined(config: Config, judges: Sequence[Judge | Classifier]) -> AsyncIterator[list[Patient]]:
    """Make all checks without a paid call; the endpoints stay open for `try_calls`."""
    patients = []
    async with AsyncExitStack() as stack:
        asking = dict(zip((place for place, _ in config.judge.seats), judges, strict=True))
        for place, section in config.endpoints():
            name = f"judge {section.title}" if isinstance(section, SeatSection) else getattr(section, "name", section.model)
            patient = Patient(place, name, section=section, judge=asking.get(place), room=config.generation.max_tokens)
            patients.append(patient)
            if not _keys(patient):
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
            if section.simulated:
                patient.say("model", "ok", "simulated, in this process: there is nothing to look at")
                continue
            patient.probes = probes_of(section, patient.judge, config)
            if not section.priced and urlsplit(section.address).hostname not in ("localhost", "127.0.0.1", "::1"):
                patient.say("price", "warning", "none in bench.toml: what a run costs cannot be said, and no budget can be set")
        async with anyio.create_task_group() as group:
            for patient in patients:
                if patient.endpoint is not None:
                    group.start_soon(_list, patient, patient.endpoint)
        yield patients


def _keys(patient: Patient) -> bool:
    """Check that the variables with the key and with headers' values are set, and to something that a header can carry."""
    for key, variable in patient.section.secret_variables.items():
        value = os.environ.get(variable, "").strip()
        if not value:
            patient.say("key", "wrong", f"{key}: the variable {variable} is not set; run `export {variable}=...` first")
        elif not value.isascii() or not value.isprintable() or (key == "key_env" and " " in value):
            patient.say("key", "wrong", f"{key}: {variable} holds a blank, a line break or non-ASCII, as no key does")
        else:
            patient.say("key", "ok", f"{variable} is set")
    return not patient.wrong


async def _list(patient: Patient, endpoint: Endpoint) -> None:
    """Ask the endpoint for its models: this checks address, key and the model's name at once."""
    provider = endpoint.provider
    if not isinstance(provider, Listing):
        return
    try:
        names = await provider.models()
    except (RateLimited, Rejected, Transient, Misconfigured) as error:
        _unlisted(patient, error)
    except ProviderError as error:
        patient.say("address", "wrong", str(error))
    else:
        patient.say("address", "ok", f"{patient.section.address} answers")
        _named(patient, names)


def _unlisted(patient: Patient, error: RateLimited | Rejected | Transient | Misconfigured) -> None:
    """The meaning of a missing list of models: a wrong key or address, or nothing, because not every endpoint has a list."""
    if isinstance(error, Transient) and error.unreachable:
        patient.say("address", "wrong", f"{error}; check base_url, and that the server runs")
    elif isinstance(error, Misconfigured) and not error.doubtful:
        patient.say("address", "wrong", str(error))
    elif isinstance(error, Transient):
        patient.say("address", "warning", f"its list of models cannot be read ({error}): a call will show whether it answers")
    else:
        patient.say("address", "ok", f"{patient.section.address} answers")
        patient.say("model", "skipped", f"cannot be checked without a call: the endpoint lists no models ({error})")


def _named(patient: Patient, names: Sequence[str]) -> None:
    model = patient.section.model
    same = listed_as(model, names)
    if patient.section.spec.unlisted:
        patient.say("model", "skipped", f"cannot be checked without a call: {patient.section.spec.unlisted}")
    elif same is not None:
        patient.say("model", "ok", f"{model} is listed" + (f" as {same}" if same != model else ""))
    elif not names:
        patient.say("model", "skipped", "cannot be checked without a call: the endpoint's list of models is empty")
    else:
        near = listed_of(model, names) or difflib.get_close_matches(model, names, 3, 0.5)
        hint = f"; did you mean {' or '.join(near[:3])}?" if near else f"; listed are {', '.join(sorted(names)[:5])}"
        patient.say("model", "warning", f"{model} is not among the {len(names)} models that the endpoint lists{hint}")


def look_at_dataset(config: Config) -> Diagnosis:
    """Check that the dataset is there and can be read; a dataset at the hub is not downloaded for that."""
    found = Diagnosis("dataset", "dataset")
    source = config.dataset.source
    if source.startswith("hf:") and (missing := missing_extra("huggingface_hub", source)) is not None:
        found.say("source", "wrong", missing)
        return found
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
