//! Native JSON of the things that sessions are made of.

use super::error::denial;
use super::file_url;
use crate::answer::lossy;
use crate::config::GatewayConfig;
use crate::mime;
use crate::timestamp::{from_epoch, iso8601};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_core::SessionId;
use cloister_core::egress::{EgressCounters, EgressReport, HostUse};
use cloister_core::event::{
    Ended, Entry, EntryKind, Execution, FileChange, Rich, StateAfter, Task, TaskStatus,
};
use cloister_core::policy::{BROWSER_TIER, Policy};
use cloister_core::session::{EndReason, SessionRecord, Status};
use serde_json::{Map, Value, json};

/// A session.
pub(super) fn session(record: &SessionRecord) -> Value {
    json!({
        "id": record.id.as_str(),
        "interpreter": record.interpreter,
        "name": record.name,
        "status": match record.status {
            Status::Ready => "ready",
            Status::Terminated => "terminated",
        },
        "ended": record.ended.map(|reason| match reason {
            EndReason::Stopped => "stopped",
            EndReason::Expired => "expired",
            EndReason::Drained => "drained",
            EndReason::Failed => "failed",
            EndReason::Lost => "lost",
        }),
        "cause": record.cause,
        "createdAt": iso8601(record.created),
        "updatedAt": iso8601(record.updated),
        "timeout": record.ttl.as_secs(),
        "policy": record.policy,
        "tier": record.tier,
        "kind": if record.tier == BROWSER_TIER { "browser" } else { "code" },
    })
}

/// What a policy allows, in the words of the policy files.
pub(super) fn policy(policy: &Policy) -> Value {
    let Policy {
        name,
        description,
        tier,
        image,
        start,
        network,
        packages,
        secrets,
        resources,
        filesystem,
        time,
        languages,
        output,
        browser,
        snapshots,
        audit,
        isolation,
    } = policy;
    json!({
        "name": name,
        "description": description,
        "tier": tier,
        "image": image,
        "start": start.name(),
        "snapshots": snapshots.name(),
        "network": {
            "mode": network.mode.name(),
            "allowed_domains": network.allowed_domains,
            "denied_domains": network.denied_domains,
            "allowed_cidrs": network.allowed_cidrs,
            "denied_cidrs": network.denied_cidrs,
            "ports": network.ports,
            "bytes": network.bytes,
            "host_bytes": network.host_bytes,
        },
        "packages": {
            "install": packages.install.name(),
            "allow": packages.allow,
            "deny": packages.deny,
            "wheels_only": packages.wheels_only,
            "max_bytes": packages.max_bytes,
        },
        "secrets": secrets,
        "resources": {
            "memory": resources.memory,
            "cpu": resources.cpu,
            "pids": resources.pids,
            "open_files": resources.open_files,
        },
        "filesystem": {
            "disk": filesystem.disk,
            "inodes": filesystem.inodes,
            "max_file": filesystem.max_file,
            "exec": filesystem.exec,
            "workspace": filesystem.workspace,
        },
        "time": { "session_max": time.session_max.as_secs(), "call": time.call.as_secs_f64(), "task": time.task.as_secs() },
        "languages": { "runtimes": languages.runtimes, "shell": languages.shell },
        "output": { "stream": output.stream, "display": output.display, "displays": output.displays },
        "browser": {
            "downloads": browser.downloads,
            "read_only": browser.read_only,
            "recording": browser.recording,
            "recording_bytes": browser.recording_bytes,
        },
        "audit": { "level": audit.level.name(), "capture_code": audit.capture_code.name() },
        "isolation": { "require": isolation.require.iter().map(|wall| wall.name()).collect::<Vec<_>>() },
    })
}

/// What has gone through a session's way out.
pub(super) fn egress(report: &EgressReport) -> Value {
    let EgressReport { total, hosts } = report;
    let mut value = counters(total);
    value["hosts"] = hosts
        .iter()
        .map(|HostUse { host, counters: of }| {
            let mut value = counters(of);
            value["host"] = json!(host);
            value
        })
        .collect();
    value
}

fn counters(counters: &EgressCounters) -> Value {
    let EgressCounters { bytes_out, bytes_in, allowed, refused } = counters;
    json!({ "bytesOut": bytes_out, "bytesIn": bytes_in, "connections": allowed, "refused": refused })
}

/// A value in its forms: MIME type to content, text as text and everything else in base64, as in a notebook
/// file.
pub(super) fn rich(value: &Rich) -> Value {
    let content = |mime: &str, bytes: &[u8]| {
        if mime::is_text(mime) { Value::String(lossy(bytes)) } else { Value::String(STANDARD.encode(bytes)) }
    };
    let forms: Map<_, _> =
        value.forms.iter().map(|(mime, bytes)| (mime.clone(), content(mime, bytes))).collect();
    Value::Object(forms)
}

/// A file that a call created or changed.
fn change(config: &GatewayConfig, id: &SessionId, file: &FileChange) -> Value {
    json!({
        "name": file.path,
        "mimeType": mime::of(&file.path),
        "size": file.size,
        "url": file_url(config, id, &file.path),
        "created": file.created,
    })
}

/// An entry of a directory.
pub(super) fn entry(config: &GatewayConfig, id: &SessionId, entry: &Entry) -> Value {
    let file = entry.kind == EntryKind::File;
    json!({
        "name": entry.name,
        "path": entry.path,
        "kind": match entry.kind {
            EntryKind::File => "file",
            EntryKind::Directory => "directory",
            EntryKind::Symlink => "symlink",
            EntryKind::Other => "other",
        },
        "size": entry.size,
        "modified": iso8601(from_epoch(entry.modified)),
        "mimeType": file.then(|| mime::of(&entry.path)),
        "url": (file && !entry.path.starts_with('/')).then(|| file_url(config, id, &entry.path)),
    })
}

/// The members of an answer that say how an execution ended.
pub(super) fn execution(config: &GatewayConfig, id: &SessionId, execution: &Execution) -> Map<String, Value> {
    let Execution {
        exit_code,
        ended,
        error,
        limits,
        denials,
        meanwhile,
        state,
        files,
        files_truncated,
        usage,
    } = execution;
    let value = json!({
        "files": files.iter().map(|file| change(config, id, file)).collect::<Vec<_>>(),
        "filesTruncated": files_truncated,
        "error": error.as_ref().map(|e| json!({ "name": e.name, "message": e.message, "traceback": e.traceback })),
        "exitCode": exit_code,
        "ended": match ended {
            Ended::Completed => "completed",
            Ended::Exited => "exited",
            Ended::Interrupted => "interrupted",
            Ended::Killed => "killed",
            Ended::Died => "died",
        },
        "limits": limits.iter().map(|l| json!({ "code": l.code(), "message": l.sentence() })).collect::<Vec<_>>(),
        "denials": denials.iter().chain(meanwhile).map(denial).collect::<Vec<_>>(),
        "state": match state {
            StateAfter::Kept => "kept",
            StateAfter::Restored => "restored",
            StateAfter::Lost => "lost",
        },
        "usage": {
            "wallSeconds": usage.wall.as_secs_f64(),
            "cpuSeconds": usage.cpu.map(|cpu| cpu.as_secs_f64()),
            "memoryPeakBytes": usage.memory_peak,
        },
    });
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A task.
pub(super) fn task(task: &Task) -> Value {
    json!({
        "id": task.id,
        "status": match task.status {
            TaskStatus::Submitted => "submitted",
            TaskStatus::Working => "working",
            TaskStatus::Completed => "completed",
            TaskStatus::Canceled => "canceled",
            TaskStatus::Failed => "failed",
        },
        "stdout": lossy(&task.stdout),
        "stderr": lossy(&task.stderr),
        "exitCode": task.exit_code,
        "wallSeconds": task.wall.as_secs_f64(),
    })
}
