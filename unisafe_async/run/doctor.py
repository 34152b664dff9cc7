"""`unisafe doctor`: checks before a paid run whether it would work: keys, addresses, models, images, limits, the judge.

Free checks are always made: keys, the address, the list of models. Then each model gets one tiny request of each kind that
bench.toml promises, and the judge is asked for its verdicts. These calls cost money and are not cached.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from unisafe_judger import Classifier, Judge
from unisafe_providers.base import Listing, Misconfigured, Noting, OnDevice, ProviderError, RateLimited, Rejected, Transient
from unisafe_providers.gpus import Machine
from unisafe_providers.programs import find_fault
from unisafe_providers.recording import Tape, recording_to
from unisafe_providers.spec import Options

from unisafe_async.benchmark import DatasetError, open_dataset
from unisafe_async.benchmark.sources import TOKEN_VARIABLE
from unisafe_async.config.bench_toml import Config
from unisafe_async.config.sections import JudgeEndpointSection
from unisafe_async.extras import missing_extra
from unisafe_async.gateway import Endpoint
from unisafe_async.run.diagnosis import CheckedEndpoint, Diagnosis
from unisafe_async.run.endpoints import EndpointError, endpoint_of
from unisafe_async.run.listed_names import find_listed_name, listed_of
from unisafe_async.run.opening import open_endpoint
from unisafe_async.run.probing import probes_of


@asynccontextmanager
async def examine(
    config: Config, judges: Sequence[Judge | Classifier], *, record: bool = False
) -> AsyncIterator[list[CheckedEndpoint]]:
    """Make all checks without a paid call; the endpoints stay open for `try_calls`. With `record` their exchanges are kept."""
    checked_endpoints = []
    async with AsyncExitStack() as stack:
        asking = dict(zip((place for place, _ in config.judge.sections), judges, strict=True))
        for place, section in config.endpoints():
            name = (
                f"judge {section.title}" if isinstance(section, JudgeEndpointSection) else getattr(section, "name", section.model)
            )
            checked = CheckedEndpoint(
                place=place,
                name=name,
                section=section,
                judge=asking.get(place),
                room=config.generation.max_tokens,
                tape=Tape() if record else None,
            )
            checked_endpoints.append(checked)
            if not _check_keys(checked):
                continue
            try:
                endpoint = endpoint_of(section, name, config.base, anyio.sleep, cluster=config.cluster)
            except EndpointError as error:
                checked.say("provider", "wrong", f"{error.key}: {error}")
                continue
            with recording_to(checked.tape):
                await stack.enter_async_context(open_endpoint(endpoint))
            if endpoint.stopped is not None:
                checked.say("address", "wrong", str(endpoint.stopped))
                continue
            checked.endpoint = endpoint
            _look_at_device(checked, endpoint)
            _look_at_program(checked, config.base)
            if section.simulated:
                checked.say("model", "ok", "simulated, in this process: there is nothing to look at")
                continue
            checked.probes = probes_of(section, checked.judge, config)
            if not section.priced and urlsplit(section.address).hostname not in ("localhost", "127.0.0.1", "::1"):
                words = "none is known: what a run costs cannot be said, and no budget can be set"
                checked.say("price", "warning", f"{words}; give {section.price_keys}")
        async with anyio.create_task_group() as group:
            for checked in checked_endpoints:
                if checked.endpoint is not None:
                    group.start_soon(_list, checked, checked.endpoint)
        yield checked_endpoints


def _look_at_device(checked: CheckedEndpoint, endpoint: Endpoint) -> None:
    """What a model on this machine tells before it is loaded: what it lacks, what is to be downloaded, what is idle."""
    provider = endpoint.provider
    if not isinstance(provider, OnDevice):
        return
    if provider.status.state == "failed":
        checked.say("model", "wrong", provider.status.said)
    elif provider.size:
        checked.say("model", "ok", f"{provider.size / 1e9:,.1f} GB of weights, to be loaded on {', '.join(provider.devices)}")
    for note in provider.notes if isinstance(provider, Noting) else ():
        checked.say("device", "warning", note)
    if checked.section.provider != "command":  # which may run on another machine
        _look_for_gpus(checked, provider.devices)


def _look_for_gpus(checked: CheckedEndpoint, devices: Sequence[str]) -> None:
    """Whether the GPUs that bench.toml names are among those that can be seen without torch."""
    machine = Machine()
    there = machine.accelerators
    missing = sorted({device for device in devices if device.startswith("cuda") and machine.name_one(device) not in there})
    if missing:
        known = ", ".join(there) or "no GPU"
        checked.say("device", "warning", f"as far as can be seen, this machine has {known}, and not {', '.join(missing)}")


def _look_at_program(checked: CheckedEndpoint, base: Path) -> None:
    """Whether the program that a run would start is there, and the variables that it is to get are set."""
    section = checked.section
    assert isinstance(section, Options), "a section whose provider is known has its options"
    commands = section.list_commands(section.model)
    for command in commands:
        fault = find_fault(command[0], base)
        checked.say("program", "wrong" if fault else "ok", fault or f"{command[0]} is there")
    unset = [name for name in section.list_variables() if name not in os.environ] if commands else []
    if unset:
        checked.say("program", "warning", f"env: not set, so it starts without: {', '.join(unset)}")


def _check_keys(checked: CheckedEndpoint) -> bool:
    """Check that the variables with the key and with headers' values are set, and to something that a header can carry."""
    for key, variable in checked.section.secret_variables.items():
        value = os.environ.get(variable, "").strip()
        if not value:
            checked.say("key", "wrong", f"{key}: the variable {variable} is not set; run `export {variable}=...` first")
        elif not value.isascii() or not value.isprintable() or (key == "key_env" and " " in value):
            checked.say("key", "wrong", f"{key}: {variable} holds a blank, a line break or non-ASCII, as no key does")
        else:
            checked.say("key", "ok", f"{variable} is set")
    if words := checked.section.unfinished:
        checked.say("address" if words.startswith("base_url") else "key", "wrong", words)
    return not checked.wrong


async def _list(checked: CheckedEndpoint, endpoint: Endpoint) -> None:
    """Ask the endpoint for its models: this checks address, key and the model's name at once."""
    provider = endpoint.provider
    if not isinstance(provider, Listing):
        return
    checked.ask_for("list")
    try:
        names = await provider.models()
    except (RateLimited, Rejected, Transient, Misconfigured) as error:
        _note_unlisted(checked, error)
    except ProviderError as error:
        checked.say("address", "wrong", str(error))
    else:
        checked.say("address", "ok", f"{checked.section.address} answers")
        _check_listed(checked, names)


def _note_unlisted(checked: CheckedEndpoint, error: RateLimited | Rejected | Transient | Misconfigured) -> None:
    """The meaning of a missing list of models: a wrong key or address, or nothing, because not every endpoint has a list."""
    if isinstance(error, Transient) and error.unreachable:
        checked.say("address", "wrong", f"{error}; check base_url, and that the server runs")
    elif isinstance(error, Misconfigured) and not error.doubtful:
        checked.say("address", "wrong", str(error))
    elif isinstance(error, Transient):
        checked.say("address", "warning", f"its list of models cannot be read ({error}): a call will show whether it answers")
    else:
        checked.say("address", "ok", f"{checked.section.address} answers")
        why = checked.section.spec.unlisted or f"the endpoint lists no models ({error})"
        checked.say("model", "skipped", f"cannot be checked without a call: {why}")


def _check_listed(checked: CheckedEndpoint, names: Sequence[str]) -> None:
    model = checked.section.model
    same = find_listed_name(model, names)
    if checked.section.spec.unlisted:
        checked.say("model", "skipped", f"cannot be checked without a call: {checked.section.spec.unlisted}")
    elif same is not None:
        checked.say("model", "ok", f"{model} is listed" + (f" as {same}" if same != model else ""))
    elif not names:
        checked.say("model", "skipped", "cannot be checked without a call: the endpoint's list of models is empty")
    else:
        near = listed_of(model, names) or difflib.get_close_matches(model, names, 3, 0.5)
        hint = f"; did you mean {' or '.join(near[:3])}?" if near else f"; listed are {', '.join(sorted(names)[:5])}"
        checked.say("model", "warning", f"{model} is not among the {len(names)} models that the endpoint lists{hint}")


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
