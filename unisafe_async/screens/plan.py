"""The plan as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from urllib.parse import urlsplit

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unisafe_async.config.bench_toml import Config
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.names import name_some
from unisafe_async.results.bill import source_of
from unisafe_async.results.mended import describe_planned
from unisafe_async.run.plan import Need, Plan
from unisafe_async.screens.fitting import fit_table
from unisafe_async.screens.providers import HERE
from unisafe_async.text import count, format_dollars, format_duration, plain


def print_plan(console: Console, plan: Plan, config: Config) -> None:
    """One line for each model and the judge, and the sum."""
    if plan.shard:
        console.print(Text(f"{plan.shard}: the figures are of this part alone.", style="yellow"))
    console.print(fit_table(console, [need.name for need in (*plan.models, *plan.judges)], partial(_table, plan)))
    calls = sum(need.calls for need in [*plan.models, *plan.judges])
    cost = f"cost unknown: give {_list_price_keys(config)}" if plan.cost is None else f"about {format_dollars(plan.cost)}"
    console.print(Text(f"{count(calls, 'call')} to make, {cost}, about {format_duration(plan.seconds)}; nothing was sent."))
    for name, why in plan.unable.items():
        console.print(Text(f"{plain(name)} cannot be asked yet: {plain(why)}", style="yellow"))
    for name, weights in plan.weights.items():
        console.print(Text(f"{plain(name)}: {'; '.join(map(plain, weights))}", style="dim"))
    if plan.unset:
        console.print(
            Text(f"A run needs {', '.join(plan.unset)}, which {'is' if len(plan.unset) == 1 else 'are'} not set.", style="yellow")
        )
    if plan.rubrics_changed:
        costs = [need.cost for need in plan.judges if need.calls]
        price = (
            "" if None in costs else f"; judging is about {format_dollars(sum(cost for cost in costs if cost is not None))} of it"
        )
        console.print(Text(f"{plan.rubrics_changed}{price}.", style="yellow"))
    for words in describe_planned(plan.mended, plan.mended_drawn):
        console.print(Text(words, style="yellow"))
    if any(need.batch and need.calls for need in plan.models):
        waiting = sum(need.under_way for need in plan.models if need.batch)
        told = f" {count(waiting, 'call')} of these are under way already." if waiting else ""
        console.print(Text(f"Batch jobs take up to 24 h, beside that time; their prices are with the discount.{told}"))
    by_jobs = [need.name for need in plan.models if need.by_jobs and need.calls and not need.batch]
    if by_jobs:
        words = f"{name_some(by_jobs)} {'answers' if len(by_jobs) == 1 else 'answer'} by jobs, which cost once the vendor took them"
        console.print(Text(f"{words}; a run waits for each up to job_wait_s.", style="dim"))
    held = [need for need in plan.models if need.under_way and not need.batch]
    for need in held:
        words = f"{plain(need.name)}: {count(need.under_way, 'call')} in batch jobs under way, which a run online does not repeat; "
        console.print(Text(f'{words}`mode = "batch"` collects them, `unisafe batches` lists them', style="yellow"))
    for need in plan.models:
        if need.submitted:
            words = f"{count(need.submitted, 'request')} submitted before and not answered yet: the run goes on with their jobs"
            console.print(
                Text(f"{plain(need.name)}: {words}, which cost nothing new; `unisafe batches` lists them", style="yellow")
            )
    if not all(need.known_latency for need in [*plan.models, *plan.judges] if need.calls and not need.batch):
        console.print(
            Text(
                "For models without earlier answers, times assume 5 s a call, or 5 s for a batch of 16 on this machine.",
                style="dim",
            )
        )
    console.print(
        Text(
            "Tokens are estimated (4 characters each); judge calls assume that every response needs both verdicts.",
            style="dim",
        )
    )
    for words, style in describe_prices(config, datetime.now(UTC).date()):
        console.print(Text(words, style=style))
    if plan.fallback:
        console.print(Text("A later judge of the chain is asked only for what the ones before it could not judge.", style="dim"))
    if plan.later:
        turns = ", then ".join(" and ".join(map(plain, names)) for names in plan.later)
        one = sum(map(len, plan.later)) == 1
        words = f"{turns} {'judges' if one else 'judge'} after the models on {'its' if one else 'their'} devices"
        console.print(Text(f"A device holds one model at a time: {words}.", style="dim"))
    if plan.thoughts and any(need.calls for need in plan.models):
        words = "The number of answers with thoughts is not known yet; it is estimated from earlier answers."
        console.print(Text(words, style="dim"))
    if config.run.budget_usd is not None and plan.cost is not None and plan.cost > config.run.budget_usd:
        console.print(
            Text(
                f"The budget of {format_dollars(config.run.budget_usd)} is too small: "
                "the run would stop before it exceeds the budget.",
                style="yellow",
            )
        )
    if plan.problems:
        source = source_of(config.dataset.source, ((model.provider, model.model) for model in config.models))
        console.print(Text(source.describe_refused(plan.problems), style="yellow"))


def describe_prices(config: Config, today: date) -> Iterator[tuple[str, str]]:
    """Where the prices are from that bench.toml does not give, which are old, and who has none; each with its style."""
    asked = _list_sections(config)
    known = {name: price for name, section in asked if (price := section.known_price) is not None}
    if known:
        whose = ", ".join(sorted({f"{price.source}, read on {price.read}" for price in known.values()}))
        yield f"Prices: {whose}; those in bench.toml win (price_in, price_out, price_image).", "dim"
    for old in sorted({words for price in known.values() if (words := price.describe_age(today))}):
        named = ", ".join(name for name, price in known.items() if price.describe_age(today) == old)
        yield f"The prices of {named} are old, {old}.", "yellow"
    unknown = [name for name, section in asked if not section.priced and urlsplit(section.address).hostname not in HERE]
    if unknown:
        yield f"No price is known of {', '.join(unknown)}: give {_list_price_keys(config)}.", "yellow"


def _list_sections(config: Config) -> list[tuple[str, EndpointSection]]:
    """The models and the judges with the names that the table gives them."""
    models: list[tuple[str, EndpointSection]] = [(plain(model.name), model) for model in config.models]
    return models + [(f"judge {plain(judge.title)}", judge) for _, judge in config.judge.sections]


def _list_price_keys(config: Config) -> str:
    """The keys that would give the prices that are missing."""
    keys = dict.fromkeys(section.price_keys for _, section in _list_sections(config) if not section.priced)
    return ", or ".join(sorted(keys, reverse=True)) or "price_in and price_out"


def _table(plan: Plan, names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Model", no_wrap=True)
    for heading in ("calls", "cached", "tokens in", "out", "cost", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for need in plan.models:
        table.add_row(names[need.name], *_cells(need))
    for judge in plan.judges:
        table.add_row(Text.assemble((f"judge {names[judge.name]}", "dim")), *_cells(judge))
    return table


def _cells(need: Need) -> list[str]:
    cost = "-" if not need.calls else "?" if need.cost is None else format_dollars(need.cost)
    return [
        f"{need.calls:,}",
        f"{need.cached:,}",
        f"{need.tokens_in / 1000:,.0f}k",
        f"{need.tokens_out / 1000:,.0f}k",
        cost,
        ("up to 24 h" if need.batch else format_duration(need.seconds)) if need.calls else "-",
    ]
