"""What an operator may set: one frozen object read from ASSAY_* once, at start-up.

Nothing else in the product reads the environment. There is no setting that makes the service
answer without recording.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one Assay house; every name is an environment variable ASSAY_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path("assay-data"), description="keys, database, model blobs, export"
    )
    database_url: str = Field(default="", description="empty: SQLite at <data_dir>/assay.db")
    origin: str = Field(
        default="", description="the log's name, given once to `assay init`; later it is checked"
    )
    anchor: Path | None = Field(
        default=None,
        description="file of the newest checkpoint, best on another disk; "
        "none: <data_dir>/anchor.json",
    )
    log_mldsa_key: Path | None = Field(
        default=None,
        description="file of an ML-DSA-44 key that signs every checkpoint beside the log's own",
    )
    blobs_url: str = Field(
        default="", description="shared place behind <data_dir>/blobs, such as s3://bucket/house"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    workers: int = Field(default=1, ge=1, le=64, description="server processes on one ledger")
    server: Literal["granian", "gunicorn"] = Field(
        default="granian", description="which server carries the requests"
    )
    threads: int = Field(
        default=16, ge=1, le=256, description="request threads per process, beside the event loop"
    )
    queue_max: int = Field(
        default=2048,
        ge=1,
        le=16_384,
        description="requests of a process being worked on or waiting; one more is refused (503)",
    )
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="larger bodies: 413")
    max_rows: int = Field(default=1000, ge=1, le=10_000, description="rows in one request")
    max_batch_rows: int = Field(
        default=65_536, ge=1, le=100_000, description="rows in one request to predictions:batch"
    )
    max_batch_bytes: int = Field(
        default=32 * 2**20, ge=1024, description="a larger body of predictions:batch: 413"
    )
    seal_hour_utc: int = Field(default=0, ge=0, le=23, description="hour of the daily seal")
    evaluate_every_minutes: int = Field(default=60, ge=1, description="between two evaluations")
    alert_channels: Path | None = Field(
        default=None, description="TOML file, mode 0600: where alarms are told"
    )
    public_url: str = Field(
        default="", description="address of the pages as readers reach them, for links in messages"
    )
    witness_policy: Path | None = Field(
        default=None, description="C2SP tlog-policy file: the witnesses to ask, and the quorum"
    )
    cosign_every_seconds: int = Field(
        default=1, ge=1, le=3600, description="between two looks for a checkpoint to be cosigned"
    )

    @property
    def url(self) -> str:
        """The database as a SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'assay.db'}"

    @property
    def anchor_path(self) -> Path:
        """Where the newest checkpoint is kept outside the database."""
        return self.anchor or self.data_dir / "anchor.json"

    @property
    def keys_dir(self) -> Path:
        """Private keys, one file each, mode 0600."""
        return self.data_dir / "keys"

    @property
    def blobs_dir(self) -> Path:
        """Model artifacts, manifests and reports by digest."""
        return self.data_dir / "blobs"
