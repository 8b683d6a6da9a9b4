//! Which devices the processes of a container may use.
//!
//! A specification lists rules, of which the last that fits decides, and no rule means no. The devices
//! that every container has (`/dev/null` and its like, and terminals) come after them, as in runc.

mod filter;
mod load;

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::hierarchy::Version;
use crate::resources::Files;
use crate::{Cgroup, CgroupError};

const KEY: &str = "linux.resources.devices";

/// A rule of a specification, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    allow: bool,
    kind: Kind,
    /// None is any.
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Block,
    Character,
}

/// What is done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    read: bool,
    write: bool,
    make: bool,
}

impl Access {
    const ALL: Self = Self {
        read: true,
        write: true,
        make: true,
    };
    const MAKE: Self = Self {
        read: false,
        write: false,
        make: true,
    };

    fn parse(text: &str) -> Option<Self> {
        let is_known = !text.is_empty() && text.bytes().all(|letter| b"rwm".contains(&letter));
        is_known.then(|| Self {
            read: text.contains('r'),
            write: text.contains('w'),
            make: text.contains('m'),
        })
    }
}

impl Rule {
    const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Self {
        Self {
            allow: true,
            kind,
            major,
            minor,
            access,
        }
    }

    /// Whether it is about every access to every device.
    fn is_everything(&self) -> bool {
        self.kind == Kind::Any
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }

    /// Whether the two are about devices in common, and are not about the same devices.
    fn overlaps(&self, other: &Self) -> bool {
        let meets = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        let same = (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor);
        let kinds = self.kind == Kind::Any || other.kind == Kind::Any || self.kind == other.kind;
        !same && kinds && meets(self.major, other.major) && meets(self.minor, other.minor)
    }

    fn parse(rule: &LinuxDeviceCgroup) -> Result<Self, CgroupError> {
        let refused = |value: String, accepted| CgroupError::Value {
            key: KEY,
            value,
            accepted,
        };
        let kind = match rule.typ() {
            None | Some(LinuxDeviceType::A) => Kind::Any,
            Some(LinuxDeviceType::B) => Kind::Block,
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Kind::Character,
            Some(LinuxDeviceType::P) => return Err(refused("p".into(), "a, b, c and u")),
        };
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            Some(number) => u32::try_from(number)
                .ok()
                .map(Some)
                .ok_or_else(|| refused(number.to_string(), "-1 and numbers of devices")),
        };
        // Without a word about access, all is meant.
        let access = rule.access().as_deref().filter(|access| !access.is_empty());
        let access = access
            .map_or(Some(Access::ALL), Access::parse)
            .ok_or_else(|| {
                refused(
                    access.unwrap_or_default().to_owned(),
                    "some of the letters r, w and m",
                )
            })?;
        Ok(Self {
            allow: rule.allow(),
            kind,
            major: number(rule.major())?,
            minor: number(rule.minor())?,
            access,
        })
    }
}

/// As version 1 takes it: `c 1:3 rwm`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Any => "a",
            Kind::Block => "b",
            Kind::Character => "c",
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let access = self.access;
        let letters = [(access.read, "r"), (access.write, "w"), (access.make, "m")];
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        letters
            .iter()
            .filter(|(has, _)| *has)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// What every container has: nodes may be made, which gives no access, and these may be used.
const ALWAYS: [Rule; 10] = [
    Rule::allow(Kind::Character, None, None, Access::MAKE),
    Rule::allow(Kind::Block, None, None, Access::MAKE),
    Rule::allow(Kind::Character, Some(1), Some(3), Access::ALL),
    Rule::allow(Kind::Character, Some(1), Some(5), Access::ALL),
    Rule::allow(Kind::Character, Some(1), Some(7), Access::ALL),
    Rule::allow(Kind::Character, Some(1), Some(8), Access::ALL),
    Rule::allow(Kind::Character, Some(1), Some(9), Access::ALL),
    Rule::allow(Kind::Character, Some(5), Some(0), Access::ALL),
    Rule::allow(Kind::Character, Some(5), Some(2), Access::ALL),
    Rule::allow(Kind::Character, Some(136), None, Access::ALL),
];

/// Lets the group's processes use what the specification lists, and what every container has.
pub(crate) fn confine(cgroup: &Cgroup, listed: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    let mut rules = listed
        .iter()
        .map(Rule::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if let Version::V1(_) = cgroup.version() {
        refuse_holes(&rules)?;
    }
    rules.extend(ALWAYS);
    match cgroup.version() {
        Version::V1(_) => confine_v1(&Files::of(cgroup, "devices", KEY)?, &rules),
        Version::V2 { .. } => cgroup
            .folders()
            .iter()
            .try_for_each(|folder| load::attach(folder, &filter::program(&rules))),
    }
}

/// Version 1 keeps exceptions from one default, and takes away only what it was told in the same words: a
/// hole in a rule for many devices would stay without effect.
fn refuse_holes(rules: &[Rule]) -> Result<(), CgroupError> {
    for (at, rule) in rules.iter().enumerate() {
        // What comes before a rule for everything is forgotten.
        let earlier = &rules[..at];
        let begin = earlier.iter().rposition(Rule::is_everything);
        let earlier = &earlier[begin.map_or(0, |begin| begin + 1)..];
        let is_hole = |other: &&Rule| other.allow != rule.allow && other.overlaps(rule);
        if !rule.is_everything() && earlier.iter().any(|other| is_hole(&other)) {
            return Err(CgroupError::Value {
                key: KEY,
                value: rule.to_string(),
                accepted: "on a host with cgroup version 1, rules that do not take away a part of \
                           what an earlier one says",
            });
        }
    }
    Ok(())
}

/// Version 1 takes rules one after the other. It knows whole lists of exceptions only, so a rule for all
/// devices with less than all access is said for both kinds.
fn confine_v1(files: &Files, rules: &[Rule]) -> Result<(), CgroupError> {
    const DENY: &str = "devices.deny";
    files.write(DENY, "a")?;
    for rule in rules {
        let name = if rule.allow { "devices.allow" } else { DENY };
        if rule.kind != Kind::Any {
            files.write(name, &rule.to_string())?;
        } else if rule.is_everything() {
            files.write(name, "a")?;
        } else {
            for kind in [Kind::Block, Kind::Character] {
                files.write(
                    name,
                    &Rule {
                        kind,
                        ..rule.clone()
                    }
                    .to_string(),
                )?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Result<Vec<Rule>, CgroupError> {
        let listed: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        listed.iter().map(Rule::parse).collect()
    }

    #[test]
    fn rules_are_read_as_a_specification_has_them() {
        let json = r#"[
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"},
            {"allow": true, "type": "b", "major": 8, "minor": -1}
        ]"#;
        let rules = rules(json).unwrap();
        let texts: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a *:* rwm", "c 10:200 rw", "b 8:* rwm"]);
        assert_eq!(
            rules.iter().map(|rule| rule.allow).collect::<Vec<_>>(),
            [false, true, true]
        );
    }

    #[test]
    fn rules_that_no_kernel_knows_are_refused() {
        for json in [
            r#"[{"allow": true, "type": "p"}]"#,
            r#"[{"allow": true, "type": "c", "major": -2}]"#,
            r#"[{"allow": true, "type": "c", "minor": 4294967296}]"#,
            r#"[{"allow": true, "access": "rx"}]"#,
        ] {
            let error = rules(json).unwrap_err();
            assert!(
                matches!(error, CgroupError::Value { key: KEY, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_hole_is_found_and_a_list_of_exceptions_is_none() {
        let hole = r#"[
            {"allow": true, "type": "c", "major": 10},
            {"allow": false, "type": "c", "major": 10, "minor": 200}
        ]"#;
        assert!(refuse_holes(&rules(hole).unwrap()).is_err());
        for json in [
            r#"[{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 200}]"#,
            r#"[{"allow": true}, {"allow": false, "type": "c", "major": 10, "minor": 200}]"#,
            r#"[{"allow": true, "type": "c", "major": 10}, {"allow": false, "type": "c", "major": 10}]"#,
            r#"[{"allow": true, "type": "c", "major": 10}, {"allow": false}]"#,
        ] {
            refuse_holes(&rules(json).unwrap()).unwrap();
        }
    }
}
