"""Reading attention from a model of somebody else's, beside its fused kernel.

A hook exists only while a forward pass runs, so nothing it saw can be used twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mixpro_bench.backbones.attention import Read, attention_row
from mixpro_bench.errors import UserError

# Everything with weights that an attention layer may hold for its scores to be those of ``qkv`` alone.
_KNOWN = {"qkv", "q_norm", "k_norm", "proj", "norm", "gamma1", "ls", "out_drop"}


def attention_layers(model: nn.Module) -> list[str]:
    """Return the dotted names of the layers that can be read, in the order of the model.

    These are layers as timm's ``Attention`` and MMPretrain's ``MultiheadAttention``: a linear ``qkv`` whose output is
    queries, keys and values, each head by head, a ``proj``, and scores that depend on nothing else.
    """
    return [name for name, module in model.named_modules() if name and _reason(module) is None]


def find_attention(model: nn.Module, name: str) -> tuple[str, nn.Module]:
    """Return name and module of the attention layer to read.

    Args:
        model: Any model.
        name: Dotted name, or ``"auto"`` for the last one that can be read.

    Raises:
        UserError: If there is none, or the one named cannot be read.
    """
    layers = attention_layers(model)
    if name == "auto":
        if not layers:
            raise UserError(
                f"MixProHook attention='auto': {type(model).__name__} has no attention layer that could be read; name "
                "one, or use area labels (preset 'mixpro-head', or labeler=dict(type='AreaLabel'))"
            )
        name = layers[-1]
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        there = f"; there are {', '.join(layers)}" if layers else ""
        raise UserError(f"MixProHook attention={name!r} is no module of {type(model).__name__}{there}") from error
    if (reason := _reason(module)) is not None:
        raise UserError(f"MixProHook attention={name!r} cannot be read: {reason}")
    return name, module


def _reason(module: nn.Module) -> str | None:
    """Say why a layer cannot be read, or None."""
    qkv, heads = getattr(module, "qkv", None), getattr(module, "num_heads", None)
    if not isinstance(qkv, nn.Linear) or not isinstance(heads, int) or not isinstance(module.proj, nn.Module):
        return f"{type(module).__name__} has no linear layer qkv with num_heads and proj"
    if qkv.out_features % (3 * heads):
        return f"its qkv layer has {qkv.out_features} channels, which are not three times {heads} heads"
    extra = {name.split(".")[0] for name, _ in module.named_parameters()} - _KNOWN
    return f"its scores also depend on {', '.join(sorted(extra))}" if extra else None


def split_heads(attn: nn.Module, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Return queries, keys and values (B, heads, N, d) of the output of ``attn.qkv``, and the factor on the scores."""
    b, n, channels = qkv.shape
    d = channels // 3 // attn.num_heads
    q, k, v = qkv.reshape(b, n, 3, attn.num_heads, d).permute(2, 0, 3, 1, 4).unbind(0)
    q, k = (
        norm(x) if (norm := getattr(attn, name, None)) is not None else x for name, x in (("q_norm", q), ("k_norm", k))
    )
    scale = getattr(attn, "scale", None)
    return q, k, v, scale if isinstance(scale, float) else d**-0.5


@contextmanager
def tap(attn: nn.Module, read: Read, prefix: int) -> Iterator[list[Tensor]]:
    """Read an attention layer during the forward passes inside the ``with`` block.

    Args:
        attn: The layer.
        read: Whose row of the attention matrix; see `attention_row`.
        prefix: Number of tokens before the patch tokens.

    Yields:
        A list that gets one row (B, N - prefix), float32 and detached, per forward pass.
    """
    rows: list[Tensor] = []

    def after(module: nn.Module, args: Any, output: Tensor) -> None:
        with torch.no_grad():
            q, k, _, scale = split_heads(attn, output)
            rows.append(attention_row(q, k, scale, read, prefix))

    handle = attn.qkv.register_forward_hook(after)
    try:
        yield rows
    finally:
        handle.remove()


@torch.no_grad()
def tokens_of(name: str, attn: nn.Module, forward: Callable[[], Any]) -> tuple[int, int]:
    """Run a model once, check that its attention layer does what is read from it, and return batch and tokens.

    Args:
        name: How the layer is called in messages.
        attn: The layer, in evaluation mode and without autocast.
        forward: Runs the model.

    Raises:
        UserError: If the layer is not run, or its result is another than that of plain attention.
    """
    seen: dict[str, Tensor] = {}
    handles = [
        attn.qkv.register_forward_hook(lambda module, args, output: seen.update(qkv=output)),
        attn.proj.register_forward_pre_hook(lambda module, args: seen.update(result=args[0])),
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    if set(seen) != {"qkv", "result"} or seen["qkv"].ndim != 3:
        raise UserError(f"MixProHook attention={name!r} cannot be read: its qkv or proj layer was not called on tokens")
    q, k, v, scale = split_heads(attn, seen["qkv"])
    weights = (q.float() * scale @ k.float().transpose(-2, -1)).softmax(dim=-1)
    wanted = (weights @ v.float()).transpose(1, 2).flatten(2)
    result = seen["result"].float()
    if result.shape != wanted.shape or not torch.allclose(
        result, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
    ):
        raise UserError(
            f"MixProHook attention={name!r} cannot be read: its result is not softmax(q k) v (positions rotated, "
            "scores biased, or heads mixed)"
        )
    return seen["qkv"].shape[0], seen["qkv"].shape[1]
