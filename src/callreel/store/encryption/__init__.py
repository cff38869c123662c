"""Encryption at rest: master keys, data keys, the format of encrypted files and of encrypted column values.

All cryptography is `cryptography`'s: AES-256-GCM for files and values, AES Key Wrap (RFC 3394) for keys, AES-SIV (RFC 5297)
for values that are looked up, HMAC-SHA256 for search tokens. docs/security.md describes what it protects, and its limits.
"""
