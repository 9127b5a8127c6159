"""The rules of the audit, each of which says what its findings depend on."""
