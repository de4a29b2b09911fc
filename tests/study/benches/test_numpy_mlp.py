"""The NumPy baseline: its gradients and its optimizer, against plain float64 arithmetic."""

import itertools

import numpy as np
from numpy.typing import NDArray

from picograd.study.benches.numpy_mlp import NumpyMLP

WIDTHS = (7, 5, 3)
BATCH = 4


def loss_of(
    weights: list[NDArray[np.float64]],
    biases: list[NDArray[np.float64]],
    images: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> float:
    value = images
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        value = value @ weight.T + bias
        if number < len(weights) - 1:
            value = np.maximum(value, 0)
    shifted = value - value.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(np.mean(log_probability[np.arange(len(labels)), labels]))


def random_parameters(
    rng: np.random.Generator,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    pairs = list(itertools.pairwise(WIDTHS))
    weights = [(rng.standard_normal((o, i)) / 2).astype(np.float32) for i, o in pairs]
    biases = [(rng.standard_normal(o) / 2).astype(np.float32) for _, o in pairs]
    return weights, biases


def test_loss_and_gradients(rng: np.random.Generator) -> None:
    weights, biases = random_parameters(rng)
    images = rng.standard_normal((BATCH, WIDTHS[0])).astype(np.float32)
    labels = rng.integers(0, WIDTHS[-1], BATCH)
    model = NumpyMLP(weights, biases, BATCH)
    loss = model.step(images, labels)
    wide = [array.astype(np.float64) for array in weights]
    wide_biases = [array.astype(np.float64) for array in biases]
    np.testing.assert_allclose(loss, loss_of(wide, wide_biases, images.astype(float), labels), 1e-5)
    for layer in range(len(weights)):
        for parameters, gradients in (
            (wide[layer], model.layers[layer].weight_gradient),
            (wide_biases[layer], model.layers[layer].bias_gradient),
        ):
            for place in np.ndindex(parameters.shape):
                kept, step = parameters[place], 1e-6
                parameters[place] = kept + step
                above = loss_of(wide, wide_biases, images.astype(float), labels)
                parameters[place] = kept - step
                below = loss_of(wide, wide_biases, images.astype(float), labels)
                parameters[place] = kept
                assert abs((above - below) / (2 * step) - gradients[place]) < 1e-5


def test_adam_moves_every_parameter_as_the_paper_says(rng: np.random.Generator) -> None:
    weights, biases = random_parameters(rng)
    model = NumpyMLP(weights, biases, BATCH, learning_rate=1e-2)
    value = model.parameters.astype(np.float64)
    first = np.zeros_like(value)
    second = np.zeros_like(value)
    for step in range(1, 6):
        images = rng.standard_normal((BATCH, WIDTHS[0])).astype(np.float32)
        model.step(images, rng.integers(0, WIDTHS[-1], BATCH))
        gradient = model.gradients.astype(np.float64)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
        value -= 1e-2 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        np.testing.assert_allclose(model.parameters, value, rtol=1e-4, atol=1e-6)
