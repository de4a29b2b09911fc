"""The functions of `torch.nn.functional`, one family a file; `nn/functional.py` names them all."""
