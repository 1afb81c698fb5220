CREATE TABLE ledger_entry (
	leaf_index INTEGER NOT NULL,
	entry BLOB NOT NULL,
	leaf_hash BLOB NOT NULL,
	type VARCHAR(32) NOT NULL,
	ref VARCHAR(256),
	idempotency_key VARCHAR(128),
	request_digest VARCHAR(64),
	PRIMARY KEY (leaf_index),
	UNIQUE (idempotency_key)
);
CREATE INDEX ledger_entry_by_type ON ledger_entry (type, leaf_index);
CREATE INDEX ledger_entry_by_ref ON ledger_entry (ref, type, leaf_index);
CREATE TABLE ledger_tile (
	level INTEGER NOT NULL,
	n INTEGER NOT NULL,
	hashes BLOB NOT NULL,
	root BLOB NOT NULL,
	PRIMARY KEY (level, n)
);
CREATE TABLE ledger_head (
	id INTEGER NOT NULL,
	origin VARCHAR NOT NULL,
	size INTEGER NOT NULL,
	frontier BLOB NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE ledger_sequence (
	key_id VARCHAR(32) NOT NULL,
	next_seq INTEGER NOT NULL,
	PRIMARY KEY (key_id)
);
CREATE TABLE ledger_checkpoint (
	size INTEGER NOT NULL,
	note VARCHAR NOT NULL,
	PRIMARY KEY (size)
);
CREATE TABLE ledger_row (
	leaf_index INTEGER NOT NULL,
	row_index INTEGER NOT NULL,
	"row" BLOB NOT NULL,
	PRIMARY KEY (leaf_index, row_index)
);
CREATE TABLE ledger_opening (
	leaf_index INTEGER NOT NULL,
	row_index INTEGER NOT NULL,
	subject VARCHAR(128) NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (leaf_index, row_index)
);
CREATE INDEX ix_ledger_opening_subject ON ledger_opening (subject);
CREATE TABLE ledger_subject_key (
	subject VARCHAR(128) NOT NULL,
	wrapped_key BLOB NOT NULL,
	PRIMARY KEY (subject, wrapped_key)
);
CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only: no DELETE'); END;
CREATE TRIGGER ledger_tile_no_update BEFORE UPDATE ON ledger_tile BEGIN SELECT RAISE(ABORT, 'ledger_tile is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_tile_no_delete BEFORE DELETE ON ledger_tile BEGIN SELECT RAISE(ABORT, 'ledger_tile is append-only: no DELETE'); END;
CREATE TRIGGER ledger_checkpoint_no_update BEFORE UPDATE ON ledger_checkpoint BEGIN SELECT RAISE(ABORT, 'ledger_checkpoint is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_checkpoint_no_delete BEFORE DELETE ON ledger_checkpoint BEGIN SELECT RAISE(ABORT, 'ledger_checkpoint is append-only: no DELETE'); END;
CREATE TRIGGER ledger_row_no_update BEFORE UPDATE ON ledger_row BEGIN SELECT RAISE(ABORT, 'ledger_row is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_row_no_delete BEFORE DELETE ON ledger_row BEGIN SELECT RAISE(ABORT, 'ledger_row is append-only: no DELETE'); END;
CREATE TRIGGER ledger_opening_no_update BEFORE UPDATE ON ledger_opening BEGIN SELECT RAISE(ABORT, 'ledger_opening is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_subject_key_no_update BEFORE UPDATE ON ledger_subject_key BEGIN SELECT RAISE(ABORT, 'ledger_subject_key is append-only: no UPDATE'); END;
CREATE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head BEGIN SELECT RAISE(ABORT, 'ledger_head is append-only: no DELETE'); END;
CREATE TRIGGER ledger_sequence_no_delete BEFORE DELETE ON ledger_sequence BEGIN SELECT RAISE(ABORT, 'ledger_sequence is append-only: no DELETE'); END;
CREATE TABLE service_api_key (
	key_id VARCHAR(16) NOT NULL,
	secret_sha256 VARCHAR(64) NOT NULL,
	actor_id VARCHAR(128) NOT NULL,
	scopes VARCHAR(256) NOT NULL,
	created_at VARCHAR(24) NOT NULL,
	revoked_at VARCHAR(24),
	PRIMARY KEY (key_id)
);
CREATE TABLE service_sign_in_link (
	token_sha256 VARCHAR(64) NOT NULL,
	key_id VARCHAR(16) NOT NULL,
	expires_at VARCHAR(24) NOT NULL,
	used_at VARCHAR(24),
	PRIMARY KEY (token_sha256)
);
