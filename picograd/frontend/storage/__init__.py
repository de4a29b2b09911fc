"""What tensors look at: cells that hold values and can be written, and views of them.

A cell is the one mutable thing of the front end. A view is strides, shape and offset as data; all
that aliases in PyTorch is said by these two files.
"""
