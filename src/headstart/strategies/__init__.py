"""Strategies: ways to transfer, one file an idea; each makes a `Plan` for the one loop.

- `plan`: what a strategy decides, as plain values
- `registry`: from ``partial:-3`` to a strategy
"""
