"""The transformer of `picograd demo gpt`: its text, its step, its schedule, what it writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd
from picograd.study.demos import gpt


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One narrow block and few short texts: the same program, compiled in little time."""
    for name, value in {"WIDTH": 8, "HEADS": 2, "BLOCKS": 1, "CONTEXT": 6, "BATCH": 3}.items():
        monkeypatch.setattr(gpt, name, value)


def test_the_text_is_whole_and_its_end_held_out() -> None:
    corpus = gpt.load_corpus()
    text = corpus.decode([*corpus.train, *corpus.test])
    sonnets = text.strip().split("\n\n")
    assert all(len(sonnet.splitlines()) == 14 for sonnet in sonnets) and len(sonnets) > 30
    assert text.isascii() and "Shall I compare thee to a summer's day?\n" in text
    assert len(corpus.test) == pytest.approx(len(text) * gpt.HELD_OUT, abs=1)
    assert 2.5 < corpus.entropy < np.log(len(corpus.alphabet))
    np.testing.assert_array_equal(corpus.encode(text[:50]), corpus.train[:50])


def test_batches_are_seeded() -> None:
    corpus = gpt.load_corpus()
    first, again = (list(corpus.batches(0, 3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.shape(first) == (gpt.STEPS_AN_EPOCH, gpt.BATCH, gpt.CONTEXT + 1)
    assert not np.array_equal(first, list(corpus.batches(1, 3)))
    assert not np.array_equal(first, list(corpus.batches(0, 4)))


def test_letters_do_not_see_what_follows(small: None) -> None:
    picograd.manual_seed(0)
    model = gpt.GPT(10).eval()
    text = np.arange(6)[None] % 10
    changed = text.copy()
    changed[0, 3:] = 9
    with picograd.no_grad():
        a, b = (model(picograd.tensor(t)).numpy() for t in (text, changed))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert not np.allclose(a[:, 3:], b[:, 3:])


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_few_compiled_steps_are_those_of_the_reference(small: None, device: str) -> None:
    curves = []
    for name in (device, "reference"):
        session = gpt.Session(name, 0)
        step: Any = session.step
        if name == device:
            step = picograd.compile(session.step, device=device)
        batches = session.batches(0)
        rates, losses = [], []
        for _ in range(4):
            (text,) = next(batches)
            rates.append(session.optimizer.param_groups[0]["lr"])
            losses.append(float(step(picograd.tensor(text, device=name))))
        if name == device:
            assert len(step.recompilations) == 1 and len(set(rates)) == 4
        curves.append(losses)
    np.testing.assert_allclose(*curves, atol=1e-4)


def test_it_writes_letters_and_is_judged(small: None) -> None:
    session = gpt.Session("cpu", 0)
    text = session.write("Thou", 9, 0.5)
    assert text.startswith("Thou") and len(text) == 13
    assert session.write("Thou", 9, 0.5) == text
    entropy = session.corpus.entropy
    assert 0.5 * entropy < session.score() < 2 * entropy
    assert gpt.WORKLOAD.shortcoming(0.5 * entropy) is None
    assert "at most 80%" in (gpt.WORKLOAD.shortcoming(0.9 * entropy) or "")
    assert "letters' entropy 3.1" in gpt.WORKLOAD.show_score(2.0)
