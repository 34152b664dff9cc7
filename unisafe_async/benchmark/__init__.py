"""Items: where they come from, and whether they are sound."""

from unisafe_providers.lines import Problem

from unisafe_async.benchmark.dataset import Dataset, DatasetError
from unisafe_async.benchmark.images import Images
from unisafe_async.benchmark.item import Item, ItemError
from unisafe_async.benchmark.sources import open_dataset

__all__ = ["Dataset", "DatasetError", "Images", "Item", "ItemError", "Problem", "open_dataset"]
