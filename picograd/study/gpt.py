"""The workload of `picograd demo gpt`: a small transformer that writes sonnets, a letter at a time.

Three blocks of causal self-attention and a feed-forward net, each behind a layer norm (GPT-2's
order), 64 wide, four heads, 64 letters of context. The whole training step, with dropout, backward
pass, clipped gradients and AdamW's update, is one compiled graph; the learning rate follows one
cycle, and nothing is compiled again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor, nn, optim
from picograd.backends import runtime
from picograd.data import load_sonnets
from picograd.nn import functional

WIDTH, HEADS, BLOCKS, CONTEXT = 64, 4, 3, 64
BATCH = 16
DROPOUT = 0.1
PEAK_RATE, WEIGHT_DECAY, LARGEST_NORM = 4e-3, 0.05, 1.0
STEPS = 500
HELD_OUT = 0.1  # of the text, its end

Letters = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """A text as numbers of letters, its end held out."""

    alphabet: str
    train: Letters
    test: Letters

    @property
    def entropy(self) -> float:
        """What a guess loses on the held-out text, in nats, that knows how often letters occur."""
        counts = np.bincount(self.train, minlength=len(self.alphabet)) + 1.0
        return float(-np.log(counts / counts.sum())[self.test].mean())

    def batches(self, steps: int, seed: int) -> Iterator[Letters]:
        """int64[BATCH, CONTEXT + 1] from random places of the training text."""
        rng = np.random.default_rng((seed, steps))
        for _ in range(steps):
            starts = rng.integers(0, len(self.train) - CONTEXT, BATCH)
            yield self.train[starts[:, None] + np.arange(CONTEXT + 1)]

    def encode(self, text: str) -> Letters:
        """The numbers of letters of the alphabet."""
        return np.array([self.alphabet.index(letter) for letter in text], np.int64)

    def decode(self, letters: Sequence[int]) -> str:
        """The text that numbers stand for."""
        return "".join(self.alphabet[letter] for letter in letters)


def load_corpus() -> Corpus:
    """The sonnets that come with the package."""
    text = load_sonnets()
    alphabet = "".join(sorted(set(text)))
    letters = np.array([alphabet.index(letter) for letter in text], np.int64)
    split = int(len(letters) * (1 - HELD_OUT))
    return Corpus(alphabet, letters[:split], letters[split:])


class Block(nn.Module):
    """Self-attention and a feed-forward net, each added to what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.mixed = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.feed = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """float[N, T, WIDTH] to the same."""
        x = x + self.dropout(self.attend(self.norm1(x)))
        return x + self.dropout(self.feed(self.norm2(x)))

    def attend(self, x: Tensor) -> Tensor:
        """Each letter looks at itself and those before it."""
        batch, length, _ = x.shape
        heads = self.mixed(x).reshape(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.joined(seen.transpose(1, 2).reshape(batch, length, WIDTH))


class GPT(nn.Module):
    """Scores of the next letter, after each letter of a text."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(WIDTH, letters, bias=False)
        self.apply(_small)

    def forward(self, text: Tensor) -> Tensor:
        """int64[N, T] to float[N, T, letters]."""
        x = self.letters(text) + self.places.weight[: text.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.scores(self.norm(x))


def _small(module: nn.Module) -> None:
    """GPT-2's initial values."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Trainer:
    """A model, its optimizer and schedule, and one step of training."""

    def __init__(self, device: str, seed: int, letters: int, steps: int) -> None:
        picograd.manual_seed(seed)
        # Drawn on the CPU, so that every device starts from the same weights.
        self.model = GPT(letters).to(device)
        self.optimizer = optim.AdamW(
            self.model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY
        )
        self.schedule = optim.lr_scheduler.OneCycleLR(
            self.optimizer, PEAK_RATE, total_steps=max(steps, 4), cycle_momentum=False
        )

    def loss(self, text: Tensor) -> Tensor:
        """The mean loss in nats a letter of int64[N, T + 1]."""
        scores = self.model(text[:, :-1])
        return functional.cross_entropy(
            scores.reshape(-1, scores.shape[-1]), text[:, 1:].reshape(-1)
        )

    def step(self, text: Tensor) -> Tensor:
        """Forward, backward, update: the loss."""
        self.optimizer.zero_grad()
        loss = self.loss(text)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self.optimizer.step()
        return loss

    def held_out_loss(self, corpus: Corpus, device: str) -> float:
        """The mean loss on the held-out text, cut into windows."""
        self.model.eval()
        count = (len(corpus.test) - 1) // CONTEXT
        places = np.arange(count)[:, None] * CONTEXT + np.arange(CONTEXT + 1)
        with picograd.no_grad():
            text = picograd.tensor(corpus.test[places], device=device)
            loss: Any = picograd.compile(self.loss, device=device)
            return float(loss(text))

    def write(
        self, corpus: Corpus, device: str, start: str, length: int, temperature: float, seed: int
    ) -> str:
        """A text that goes on from `start`, drawn letter by letter; higher temperatures dare more."""
        self.model.eval()
        rng = np.random.default_rng(seed)
        text = [int(letter) for letter in corpus.encode(start)]
        with picograd.no_grad():
            scores: Any = picograd.compile(self.model, device=device)
            for _ in range(length):
                window = text[-CONTEXT:]
                padded = np.zeros((1, CONTEXT), np.int64)
                padded[0, : len(window)] = window
                row = scores(picograd.tensor(padded, device=device)).numpy()[0, len(window) - 1]
                odds = np.exp((row - row.max()) / temperature, dtype=np.float64)
                text.append(int(rng.choice(len(odds), p=odds / odds.sum())))
        return corpus.decode(text)


@dataclass(frozen=True)
class Training:
    """What training on one device came to; `losses` holds one value a step, in nats a letter."""

    device: str
    adapter: str
    losses: NDArray[np.float64]
    held_out_loss: float
    entropy: float
    sample: str
    compile_seconds: float
    train_seconds: float
    tokens_per_second: float
    kernels_unfused: int
    kernels: int
    bytes_unplanned: int
    bytes_planned: int


def train(
    device: str,
    steps: int,
    seed: int,
    dump: Path | None,
    on_step: Callable[[str], None],
    *,
    sample_length: int = 300,
    temperature: float = 0.8,
) -> Training:
    """Train on one device; `on_step` is told after every step what to say of it.

    Raises DeviceError when there is no such device.
    """
    adapter = runtime.device(device).adapter
    corpus = load_corpus()
    trainer = Trainer(device, seed, len(corpus.alphabet), steps)
    step: Any = picograd.compile(trainer.step, device=device, dump=dump)
    losses: list[float] = []
    pending: list[Tensor] = []
    start = time.perf_counter()
    for text in corpus.batches(steps, seed):
        pending.append(step(picograd.tensor(text, device=device)))
        trainer.schedule.step()
        if len(pending) == 10:  # reading makes the host wait for the device
            losses += [float(loss) for loss in pending]
            pending = []
        on_step(f"loss {losses[-1]:.3f}" if losses else "")
    losses += [float(loss) for loss in pending]
    report = step.report
    seconds = time.perf_counter() - start - report.compile_seconds
    sample = trainer.write(corpus, device, "\n", sample_length, temperature, seed).strip()
    return Training(
        device=device,
        adapter=adapter,
        losses=np.array(losses),
        held_out_loss=trainer.held_out_loss(corpus, device),
        entropy=corpus.entropy,
        sample=sample,
        compile_seconds=report.compile_seconds,
        train_seconds=seconds,
        tokens_per_second=len(losses) * BATCH * CONTEXT / seconds,
        kernels_unfused=report.kernels_unfused,
        kernels=report.kernels,
        bytes_unplanned=report.bytes_unplanned,
        bytes_planned=report.bytes_planned,
    )
