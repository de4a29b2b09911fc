"""Switches of NVIDIA's cuDNN, which published programs set; no kernel of picograd's is from it."""

enabled = False
benchmark = False
deterministic = True
allow_tf32 = False


def is_available() -> bool:
    """False: picograd generates its kernels itself."""
    return False
