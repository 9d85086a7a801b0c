//! Every function with whatever numbers and whatever memory: no panic, no contradiction in the view, no limit passed.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// What lies in memory, so that some calls get far: paths, vectors, a subscription.
const PATHS: [&str; 12] = [
    "workspace/a",
    "workspace/b",
    "workspace/a/c",
    "workspace/l",
    "tmp/x/",
    "lib/python/os.py",
    "/workspace/../tmp/./x",
    "workspace",
    ".",
    "..",
    "",
    "/dev/null",
];

fn memory() -> Vec<u8> {
    let mut memory: Vec<u8> = (0..64 << 10).map(|n: u32| (n % 251) as u8).collect();
    for (n, path) in PATHS.iter().enumerate() {
        memory[n * 64..n * 64 + path.len()].copy_from_slice(path.as_bytes());
    }
    // Vectors at 4096, each to some place of the upper half.
    for n in 0..64usize {
        let vector =
            [(32_768 + n as u32 * 100).to_le_bytes(), (n as u32 * 37 % 5_000).to_le_bytes()].concat();
        memory[4096 + n * 8..4096 + n * 8 + 8].copy_from_slice(&vector);
    }
    memory
}

fn value() -> impl Strategy<Value = u64> {
    let edges = [
        0,
        1,
        2,
        3,
        7,
        8,
        255,
        256,
        4095,
        65_535,
        65_536,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 63,
        u64::MAX,
    ];
    prop_oneof![
        6 => 0..12u64,
        4 => (0..PATHS.len() as u64).prop_map(|n| n * 64),
        3 => (0..64u64).prop_map(|n| 4096 + n * 8),
        2 => 32_768..65_536u64,
        2 => proptest::sample::select(edges.to_vec()),
        2 => 0..20u64,
        1 => any::<u64>(),
    ]
}

#[derive(Clone, Debug)]
struct Step {
    function: Index,
    values: Vec<u64>,
    /// A path with its length, where a function has one.
    path: usize,
    sensible: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<Index>(), proptest::collection::vec(value(), 9), 0..PATHS.len(), any::<bool>())
        .prop_map(|(function, values, path, sensible)| Step { function, values, path, sensible })
}

/// Makes arguments that get far: descriptors that are open, paths that are there.
fn sensible(function: &Function, step: &Step) -> Vec<u64> {
    let mut values = step.values.clone();
    let path = |n: usize| [n as u64 * 64, PATHS[n].len() as u64];
    let other = (step.path + 1) % PATHS.len();
    let small = |value: u64| value % 8;
    match function.name {
        "path_open" => {
            values[0] = 3;
            values[1] %= 2;
            values[2..4].copy_from_slice(&path(step.path));
            values[4] %= 16;
            values[5] = if values[5].is_multiple_of(2) { u64::MAX } else { values[5] };
            values[6] = u64::MAX;
            values[7] %= 2;
            values[8] = 8_000;
        }
        "path_rename" | "path_link" => {
            let at = if function.name == "path_link" { 2 } else { 1 };
            values[0] = 3;
            values[1] %= 2;
            values[at..at + 2].copy_from_slice(&path(step.path));
            values[at + 2] = 3;
            values[at + 3..at + 5].copy_from_slice(&path(other));
        }
        "path_symlink" => {
            values[0..2].copy_from_slice(&path(step.path));
            values[2] = 3;
            values[3..5].copy_from_slice(&path(other));
        }
        "path_filestat_get" | "path_filestat_set_times" => {
            values[0] = 3;
            values[1] %= 2;
            values[2..4].copy_from_slice(&path(step.path));
        }
        name if name.starts_with("path_") => {
            values[0] = 3;
            values[1..3].copy_from_slice(&path(step.path));
        }
        name if name.starts_with("fd_") => {
            values[0] = small(values[0]);
            if ["fd_read", "fd_write", "fd_pread", "fd_pwrite"].contains(&name) {
                values[1] = 4096 + small(values[1]) * 8;
                values[2] %= 8;
            }
        }
        _ => {}
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_call_whatever_its_arguments_panics_or_passes_a_limit(steps in proptest::collection::vec(step(), 1..120)) {
        let mut guest = Guest::new();
        guest.memory = memory();
        guest.wasi.budget = Budget::new(20_000);
        for step in &steps {
            let function = step.function.get(FUNCTIONS);
            let values = if step.sensible { sensible(function, step) } else { step.values.clone() };
            let left = guest.wasi.budget.left();
            match guest.call(function.name, &values[..function.parameters.len()]) {
                Ok(errno) => prop_assert!((0..=76).contains(&errno), "{:?} {}", function, errno),
                Err(Stop::Exit(_)) => prop_assert_eq!(function.name, "proc_exit"),
                Err(Stop::Budget) => break,
                Err(stop) => prop_assert!(false, "{:?} {}", function, stop),
            }
            prop_assert!(guest.wasi.budget.left() < left, "{:?} cost nothing", function);
            crate::view::audit(&guest.wasi.view);
            prop_assert_eq!(guest.memory.len(), 64 << 10);
            // What calls need most stays in place.
            guest.memory[..PATHS.len() * 64].copy_from_slice(&memory()[..PATHS.len() * 64]);
        }
        let moved = guest.host.out.len() + guest.host.err.len() + guest.host.random;
        prop_assert!(moved <= (20_000 + steps.len()) * 4096);
        // Whatever became of it, it can be put aside.
        let mut saved = Vec::new();
        guest.wasi.view.save(&mut saved).unwrap();
    }
}
