"""A run's progress: a bar, one line for each model and one for each judge; plain lines if there is no terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import anyio
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from unisafe_providers.base import DeviceStatus, OnDevice, Provider, picks_batches

from unisafe_async.gateway import Endpoint
from unisafe_async.run.devices import Devices
from unisafe_async.run.evaluation import Run
from unisafe_async.run.lanes import Lane
from unisafe_async.run.passes import list_later
from unisafe_async.screens.console import redraws
from unisafe_async.screens.fitting import fit_table
from unisafe_async.text import count, format_dollars, format_duration, name_judge, plain

GB = 1e9
WIDEST_BAR, NARROWEST_BAR, WORDS = 40, 8, 62
"""Columns of the bar, and those that are kept for its words, so that it does not change with them."""
BAR = "blue"
"""The colour of the bar: no verdict's."""
REFRESH = 0.25
PLAIN_EVERY = 10.0
CALLS_WINDOW = 20.0
ROWS_WINDOW = 120.0
QUIET = 60.0
"""Seconds without a sign of life after which that is said."""
SAID = 120
"""Characters of somebody else's words."""
TRIES_TOLD = 3
"""From this many failed tries of requests under way on, their last error is shown: one or two are daily life."""


class Speed:
    """A rate per second over the last `window` seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, total: int) -> float:
        now = time.monotonic()
        self._seen.append((now, total))
        while self._seen[0][0] < now - self._window:
            self._seen.popleft()
        since, before = self._seen[0]
        return (total - before) / (now - since) if now > since else 0.0


class Progress:
    """Shows a Run until it is cancelled."""

    def __init__(self, console: Console, run: Run) -> None:
        self._console = console
        self._run = run
        self._calls: dict[str, Speed] = {}
        self._rows: dict[str, Speed] = {}

    async def show(self) -> None:
        """Refresh four times a second if the terminal can draw, else print a line every ten seconds."""
        if not redraws(self._console):
            while True:
                await anyio.sleep(PLAIN_EVERY)
                self._console.print(self.plain_line(), markup=False, highlight=False)
        with Live(self.table(), console=self._console, refresh_per_second=4, transient=True) as live:
            while True:
                await anyio.sleep(REFRESH)
                live.update(self.table())

    def plain_line(self) -> str:
        run = self._run
        left = self._left(None)
        calls = sum(endpoint.counts.calls for endpoint in run.endpoints)
        bad = sum(map(_unjudged, run.lanes))
        return (
            f"{run.done - bad:,} of {run.total:,} items done, {bad:,} unjudged, "
            f"{calls:,} calls, {format_dollars(run.cost)}{f', {left} left' if left else ''}"
            + "".join(f"; {note}" for note in self._notes(news=True))
        )

    def bar(self) -> Table:
        """How much of the run is done, as a bar and in words: `120 of 205 items  59%  elapsed 12 s  about 8.2 s left`."""
        run = self._run
        good, left = run.done - sum(map(_unjudged, run.lanes)), self._left(None)
        elapsed = format_duration(run.seconds or time.monotonic() - run.started)
        words = [f"{good:,} of {run.total:,} items", f"{good / max(1, run.total):.0%}", f"elapsed {elapsed}"]
        told = Text("  ".join([*words, *([f"about {left} left"] if left else [])]))
        room = self._console.width - max(WORDS, told.cell_len) - 3
        width = min(WIDEST_BAR, room if room >= NARROWEST_BAR else self._console.width - 1)
        bar = ProgressBar(max(1, run.total), good, width=width, complete_style=BAR, finished_style=BAR)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for cells in [(bar, told)] if room >= NARROWEST_BAR else [(bar,), (told,)]:
            grid.add_row(*cells)
        return grid

    def table(self) -> Group:
        wide = self._console.width >= 110
        lanes, judges = self._run.lanes, self._run.panel.endpoints
        rows: list[tuple[str, str, list[str | Text]]] = []
        for lane in lanes:
            bad = _unjudged(lane)
            figures: list[str | Text] = [
                f"{lane.done - bad:,}/{lane.total:,}",
                f"{lane.cached:,}",
                _bad(bad),
                *self._speed(lane.endpoint, wide),
            ]
            rows.append(("", lane.endpoint.name, [*figures, self._left(lane)]))
        for judging in judges:
            counts = judging.counts
            figures = [self._judged(judging), f"{counts.cached:,}", _bad(counts.failed), *self._speed(judging, wide)]
            rows.append((name_judge(judging.name).removesuffix(judging.name), judging.name, [*figures, ""]))

        def build(names: Mapping[str, Text]) -> Table:
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
            table.add_column("Model", no_wrap=True)
            for heading in ("done", "cached", "failed", "req/s", "at once", *(("tokens",) if wide else ()), "cost", "left"):
                table.add_column(heading, justify="right", no_wrap=True)
            for role, name, figures in rows:
                table.add_row(Text(f"{role}{names[name]}"), *figures)
            return table

        notes = self._notes()
        if self._run.gateway.draining:
            notes.append("stopping: calls under way are finished and kept; Ctrl-C again stops at once")
        return Group(self.bar(), fit_table(self._console, [name for _, name, _ in rows], build), *map(Text, notes))

    def _judged(self, judging: Endpoint) -> str:
        """Of the only judge, the items with verdicts, of all that can get one; of each of several judges, its calls."""
        run = self._run
        if run.panel.several:
            return count(judging.counts.calls, "call")
        failed = sum(lane.failed for lane in run.lanes)
        return f"{run.done - sum(map(_unjudged, run.lanes)):,}/{run.total - failed:,}"

    def _notes(self, *, news: bool = False) -> list[str]:
        """What batch jobs and models on this machine are doing, and that judging waits for them.

        As `news`, a model that is loaded and works is left out.
        """
        run, devices = self._run, self._run.pipeline.devices
        notes = [f"{plain(lane.endpoint.name)}: {said}" for lane in run.lanes if (said := describe_batches(lane))]
        local = [endpoint for endpoint in run.endpoints if not (news and _works(endpoint.provider))]
        notes += [f"{plain(endpoint.name)}: {said}" for endpoint in local if (said := describe_local(endpoint.provider))]
        names = [lane.endpoint.name for lane in run.lanes]
        notes += [f"{plain(name)}: {said}" for name in names if (said := describe_wait(devices, name))]
        notes += [f"{plain(endpoint.name)}: {describe_outage(endpoint)}" for endpoint in run.endpoints if endpoint.outage.down]
        notes += [f"{plain(endpoint.name)}: {said}" for endpoint in run.endpoints if (said := describe_retries(endpoint))]
        notes += [words] if (words := describe_turns(run)) else []
        return notes

    def _speed(self, endpoint: Endpoint, wide: bool) -> list[str]:
        counts = endpoint.counts
        speed = self._calls.setdefault(plain(endpoint.name), Speed(CALLS_WINDOW)).at(counts.calls)
        ceiling = int(endpoint.concurrency.ceiling)
        at_once = f"{endpoint.concurrency.in_use}/{ceiling}"
        if picks_batches(endpoint.provider):
            at_once = f"{endpoint.provider.status.batch} of {endpoint.concurrency.in_use}"
        blocked = endpoint.rates.blocked_for
        if endpoint.stopped is not None:
            at_once = "stopped"
        elif endpoint.outage.down:
            at_once = "down"
        elif blocked > 1:
            at_once = f"waits {blocked:.0f} s"
        tokens = [f"{(counts.tokens_in + counts.tokens_out) / 1000:,.0f}k"] if wide else []
        return [f"{speed:.1f}", at_once, *tokens, format_dollars(counts.cost)]

    def _left(self, lane: Lane | None) -> str:
        done, total = (lane.done, lane.total) if lane else (self._run.done, self._run.total)
        if done >= total:
            return _end(lane) if lane else ""
        if any(one.jobs_open for one in ([lane] if lane else self._run.lanes)):
            return ""  # a vendor's jobs end when they end
        speed = self._rows.setdefault(lane.endpoint.name if lane else "", Speed(ROWS_WINDOW)).at(done)
        return format_duration((total - done) / speed) if speed > 0 else ""


def describe_turns(run: Run) -> str:
    """Which judges wait for their turn on a device; empty if none does."""
    passes, now = run.pipeline.passes, run.pipeline.now
    under_way = 0 if now.generates else next((number for number, one in enumerate(passes) if one.judges == now.judges), 0)
    later = (position for positions in list_later(passes[under_way:]) for position in positions)
    names = [plain(run.panel.members[position].name) for position in later if position not in now.judges]
    if not names:
        return ""
    who = " and then ".join(names) if run.panel.several else "the judge"
    after = f"{who} {'needs' if len(names) == 1 else 'need'} the same device and {'comes' if len(names) == 1 else 'come'} after"
    if not now.generates:
        return after
    generated = sum(lane.generated for lane in run.lanes)
    return f"{generated:,} of {run.total:,} answered; {after}"


def describe_wait(devices: Devices, name: str) -> str:
    """Which devices a model waits for, and which models have them; empty if it does not wait."""
    held = devices.find_holders(name)
    of_each = {holder: [device for device, has in held.items() if has == holder] for holder in held.values()}
    parts = [f"{' and '.join(map(plain, of_one))}, which {plain(holder)} has" for holder, of_one in of_each.items()]
    return f"waits for {', and for '.join(parts)}" if parts else ""


def describe_batches(lane: Lane) -> str:
    """The progress of a model's batch jobs; empty if none is under way."""
    if not lane.jobs_open:
        return ""
    jobs = count(lane.jobs_open, "batch job")
    words = f"{jobs} under way, {lane.requests_done:,} of {count(lane.requests_open, 'request')} done at the vendor"
    if lane.jobs_sought:
        words += f"; {lane.jobs_sought:,} of the submissions were interrupted: looking for these jobs there"
    return words


def describe_outage(endpoint: Endpoint) -> str:
    """A note about an endpoint that fails for all requests, and what the gateway does."""
    return f"fails for all requests: held, and probed from time to time ({shorten(endpoint.outage.words)})"


def shorten(words: str) -> str:
    """The beginning of somebody else's words, in one line."""
    return plain(" ".join(words.split()))[:SAID]


def describe_retries(endpoint: Endpoint) -> str:
    """The last error of requests that are being asked again; empty if they are few, or if another note says it."""
    if endpoint.stopped is not None or endpoint.outage.down or endpoint.retries.tries < TRIES_TOLD:
        return ""
    return f"retrying: {shorten(endpoint.retries.words)} ({endpoint.retries.tries:,} failed tries)"


def describe_local(provider: Provider) -> str:
    """What a model on this machine is doing; empty for a hosted model, and for a model that is not loaded."""
    if not isinstance(provider, OnDevice):
        return ""
    status = provider.status
    if status.state == "loading":
        size = f" {format_size(status.size)}" if status.size else ""
        on = f" on {', '.join(provider.devices)}" if provider.devices else ""
        silence = _describe_silence(status)
        said = f": {shorten(status.said)}" if status.said and not silence else ""
        elapsed = f" for {format_duration(time.monotonic() - status.began)}" if status.began else ""
        return f"loading{size}{on}{elapsed}{said}{silence and ', '}{silence}"
    if status.state != "ready":
        return ""
    places = ", ".join(filter(None, status.places))
    words = [f"{places and f'on {places}, '}loaded in {format_duration(status.load_seconds)}"]
    if status.busy_seconds:
        if status.tokens:
            words.append(f"{status.tokens / status.busy_seconds:,.0f} tokens/s")
        if status.images:
            words.append(f"{status.images / status.busy_seconds:,.2f} images/s")
    if status.memory_total:
        words.append(f"{format_size(status.memory_used)} of {format_size(status.memory_total)} used")
    if status.halved:
        words.append(f"memory ran out {status.halved} times: smaller batches")
    if status.batch and (silence := _describe_silence(status)):
        words.append(silence)
    return ", ".join(words)


def _works(provider: Provider) -> bool:
    """Whether it is a loaded model on this machine that gives signs of life."""
    return isinstance(provider, OnDevice) and provider.status.state == "ready" and not _describe_silence(provider.status)


def _describe_silence(status: DeviceStatus) -> str:
    """How long a model that loads or works has given no sign of life, and its last; empty for a short while."""
    silent = time.monotonic() - status.heard if status.heard else 0.0
    if silent < QUIET:
        return ""
    last = f" (last: {shorten(status.said)})" if status.said else ""
    end = f", ended after {format_duration(status.patience)}" if status.patience else ""
    log = f"; its log: {plain(status.log)}" if status.log else ""
    return f"no word for {format_duration(silent)}{end}{last}{log}"


def format_size(size: int) -> str:
    """Bytes as MB or GB."""
    return f"{size / 1e6:,.0f} MB" if size < GB else f"{size / GB:,.1f} GB"


def _unjudged(lane: Lane) -> int:
    """Trials that ended without both verdicts: they are over but not done."""
    return lane.failed + lane.unjudged


def _end(lane: Lane) -> str:
    """The words for a model whose trials have all ended: all are done, or no more will come."""
    if lane.endpoint.stopped is not None:
        return "stopped"
    return "ended" if _unjudged(lane) else "done"


def _bad(number: int) -> Text:
    return Text(f"{number:,}", style="yellow" if number else "dim")
