"""A trained model with a larger vocabulary: rows for the tokens that it was not trained on."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gptcli.model.config import GPTConfig
from gptcli.model.gpt import GPT
from gptcli.tokenizer import gpt2_tokenizer
from weights.training.checkpoint import Tensors
from weights.training.vocabulary import END, compact_tokenizer, rows, spell


def with_vocab(
    weights: Tensors,
    config: GPTConfig,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    texts: list[str],
    shares: NDArray[np.float64],
) -> Tensors:
    """A model's weights for another vocabulary; see ``lift`` and ``widen``."""
    if np.isin(new, old).all():
        return {**weights, "wte.weight": weights["wte.weight"][rows(old)[new]]}
    lifted = lift(weights, config, old, texts)
    return {**lifted, "wte.weight": widen(lifted, config, old, new, texts, shares[new])}


@torch.no_grad()
def lift(
    weights: Tensors, config: GPTConfig, vocab: NDArray[np.int32], texts: list[str], height: float = 1.0
) -> Tensors:
    """Weights that say nearly the same, with final states that all lie far along one direction.

    Tokens without training are kept from being predicted by rows that point against such a direction (see ``widen``).
    Training leaves one along which states lie a hundredth of their length, so that those rows would have to be ten
    times as long as the others, and would lose what they say of a token that is read. So the final norm's bias takes
    states up to ``height``, and the rows lose along the direction what the states win: on average, products stay.

    Args:
        weights, config, vocab: of the model.
        texts: those whose final states count.
        height: how far the states are to lie, on average.
    """
    states = final_states(weights, config, vocab, texts)
    direction = apart(states)
    mean = (states @ direction).mean()
    if mean > height / 2:
        return weights
    table = weights["wte.weight"]
    lower = table - (1 - mean / height) * (table @ direction)[:, None] * direction
    return {**weights, "wte.weight": lower, "ln_f.bias": weights["ln_f.bias"] + (height - mean) * direction}


def apart(states: Tensor) -> Tensor:
    """The direction along which states [N, C] vary least for their mean (Fisher's discriminant against zero): [C]."""
    noise = 1e-4 * torch.eye(states.shape[1])
    direction = torch.linalg.solve(torch.cov(states.T) + noise, states.mean(dim=0))
    return F.normalize(direction, dim=0)


@torch.no_grad()
def widen(
    weights: Tensors,
    config: GPTConfig,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    texts: list[str],
    shares: NDArray[np.float64] | None = None,
    rare: float = 5e-4,
) -> Tensor:
    """The embedding for a larger vocabulary: old rows stay, other tokens get rows made of what spells them.

    Such a token starts at the mean of the rows of the kept pieces that spell it, so that it can be read. The
    unembedding has the same rows and would predict it about as often as its pieces; so it is moved, against a
    direction along which every final state is positive, until on the held-out texts it gets its share of the
    probability. The tokens that never stand in the text are all moved equally far, to get ``rare`` together.

    Args:
        weights, config, old: of the model; row i of its embedding is GPT-2 token ``old[i]``.
        new: the tokens of the rows that are wanted.
        texts: the held-out texts.
        shares: how often each of ``new`` stands in the text, as a share of all tokens; None: never.
        rare: the share of tokens that are never seen.

    Returns:
        [len(new), width].
    """
    table = weights["wte.weight"]
    row_of, full = rows(old), gpt2_tokenizer()
    ranks = {full.token_bytes(int(token)): int(token) for token in old if token != END}
    spelled = [[token] if row_of[token] >= 0 else spell(full.token_bytes(int(token)), ranks) for token in new]
    wide = torch.stack([table[row_of[pieces]].mean(dim=0) for pieces in spelled])
    added = torch.from_numpy(row_of[new] < 0)
    if not added.any():
        return wide
    states = final_states(weights, replace(config, vocab_size=len(old)), old, texts)  # [N, C]
    direction = apart(states)
    states = states[:: len(states) // 512 + 1]
    others = torch.logsumexp(states @ table.T, dim=1, keepdim=True)
    ahead, along = states @ wide[added].T - others, states @ direction  # [N, added], [N]
    farthest = _shift(torch.logsumexp(ahead, dim=1, keepdim=True), along, torch.tensor([rare]))
    shifts = farthest.expand(ahead.shape[1]).clone()
    if shares is not None:
        wanted = torch.from_numpy(shares).float()[added]
        seen = wanted > 0
        shifts[seen] = torch.minimum(_shift(ahead[:, seen], along, wanted[seen]), farthest)
    wide[added] -= shifts[:, None] * direction
    return wide


def _shift(ahead: Tensor, along: Tensor, wanted: Tensor) -> Tensor:
    """How far to move each token so that its mean probability is the one that is wanted, by bisection.

    Args:
        ahead: logit of each token less the logsumexp of all others, by state: [N, n].
        along: how much one unit takes off that, [N].
        wanted: mean probabilities, [n].

    Returns:
        [n].
    """
    low, high = torch.full_like(wanted, -100.0), torch.full_like(wanted, 1000.0)
    for _ in range(40):
        shift = (low + high) / 2
        often = torch.sigmoid(ahead - shift * along[:, None]).mean(dim=0) > wanted
        low, high = torch.where(often, shift, low), torch.where(often, high, shift)
    return high


def final_states(weights: Tensors, config: GPTConfig, vocab: NDArray[np.int32], texts: list[str]) -> Tensor:
    """What the model unembeds at up to 64 x 256 positions of some texts: [N, C]."""
    model = GPT(config)
    model.load_state_dict({**weights, "lm_head.weight": weights["wte.weight"]})
    tokenizer = compact_tokenizer(vocab)
    ids = rows(vocab)[[i for text in texts for i in (END, *tokenizer.encode(text))]]
    length = min(256, config.n_positions, len(ids))
    count = len(ids) // length
    chosen = np.linspace(0, count - 1, min(count, 64)).astype(int)  # from all parts of the held-out texts
    batch = torch.from_numpy(ids[: count * length].reshape(count, length)[chosen])
    return torch.cat([model.ln_f(model.transform(row[None]))[0] for row in batch])
