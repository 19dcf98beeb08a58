"""What the suite does when things go wrong, measured: the scripts behind ``docs/reliability.md``.

Each module is a command, ``python -m reliability.NAME key=value``, that prints what it measured and fails where a
promise is broken; the tests under ``tests/reliability`` run the same functions for a moment.
"""
