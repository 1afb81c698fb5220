"""The service's own tables: who may call, links to the pages, and what the scheduler must remember.

Only digests of secrets are kept. No foreign key leaves this package. What an alarm, a halt or a
policy *is* stands in the log; here is only what is still to be done about it.
"""

from sqlmodel import Field, SQLModel

from ledger.tables import WIDE


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


class Delivery(SQLModel, table=True):
    """An alarm to be told to a channel: how often that was tried, and when it will be again."""

    __tablename__ = "service_delivery"

    alarm_leaf: int = Field(
        sa_type=WIDE, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    channel: str = Field(primary_key=True, max_length=64)
    attempts: int
    next_try_at: str | None = Field(default=None, max_length=24)
    error: str | None = Field(default=None, max_length=400)


class Proposal(SQLModel, table=True):
    """What one person asks for and another must confirm before it becomes an entry."""

    __tablename__ = "service_proposal"

    proposal_id: str = Field(primary_key=True, max_length=32)
    kind: str = Field(max_length=32)
    body: str
    proposer: str = Field(max_length=128)
    proposed_at: str = Field(max_length=24)
    decision: str | None = Field(default=None, max_length=16)
    decided_by: str | None = Field(default=None, max_length=128)
    decided_at: str | None = Field(default=None, max_length=24)
    leaf: int | None = Field(default=None, sa_type=WIDE)


class Lease(SQLModel, table=True):
    """Who runs something that only one may run, and when that one was last heard of."""

    __tablename__ = "service_lease"

    name: str = Field(primary_key=True, max_length=32)
    holder: str = Field(max_length=128)
    heard_ms: int = Field(sa_type=WIDE)


class JobRun(SQLModel, table=True):
    """The newest run of a job of the scheduler."""

    __tablename__ = "service_job_run"

    job: str = Field(primary_key=True, max_length=32)
    started_at: str = Field(max_length=24)
    finished_at: str | None = Field(default=None, max_length=24)
    succeeded_at: str | None = Field(default=None, max_length=24)
    failures: int = 0
    result: str | None = Field(default=None, max_length=400)
