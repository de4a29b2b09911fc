"""Data sets and their batches, as in `torch.utils.data`; digits that come with the package, MNIST
from files.
"""

from picograd.data.datasets import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from picograd.data.digits import load_digits
from picograd.data.loader import DataLoader, default_collate
from picograd.data.mnist import load_mnist, read_idx
from picograd.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from picograd.data.sonnets import load_sonnets
from picograd.data.split import hold_out

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "hold_out",
    "load_digits",
    "load_mnist",
    "load_sonnets",
    "random_split",
    "read_idx",
]
