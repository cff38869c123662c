"""The carrier (Twilio) without I/O, both ends of it: the server uses it, and so does the stand-in carrier.

The carrier's field names stop here; what leaves this room are domain types.
"""
