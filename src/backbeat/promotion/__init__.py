"""Promotion: an alias moves once, from the version that the evidence saw to the one signed off."""

from backbeat.promotion.alias import Promotion, approved_by, promote

__all__ = ["Promotion", "approved_by", "promote"]
