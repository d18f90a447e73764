"""Hooks that any run may use, whatever its task: the Record at its end and its progress on the way."""

from mixpro_bench.hooks.progress import ProgressHook
from mixpro_bench.hooks.record import RecordHook

__all__ = ["ProgressHook", "RecordHook"]
