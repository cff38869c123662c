"""Opens the keys of an installation from the settings."""

from functools import partial

from callreel.settings import Settings
from callreel.store.db.database import Database
from callreel.store.encryption.keyring import Keyring, require_none
from callreel.store.encryption.master_keys import MasterKeys, read_command, read_file


def master_keys_of(settings: Settings) -> MasterKeys | None:
    """The configured master keys; None without encryption. Raises EncryptionKeyError."""
    if settings.encryption_keys is not None:
        return MasterKeys(settings.encryption_keys.get_secret_value)
    if settings.encryption_keys_file is not None:
        return MasterKeys(partial(read_file, settings.encryption_keys_file))
    if settings.encryption_keys_command is not None:
        return MasterKeys(partial(read_command, settings.encryption_keys_command))
    return None


def keyring_of(settings: Settings, database: Database) -> Keyring | None:
    """The opened data keys of a migrated database, which encrypts and decrypts with them; None without encryption.

    Raises EncryptionKeyError if a master key is missing or wrong, StoreError.
    """
    masters = master_keys_of(settings)
    if masters is None:
        require_none(database)
        return None
    keyring = Keyring(database, masters)
    keyring.load()
    database.use_cipher(keyring.text_cipher(searchable=settings.encryption_search == "tokens"))
    return keyring
