//! Rules for devices as a program for the kernel, which version 2 asks at every access.
//!
//! The program looks at each kind of access that is asked for by itself: for each it tries the rules that
//! speak of it, the last first, until one fits. All have to be allowed. It is straight-line code that
//! jumps forward only, with no call and no memory but what it is asked about.

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
const JUMP: u8 = 0x05;
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
    ];
    for access in [MAKE, READ, WRITE] {
        let decision = decision(rules, access);
        program.extend([
            instruction(COPY, Result, Access, 0, 0),
            instruction(AND, Result, Result, 0, access),
            instruction(JUMP_IF_EQUAL, Result, Result, distance(decision.len()), 0),
        ]);
        program.extend(decision);
    }
    program.extend(answer(1));
    program
}

/// Goes on behind itself where this access is allowed, and else answers no.
fn decision(rules: &[Rule], access: u32) -> Vec<Instruction> {
    let speaks = |rule: &&Rule| match access {
        MAKE => rule.access.make,
        READ => rule.access.read,
        _ => rule.access.write,
    };
    // From the end, so that the distance to what is behind is known: the default is the last of all.
    let relevant: Vec<&Rule> = rules.iter().filter(speaks).collect();
    let decisive = relevant
        .iter()
        .rposition(|rule| conditions(rule).is_empty());
    let (mut behind, tried) = match decisive {
        Some(at) if relevant[at].allow => (Vec::new(), &relevant[at + 1..]),
        Some(at) => (answer(0).to_vec(), &relevant[at + 1..]),
        None => (answer(0).to_vec(), &relevant[..]),
    };
    for rule in tried {
        let mut block = try_rule(rule, behind.len());
        block.append(&mut behind);
        behind = block;
    }
    behind
}

/// Tries one rule. Where it allows, goes on behind the `rest` instructions that follow it.
fn try_rule(rule: &Rule, rest: usize) -> Vec<Instruction> {
    let result = match rule.allow {
        true => vec![instruction(
            JUMP,
            Register::Result,
            Register::Result,
            distance(rest),
            0,
        )],
        false => answer(0).to_vec(),
    };
    let conditions = conditions(rule);
    let count = conditions.len();
    let checks = conditions
        .into_iter()
        .enumerate()
        .map(|(at, (register, value))| {
            let behind = count - at - 1 + result.len();
            instruction(
                JUMP_UNLESS_EQUAL,
                register,
                Register::Result,
                distance(behind),
                value,
            )
        });
    checks.chain(result.iter().copied()).collect()
}

fn conditions(rule: &Rule) -> Vec<(Register, u32)> {
    let kind = match rule.kind {
        Kind::Any => None,
        Kind::Block => Some(BLOCK),
        Kind::Character => Some(CHARACTER),
    };
    [
        (Register::Kind, kind),
        (Register::Major, rule.major),
        (Register::Minor, rule.minor),
    ]
    .into_iter()
    .filter_map(|(register, value)| Some((register, value?)))
    .collect()
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
