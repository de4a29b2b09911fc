"""PyTorch's backend for Apple's GPUs, which published programs ask for before they use it."""


def is_available() -> bool:
    """False: picograd reaches Apple's GPUs too as the device "gpu", through wgpu."""
    return False


def is_built() -> bool:
    """False, as `is_available`."""
    return False
