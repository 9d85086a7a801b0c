//! Host calls by a program that wants out, or more than it may have.

use super::*;

/// Functions whose first argument is a descriptor.
fn of_descriptors() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS
        .iter()
        .filter(|f| f.name.starts_with("fd_") || f.name.starts_with("sock_") || f.name.starts_with("path_"))
}

#[test]
fn every_function_of_the_standard_is_in_the_list_and_none_beside_them() {
    let mut names: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(names.len(), 46);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 46);
    for function in FUNCTIONS {
        let exits = function.name == "proc_exit";
        assert_eq!(function.results, if exits { [].as_slice() } else { &[Value::I32] }, "{function:?}");
    }
    let open = FUNCTIONS.iter().find(|function| function.name == "path_open").unwrap();
    let types: Vec<_> = open.parameters.iter().map(|value| *value == Value::I64).collect();
    assert_eq!(types, [false, false, false, false, false, true, true, false, false]);
}

#[test]
fn a_call_with_another_number_of_arguments_stops_the_guest() {
    let mut guest = Guest::new();
    for function in FUNCTIONS {
        let values = vec![0; function.parameters.len() + 1];
        assert_eq!(guest.call(function.name, &values), Err(Stop::Arguments), "{function:?}");
    }
}

#[test]
fn forged_descriptors_are_none() {
    let mut guest = Guest::new();
    for function in of_descriptors().filter(|function| function.name != "path_symlink") {
        for fd in [4, 31, 32, 1 << 20, u64::from(u32::MAX), 1 << 31] {
            let mut values = vec![16; function.parameters.len()];
            values[0] = fd;
            let errno = guest.errno(function.name, &values);
            // Some arguments are looked at first: none of them leads to a descriptor that is not there.
            let refused = [Errno::Badf, Errno::Inval].map(number);
            assert!(refused.contains(&errno), "{function:?} {fd}: {errno}");
        }
    }
}

#[test]
fn addresses_outside_of_memory_are_refused_by_every_function() {
    let mut guest = Guest::new();
    let fd = guest.open("workspace/f", 1, true).unwrap();
    guest.write(fd, b"content").unwrap();
    let end = guest.memory.len() as u64;
    for function in FUNCTIONS.iter().filter(|f| f.name != "proc_exit" && !f.parameters.is_empty()) {
        for address in [end, end - 1, u64::from(u32::MAX), u64::from(u32::MAX) - 7, 1 << 31] {
            let mut values = vec![address; function.parameters.len()];
            if of_descriptors().any(|with| with.name == function.name) {
                values[0] = if function.name.starts_with("fd_read") { fd } else { 3 };
            }
            let before = guest.memory.clone();
            let errno = guest.errno(function.name, &values);
            assert!(errno != 0 || guest.memory == before, "{function:?} {address}");
        }
    }
    // The last byte that fits, and the first that does not.
    assert_eq!(guest.errno("fd_tell", &[fd, end - 8]), 0);
    assert_eq!(guest.errno("fd_tell", &[fd, end - 7]), number(Errno::Fault));
}

#[test]
fn a_call_writes_where_it_was_told_and_nowhere_else() {
    let mut guest = Guest::new();
    let fd = guest.open("workspace/f", 1, true).unwrap();
    guest.write(fd, &[7; 100]).unwrap();
    guest.errno("fd_seek", &[fd, 0, 0, OUT.into()]);
    guest.memory.fill(0xee);
    let (at, count) = guest.vectors(&[(DATA, 10), (DATA + 20, 5)]);
    assert_eq!(guest.errno("fd_read", &[fd, at, count, OUT.into()]), 0);
    let told = |n: u32| {
        (256..272).contains(&n)
            || (OUT..OUT + 4).contains(&n)
            || (DATA..DATA + 10).contains(&n)
            || (DATA + 20..DATA + 25).contains(&n)
    };
    for (n, byte) in guest.memory.iter().enumerate() {
        assert!(told(n as u32) || *byte == 0xee, "{n}");
    }
}

#[test]
fn a_flood_of_calls_ends_at_the_budget() {
    let mut guest = Guest::new();
    guest.wasi.budget = Budget::new(1_000);
    let calls = std::iter::repeat_with(|| guest.call("sched_yield", &[])).take_while(Result::is_ok).count();
    assert_eq!(calls, 1_000);
    assert_eq!(guest.call("fd_tell", &[3, 0]), Err(Stop::Budget));
    // Bytes cost too, so that few large calls are no way around.
    guest.wasi.budget = Budget::new(1_000);
    let (at, count) = guest.vectors(&[(DATA, 64 << 10)]);
    let calls = std::iter::repeat_with(|| guest.call("fd_write", &[1, at, count, OUT.into()]))
        .take_while(Result::is_ok)
        .count();
    assert!((50..70).contains(&calls), "{calls}");
}

#[test]
fn requests_for_gigabytes_are_short_or_refused_and_take_no_memory() {
    let mut guest = Guest::new();
    guest.memory = vec![1; 16 << 20];
    let inval = number(Errno::Inval);
    assert_eq!(guest.errno("random_get", &[0, u64::from(u32::MAX)]), inval);
    assert_eq!(guest.errno("random_get", &[0, 8 << 20]), inval);
    assert_eq!(guest.host.random, 0);
    assert_eq!(guest.errno("poll_oneoff", &[0, 0, 1_000_000, 0]), inval);
    assert_eq!(guest.errno("poll_oneoff", &[0, 0, 0, 0]), inval);
    assert_eq!(guest.errno("fd_write", &[1, 0, 1_000_000, 0]), inval);
    assert_eq!(guest.errno("fd_read", &[0, 0, 1_000_000, 0]), inval);
    // A thousand vectors, each of all memory: what is moved is four mebibytes.
    let list = vec![(0, 16 << 20); 16];
    let (at, count) = guest.vectors(&list);
    assert_eq!(guest.errno("fd_write", &[1, at, count, OUT.into()]), 0);
    assert_eq!((guest.u32(OUT), guest.host.out.len()), (4 << 20, 4 << 20));
    let fd = guest.open("workspace/f", 1, true).unwrap();
    assert_eq!(guest.errno("fd_filestat_set_size", &[fd, u64::MAX]), number(Errno::Fbig));
    assert_eq!(guest.errno("fd_filestat_set_size", &[fd, 16 << 20]), 0);
    let (at, count) = guest.vectors(&list);
    assert_eq!(guest.errno("fd_read", &[fd, at, count, OUT.into()]), 0);
    assert_eq!(guest.errno("fd_allocate", &[fd, 0, 1 << 40]), number(Errno::Notsup));
    assert_eq!(guest.errno("fd_readdir", &[3, 0, u64::from(u32::MAX), 0, OUT.into()]), number(Errno::Fault));
    assert!(guest.wasi.view.usage().bytes <= 4096);
}

#[test]
fn paths_that_lead_out_lead_nowhere() {
    let mut guest = Guest::new();
    let (target, length) = guest.put(DATA, b"/etc");
    let (link, link_length) = guest.path("workspace/etc");
    assert_eq!(guest.errno("path_symlink", &[target, length, 3, link, link_length]), 0);
    let noent = Err(number(Errno::Noent));
    for path in [
        "/etc/passwd",
        "../../etc/passwd",
        "workspace/etc/passwd",
        "workspace/../../../etc/passwd",
        "/proc/self/environ",
    ] {
        assert_eq!(guest.open(path, 0, false), noent, "{path}");
    }
    assert_eq!(guest.open("lib/python/os.py", 0, true), Err(number(Errno::Rofs)));
    assert_eq!(guest.open("lib/python/os.py", 8, true), Err(number(Errno::Rofs)));
    let (path, length) = guest.path("lib/python/os.py");
    // Emptying without the right to write.
    assert_eq!(
        guest.errno("path_open", &[3, 1, path, length, 8, 0x2, 0, 0, OUT.into()]),
        number(Errno::Notcapable)
    );
    assert_eq!(guest.errno("path_unlink_file", &[3, path, length]), number(Errno::Rofs));
    let (new, new_length) = guest.put(SECOND_PATH_AT, b"workspace/os.py");
    assert_eq!(guest.errno("path_link", &[3, 1, path, length, 3, new, new_length]), number(Errno::Xdev));
    assert_eq!(guest.errno("path_rename", &[3, path, length, 3, new, new_length]), number(Errno::Rofs));
    assert_eq!(guest.errno("path_filestat_get", &[3, 1, path, 5000, OUT.into()]), number(Errno::Nametoolong));
}

#[test]
fn descriptors_can_be_moved_about_without_making_more_of_them() {
    let mut guest = Guest::new();
    let fd = guest.open("workspace/f", 1, true).unwrap();
    assert_eq!(guest.errno("fd_renumber", &[fd, 1]), 0);
    // What is written to descriptor 1 goes to the file now, and the host gets nothing.
    assert_eq!((guest.write(1, b"x"), guest.host.out.len()), (Ok(1), 0));
    assert_eq!(guest.errno("fd_renumber", &[1, 1_000_000]), number(Errno::Badf));
    assert_eq!(guest.errno("fd_close", &[3]), 0);
    assert_eq!(guest.open("workspace/f", 0, false), Err(number(Errno::Badf)));
}

#[test]
fn there_are_no_sockets_and_no_signals() {
    let mut guest = Guest::new();
    for name in ["sock_accept", "sock_recv", "sock_send", "sock_shutdown"] {
        let count = FUNCTIONS.iter().find(|f| f.name == name).unwrap().parameters.len();
        let mut values = vec![0; count];
        values[0] = 3;
        assert_eq!(guest.errno(name, &values), number(Errno::Notsock), "{name}");
    }
    assert_eq!(guest.errno("proc_raise", &[9]), number(Errno::Notsup));
}
