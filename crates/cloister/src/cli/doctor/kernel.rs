//! Settings of the running kernel that make the walls weaker than they could be, and how its control groups are laid out.
//!
//! None of them stops a session. Each is read from `/proc` or `/sys`; one that does not exist is left out.

use std::fs;

/// One setting.
pub(super) struct Setting {
    /// Where it is, below `/proc/sys` or in full.
    pub(super) name: String,
    /// As the kernel has it.
    pub(super) value: String,
    /// What is wrong with it and what to do; `None` if nothing.
    pub(super) remark: Option<&'static str>,
}

/// A file, the values that are fine, and what to say about the others.
struct Check {
    path: &'static str,
    fine: fn(&str) -> bool,
    remark: &'static str,
}

const CHECKS: [Check; 17] = [
    Check {
        path: "/proc/sys/kernel/randomize_va_space",
        fine: |value| value == "2",
        remark: "address space layout is not fully random: set it to 2",
    },
    Check {
        path: "/proc/sys/kernel/unprivileged_bpf_disabled",
        fine: |value| value != "0",
        remark: "ordinary users may load BPF programs: set it to 2 (sandboxes cannot: their filter refuses bpf)",
    },
    Check {
        path: "/proc/sys/vm/unprivileged_userfaultfd",
        fine: |value| value == "0",
        remark: "ordinary users may handle page faults of the kernel: set it to 0",
    },
    Check {
        path: "/proc/sys/kernel/perf_event_paranoid",
        fine: |value| value.parse::<i32>().is_ok_and(|n| n >= 2),
        remark: "ordinary users may measure other processes: set it to 2 or more",
    },
    Check {
        path: "/proc/sys/kernel/kptr_restrict",
        fine: |value| value != "0",
        remark: "kernel addresses are visible: set it to 1",
    },
    Check {
        path: "/proc/sys/kernel/dmesg_restrict",
        fine: |value| value == "1",
        remark: "the kernel's log is readable by everybody: set it to 1",
    },
    Check {
        path: "/proc/sys/kernel/yama/ptrace_scope",
        fine: |value| value != "0",
        remark: "processes of one user may trace each other on the host: set it to 1",
    },
    Check {
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        fine: |value| value == "0",
        remark: "an ordinary user needs an AppArmor profile with `userns,` for cloister-jail to build namespaces",
    },
    Check {
        path: "/proc/sys/fs/protected_symlinks",
        fine: |value| value == "1",
        remark: "links in shared folders are followed for others: set it to 1",
    },
    Check {
        path: "/proc/sys/fs/protected_hardlinks",
        fine: |value| value == "1",
        remark: "anybody may give files of others a second name: set it to 1",
    },
    Check {
        path: "/proc/sys/fs/suid_dumpable",
        fine: |value| value != "1",
        remark: "programs that change their user leave cores that everybody may read: set it to 0",
    },
    Check {
        path: "/proc/sys/kernel/io_uring_disabled",
        fine: |value| value != "0",
        remark: "every program may use io_uring: set it to 2 if nothing needs it (sandboxes cannot: their filter refuses it)",
    },
    Check {
        path: "/proc/sys/net/ipv4/conf/all/route_localnet",
        fine: |value| value == "0",
        remark: "other machines may reach what listens on loopback, as the server does: set it to 0",
    },
    Check {
        path: "/proc/sys/kernel/core_pattern",
        fine: |value| !value.starts_with('|'),
        remark: "crashes start a program on the host; sandboxes have no core dumps, other processes have",
    },
    Check {
        path: "/sys/kernel/mm/ksm/run",
        fine: |value| value == "0",
        remark: "equal pages of different sessions may be merged, which leaks by timing: set it to 0",
    },
    Check {
        path: "/sys/devices/system/cpu/smt/active",
        fine: |value| value == "0",
        remark: "two sessions may share a core, which leaks by timing: switch SMT off for hostile tenants",
    },
    Check {
        path: "/proc/swaps",
        fine: |value| value.lines().count() <= 1,
        remark: "memory of sessions may reach the disk: switch swap off or encrypt it",
    },
];

/// Every setting that this kernel has.
pub(super) fn settings() -> Vec<Setting> {
    let mut found: Vec<Setting> = CHECKS
        .iter()
        .filter_map(|check| {
            let text = fs::read_to_string(check.path).ok()?;
            let text = text.trim_end();
            let shown = if check.path == "/proc/swaps" { swaps(text) } else { text.to_owned() };
            let name = check.path.trim_start_matches("/proc/sys/").to_owned();
            Some(Setting { name, value: shown, remark: (!(check.fine)(text)).then_some(check.remark) })
        })
        .collect();
    found.extend(vulnerabilities());
    found
}

fn swaps(text: &str) -> String {
    match text.lines().count().saturating_sub(1) {
        0 => "none".to_owned(),
        areas => format!("{areas} in use"),
    }
}

/// Flaws of the processor that the kernel says it does not mitigate.
fn vulnerabilities() -> Vec<Setting> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return Vec::new() };
    let mut found: Vec<Setting> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let value = fs::read_to_string(entry.path()).ok()?.trim_end().to_owned();
            let name = format!("cpu/{}", entry.file_name().to_string_lossy());
            let remark = "the processor leaks between sessions: update firmware and kernel, or give tenants their own machine";
            value.starts_with("Vulnerable").then_some(Setting { name, value, remark: Some(remark) })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// `v2`, `v1`, `hybrid` or `none`, with the controllers that are there.
pub(super) fn cgroup_layout() -> String {
    layout(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
}

/// From the lines of `/proc/self/cgroup`: `0::/path` for v2, `4:memory:/path` for v1.
fn layout(text: &str) -> String {
    let fields = || text.lines().filter_map(|line| line.split(':').nth(1));
    let unified = fields().any(str::is_empty);
    let named = |field: &str| field.is_empty() || field.starts_with("name=");
    let mut controllers: Vec<&str> =
        fields().filter(|field| !named(field)).flat_map(|f| f.split(',')).collect();
    controllers.sort_unstable();
    match (unified, controllers.is_empty()) {
        (true, true) => "v2".to_owned(),
        (true, false) => format!("hybrid (v1: {})", controllers.join(", ")),
        (false, false) => format!("v1 ({})", controllers.join(", ")),
        (false, true) => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_read_from_the_kernels_own_list() {
        assert_eq!(layout("0::/user.slice\n"), "v2");
        assert_eq!(layout("4:memory:/\n3:cpu,cpuacct:/\n1:name=systemd:/\n"), "v1 (cpu, cpuacct, memory)");
        assert_eq!(layout("4:memory:/\n2:pids:/x\n0::/\n"), "hybrid (v1: memory, pids)");
        assert_eq!(layout(""), "none");
    }

    #[test]
    fn a_weak_value_gets_a_remark_and_a_strong_one_does_not() {
        let remark = |path: &str, value: &str| {
            let check = CHECKS.iter().find(|check| check.path.ends_with(path)).unwrap();
            !(check.fine)(value)
        };
        assert!(remark("randomize_va_space", "0") && !remark("randomize_va_space", "2"));
        assert!(remark("perf_event_paranoid", "-1") && !remark("perf_event_paranoid", "3"));
        assert!(remark("core_pattern", "|/usr/share/x") && !remark("core_pattern", "core"));
        assert!(remark("suid_dumpable", "1") && !remark("suid_dumpable", "0"));
        assert!(remark("route_localnet", "1") && !remark("route_localnet", "0"));
        assert!(remark("swaps", "Filename\n/dev/sda2 x") && !remark("swaps", "Filename"));
    }
}
