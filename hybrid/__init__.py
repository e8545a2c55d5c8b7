"""Signals, fusion, ranking, explanation, evaluation and the command line."""
