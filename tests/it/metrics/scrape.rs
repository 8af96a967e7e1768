//! What `/metrics` exports, read from its text.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a name, each with its values.
pub(super) type Labels = BTreeMap<String, BTreeSet<String>>;

/// A scrape.
#[derive(Debug)]
pub(super) struct Scrape {
    /// Name and kind of each metric; of a histogram, the name without `_bucket`, `_sum` and `_count`.
    pub(super) kinds: BTreeMap<String, String>,
    /// By the name that a query uses.
    pub(super) samples: BTreeMap<String, Labels>,
    pub(super) series: usize,
}

impl Scrape {
    pub(super) fn read(text: &str) -> Self {
        let mut scrape = Self { kinds: BTreeMap::new(), samples: BTreeMap::new(), series: 0 };
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("# TYPE ") {
                let (name, kind) = line.split_once(' ').expect("a name and a kind");
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                scrape.note(line);
            }
        }
        scrape
    }

    fn note(&mut self, line: &str) {
        self.series += 1;
        let (series, _) = line.rsplit_once(' ').expect("a series and its value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = self.samples.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once("=\"").expect("a label and its value");
            known.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }

    /// The labels of a metric, without what a histogram adds.
    pub(super) fn labels_of(&self, metric: &str) -> BTreeSet<&str> {
        let name = if self.kinds[metric] == "histogram" { format!("{metric}_count") } else { metric.to_owned() };
        self.samples.get(&name).into_iter().flat_map(|labels| labels.keys().map(String::as_str)).collect()
    }
}
