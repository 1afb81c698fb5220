"""The service's own tables: who may call, and one-time links to the pages.

Only digests of secrets are kept. No foreign key leaves this package.
"""

from sqlmodel import Field, SQLModel


class ApiKey(SQLModel, table=True):
    """A caller's key: the secret is kept as SHA-256 (it is 256 random bits, so no salt is owed)."""

    __tablename__ = "service_api_key"

    key_id: str = Field(primary_key=True, max_length=16)
    secret_sha256: str = Field(max_length=64)
    actor_id: str = Field(max_length=128)
    scopes: str = Field(max_length=256)
    created_at: str = Field(max_length=24)
    revoked_at: str | None = Field(default=None, max_length=24)


class SignInLink(SQLModel, table=True):
    """A link that opens the pages once, for the holder of the key it was made with."""

    __tablename__ = "service_sign_in_link"

    token_sha256: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(max_length=16)
    expires_at: str = Field(max_length=24)
    used_at: str | None = Field(default=None, max_length=24)


class Hold(SQLModel, table=True):
    """Whom a hold is about. That it was placed, why, and whether it was lifted is in the log."""

    __tablename__ = "service_hold"

    hold_id: str = Field(primary_key=True, max_length=32)
    subject: str = Field(index=True, max_length=128)
