"""One model's items on their way to it: read from the dataset a chunk at a time, each as the trials that it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from anyio import to_thread
from unisafe_judger import Judge

from unisafe_async.benchmark import Dataset, Item
from unisafe_async.run.cache_lookup import trials_of
from unisafe_async.run.lanes import CHUNK, Lane, split_chunks
from unisafe_async.run.trials import Sampling, Trial

Placed = tuple[int, Item]
"""An item and its place in the dataset."""
PassOn = Callable[[Sequence[Trial]], Awaitable[None]]
"""Looks trials up in the cache and has those judged that are answered; it asks the model nothing."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The items of a lane.

    Args:
        repeats, sampling: repeats of each item, and how each is sampled.
        rubric: by which the intents of items are asked for.
    """

    lane: Lane
    dataset: Dataset
    repeats: int
    sampling: Sampling
    rubric: Judge

    def chunks(self, places: Sequence[int] | None = None) -> Iterator[list[Placed]]:
        """The lane's items, of all the dataset or of those at `places`, at most CHUNK at a time."""
        placed = zip(range(len(self.dataset)) if places is None else places, self.dataset.items(places), strict=True)
        return split_chunks((one for one in placed if one[1].task in self.lane.tasks), CHUNK)

    async def build_trials(self, chunk: Sequence[Placed]) -> list[tuple[int, Trial]]:
        """The trials of a chunk, each with its item's place."""
        items = [item for _, item in chunk]
        trials = await trials_of(items, self.dataset.images, self.lane.endpoint, self.repeats, self.sampling, self.rubric)
        for index, trial in enumerate(trials):
            trial.place = chunk[index // self.repeats][0]
        return [(trial.place, trial) for trial in trials]

    async def verify(self, trial: Trial) -> None:
        """Raises ItemError for a trial whose image cannot be used."""
        if trial.item.image is not None and not self.dataset.images.is_sound(trial.item.image):
            await to_thread.run_sync(self.dataset.images.verify, trial.item.image)
