//! What an interpreter does with the functions, as its C library calls them.

use super::*;

#[test]
fn a_program_finds_its_arguments_its_environment_and_the_root() {
    let mut guest = Guest::new();
    assert_eq!(guest.errno("args_sizes_get", &[0, 4]), 0);
    assert_eq!((guest.u32(0), guest.u32(4)), (2, 10));
    assert_eq!(guest.errno("args_get", &[8, 100]), 0);
    assert_eq!((guest.u32(8), guest.u32(12)), (100, 107));
    assert_eq!(&guest.memory[100..110], b"python\0-I\0");
    assert_eq!(guest.errno("environ_get", &[8, 200]), 0);
    assert_eq!(&guest.memory[200..217], b"HOME=/home/agent\0");
    // The library asks for every descriptor from 3 on until there is none.
    assert_eq!(guest.errno("fd_prestat_get", &[3, 0]), 0);
    assert_eq!((guest.u32(0), guest.u32(4)), (0, 1));
    assert_eq!(guest.errno("fd_prestat_dir_name", &[3, 300, 1]), 0);
    assert_eq!(guest.memory[300], b'/');
    assert_eq!(guest.errno("fd_prestat_get", &[4, 0]), number(Errno::Badf));
}

#[test]
fn files_are_written_read_and_looked_at() {
    let mut guest = Guest::new();
    let fd = guest.open("workspace/f.txt", 1, true).unwrap();
    assert_eq!(guest.write(fd, b"hello world"), Ok(11));
    assert_eq!(guest.errno("fd_seek", &[fd, (-5i64).cast_unsigned(), 2, OUT.into()]), 0);
    assert_eq!(guest.u64(OUT), 6);
    assert_eq!(guest.read(fd, 100).unwrap(), b"world");
    assert_eq!(guest.errno("fd_tell", &[fd, OUT.into()]), 0);
    assert_eq!(guest.u64(OUT), 11);
    // Two vectors, of which the second is not filled.
    let (at, count) = guest.vectors(&[(DATA, 6), (DATA + 100, 50)]);
    assert_eq!(guest.errno("fd_pread", &[fd, at, count, 0, OUT.into()]), 0);
    assert_eq!((guest.u32(OUT), &guest.memory[DATA as usize..][..6]), (11, b"hello ".as_slice()));
    assert_eq!(&guest.memory[DATA as usize + 100..][..6], b"world\0");
    let (path, length) = guest.path("workspace/f.txt");
    assert_eq!(guest.errno("path_filestat_get", &[3, 1, path, length, OUT.into()]), 0);
    assert_eq!((guest.memory[OUT as usize + 16], guest.u64(OUT + 24), guest.u64(OUT + 32)), (4, 1, 11));
    assert_eq!(guest.u64(OUT + 48), guest.host.now_realtime());
    assert_eq!(guest.errno("fd_close", &[fd]), 0);
    assert_eq!(guest.errno("fd_close", &[fd]), number(Errno::Badf));
}

#[test]
fn the_access_of_a_descriptor_is_told_by_its_rights() {
    let mut guest = Guest::new();
    guest.open("workspace/f", 1, true).unwrap();
    let access = |guest: &mut Guest, fd: u64| {
        assert_eq!(guest.errno("fd_fdstat_get", &[fd, OUT.into()]), 0);
        let rights = guest.u64(OUT + 8);
        (guest.memory[OUT as usize], rights & (0x2 | 0x4000) != 0, rights & 0x40 != 0)
    };
    let (read, both) =
        (guest.open("workspace/f", 0, false).unwrap(), guest.open("workspace/f", 0, true).unwrap());
    assert_eq!(access(&mut guest, read), (4, true, false));
    assert_eq!(access(&mut guest, both), (4, true, true));
    assert_eq!(access(&mut guest, 3), (3, true, false));
    // The streams are no terminals: of unknown kind.
    assert_eq!(access(&mut guest, 0), (0, true, false));
    assert_eq!(access(&mut guest, 1), (0, false, true));
}

#[test]
fn a_directory_is_listed_in_pieces_as_small_as_the_library_likes() {
    let mut guest = Guest::new();
    for n in 0..20 {
        guest.open(&format!("workspace/file-{n:02}"), 1, true).unwrap();
        guest.errno("fd_close", &[4]);
    }
    let fd = guest.open("workspace", 2, false).unwrap();
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        // The last entry of a full buffer may be cut, and is asked for again.
        assert_eq!(guest.errno("fd_readdir", &[fd, DATA.into(), 90, cookie, OUT.into()]), 0);
        let used = guest.u32(OUT);
        let mut at = DATA;
        while at + 24 <= DATA + used {
            let length = guest.u32(at + 16);
            if at + 24 + length > DATA + used {
                break;
            }
            let name = &guest.memory[at as usize + 24..][..length as usize];
            names.push(String::from_utf8(name.to_vec()).unwrap());
            cookie = guest.u64(at);
            at += 24 + length;
        }
        if used < 90 {
            break;
        }
    }
    let expected: Vec<String> =
        [".", ".."].map(str::to_owned).into_iter().chain((0..20).map(|n| format!("file-{n:02}"))).collect();
    assert_eq!(names, expected);
}

#[test]
fn output_goes_to_the_host_and_the_input_is_empty() {
    let mut guest = Guest::new();
    assert_eq!(guest.write(1, b"out"), Ok(3));
    assert_eq!(guest.write(2, b"err"), Ok(3));
    assert_eq!(
        (guest.host.out.as_slice(), guest.host.err.as_slice()),
        (b"out".as_slice(), b"err".as_slice())
    );
    assert_eq!(guest.read(0, 10), Ok(Vec::new()));
    assert_eq!(guest.write(0, b"x"), Err(number(Errno::Badf)));
    assert_eq!(guest.read(1, 10), Err(number(Errno::Badf)));
    assert_eq!(guest.errno("fd_seek", &[1, 0, 1, OUT.into()]), number(Errno::Spipe));
}

#[test]
fn the_other_functions_of_paths_do_what_they_say() {
    let mut guest = Guest::new();
    let (a, a_length) = guest.path("workspace/dir");
    assert_eq!(guest.errno("path_create_directory", &[3, a, a_length]), 0);
    let (b, b_length) = guest.put(SECOND_PATH_AT, b"workspace/link");
    let (target, target_length) = guest.put(DATA, b"dir");
    assert_eq!(guest.errno("path_symlink", &[target, target_length, 3, b, b_length]), 0);
    assert_eq!(guest.errno("path_readlink", &[3, b, b_length, 2000, 2, OUT.into()]), 0);
    assert_eq!((guest.u32(OUT), &guest.memory[2000..2003]), (2, b"di\0".as_slice()));
    guest.open("workspace/link/f", 1, true).unwrap();
    let (f, f_length) = guest.path("workspace/dir/f");
    let (g, g_length) = guest.put(SECOND_PATH_AT, b"tmp/g");
    assert_eq!(guest.errno("path_link", &[3, 0, f, f_length, 3, g, g_length]), 0);
    assert_eq!(guest.errno("path_unlink_file", &[3, f, f_length]), 0);
    assert_eq!(guest.errno("path_rename", &[3, g, g_length, 3, f, f_length]), 0);
    assert_eq!(guest.errno("path_filestat_set_times", &[3, 1, f, f_length, 7, 8, 1 | 4]), 0);
    assert_eq!(guest.errno("path_filestat_get", &[3, 1, f, f_length, OUT.into()]), 0);
    assert_eq!((guest.u64(OUT + 40), guest.u64(OUT + 48)), (7, 8));
    let (a, a_length) = guest.path("workspace/dir");
    assert_eq!(guest.errno("path_remove_directory", &[3, a, a_length]), number(Errno::Notempty));
}

/// A subscription to a clock.
fn clock(guest: &mut Guest, at: u32, user: u64, id: u32, timeout: u64, flags: u16) {
    guest.put(at, &[0; 48]);
    guest.put(at, &user.to_le_bytes());
    guest.put(at + 16, &id.to_le_bytes());
    guest.put(at + 24, &timeout.to_le_bytes());
    guest.put(at + 40, &flags.to_le_bytes());
}

#[test]
fn a_sleep_is_the_hosts_and_ends_when_it_says() {
    let mut guest = Guest::new();
    clock(&mut guest, 0, 77, 1, 1_000, 0);
    clock(&mut guest, 48, 78, 0, u64::MAX, 1);
    assert_eq!(guest.errno("poll_oneoff", &[0, DATA.into(), 2, OUT.into()]), 0);
    assert_eq!(guest.host.slept, [Deadline::Monotonic(6_000)]);
    assert_eq!((guest.u32(OUT), guest.u64(DATA), guest.memory[DATA as usize + 10]), (1, 77, 0));
    // Woken early, the sleep counts as over: what runs looks at its signals then.
    guest.host.woken = Some(Woken::Early);
    assert_eq!(guest.errno("poll_oneoff", &[0, DATA.into(), 1, OUT.into()]), 0);
    assert_eq!(guest.u32(OUT), 1);
    guest.host.woken = Some(Woken::Stopped);
    assert_eq!(guest.call("poll_oneoff", &[0, DATA.into(), 1, OUT.into()]), Err(Stop::Interrupted));
}

#[test]
fn descriptors_are_ready_at_once_and_time_that_has_passed_is_told() {
    let mut guest = Guest::new();
    clock(&mut guest, 0, 1, 1, 1_000, 0);
    clock(&mut guest, 48, 2, 1, 10, 1);
    guest.put(96, &[0; 96]);
    guest.put(104, &[1]);
    guest.put(112, &0u32.to_le_bytes());
    guest.put(152, &[2]);
    guest.put(160, &99u32.to_le_bytes());
    assert_eq!(guest.errno("poll_oneoff", &[0, DATA.into(), 4, OUT.into()]), 0);
    assert!(guest.host.slept.is_empty());
    // The second clock, the input with nothing more to come, and a descriptor that there is not.
    assert_eq!((guest.u32(OUT), guest.u64(DATA)), (3, 2));
    assert_eq!((guest.memory[DATA as usize + 32 + 10], guest.memory[DATA as usize + 32 + 24]), (1, 1));
    assert_eq!(i32::from(guest.memory[DATA as usize + 64 + 8]), number(Errno::Badf));
}

#[test]
fn clocks_are_as_fine_as_the_session_may_see_them() {
    let mut guest = Guest::new();
    guest.wasi.resolution = 1_000;
    assert_eq!(guest.errno("clock_res_get", &[0, OUT.into()]), 0);
    assert_eq!(guest.u64(OUT), 1_000);
    assert_eq!(guest.errno("clock_time_get", &[0, 0, OUT.into()]), 0);
    assert_eq!(guest.u64(OUT), 1_700_000_000_000_000_000);
    assert_eq!(guest.errno("clock_time_get", &[2, 0, OUT.into()]), number(Errno::Notsup));
    assert_eq!(guest.errno("clock_time_get", &[4, 0, OUT.into()]), number(Errno::Inval));
}

#[test]
fn a_program_ends_with_its_code() {
    let mut guest = Guest::new();
    assert_eq!(guest.call("proc_exit", &[3]), Err(Stop::Exit(3)));
    assert_eq!(guest.errno("sched_yield", &[]), 0);
    assert_eq!(guest.errno("random_get", &[DATA.into(), 100]), 0);
    assert_eq!(guest.memory[DATA as usize..][..101], [[0xa5; 100].as_slice(), &[0]].concat());
}
