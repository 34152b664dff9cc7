"""The keys of models that give pictures and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.spec import Declared


class PictureOptions(VendorOptions):
    """The keys of a model that draws, at a vendor whose models all do."""

    def _find_more(self, declared: Declared) -> Iterator[str]:
        if not declared.judges and list(declared.gives) != ["image"]:
            title = declared.vendor.title if declared.vendor is not None else "this vendor"
            yield f'gives: the models of {title} give pictures only; put gives = ["image"]'
