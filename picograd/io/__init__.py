"""Tensors in files, in the format of safetensors: no code in them, readable by PyTorch as well.

    picograd.io.save_file(model.state_dict(), "model.safetensors")
    model.load_state_dict(picograd.io.load_file("model.safetensors"))

The functions are called as those of `safetensors.torch`.
"""

from picograd.io.files import load, load_file, load_model, save, save_file, save_model
from picograd.io.refused import load_pickle, save_pickle

__all__ = [
    "load",
    "load_file",
    "load_model",
    "load_pickle",
    "save",
    "save_file",
    "save_model",
    "save_pickle",
]
