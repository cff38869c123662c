"""Column values, encrypted: text and JSON with random nonces, and values that are looked up always to the same bytes.

    enc1:<data key>:<base64>   AES-256-GCM, a random nonce before the ciphertext
    enc2:<data key>:<base64>   AES-SIV (RFC 5297), without a nonce: equal values of one column are equal
    enc0:<text>                plain text that begins like one of these

The associated data is the column's label, so a value does not decrypt in another column. Values without a prefix are plain:
they stay readable after encryption is switched on. Search tokens are HMAC-SHA256 of the folded word, cut to 80 bits.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from callreel.domain.errors import EncryptionKeyError, StoreError

_RANDOM: Final = "enc1:"
_SAME: Final = "enc2:"
_PLAIN: Final = "enc0:"
_NONCE = 12
_TOKEN_BYTES = 10


class TextCipher:
    """Encrypts and decrypts column values. `key(id)` returns a data key; `text` and `lookup` are (id, key).

    `search` is the key of search tokens; without it no words are indexed. Threads may share it. Raises
    EncryptionKeyError, and StoreError for a value that does not authenticate.
    """

    def __init__(
        self,
        key: Callable[[int], bytes],
        text: tuple[int, bytes],
        lookup: tuple[int, bytes],
        search: bytes | None,
    ) -> None:
        self._key = key
        self._text = text[0], AESGCM(text[1])
        self._lookup = lookup[0], AESSIV(lookup[1])
        self._opened: dict[int, AESGCM] = {text[0]: self._text[1]}
        # The vocabulary of speech is small, and hashing costs more than looking up.
        self._token = lru_cache(maxsize=65_536)(partial(_token, search or b""))
        self.searchable = search is not None

    def search_token(self, word: str) -> str:
        """What is stored for a folded word, or for the beginning of one."""
        return self._token(word)

    def seal(self, plain: str, label: str) -> str:
        """A value that is different each time."""
        key_id, aead = self._text
        nonce = os.urandom(_NONCE)
        sealed = nonce + aead.encrypt(nonce, plain.encode(), label.encode())
        return f"{_RANDOM}{key_id}:{base64.b64encode(sealed).decode()}"

    def seal_same(self, plain: str, label: str) -> str:
        """A value that is the same each time, so that it can be compared, joined and grouped."""
        key_id, siv = self._lookup
        sealed = siv.encrypt(plain.encode(), [label.encode()])
        return f"{_SAME}{key_id}:{base64.b64encode(sealed).decode()}"

    def open(self, value: str, label: str) -> str:
        """The plain text of a sealed value."""
        kind, number, encoded = value.split(":", 2)
        try:
            sealed = base64.b64decode(encoded, validate=True)
            if f"{kind}:" == _SAME:
                siv = self._lookup[1] if int(number) == self._lookup[0] else AESSIV(self._key(int(number)))
                return siv.decrypt(sealed, [label.encode()]).decode()
            return self._aead(int(number)).decrypt(sealed[:_NONCE], sealed[_NONCE:], label.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise StoreError(f"an encrypted value of {label} is damaged: it does not authenticate") from None

    def _aead(self, key_id: int) -> AESGCM:
        found = self._opened.get(key_id)
        if found is None:
            found = self._opened[key_id] = AESGCM(self._key(key_id))
        return found


def is_sealed(value: str) -> bool:
    return value.startswith((_RANDOM, _SAME))


def stored_text(plain: str, label: str, cipher: TextCipher | None, *, same: bool = False) -> str:
    """What to store for a text."""
    if cipher is None:
        return _PLAIN + plain if plain.startswith((_RANDOM, _SAME, _PLAIN)) else plain
    return cipher.seal_same(plain, label) if same else cipher.seal(plain, label)


def plain_text(value: str, label: str, cipher: TextCipher | None) -> str:
    """The text of a stored value. Raises EncryptionKeyError, StoreError."""
    if value.startswith(_PLAIN):
        return value.removeprefix(_PLAIN)
    return opened(value, label, cipher) if is_sealed(value) else value


def opened(value: str, label: str, cipher: TextCipher | None) -> str:
    """The text of a sealed value. Raises EncryptionKeyError, StoreError."""
    if cipher is None:
        raise EncryptionKeyError(
            f"a value of {label} is encrypted; set CALLREEL_ENCRYPTION_KEYS to the master key"
        )
    return cipher.open(value, label)


def _token(key: bytes, word: str) -> str:
    digest = hmac.digest(key, word.encode(), "sha256")
    return base64.b32encode(digest[:_TOKEN_BYTES]).decode().lower()
