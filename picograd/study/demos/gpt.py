"""The workload of `picograd demo gpt`: a small transformer that writes sonnets, a letter at a time.

Two blocks of causal self-attention and a feed-forward net, each behind a layer norm (GPT-2's
order), 64 wide, four heads, 32 letters of context. The whole training step, with dropout, backward
pass, clipped gradients and AdamW's update, is one compiled graph; the learning rate follows one
cycle, and nothing is compiled again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor, nn, optim
from picograd.data import load_sonnets
from picograd.nn import functional
from picograd.quick_dataclasses import dataclass
from picograd.study.demos.workload import Batch, Workload

WIDTH, HEADS, BLOCKS, CONTEXT = 64, 4, 2, 32
BATCH = 16
DROPOUT = 0.1
PEAK_RATE, WEIGHT_DECAY, LARGEST_NORM = 8e-3, 0.05, 1.0
EPOCHS, STEPS_AN_EPOCH = 6, 20
ASKED_FOR = 0.8
"""What the held-out loss may be at most, for each unit of the letters' entropy."""
SAMPLE, TEMPERATURE = 300, 0.7
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

    def batches(self, epoch: int, seed: int) -> Iterator[Letters]:
        """int64[BATCH, CONTEXT + 1] from random places of the training text."""
        rng = np.random.default_rng((seed, epoch))
        for _ in range(STEPS_AN_EPOCH):
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


class Session:
    """A training on one device: model, optimizer, schedule and text."""

    def __init__(self, device: str, seed: int) -> None:
        self.device, self.seed, self.corpus = device, seed, load_corpus()
        picograd.manual_seed(seed)
        # Drawn on the CPU, so that every device starts from the same weights.
        self.model = GPT(len(self.corpus.alphabet)).to(device)
        self.optimizer = optim.AdamW(
            self.model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY
        )
        self.schedule = optim.lr_scheduler.OneCycleLR(
            self.optimizer, PEAK_RATE, epochs=EPOCHS, steps_per_epoch=STEPS_AN_EPOCH,
            cycle_momentum=False,
        )  # fmt: skip

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches; after each, the learning rate moves on."""
        for text in self.corpus.batches(epoch, self.seed):
            yield (text,)
            self.schedule.step()

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

    def score(self) -> float:
        """The mean loss on the held-out text, cut into windows, in nats a letter."""
        self.model.eval()
        test = self.corpus.test
        starts = np.arange((len(test) - 1) // CONTEXT)[:, None] * CONTEXT
        text = picograd.tensor(test[starts + np.arange(CONTEXT + 1)], device=self.device)
        with picograd.no_grad():
            loss: Any = picograd.compile(self.loss, device=self.device)
            return float(loss(text))

    def remark(self) -> str:
        """A text that the model wrote."""
        text = self.write("\n", SAMPLE, TEMPERATURE).strip()
        return f"it writes\n\n{text}\n"

    def write(self, start: str, length: int, temperature: float) -> str:
        """A text that goes on from `start`, drawn letter by letter; high temperatures dare more."""
        self.model.eval()
        rng, corpus = np.random.default_rng(self.seed), self.corpus
        text = [int(letter) for letter in corpus.encode(start)]
        with picograd.no_grad():
            scores: Any = picograd.compile(self.model, device=self.device)
            for _ in range(length):
                window = text[-CONTEXT:]
                padded = np.zeros((1, CONTEXT), np.int64)
                padded[0, : len(window)] = window
                every = scores(picograd.tensor(padded, device=self.device)).numpy()
                row = every[0, len(window) - 1].astype(np.float64)
                odds = np.exp((row - row.max()) / temperature)
                text.append(int(rng.choice(len(odds), p=odds / odds.sum())))
        return corpus.decode(text)


def _too_high(loss: float) -> str | None:
    """What a held-out loss falls short of, in words; nothing when it is low enough."""
    entropy = load_corpus().entropy
    if loss <= ASKED_FOR * entropy:
        return None
    return (
        f"loses {loss:.3f} nats a letter on the held-out text, and at most {ASKED_FOR:.0%} of the "
        f"letters' entropy, {entropy:.3f}, is asked for"
    )


def _beside_entropy(loss: float) -> str:
    return f"{loss:.4f} (letters' entropy {load_corpus().entropy:.4f})"


WORKLOAD = Workload(
    name="gpt",
    title="Shakespeare's sonnets, letter by letter: one compiled training step a batch",
    summary="a transformer that writes sonnets letter by letter",
    begin=Session,
    most_epochs=EPOCHS,
    steps_an_epoch=lambda seed: STEPS_AN_EPOCH,
    items="letters",
    items_a_step=BATCH * CONTEXT,
    score_name="loss on held-out text",
    score_key="test_loss",
    show_score=_beside_entropy,
    shortcoming=_too_high,
    early_steps=20,
    early_budget=1e-5,
    loss_budget=1e-3,
)
