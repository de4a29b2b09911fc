"""What `fuse` is made of.

graph        kernels and the groups they are to become; what depends on what, kept free of cycles
body         the ops of a group as if they stood in one region already
alignment    whether one loop over rows can compute a group, and how each value lies in the rows
cost         work that a fusion repeats, set against the memory traffic and launches it saves
decide       which groups are joined
labels       what the new kernel is called
rebuild      groups back to `kernel.fused` ops
"""
