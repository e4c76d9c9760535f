"""What is wrong, as pure functions of figures. Read: ``finding`` (what a check answers), ``stores``, ``sending``,
``accounts``; ``everything`` asks them all.
"""
