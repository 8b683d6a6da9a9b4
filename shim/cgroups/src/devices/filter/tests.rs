//! The program, run by a machine of twenty lines that knows its operations.

use super::super::{ALWAYS, Access};
use super::*;

/// Runs a program as the kernel does; no instruction is met twice, since jumps go forward only.
fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
    let question = [access << 16 | kind, major, minor];
    let mut registers = [0_u32; 16];
    let mut at = 0;
    loop {
        let bytes = program[at].to_le_bytes();
        let (to, from) = (usize::from(bytes[1] & 15), usize::from(bytes[1] >> 4));
        let offset = i16::from_le_bytes([bytes[2], bytes[3]]);
        let value = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let jump = match bytes[0] {
            EXIT => return registers[0],
            JUMP_IF_EQUAL => registers[to] == value,
            JUMP_UNLESS_EQUAL => registers[to] != value,
            LOAD => {
                registers[to] = question[usize::try_from(offset).unwrap() / 4];
                false
            }
            COPY => {
                registers[to] = registers[from];
                false
            }
            AND => {
                registers[to] &= value;
                false
            }
            SHIFT_RIGHT => {
                registers[to] >>= value;
                false
            }
            SET => {
                registers[to] = value;
                false
            }
            code => panic!("operation {code:#x}"),
        };
        at += 1;
        if jump {
            at += usize::try_from(offset).unwrap();
        }
    }
}

fn rule(allow: bool, kind: Kind, major: Option<u32>, minor: Option<u32>, access: &str) -> Rule {
    Rule {
        allow,
        kind,
        major,
        minor,
        access: Access::parse(access).unwrap(),
    }
}

#[test]
fn nothing_is_allowed_without_a_rule() {
    let program = program(&[]);
    for access in [MAKE, READ, WRITE, READ | WRITE] {
        assert_eq!(run(&program, CHARACTER, access, 1, 3), 0);
    }
}

#[test]
fn what_every_container_has_is_allowed_and_nothing_else() {
    let program = program(&ALWAYS);
    assert_eq!(run(&program, CHARACTER, READ | WRITE, 1, 3), 1);
    assert_eq!(run(&program, CHARACTER, READ | WRITE, 136, 77), 1);
    assert_eq!(run(&program, CHARACTER, MAKE, 10, 200), 1);
    assert_eq!(run(&program, CHARACTER, READ, 10, 200), 0);
    assert_eq!(run(&program, BLOCK, READ, 1, 3), 0);
    assert_eq!(run(&program, CHARACTER, MAKE | READ, 10, 200), 0);
}

#[test]
fn the_last_rule_that_fits_decides() {
    let rules = [
        rule(false, Kind::Any, None, None, "rwm"),
        rule(true, Kind::Character, Some(10), None, "rw"),
        rule(false, Kind::Character, Some(10), Some(200), "w"),
    ];
    let program = program(&rules);
    assert_eq!(run(&program, CHARACTER, READ | WRITE, 10, 1), 1);
    assert_eq!(run(&program, CHARACTER, READ, 10, 200), 1);
    assert_eq!(run(&program, CHARACTER, WRITE, 10, 200), 0);
    assert_eq!(run(&program, CHARACTER, READ | WRITE, 10, 200), 0);
    assert_eq!(run(&program, CHARACTER, MAKE, 10, 1), 0);
}

#[test]
fn two_rules_can_allow_one_access_together() {
    let rules = [
        rule(true, Kind::Block, Some(8), Some(0), "r"),
        rule(true, Kind::Block, Some(8), None, "w"),
    ];
    let program = program(&rules);
    assert_eq!(run(&program, BLOCK, READ | WRITE, 8, 0), 1);
    assert_eq!(run(&program, BLOCK, READ | WRITE, 8, 1), 0);
}

#[test]
fn a_rule_for_all_ends_the_search() {
    let allowed = program(&[
        rule(false, Kind::Block, None, None, "rwm"),
        rule(true, Kind::Any, None, None, "rwm"),
    ]);
    assert_eq!(run(&allowed, BLOCK, READ, 8, 0), 1);
    let refused = program(&[
        rule(true, Kind::Block, None, None, "rwm"),
        rule(false, Kind::Any, None, None, "rwm"),
    ]);
    assert_eq!(run(&refused, BLOCK, READ, 8, 0), 0);
}

/// What the rules mean, said slowly: for each access by itself, the last rule that fits and speaks of it.
fn meaning(rules: &[Rule], kind: u32, access: u32, major: u32, minor: u32) -> u32 {
    let fits = |rule: &&Rule| {
        let kinds = match rule.kind {
            Kind::Any => true,
            Kind::Block => kind == BLOCK,
            Kind::Character => kind == CHARACTER,
        };
        let same = |wanted: Option<u32>, found| wanted.is_none_or(|wanted| wanted == found);
        kinds && same(rule.major, major) && same(rule.minor, minor)
    };
    let is_allowed = |bit: &u32| {
        let speaks = |rule: &&Rule| mentioned(rule) & bit != 0;
        let last = rules.iter().rfind(|rule| fits(rule) && speaks(rule));
        access & bit == 0 || last.is_some_and(|rule| rule.allow)
    };
    [MAKE, READ, WRITE].iter().all(is_allowed).into()
}

/// A sequence of numbers that is the same at every run.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }

    fn rule(&mut self) -> Rule {
        let number = |drawn: u32| (drawn < 3).then_some(drawn);
        let kinds = [Kind::Any, Kind::Block, Kind::Character];
        let letters = ["r", "w", "m", "rw", "rm", "wm", "rwm", "rwm"];
        Rule {
            allow: self.below(2) == 0,
            kind: kinds[self.below(3) as usize],
            major: number(self.below(4)),
            minor: number(self.below(4)),
            access: Access::parse(letters[self.below(8) as usize]).unwrap(),
        }
    }
}

#[test]
fn the_program_means_what_the_rules_mean() {
    let mut sequence = Sequence(1);
    for _ in 0..500 {
        let count = sequence.below(8);
        let rules: Vec<Rule> = (0..count).map(|_| sequence.rule()).collect();
        let program = program(&rules);
        for question in 0..2 * 8 * 4 * 4 {
            let (kind, access) = (1 + question % 2, question / 2 % 8);
            let (major, minor) = (question / 16 % 4, question / 64);
            assert_eq!(
                run(&program, kind, access, major, minor),
                meaning(&rules, kind, access, major, minor),
                "{rules:?}: {kind} {access} {major}:{minor}"
            );
        }
    }
}
