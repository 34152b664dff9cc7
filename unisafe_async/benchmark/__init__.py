"""Items: where they come from, and whether they are sound."""

from unisafe_providers.lines import BadItemLine

from unisafe_async.benchmark.dataset import Dataset, DatasetError
from unisafe_async.benchmark.images import ItemImages
from unisafe_async.benchmark.item import Item, ItemError
from unisafe_async.benchmark.sources import open_dataset

__all__ = ["BadItemLine", "Dataset", "DatasetError", "Item", "ItemError", "ItemImages", "open_dataset"]
