"""Measurements. Each is a ratio to a raw limit that is measured in the same run, by turns, because machines differ and are
noisy; none is a test. ``python -m bench`` runs all, ``python -m bench NAME`` one.
"""
