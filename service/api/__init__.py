"""The HTTP routes under /v1, one noun per file. Each names the scopes that open it."""
