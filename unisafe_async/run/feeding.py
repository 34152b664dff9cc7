"""One model's items on their way to it: read from the dataset a chunk at a time, each as the jobs that it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from anyio import to_thread
from unisafe_judger import Judge

from unisafe_async.benchmark import Dataset, Item
from unisafe_async.run.jobs import Job, Sampling
from unisafe_async.run.lanes import CHUNK, Lane, chunks
from unisafe_async.run.replay import jobs_of

Placed = tuple[int, Item]
"""An item and its place in the dataset."""
PassOn = Callable[[Sequence[Job]], Awaitable[None]]
"""Looks jobs up in the cache and has those judged that are answered; it asks the model nothing."""


@dataclass(frozen=True)
class Feed:
    """The items of a lane.

    Args:
        samples, sampling: repeats of each item, and how each is sampled.
        rubric: by which the intents of items are asked for.
    """

    lane: Lane
    dataset: Dataset
    samples: int
    sampling: Sampling
    rubric: Judge

    def chunks(self, places: Sequence[int] | None = None) -> Iterator[list[Placed]]:
        """The lane's items, of all the dataset or of those at `places`, at most CHUNK at a time."""
        placed = zip(range(len(self.dataset)) if places is None else places, self.dataset.items(places), strict=True)
        return chunks((one for one in placed if one[1].task in self.lane.tasks), CHUNK)

    async def prepare(self, chunk: Sequence[Placed]) -> list[tuple[int, Job]]:
        """The jobs of a chunk, each with its item's place."""
        items = [item for _, item in chunk]
        jobs = await jobs_of(items, self.dataset.images, self.lane.endpoint, self.samples, self.sampling, self.rubric)
        return [(chunk[index // self.samples][0], job) for index, job in enumerate(jobs)]

    async def verify(self, job: Job) -> None:
        """Raises ItemError for a job whose image cannot be used."""
        if job.item.image is not None and not self.dataset.images.is_sound(job.item.image):
            await to_thread.run_sync(self.dataset.images.verify, job.item.image)
