//! CPU time of callers in the same file: a row per owner and five minutes, for the quotas of the next server.

use super::{SqliteStore, damaged, failed};
use cloister_core::Principal;
use cloister_core::error::Error;
use cloister_core::quota::CpuRecord;
use rusqlite::{Row, params};
use std::time::Duration;

/// Times are nanoseconds, slots are numbers of five minutes since 1970.
pub(super) const LAYOUT: &str = "
    CREATE TABLE cpu (
        slot      INTEGER NOT NULL,
        tenant    TEXT NOT NULL,
        principal TEXT NOT NULL,
        used      INTEGER NOT NULL,
        PRIMARY KEY (slot, tenant, principal)
    ) STRICT, WITHOUT ROWID;
";

const ADD: &str = "
    INSERT INTO cpu (slot, tenant, principal, used) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET used = used + excluded.used
";

impl SqliteStore {
    pub(super) fn add(&self, records: &[CpuRecord], first: u64) -> Result<(), Error> {
        let mut connection = self.connection();
        let mut write = || {
            let transaction = connection.transaction()?;
            for CpuRecord { owner: Principal { tenant, name }, slot, cpu } in records {
                let used = i64::try_from(cpu.as_nanos()).unwrap_or(i64::MAX);
                transaction.execute(ADD, params![number(*slot), tenant, name, used])?;
            }
            transaction.execute("DELETE FROM cpu WHERE slot < ?1", params![number(first)])?;
            transaction.commit()
        };
        write().map_err(failed)
    }

    pub(super) fn since(&self, first: u64) -> Result<Vec<CpuRecord>, Error> {
        let connection = self.connection();
        let read = || {
            let mut rows = connection.prepare_cached("SELECT * FROM cpu WHERE slot >= ?1")?;
            rows.query_map(params![number(first)], record)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(failed)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<CpuRecord> {
    let whole = |column: &str| u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged(column));
    Ok(CpuRecord {
        owner: Principal { tenant: row.get("tenant")?, name: row.get("principal")? },
        slot: whole("slot")?,
        cpu: Duration::from_nanos(whole("used")?),
    })
}

fn number(slot: u64) -> i64 {
    i64::try_from(slot).unwrap_or(i64::MAX)
}
