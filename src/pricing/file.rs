//! A table's text into a table, or every fault of it at once with its line.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use toml::de::{DeTable, DeValue};
use xxhash_rust::xxh3::xxh3_64;

use super::decimal::Form;
use super::pattern::Pattern;
use super::reader::{Reader, Section, Value};
use super::{Entry, Fault, Rates, Series, Table, TierRates, Tolerance};
use crate::domain::event::MAX_COUNT;
use crate::domain::ids::{Model, Provider, Tool};

/// Patterns are tried one by one for a model that has no entry of its own name.
const MAX_PATTERNS: usize = 1_000;

/// Dollars for a million tokens, in 10⁻¹⁸ dollars for one.
const PER_MILLION: Form = Form { places: 12, whole: 9, negative: false };
/// Dollars for a call, in 10⁻¹⁸ dollars.
const PER_CALL: Form = Form { places: 18, whole: 9, negative: false };
/// In nano-dollars.
const FLOOR: Form = Form { places: 9, whole: 9, negative: false };

/// The prices that a tier must have where its entry has them, too.
const SPECIAL: [&str; 3] = ["cache_read", "cache_write", "reasoning"];
const IN_ENTRY: [&str; 11] =
    ["provider", "model", "from", "markup", "tools", "tier", "input", "output", SPECIAL[0], SPECIAL[1], SPECIAL[2]];
const IN_TIER: [&str; 6] = ["above", "input", "output", SPECIAL[0], SPECIAL[1], SPECIAL[2]];

pub(super) fn read(text: &str) -> Result<Table, Vec<Fault>> {
    let (document, broken) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, faults: Vec::new() };
    for error in &broken {
        let what = format!("is not TOML: {}", error.message().replace('\n', ", "));
        reader.fault(error.span().map_or(0, |span| span.start), what);
    }
    let broken: Vec<usize> = reader.faults.iter().map(|fault| fault.line).collect();
    let table = reader.table(document.get_ref());
    // What comes of a line that could not be read is no fault of its own.
    let mut seen = broken.iter().map(|_| true).chain(std::iter::repeat(false));
    reader.faults.retain(|fault| seen.next() == Some(true) || !broken.contains(&fault.line));
    reader.faults.sort();
    if reader.faults.is_empty() { Ok(table) } else { Err(reader.faults) }
}

impl Reader<'_> {
    fn table(&mut self, document: &DeTable<'_>) -> Table {
        let top = Section { table: document, at: 0, name: "the file" };
        self.only(top, &["markup", "tolerance", "price"]);
        let mut entries = Vec::new();
        let given = top.get("price").map_or(Vec::new(), |value| self.sections(value, "[[price]]"));
        if given.is_empty() && self.faults.is_empty() {
            self.fault(0, "there is no [[price]]; a table needs one entry at least".to_owned());
        }
        for section in given {
            // An entry with a fault is left out: the table is refused as a whole in the end.
            entries.extend(self.entry(section));
        }
        let mut table = Table {
            source: self.text.into(),
            version: format!("{:016x}", xxh3_64(self.text.as_bytes())).into(),
            markup: self.percent(top, "markup", true).unwrap_or_default(),
            tolerance: self.tolerance(top),
            entries,
            ..Table::default()
        };
        self.index(&mut table);
        table
    }

    fn tolerance(&mut self, top: Section<'_>) -> Tolerance {
        let mut tolerance = Tolerance::default();
        let Some(section) = top.get("tolerance").and_then(|value| self.section(value, "[tolerance]")) else {
            return tolerance;
        };
        self.only(section, &["percent", "floor"]);
        if let Some(percent) = self.percent(section, "percent", false) {
            tolerance.percent = percent;
        }
        if let Some(floor) = self.number(section, "floor", FLOOR) {
            tolerance.floor_nanos = floor;
        }
        tolerance
    }

    fn entry(&mut self, section: Section<'_>) -> Option<Entry> {
        self.only(section, &IN_ENTRY);
        let provider = self.needed(section, "provider").and_then(|value| {
            let text = self.text_of("provider", value)?;
            self.id(value, "provider", Provider::new(text))
        });
        let models = self.needed(section, "model").map(|value| self.models(value)).unwrap_or_default();
        let from = match section.get("from") {
            Some(value) => self.instant(value).map(Some),
            None => Some(None),
        };
        let rates = self.rates(section);
        let tiers = match section.get("tier") {
            Some(value) => self.sections(value, "[[price.tier]]"),
            None => Vec::new(),
        };
        let tiers: Vec<_> = tiers.into_iter().map(|tier| self.tier(section, tier)).collect();
        for pair in tiers.windows(2) {
            if let [(_, Some(lower)), (at, Some(higher))] = pair
                && higher.above <= lower.above
            {
                let what = "is not more than that of the tier before; put the tiers in ascending order";
                self.fault(*at, format!("`above` of [[price.tier]] is {}, which {what}", higher.above));
            }
        }
        let tools = self.tools(section);
        let markup = self.percent(section, "markup", true);
        Some(Entry {
            line: self.line(section.at),
            provider: provider?,
            models: if models.is_empty() { return None } else { models },
            from: from?,
            rates: rates?,
            tiers: tiers.into_iter().map(|(_, tier)| tier).collect::<Option<_>>()?,
            tools,
            markup,
        })
    }

    fn rates(&mut self, section: Section<'_>) -> Option<Rates> {
        for key in ["input", "output"] {
            self.needed(section, key);
        }
        let [input, output, cache_read, cache_write, reasoning] =
            ["input", "output", "cache_read", "cache_write", "reasoning"]
                .map(|key| self.number(section, key, PER_MILLION));
        let (input, output) = (input?, output?);
        Some(Rates {
            input,
            output,
            cache_read: cache_read.unwrap_or(input),
            cache_write: cache_write.unwrap_or(input),
            reasoning: reasoning.unwrap_or(output),
        })
    }

    /// With where its bound stands.
    fn tier(&mut self, entry: Section<'_>, section: Section<'_>) -> (usize, Option<TierRates>) {
        self.only(section, &IN_TIER);
        for key in SPECIAL {
            // Falling back to the tier's input would make cached tokens dearer in silence.
            if entry.get(key).is_some() && section.get(key).is_none() {
                self.fault(section.at, format!("[[price.tier]] has no `{key}`, but its [[price]] has; add it"));
            }
        }
        let rates = self.rates(section);
        let Some(value) = self.needed(section, "above") else { return (section.at, None) };
        let at = value.span().start;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong("above", value, "a whole number of tokens such as 200_000");
            return (at, None);
        };
        let above = i64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| (0..=MAX_COUNT).contains(n));
        if above.is_none() {
            self.fault(at, format!("`above` is {}; it must be 0 to {MAX_COUNT} tokens", number.as_str()));
        }
        (at, above.zip(rates).map(|(above, rates)| TierRates { above, rates }))
    }

    fn tools(&mut self, entry: Section<'_>) -> Vec<(Tool, i128)> {
        let Some(section) = entry.get("tools").and_then(|value| self.section(value, "[price.tools]")) else {
            return Vec::new();
        };
        let mut tools = Vec::new();
        for (key, value) in section.table {
            let tool = self.id(value, "the tool", Tool::new(key.get_ref()));
            let price = self.decimal(key.get_ref(), value, PER_CALL);
            tools.extend(tool.zip(price));
        }
        tools
    }

    /// The names of an entry; empty where one of them can't be used.
    fn models(&mut self, value: &Value<'_>) -> Vec<String> {
        let one = std::slice::from_ref(value);
        let all: &[Value<'_>] = match value.get_ref() {
            DeValue::Array(list) => list,
            _ => one,
        };
        if all.is_empty() {
            self.fault(value.span().start, "`model` is an empty list; name one model at least".to_owned());
        }
        let names = all.iter().map(|value| {
            let text = self.text_of("model", value)?;
            self.id(value, "model", Model::new(text)).map(|model| model.to_string())
        });
        names.collect::<Option<_>>().unwrap_or_default()
    }

    /// Makes the entries of a table findable.
    fn index(&mut self, table: &mut Table) {
        let mut providers: Vec<&Provider> = Vec::new();
        // By rank of the provider; within a name that is the order of the file.
        let mut series: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
        for (index, entry) in table.entries.iter().enumerate() {
            let rank = providers.iter().position(|known| **known == entry.provider).unwrap_or_else(|| {
                providers.push(&entry.provider);
                providers.len() - 1
            });
            for model in &entry.models {
                let versions = series.entry((rank, model)).or_default();
                let twice =
                    versions.iter().filter_map(|other| table.entries.get(*other)).find(|o| o.from == entry.from);
                if let Some(Entry { line, provider, .. }) = twice {
                    let what = format!("{provider} has {model:?} from the same instant in line {line} already");
                    self.faults.push(Fault { line: entry.line, what: format!("{what}; remove one, or date them") });
                }
                versions.push(index);
            }
        }
        let (mut exact, mut patterns) = (HashMap::<Box<str>, Vec<Series>>::new(), Vec::new());
        for ((rank, model), mut versions) in series {
            versions.sort_by_key(|index| std::cmp::Reverse(table.entries.get(*index).and_then(|entry| entry.from)));
            let Some(provider) = providers.get(rank) else { continue };
            let series = Series { provider: (*provider).clone(), versions };
            match Pattern::new(model) {
                Some(pattern) => patterns.push((pattern, series)),
                None => exact.entry(model.into()).or_default().push(series),
            }
        }
        if patterns.len() > MAX_PATTERNS {
            let what = format!("there are {} patterns; at most {MAX_PATTERNS} are read", patterns.len());
            self.fault(0, format!("{what}, name models in full where you can"));
        }
        // Stable: of one length they stay in the order of the providers.
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.length()));
        let starts: BTreeSet<u8> = patterns.iter().filter_map(|(pattern, _)| pattern.start()).collect();
        let near = |start| {
            let own = |pattern: &Pattern| pattern.start().is_none_or(|own| Some(own) == start);
            patterns.iter().enumerate().filter(|(_, (pattern, _))| own(pattern)).map(|(index, _)| index).collect()
        };
        table.starting = starts.into_iter().map(|start| (start, near(Some(start)))).collect();
        table.floating = near(None);
        (table.exact, table.patterns) = (exact, patterns);
    }
}
