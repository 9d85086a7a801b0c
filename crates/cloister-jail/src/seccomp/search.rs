//! A binary search in front of a filter: calls whose number decides are let through at once, all others go on to the filter.
//!
//! ```text
//!   architecture ─foreign─────────────────────────────▶ filter
//!        └─ours─▶ number ─▶ search ─┬─ let through ────▶ allow
//!                                   └─ anything else ──▶ filter
//! ```
//!
//! It is there for the time that loading takes. The kernel tries every call number on a new filter once, to remember which ones need no
//! look at arguments (`seccomp_cache_prepare`), and the list of all calls one after the other made that the longest step of the walls.

use super::pack;
use std::collections::BTreeSet;

const LOAD: u16 = 0x0020;
const JUMP: u16 = 0x0005;
const JUMP_IF_EQUAL: u16 = 0x0015;
const JUMP_IF_AT_LEAST: u16 = 0x0035;
const RETURN: u16 = 0x0006;

/// Where `struct seccomp_data` has the call's number and its architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// `AUDIT_ARCH_X86_64`
pub(super) const X86_64: u32 = 0xc000_003e;

/// Stands for the jump to the filter until its distance is known.
const TO_FILTER: u64 = (JUMP as u64) << 48 | u32::MAX as u64;

/// A beginning of a run of numbers, and whether they are let through.
type Segment = (u32, bool);

/// `filter` with a search in front that lets `numbers` through.
pub(super) fn allow(numbers: &BTreeSet<u32>, filter: &[u64]) -> Vec<u64> {
    before(&segments(numbers, true), filter)
}

/// `filter` with a search in front that lets everything through but `numbers`.
pub(super) fn allow_others(numbers: &BTreeSet<u32>, filter: &[u64]) -> Vec<u64> {
    before(&segments(numbers, false), filter)
}

/// The whole range of numbers in runs, of which `listed` says whether the listed ones are let through.
fn segments(numbers: &BTreeSet<u32>, listed: bool) -> Vec<Segment> {
    let mut segments = vec![(0, !listed)];
    let mut is = |start: u32, through: bool| match segments.last_mut() {
        Some((first, last)) if *first == start => *last = through,
        Some((_, last)) if *last == through => {}
        _ => segments.push((start, through)),
    };
    for &number in numbers {
        is(number, listed);
        if let Some(next) = number.checked_add(1).filter(|next| !numbers.contains(next)) {
            is(next, !listed);
        }
    }
    segments
}

fn before(segments: &[Segment], filter: &[u64]) -> Vec<u64> {
    let mut program = vec![
        pack(LOAD, 0, 0, ARCHITECTURE),
        pack(JUMP_IF_EQUAL, 1, 0, X86_64),
        TO_FILTER,
        pack(LOAD, 0, 0, NUMBER),
    ];
    program.extend(search(segments));
    let end = program.len();
    for (place, word) in program.iter_mut().enumerate() {
        if *word == TO_FILTER {
            // Counted from the next instruction. A program has 4096 at most, or the kernel refuses it.
            *word = pack(JUMP, 0, 0, u32::try_from(end - place - 1).unwrap_or(u32::MAX));
        }
    }
    program.extend_from_slice(filter);
    program
}

/// Finds the segment of the loaded number: halves the list until one is left.
fn search(segments: &[Segment]) -> Vec<u64> {
    let (lower, upper) = segments.split_at(segments.len() / 2);
    let Some(&(middle, through)) = upper.first() else { return Vec::new() };
    if lower.is_empty() {
        return vec![if through { pack(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW) } else { TO_FILTER }];
    }
    let lower = search(lower);
    // A conditional jump reaches 255 instructions; from there an unconditional one goes on.
    let mut program = match u8::try_from(lower.len()) {
        Ok(distance) => vec![pack(JUMP_IF_AT_LEAST, distance, 0, middle)],
        Err(_) => vec![
            pack(JUMP_IF_AT_LEAST, 0, 1, middle),
            pack(JUMP, 0, 0, u32::try_from(lower.len()).unwrap_or(u32::MAX)),
        ],
    };
    program.extend(lower);
    program.extend(search(upper));
    program
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::*;
    use super::*;

    /// What a program answers, by the rules of classic BPF; and how many steps that took. Panics on what seccomp would not load.
    pub(in crate::seccomp) fn run(
        program: &[u64],
        number: u32,
        architecture: u32,
        arguments: [u64; 6],
    ) -> (u32, usize) {
        let mut data = [number, architecture, 0, 0].to_vec();
        data.extend(arguments.iter().flat_map(|a| [*a as u32, (*a >> 32) as u32]));
        let (mut accumulator, mut at) = (0u32, 0usize);
        for steps in 1.. {
            let word = program[at];
            let (code, yes, no) = ((word >> 48) as u16, (word >> 40) as u8, (word >> 32) as u8);
            let value = word as u32;
            let mut jump = |holds: bool| at += usize::from(if holds { yes } else { no });
            match code {
                LOAD => accumulator = data[value as usize / 4],
                JUMP => at += value as usize,
                JUMP_IF_EQUAL => jump(accumulator == value),
                0x0025 => jump(accumulator > value),
                JUMP_IF_AT_LEAST => jump(accumulator >= value),
                0x0054 => accumulator &= value,
                RETURN => return (value, steps),
                other => panic!("instruction {other:#x}"),
            }
            at += 1;
        }
        unreachable!()
    }

    /// Numbers from a seed, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn throw(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % sides
        }
    }

    /// What makes a difference to the shipped conditions: their values and masks, the neighbours of these, and the upper half, which
    /// must not count where the kernel takes 32 bits.
    fn interesting(list: &List) -> Vec<u64> {
        let conditions = list.rules.iter().flat_map(|rule| &rule.when);
        let texts = conditions.flat_map(|c| [Some(&c.value), c.mask.as_ref()]).flatten();
        let values: BTreeSet<u64> = texts.map(|text| value(text).unwrap()).collect();
        let near = values.iter().flat_map(|v| [*v, v.wrapping_sub(1), v + 1, v | 1 << 32, !v]);
        near.chain([0, 1, 1 << 31, 1 << 32, u64::MAX]).collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// The shipped list as filters without a search in front.
    fn plain(list: &List) -> Vec<Vec<u64>> {
        let (allowed, refused) = sort(list).unwrap();
        let default = SeccompAction::Errno(errno(&list.default.errno).unwrap());
        let mut filters = vec![x32()];
        for (number, rules) in refused {
            filters.push(filter(rules, SeccompAction::Allow, SeccompAction::Errno(number)).unwrap());
        }
        filters.push(filter(allowed, default, SeccompAction::Allow).unwrap());
        filters
    }

    #[test]
    fn a_search_in_front_changes_no_answer_to_any_call_with_any_argument() {
        let list: List = serde_json::from_str(SHIPPED).unwrap();
        let conditional: BTreeSet<u32> = {
            let names = list.rules.iter().filter(|r| !r.when.is_empty()).flat_map(|r| &r.calls);
            names.map(|name| syscalls::number(name).unwrap() as u32).collect()
        };
        let (plain, searched) = (plain(&list), compile(SHIPPED).unwrap());
        assert_eq!(plain.len(), searched.len());
        let (values, mut dice) = (interesting(&list), Dice(1));
        let mut answers = BTreeSet::new();
        for number in (0..600).chain([u32::MAX, 0x3fff_ffff]).chain(0x4000_0000..0x4000_0020) {
            let throws = if conditional.contains(&number) { 1500 } else { 3 };
            for (architecture, throws) in [(X86_64, throws), (0x4000_0003, 1)] {
                for _ in 0..throws {
                    let arguments = [(); 6].map(|()| values[dice.throw(values.len())]);
                    let answer = |filters: &[Vec<u64>]| -> Vec<u32> {
                        filters.iter().map(|f| run(f, number, architecture, arguments).0).collect()
                    };
                    let expected = answer(&plain);
                    assert_eq!(answer(&searched), expected, "{number} {architecture:#x} {arguments:x?}");
                    answers.insert(expected);
                }
            }
        }
        assert!(answers.len() >= 5, "allowed, EPERM, ENOSYS, x32, foreign: {answers:x?}");
    }

    #[test]
    fn loading_the_shipped_list_takes_the_kernel_a_fifth_of_the_steps() {
        let steps = |filters: &[Vec<u64>]| -> usize {
            filters.iter().flat_map(|f| (0..470).map(|n| run(f, n, X86_64, [0; 6]).1)).sum()
        };
        let list: List = serde_json::from_str(SHIPPED).unwrap();
        let (before, after) = (steps(&plain(&list)), steps(&compile(SHIPPED).unwrap()));
        assert!(after * 5 < before, "{after} of {before}");
    }

    #[test]
    fn numbers_at_both_ends_and_distances_beyond_a_conditional_jump_are_found() {
        let filter = [pack(RETURN, 0, 0, 7)];
        let every_other: BTreeSet<u32> = (0..1500).step_by(2).collect();
        for numbers in
            [BTreeSet::new(), BTreeSet::from([0, u32::MAX]), BTreeSet::from([5, 6, 7]), every_other]
        {
            let (listed, others) = (allow(&numbers, &filter), allow_others(&numbers, &filter));
            for number in (0..1600).chain([u32::MAX - 1, u32::MAX]) {
                let [through, stopped] = [libc::SECCOMP_RET_ALLOW, 7];
                let is = numbers.contains(&number);
                assert_eq!(run(&listed, number, X86_64, [0; 6]).0, if is { through } else { stopped });
                assert_eq!(run(&others, number, X86_64, [0; 6]).0, if is { stopped } else { through });
                assert_eq!(run(&listed, number, 0x4000_0003, [0; 6]).0, 7);
            }
        }
    }
}
