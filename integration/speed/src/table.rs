//! Tables for people, and JSON for programs.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// A summary of several measurements of one quantity.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
    /// The interval of the median by order statistics (Conover, Practical Nonparametric Statistics,
    /// 3.2), of at least 95% [`confidence`]. With fewer than six values it is all of them, and the
    /// confidence is lower.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Summary {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let Some(last) = values.len().checked_sub(1) else {
            return Self {
                min: f64::NAN,
                median: f64::NAN,
                max: f64::NAN,
                low: f64::NAN,
                high: f64::NAN,
            };
        };
        let median = (values[last / 2] + values[last.div_ceil(2)]) / 2.0;
        let from = lower_rank(values.len());
        Self {
            min: values[0],
            median,
            max: values[last],
            low: values[from],
            high: values[last - from],
        }
    }
}

/// The probability with which the median lies within the interval of a [`Summary`] of so many
/// values.
pub(crate) fn confidence(count: usize) -> f64 {
    1.0 - 2.0 * chance_below(count, lower_rank(count))
}

/// The largest rank, from 0, below which the median lies with a probability of at most 2.5%.
fn lower_rank(count: usize) -> usize {
    (0..count).take_while(|rank| chance_below(count, *rank) <= 0.025).last().unwrap_or(0)
}

/// The probability with which the median lies below the value of a rank, from 0.
fn chance_below(count: usize, rank: usize) -> f64 {
    let (mut chance, mut term) = (0.0, 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX)));
    for taken in 0..=rank {
        chance += term;
        term *= (count - taken) as f64 / (taken + 1) as f64;
    }
    chance
}

/// Formats rows as a Markdown table; the first is the head.
pub(crate) fn rows(table: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (index, row) in table.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if index == 0 {
            text += &format!("|{}\n", " --- |".repeat(row.len()));
        }
    }
    text
}

/// Writes a result to a file.
pub(crate) fn save(path: &Path, result: &serde_json::Value) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, format!("{result:#}\n")).with_context(|| path.display().to_string())?;
    integration::say!("as JSON: {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ten_values_the_second_and_the_ninth_bound_the_median() {
        let summary = Summary::of((1..=10).map(f64::from));
        assert_eq!((1.0, 5.5, 10.0), (summary.min, summary.median, summary.max));
        // 1 - 2 * (1 + 10) / 1024 = 97.9% lie between the second smallest and the second largest.
        assert_eq!((2.0, 9.0), (summary.low, summary.high));
    }

    #[test]
    fn of_few_values_all_bound_it() {
        let summary = Summary::of([3.0, 1.0, 2.0]);
        assert_eq!((1.0, 2.0, 3.0), (summary.low, summary.median, summary.high));
    }

    #[test]
    fn a_table_has_a_head() {
        let table = [vec!["a".to_owned(), "b".into()], vec!["1".into(), "2".into()]];
        assert_eq!("| a | b |\n| --- | --- |\n| 1 | 2 |\n", rows(&table));
    }
}
