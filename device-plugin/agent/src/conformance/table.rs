//! The results, for people.

use std::fmt::{self, Display, Formatter};

use super::Failure;

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should, and why.
    Failed(String),
    /// It was not run, and what that takes.
    Skipped(String),
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// What should be, as a sentence.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// All checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they were run.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn note(
        &mut self,
        name: &'static str,
        result: Result<(), Failure>,
        say: &mut impl FnMut(&Check),
    ) {
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(failure) => Outcome::Failed(failure.to_string()),
        };
        self.add(Check { name, outcome }, say);
    }

    pub(super) fn skip(&mut self, name: &'static str, needs: &str, say: &mut impl FnMut(&Check)) {
        let outcome = Outcome::Skipped(needs.to_owned());
        self.add(Check { name, outcome }, say);
    }

    fn add(&mut self, check: Check, say: &mut impl FnMut(&Check)) {
        say(&check);
        self.checks.push(check);
    }

    /// Whether no check failed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        let failed = |check: &Check| matches!(check.outcome, Outcome::Failed(_));
        !self.checks.is_empty() && !self.checks.iter().any(failed)
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, outcome } = self;
        match outcome {
            Outcome::Passed => write!(f, "passed   {name}"),
            Outcome::Failed(why) => write!(f, "FAILED   {name}\n         {why}"),
            Outcome::Skipped(needs) => write!(f, "skipped  {name} ({needs})"),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Outcome) -> bool| {
            let checks = self.checks.iter();
            checks.filter(|check| is(&check.outcome)).count()
        };
        let passed = count(|outcome| matches!(outcome, Outcome::Passed));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
