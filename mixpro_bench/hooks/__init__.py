"""Hooks that any run may use, whatever its task: the Record at its end, its progress, and a guard on the way."""

from mixpro_bench.hooks.finite import FiniteHook
from mixpro_bench.hooks.progress import ProgressHook
from mixpro_bench.hooks.record import RecordHook

__all__ = ["FiniteHook", "ProgressHook", "RecordHook"]
