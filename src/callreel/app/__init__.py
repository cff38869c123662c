"""The composition root: builds every part from the settings, hands it down, and runs a server or a worker.

The only room that knows all others. Lower ones get plain values and each other, never the settings. A module here is one
thing that is put together; `runtime` is what all of them stand on.
"""
