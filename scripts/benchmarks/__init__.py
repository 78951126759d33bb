"""Benchmarks, one module each: the module's name is the benchmark's, and it is found by its file.

A module has a docstring whose first line says what it measures, `REACH` with the numbers to reach in words, and
`measure(bench)` that returns the numbers.
"""
