//! The files of a session, in memory: a read-only base that sessions share, and a writable tree of their own under quotas.
