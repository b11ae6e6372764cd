//! What learners get: vectors, grades, and which rows belong to one request.

/// Training rows, grouped by request.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSet {
    n_features: usize,
    x: Vec<f32>,
    labels: Vec<f32>,
    groups: Vec<usize>,
}

/// Why rows are no training set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// Lengths do not agree.
    #[error(
        "{values} numbers, {labels} labels and groups of {grouped} rows do not fit vectors of {n_features} numbers"
    )]
    Lengths {
        /// Numbers in all vectors.
        values: usize,
        /// Labels.
        labels: usize,
        /// Rows of all groups.
        grouped: usize,
        /// Numbers in one vector.
        n_features: usize,
    },
    /// A label that is no grade.
    #[error("label {label} of row {row} is no grade; grades are whole numbers from 0 to 31")]
    Label {
        /// Which row.
        row: usize,
        /// Its label.
        label: String,
    },
}

impl TrainingSet {
    /// Checks lengths and labels; `x` is row-major `f32[rows, n_features]` with NaN for missing, `groups` has the rows of each request.
    ///
    /// # Errors
    /// Lengths that do not agree, or a label that is no grade.
    pub fn new(n_features: u32, x: Vec<f32>, labels: Vec<f32>, groups: Vec<u32>) -> Result<TrainingSet, DatasetError> {
        let n_features = n_features as usize;
        let groups: Vec<usize> = groups.into_iter().map(|g| g as usize).collect();
        let grouped = groups.iter().sum();
        if n_features == 0 || x.len() != labels.len() * n_features || grouped != labels.len() {
            return Err(DatasetError::Lengths { values: x.len(), labels: labels.len(), grouped, n_features });
        }
        if let Some(row) = labels.iter().position(|l| !(0.0..=31.0).contains(l) || l.fract() != 0.0) {
            return Err(DatasetError::Label { row, label: labels[row].to_string() });
        }
        Ok(TrainingSet { n_features, x, labels, groups })
    }

    /// Numbers in one vector.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// All vectors, row-major.
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// A grade a row.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// Rows of each request, in order.
    pub fn groups(&self) -> &[usize] {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_labels_are_checked() {
        assert!(TrainingSet::new(2, vec![0.0; 4], vec![0.0, 1.0], vec![2]).is_ok());
        assert!(matches!(
            TrainingSet::new(2, vec![0.0; 3], vec![0.0, 1.0], vec![2]),
            Err(DatasetError::Lengths { .. })
        ));
        assert!(matches!(
            TrainingSet::new(2, vec![0.0; 4], vec![0.0, 1.0], vec![1]),
            Err(DatasetError::Lengths { .. })
        ));
        assert!(matches!(TrainingSet::new(0, vec![], vec![], vec![]), Err(DatasetError::Lengths { .. })));
        for label in [f32::NAN, -1.0, 0.5, 32.0] {
            assert!(matches!(TrainingSet::new(1, vec![0.0], vec![label], vec![1]), Err(DatasetError::Label { .. })));
        }
    }
}
