"""The digits classifier's training step in plain float32 NumPy: a baseline to measure against.

Written the way a person who knows NumPy well would write it for speed: every array is allocated
once, every operation writes into an existing array, and the parameters, their gradients and Adam's
moments each lie in one flat vector, so that the optimizer is a dozen calls whatever the number of
layers. Tests hold it to the same losses as picograd's own step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass

Floats = NDArray[np.float32]


@dataclass
class Layer:
    """One linear layer, y = x @ weight.T + bias; arrays are views of the flat vectors."""

    weight: Floats
    bias: Floats
    weight_gradient: Floats
    bias_gradient: Floats


class NumpyMLP:
    """Linear layers with ReLU between them, cross entropy, Adam.

    `weights` and `biases` are the initial values, layer by layer, in PyTorch's shapes:
    (outputs, inputs) and (outputs,). The batch size is fixed by the constructor, as a compiled
    step's is.
    """

    def __init__(
        self,
        weights: Sequence[Floats],
        biases: Sequence[Floats],
        batch: int,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        count = sum(array.size for array in (*weights, *biases))
        self.parameters = np.empty(count, np.float32)
        self.gradients = np.zeros(count, np.float32)
        self.moment1 = np.zeros(count, np.float32)
        self.moment2 = np.zeros(count, np.float32)
        self.scratch = np.empty(count, np.float32)
        self.layers = self._layers(weights, biases)
        widths = [len(bias) for bias in biases]
        # The value after each layer (the last one's are the logits), and the gradients of both
        # those and the hidden layers' inputs.
        self.values = [np.empty((batch, width), np.float32) for width in widths]
        self.value_gradients = [np.empty((batch, width), np.float32) for width in widths]
        self.masks = [np.empty((batch, width), np.bool_) for width in widths[:-1]]
        self.row = np.empty((batch, 1), np.float32)
        self.rows = np.arange(batch)
        self.learning_rate = learning_rate
        self.betas = betas
        self.epsilon = epsilon
        self.step_count = 0

    def _layers(self, weights: Sequence[Floats], biases: Sequence[Floats]) -> list[Layer]:
        layers: list[Layer] = []
        at = 0
        for weight, bias in zip(weights, biases, strict=True):
            middle, end = at + weight.size, at + weight.size + bias.size
            layer = Layer(
                self.parameters[at:middle].reshape(weight.shape),
                self.parameters[middle:end],
                self.gradients[at:middle].reshape(weight.shape),
                self.gradients[middle:end],
            )
            np.copyto(layer.weight, weight)
            np.copyto(layer.bias, bias)
            layers.append(layer)
            at = end
        return layers

    def step(self, images: Floats, labels: NDArray[np.integer[Any]]) -> float:
        """One step of training on float32[batch, inputs] and integer labels[batch]: the loss."""
        self._forward(images)
        loss = self._loss_and_its_gradient(labels)
        self._backward(images)
        self._adam()
        return loss

    def _forward(self, images: Floats) -> None:
        value = images
        for index, layer in enumerate(self.layers):
            out = self.values[index]
            np.matmul(value, layer.weight.T, out=out)
            np.add(out, layer.bias, out=out)
            if index < len(self.masks):
                np.maximum(out, 0, out=out)
                np.greater(out, 0, out=self.masks[index])
            value = out

    def _loss_and_its_gradient(self, labels: NDArray[np.integer[Any]]) -> float:
        """Cross entropy of the logits; its gradient goes where the backward pass starts."""
        logits, gradient = self.values[-1], self.value_gradients[-1]
        np.max(logits, axis=1, keepdims=True, out=self.row)
        np.subtract(logits, self.row, out=logits)
        np.exp(logits, out=gradient)
        np.sum(gradient, axis=1, keepdims=True, out=self.row)
        np.divide(gradient, self.row, out=gradient)
        loss = np.mean(np.log(self.row[:, 0]) - logits[self.rows, labels])
        gradient[self.rows, labels] -= 1
        np.multiply(gradient, np.float32(1 / len(labels)), out=gradient)
        return float(loss)

    def _backward(self, images: Floats) -> None:
        for index in reversed(range(len(self.layers))):
            layer, gradient = self.layers[index], self.value_gradients[index]
            below = self.values[index - 1] if index > 0 else images
            np.matmul(gradient.T, below, out=layer.weight_gradient)
            np.sum(gradient, axis=0, out=layer.bias_gradient)
            if index > 0:
                next_gradient = self.value_gradients[index - 1]
                np.matmul(gradient, layer.weight, out=next_gradient)
                np.multiply(next_gradient, self.masks[index - 1], out=next_gradient)

    def _adam(self) -> None:
        """Adam of Kingma and Ba (2015), algorithm 1, on the flat vectors."""
        self.step_count += 1
        beta1, beta2 = self.betas
        correction1 = 1 - beta1**self.step_count
        correction2 = 1 - beta2**self.step_count
        gradients, scratch = self.gradients, self.scratch
        np.multiply(self.moment1, np.float32(beta1), out=self.moment1)
        np.multiply(gradients, np.float32(1 - beta1), out=scratch)
        np.add(self.moment1, scratch, out=self.moment1)
        np.multiply(self.moment2, np.float32(beta2), out=self.moment2)
        np.multiply(gradients, gradients, out=scratch)
        np.multiply(scratch, np.float32(1 - beta2), out=scratch)
        np.add(self.moment2, scratch, out=self.moment2)
        np.multiply(self.moment2, np.float32(1 / correction2), out=scratch)
        np.sqrt(scratch, out=scratch)
        np.add(scratch, np.float32(self.epsilon), out=scratch)
        np.divide(self.moment1, scratch, out=scratch)
        np.multiply(scratch, np.float32(self.learning_rate / correction1), out=scratch)
        np.subtract(self.parameters, scratch, out=self.parameters)
