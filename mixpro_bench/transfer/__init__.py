"""Transfer: handover and load audit, feature pyramid, parameter groups."""

from mixpro_bench.transfer.audit import HUB_KEY, LoadAudit
from mixpro_bench.transfer.handover import Handover
from mixpro_bench.transfer.optimizer import ParamGroups
from mixpro_bench.transfer.pyramid import NeckSequence, Pyramid

__all__ = ["HUB_KEY", "Handover", "LoadAudit", "NeckSequence", "ParamGroups", "Pyramid"]
