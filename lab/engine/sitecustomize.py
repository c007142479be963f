"""Runs first in every process of the engine: importing makes a million objects that stay, and looking for garbage among them takes 2 s."""

import gc

gc.set_threshold(100_000, 20, 20)
