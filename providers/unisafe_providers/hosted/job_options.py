"""The keys of a model whose answers are made by jobs, and how its provider is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.vendor_arguments import build_hosted_options, read_place
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared

if TYPE_CHECKING:
    from unisafe_providers.hosted.jobs import JobProvider

DRAWS = {"gives": ["image"]}
"""What a section says of such a model unless the file says otherwise."""
DRAWS_ONLY = "its models give pictures, and a judge writes; name a provider whose models write"
"""Why such a provider cannot judge."""


class JobOptions(VendorOptions):
    """The keys of a model that draws by jobs."""

    job_wait_s: float = Field(
        600.0,
        gt=0,
        description="seconds that one answer may take after it was submitted; later its item fails, and the next run "
        "goes on with it without paying again",
    )

    def _find_more(self, declared: Declared) -> Iterator[str]:
        vendor = declared.vendor.title if declared.vendor is not None else "this vendor"
        if "text" in declared.gives:
            yield f'gives: the models of {vendor} give pictures only; put gives = ["image"]'


def build_job_provider(
    make: Callable[..., JobProvider],
    settings: ProviderSettings,
    options: JobOptions,
    **more: Any,  # noqa: ANN401 what only this vendor takes
) -> Provider:
    """The provider of one section, by its class."""
    provider = make(*read_place(settings, options), **build_hosted_options(settings, options), **more)
    provider.job_wait = options.job_wait_s
    if settings.vendor is not None:
        provider.key_hosts = settings.vendor.key_hosts
    return provider
