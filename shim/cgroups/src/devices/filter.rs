//! Rules for devices as a program for the kernel, which version 2 asks at every access.
//!
//! The program tries the rules, the last first. One that fits and allows settles the access that it speaks
//! of, until all that is asked for is settled; one that fits and denies some of what is still open ends the
//! search. It is straight-line code that jumps forward only, with no call and no memory but what it is asked
//! about.

use super::{Kind, Rule};

/// An instruction as the kernel wants it: code, registers, offset and immediate value.
pub(super) type Instruction = u64;

// What the kernel asks about (`struct bpf_cgroup_dev_ctx`), by offset.
const KIND_AND_ACCESS: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;

// Kinds of devices and of access (`BPF_DEVCG_*`).
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

/// Registers: the result, what the kernel asks about, and its parts.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Register {
    Result = 0,
    Question = 1,
    Kind = 2,
    Access = 3,
    Major = 4,
    Minor = 5,
}

// Operations on 32 bits, from `linux/bpf.h`.
const LOAD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const COPY: u8 = 0xbc;
const SET: u8 = 0xb4;
const JUMP_IF_EQUAL: u8 = 0x16;
const JUMP_UNLESS_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

const fn instruction(
    code: u8,
    to: Register,
    from: Register,
    offset: i16,
    value: u32,
) -> Instruction {
    let registers = (from as u8) << 4 | to as u8;
    u64::from_le_bytes({
        let (offset, value) = (offset.to_le_bytes(), value.to_le_bytes());
        [
            code, registers, offset[0], offset[1], value[0], value[1], value[2], value[3],
        ]
    })
}

/// The program that allows what these rules allow.
pub(super) fn program(rules: &[Rule]) -> Vec<Instruction> {
    use Register::{Access, Kind, Major, Minor, Question, Result};
    let mut program = vec![
        instruction(LOAD, Kind, Question, KIND_AND_ACCESS, 0),
        instruction(COPY, Access, Kind, 0, 0),
        instruction(AND, Kind, Result, 0, 0xffff),
        instruction(SHIFT_RIGHT, Access, Result, 0, 16),
        instruction(LOAD, Major, Question, MAJOR, 0),
        instruction(LOAD, Minor, Question, MINOR, 0),
        // Nothing is asked for, so nothing is refused.
        instruction(JUMP_UNLESS_EQUAL, Access, Result, 2, 0),
    ];
    program.extend(answer(1));
    // The kernel refuses a program with instructions that are never met.
    let decisive = rules.iter().rposition(Rule::is_everything);
    let tried: Vec<&Rule> = rules[decisive.unwrap_or(0)..].iter().rev().collect();
    program.extend(try_by_kind(&tried));
    if decisive.is_none() {
        program.extend(answer(0));
    }
    program
}

/// Tries rules in this order. Neighbours about the same kind are passed over together: the kernel's time
/// for a program grows with its branches, and every container waits for that.
fn try_by_kind(rules: &[&Rule]) -> Vec<Instruction> {
    let same = |a: &&Rule, b: &&Rule| a.kind == b.kind;
    let groups = rules.chunk_by(same).map(|group| {
        let kind = match group[0].kind {
            Kind::Any => None,
            Kind::Block => Some(BLOCK),
            Kind::Character => Some(CHARACTER),
        };
        when(Register::Kind, kind, try_by_major(group))
    });
    groups.flatten().collect()
}

fn try_by_major(rules: &[&Rule]) -> Vec<Instruction> {
    let same = |a: &&Rule, b: &&Rule| a.major == b.major;
    let groups = rules.chunk_by(same).map(|group| {
        let each = group
            .iter()
            .flat_map(|rule| when(Register::Minor, rule.minor, decide(rule)));
        when(Register::Major, group[0].major, each.collect())
    });
    groups.flatten().collect()
}

/// Passes over `then`, unless the register has this value.
fn when(register: Register, value: Option<u32>, mut then: Vec<Instruction>) -> Vec<Instruction> {
    if let Some(value) = value {
        let behind = distance(then.len());
        then.insert(
            0,
            instruction(JUMP_UNLESS_EQUAL, register, Register::Result, behind, value),
        );
    }
    then
}

/// What a rule that fits says: the answer, or which access is still open.
fn decide(rule: &Rule) -> Vec<Instruction> {
    use Register::{Access, Result};
    let answer = answer(rule.allow.into());
    if rule.access == super::Access::ALL {
        return answer.to_vec();
    }
    let all = MAKE | READ | WRITE;
    let mentioned = mentioned(rule);
    let mut program = match rule.allow {
        true => vec![
            instruction(AND, Access, Result, 0, all & !mentioned),
            instruction(JUMP_UNLESS_EQUAL, Access, Result, 2, 0),
        ],
        false => vec![
            instruction(COPY, Result, Access, 0, 0),
            instruction(AND, Result, Result, 0, mentioned),
            instruction(JUMP_IF_EQUAL, Result, Result, 2, 0),
        ],
    };
    program.extend(answer);
    program
}

/// The access that a rule speaks of.
fn mentioned(rule: &Rule) -> u32 {
    let access = rule.access;
    [
        (access.make, MAKE),
        (access.read, READ),
        (access.write, WRITE),
    ]
    .into_iter()
    .filter_map(|(has, bit)| has.then_some(bit))
    .sum()
}

fn answer(answer: u32) -> [Instruction; 2] {
    [
        instruction(SET, Register::Result, Register::Result, 0, answer),
        instruction(EXIT, Register::Result, Register::Result, 0, 0),
    ]
}

/// A jump over so many instructions. The kernel refuses a program with a jump that is too short, so one
/// that cannot be said is as good as refused here.
fn distance(instructions: usize) -> i16 {
    i16::try_from(instructions).unwrap_or(-1)
}

#[cfg(test)]
mod tests;
