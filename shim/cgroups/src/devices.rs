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
    rules.extend(ALWAYS);
    match cgroup.version() {
        Version::V1(_) => confine_v1(&Files::of(cgroup, "devices", KEY)?, &rules),
        Version::V2 { .. } => cgroup
            .folders()
            .iter()
            .try_for_each(|folder| load::attach(folder, &filter::program(&rules))),
    }
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
        } else if rule.major.is_none() && rule.minor.is_none() && rule.access == Access::ALL {
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
