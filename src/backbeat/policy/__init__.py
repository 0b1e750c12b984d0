"""Whether something may happen; asked at claim, at resume and before an effect."""

from backbeat.policy.builtin import BuiltinPolicy

__all__ = ["BuiltinPolicy"]
