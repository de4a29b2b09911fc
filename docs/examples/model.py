"""A small model to try passes on: it scores images by how far they are from two prototypes."""

import picograd as torch

torch.manual_seed(0)


def score(
    images=torch.randn(4, 6, 10),
    left=torch.randn(6, 10),
    right=torch.randn(6, 10),
    weight=torch.randn(60, 8),
    bias=torch.randn(8),
):
    """For each image, eight scores; and how the whole batch does."""
    to_left = (images - left).abs()
    to_right = (images - right).abs()
    # The nearer prototype counts: the minimum, spelled as a maximum.
    nearer = -torch.maximum(-to_left, -to_right)
    brightness = images.sum(0).sum(0)
    per_image = (nearer * nearer).sum((1, 2)).sqrt()
    rows = nearer.reshape(24, 10)
    flat = rows.reshape(4, 60)
    rows = rows - rows.mean(1, keepdim=True)
    hidden = (flat @ weight + bias).tanh()
    chances = hidden.softmax(1)
    spread = (rows * rows).mean()
    contrast = brightness.exp().sum().log() - brightness.mean()
    return chances * per_image.reshape(4, 1), contrast + spread
