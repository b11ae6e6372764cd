//! Reads LightGBM's `examples/lambdarank` data from the folder that HEARTH_DATA names.

use std::path::Path;

use trainer::experiment::dataset::TrainingSet;

/// Features of a row; those that a line leaves out are 0, as in LightGBM.
pub const FEATURES: u32 = 300;

/// Queries with their rows.
#[derive(Clone, Debug, Default)]
pub struct Queries {
    x: Vec<f32>,
    grades: Vec<f32>,
    groups: Vec<u32>,
}

impl Queries {
    /// The 201 queries of `rank.train` and then the 50 of `rank.test`; `None`, and a line that says so, without HEARTH_DATA.
    pub fn read() -> Option<Queries> {
        let Ok(folder) = std::env::var("HEARTH_DATA") else {
            println!("skipped: HEARTH_DATA is not set");
            return None;
        };
        let mut queries = Queries::default();
        for file in ["rank.train", "rank.test"] {
            queries.append(&Path::new(&folder).join("lightgbm-rank").join(file));
        }
        Some(queries)
    }

    fn append(&mut self, rows: &Path) {
        let read = |path: &Path| {
            std::fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
        };
        for line in read(rows).lines() {
            let mut cells = line.split_whitespace();
            let number = |text: &str| text.parse::<f32>().unwrap_or_else(|_| panic!("`{text}` is not a number"));
            self.grades.push(number(cells.next().expect("a line has a grade")));
            let mut row = [0.0; FEATURES as usize];
            for cell in cells {
                let (feature, value) = cell.split_once(':').expect("cells are feature:value");
                row[feature.parse::<usize>().expect("features are numbered") - 1] = number(value);
            }
            self.x.extend(row);
        }
        let sizes = read(Path::new(&format!("{}.query", rows.display())));
        self.groups
            .extend(sizes.lines().map(|line| line.trim().parse::<u32>().expect("a line has the rows of a query")));
    }

    /// Number of queries.
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// The queries whose place passes a test.
    pub fn pick(&self, wanted: impl Fn(usize) -> bool) -> TrainingSet {
        let mut picked = Queries::default();
        let mut row = 0;
        for (query, &rows) in self.groups.iter().enumerate() {
            let range = row..row + rows as usize;
            row = range.end;
            if wanted(query) {
                let width = FEATURES as usize;
                picked.x.extend_from_slice(&self.x[range.start * width..range.end * width]);
                picked.grades.extend_from_slice(&self.grades[range]);
                picked.groups.push(rows);
            }
        }
        TrainingSet::new(FEATURES, picked.x, picked.grades, picked.groups).expect("the files agree on rows and grades")
    }
}
