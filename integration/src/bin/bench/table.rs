//! Figures as minimum, median and maximum, in a table.

use std::io::Write as _;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

/// Several measurements of one thing.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Each of `ours` in relation to the one of `theirs` that was measured beside it.
    pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::new(
            ours.iter()
                .zip(theirs)
                .map(|(ours, theirs)| ours / theirs)
                .collect(),
        )
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(50)
    }

    fn at(&self, share: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * share / 100).copied().unwrap_or(f64::NAN)
    }
}

/// A table that is printed when it is complete.
pub(crate) struct Report {
    title: String,
    table: Table,
}

impl Report {
    pub(crate) fn new(title: &str, unit: &str) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([unit, "minimum", "median", "maximum"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self {
            title: title.to_owned(),
            table,
        }
    }

    pub(crate) fn row(&mut self, name: &str, figures: &Figures, digits: usize) {
        let figures = [0, 50, 100].map(|share| format!("{:.digits$}", figures.at(share)));
        self.table
            .add_row(std::iter::once(name.to_owned()).chain(figures));
    }

    /// One figure that is made of several measurements.
    pub(crate) fn ratio(&mut self, name: &str, ratio: f64) {
        let cells = [
            name.to_owned(),
            String::new(),
            format!("{ratio:.2}"),
            String::new(),
        ];
        self.table.add_row(cells);
    }

    pub(crate) fn print(self) -> Result<()> {
        Ok(writeln!(
            std::io::stdout(),
            "\n{}\n\n{}",
            self.title,
            self.table
        )?)
    }
}
