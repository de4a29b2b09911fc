"""Switches of CUDA's libraries, which published programs set. No kernel of picograd's is theirs."""

from picograd.quick_dataclasses import dataclass


@dataclass
class MatmulSwitches:
    """How cuBLAS may round."""

    allow_tf32: bool = False
    allow_fp16_reduced_precision_reduction: bool = False


matmul = MatmulSwitches()
