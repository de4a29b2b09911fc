"""Train a small classifier of handwritten digits; the program that `picograd demo` runs, in short.

python examples/digits.py
picograd dump examples/digits.py:train_step --device cpu --out dump
"""

import picograd as torch
from picograd import nn, optim
from picograd.data import load_digits

BATCH = 64


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 128)
        self.second = nn.Linear(128, 64)
        self.last = nn.Linear(64, 10)

    def forward(self, images):
        hidden = self.first(images).relu()
        features = self.second(hidden).relu()
        return self.last(features)


images, labels = load_digits()
images, labels = torch.tensor(images), torch.tensor(labels)
# What `picograd dump` traces the step with; copies, because a slice would be a view of all images.
example_images, example_labels = images[:BATCH].clone(), labels[:BATCH].clone()

torch.manual_seed(0)
model = Classifier()
loss_function = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=1e-3)


def train_step(images=example_images, labels=example_labels):
    optimizer.zero_grad()
    logits = model(images)
    loss = loss_function(logits, labels)
    loss.backward()
    optimizer.step()
    return loss


if __name__ == "__main__":
    step = torch.compile(train_step)
    for epoch in range(5):
        order = torch.rand(len(images)).numpy().argsort()
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = torch.tensor(order[start : start + BATCH])
            loss = step(images[rows], labels[rows])
        print(f"epoch {epoch}: loss {loss.item():.3f}")
