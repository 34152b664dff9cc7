"""The pictures of one answer, some of which a filter may have withheld: those that are there count, and the others are noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unisafe_providers.anatomy import NO_PICTURE, attach_partial
from unisafe_providers.base import Malformed, Response, Usage
from unisafe_providers.hosted.endings import Ending
from unisafe_providers.hosted.openai_wire import Pictured, apply_ending, read_pictures


@dataclass(frozen=True, slots=True)
class Made:
    """One picture as an answer tells of it: where it is, and why it was withheld; a picture beside such a reason is a stand-in."""

    address: object
    withheld: Ending | None = None


def gather_pictures(made: Sequence[Made], picture: Pictured, *, cost: float | None = None, billed: int | None = None) -> Response:
    """The answer with all pictures that were not withheld; a block if all were, and no answer if there is nothing at all.

    Args:
        picture: turns an address into an image.
        cost: US dollars, if the vendor tells them.
        billed: how many pictures the vendor charges for, if withheld ones are among them.

    Raises Malformed if an entry has neither a picture nor a reason.
    """
    kept = [one.address for one in made if one.withheld is None and one.address]
    withheld = [one.withheld for one in made if one.withheld is not None]
    usage = Usage(images=len(kept) if billed is None else billed, cost=cost)
    if not made:
        return Response(usage=usage, missing=NO_PICTURE, asks_again=True)
    if not kept and withheld:
        return apply_ending(Response(usage=usage), withheld[0])
    with attach_partial(Response(usage=usage)):
        if not kept:
            raise Malformed("the endpoint answered without a picture")
        images = read_pictures(kept, picture, image_due=True)
    return Response(images=images, usage=usage, reason=_describe(withheld, len(made)))


def _describe(withheld: Sequence[Ending], count: int) -> str:
    """`1 of 2 pictures was withheld: has_nsfw_concepts`; empty if none was."""
    if not withheld:
        return ""
    return f"{len(withheld)} of {count} pictures {'was' if len(withheld) == 1 else 'were'} withheld: {withheld[0].reason}"
