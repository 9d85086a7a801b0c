//! `cloister token`: keys for people and programs, issued on the server's own machine.
//!
//! Whoever can read the data folder may issue keys: the folder is the server. A server that runs on it sees the change at its next
//! request.

use super::{Failure, data_dir, env};
use crate::audit::{FileAudit, Limits, by_console};
use crate::data_dir::DataDir;
use crate::keys::{Credentials, IssuedKey, KeyKind, KeyStore, Listed, NewKey};
use crate::output::{Cell, Output};
use cloister_core::Principal;
use cloister_core::audit::{Action, Audit as _, Key, Resource};
use cloister_gateway::Role;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Issue a key; its secrets are shown this once
    Create(Create),
    /// List the keys
    #[command(visible_alias = "ls")]
    List(Folder),
    /// End keys at once; connections that last are closed within seconds
    Revoke(Revoke),
}

/// Which server.
#[derive(clap::Args, Debug)]
pub(crate) struct Folder {
    /// Data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Arguments of `cloister token create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// Whom the key speaks for: sessions belong to this name, and keys with the same name see the same ones
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The tenant of the name
    #[arg(long, value_name = "TENANT", default_value = "local")]
    tenant: String,
    /// What it may do: viewer looks, user starts and runs, admin decides about others; may be given several times [default: user]
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Vec<Role>,
    /// For AWS clients, to be sent as a bearer token, or both
    #[arg(long, value_enum, default_value_t)]
    kind: KeyKind,
    /// How long it is good, as 90m, 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = life)]
    expires: Option<Duration>,
    /// Keep it in the data folder as the one that `cloister env` prints
    #[arg(long)]
    save: bool,
    #[command(flatten)]
    folder: Folder,
}

/// Arguments of `cloister token revoke`.
#[derive(clap::Args, Debug)]
pub(crate) struct Revoke {
    /// Ids of keys
    #[arg(required = true)]
    id: Vec<String>,
    #[command(flatten)]
    folder: Folder,
}

impl Folder {
    fn open(self) -> Result<(DataDir, KeyStore), Failure> {
        let data = DataDir::open(&data_dir(self.data_dir)?)?;
        let store = KeyStore::open(&data)?;
        Ok((data, store))
    }
}

pub(crate) fn run(command: Command, out: Output) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(args, out),
        Command::List(folder) => list(folder, out),
        Command::Revoke(Revoke { id, folder }) => {
            let (data, store) = folder.open()?;
            let log = FileAudit::open(data.audit(), Limits::default())?;
            id.iter().try_for_each(|id| {
                log.record(by_console(Action::KeyRevoke).on(Resource::Key(id.clone())))
                    .map_err(cloister_core::error::Error::from)?;
                Ok(store.revoke(id)?)
            })
        }
    }
}

fn create(args: Create, out: Output) -> Result<(), Failure> {
    let Create { name, tenant, mut role, kind, expires, save, folder } = args;
    if save && kind != KeyKind::Both {
        return Err(Failure::usage(
            "--save keeps a key of kind both: `cloister env` prints both of its secrets",
        ));
    }
    if role.is_empty() {
        role.push(Role::User);
    }
    role.sort_unstable();
    role.dedup();
    let (data, store) = folder.open()?;
    let key = NewKey { principal: Principal { tenant, name }, roles: role, kind, life: expires };
    let log = FileAudit::open(data.audit(), Limits::default())?;
    let event = by_console(Action::KeyCreate)
        .with(Key::Name, format!("{}/{}", key.principal.tenant, key.principal.name))
        .with(Key::Roles, words(&key.roles));
    log.record(event).map_err(cloister_core::error::Error::from)?;
    let issued = store.create(&key)?;
    if save {
        let credentials = Credentials {
            access_key_id: issued.id.clone(),
            secret_access_key: issued.secret.clone().unwrap_or_default(),
            token: issued.bearer.clone().unwrap_or_default(),
        };
        data.write_credentials(&serde_json::to_vec_pretty(&credentials)?)?;
    }
    show(&issued, &key, out)
}

fn show(issued: &IssuedKey, key: &NewKey, out: Output) -> Result<(), Failure> {
    let IssuedKey { id, secret, bearer } = issued;
    if out.is_json() {
        let value = json!({
            "id": id,
            "tenant": key.principal.tenant,
            "name": key.principal.name,
            "roles": words(&key.roles),
            "secretAccessKey": secret,
            "token": bearer,
        });
        return Ok(out.json(&value)?);
    }
    let signs = secret.as_ref().map(|secret| {
        format!(
            "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}",
            env::quote(id),
            env::quote(secret)
        )
    });
    let sent = bearer.as_ref().map(|bearer| format!("export CLOISTER_TOKEN={}", env::quote(bearer)));
    let lines: Vec<String> = signs.into_iter().chain(sent).collect();
    eprintln!("cloister: key {id} was made; what follows is shown this once");
    Ok(out.line(&lines.join("\n"))?)
}

fn list(folder: Folder, out: Output) -> Result<(), Failure> {
    let keys = folder.open()?.1.list()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if out.is_json() {
        let values: Vec<Value> = keys.iter().map(|key| value(key, now)).collect();
        return Ok(out.json(&json!({ "keys": values }))?);
    }
    let rows: Vec<[Cell; 8]> = keys
        .into_iter()
        .map(|key| {
            let state = match state(&key, now) {
                "active" => Cell::good("active"),
                ended => Cell::bad(ended),
            };
            [
                key.id.as_str().into(),
                state,
                kind(key.kind).into(),
                key.principal.tenant.as_str().into(),
                key.principal.name.as_str().into(),
                words(&key.roles).join(",").into(),
                day(key.created).into(),
                key.expires.map(day).unwrap_or_default().into(),
            ]
        })
        .collect();
    Ok(out.table(["ID", "STATE", "KIND", "TENANT", "NAME", "ROLES", "CREATED", "EXPIRES"], &rows)?)
}

fn value(key: &Listed, now: u64) -> Value {
    json!({
        "id": key.id,
        "state": state(key, now),
        "kind": kind(key.kind),
        "tenant": key.principal.tenant,
        "name": key.principal.name,
        "roles": words(&key.roles),
        "created": day(key.created),
        "expires": key.expires.map(day),
        "revoked": key.revoked.map(day),
    })
}

fn state(key: &Listed, now: u64) -> &'static str {
    match (key.revoked, key.expires) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= now => "expired",
        _ => "active",
    }
}

fn kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Sigv4 => "sigv4",
        KeyKind::Bearer => "bearer",
        KeyKind::Both => "both",
    }
}

fn words(roles: &[Role]) -> Vec<&'static str> {
    roles.iter().map(|role| role.word()).collect()
}

/// As the API writes times.
fn day(at: u64) -> String {
    cloister_gateway::iso8601(UNIX_EPOCH + Duration::from_secs(at))
}

fn role(text: &str) -> Result<Role, String> {
    Role::of(text).ok_or_else(|| {
        let words: Vec<_> = Role::ALL.iter().map(|role| role.word()).collect();
        format!("a role is one of {}", words.join(", "))
    })
}

fn life(text: &str) -> Result<Duration, String> {
    let bad = || "a time is a number with a unit: 90m, 12h or 30d".to_owned();
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    // A century is for ever; more would only overflow somewhere.
    if !(1..=36_500 * 86_400 / unit).contains(&number) {
        return Err("a time is from one minute to a hundred years".to_owned());
    }
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_life_have_a_unit() {
        assert_eq!(life("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(life("30d"), Ok(Duration::from_secs(2_592_000)));
        for bad in ["", "d", "30", "0d", "-1d", "1w", "1.5h", "99999999999999999999d", "36501d", "30D"] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
