//! A second opinion: reads the whole topic, applies the written rules in plain dictionaries, and holds every
//! answer of the API to the result, field by field. It shares no line with what counts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::{Map, Value, json};

use crate::support::kafka::read_all;
use crate::support::program::Running;

/// [requests, in, out, cached, reasoning, nano-dollars, milliseconds, requests with a latency]
type Sums = [i128; 8];
/// Tenant, and user; none for the tenant as a whole.
type Scope = (String, Option<String>);
/// Kind and id.
type Output = (String, String);

#[derive(Default)]
struct Usage {
    total: Sums,
    assistants: BTreeMap<String, Sums>,
    models: BTreeMap<String, Sums>,
    tools: BTreeMap<String, i128>,
}

#[derive(Default)]
struct Account {
    /// By `YYYY-MM`, and under "" all of them.
    months: BTreeMap<String, Usage>,
    days: BTreeMap<NaiveDate, Sums>,
    created: BTreeMap<(String, Output), i64>,
    deleted: BTreeSet<(String, Output)>,
}

/// What the log says should have been counted.
pub(crate) struct Oracle {
    accounts: BTreeMap<Scope, Account>,
    /// Tenant, source and id.
    ids: BTreeSet<(String, String, String)>,
    /// Partition and offset of each record that can't be counted.
    poison: BTreeSet<(i32, i64)>,
    /// Partition and offset that the dead letters say they come from.
    letters: BTreeSet<(i32, i64)>,
    records: usize,
}

impl Oracle {
    pub(crate) fn read(bootstrap: &str, topic: &str) -> Self {
        let letters = read_all(bootstrap, &format!("{topic}.dlq")).iter().map(origin).collect();
        let (accounts, ids, poison) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut oracle = Self { accounts, ids, poison, letters, records: 0 };
        for record in read_all(bootstrap, topic) {
            oracle.records += 1;
            if oracle.count(&record).is_none() {
                oracle.poison.insert((record.partition(), record.offset()));
            }
        }
        oracle
    }

    /// None for poison.
    fn count(&mut self, record: &OwnedMessage) -> Option<()> {
        let event: Value = serde_json::from_slice(record.payload()?).ok()?;
        let bare = event.as_object()?.get("specversion").is_none();
        let data = if bare { &event } else { event.get("data")? };
        let [id, time] = if bare { ["requestId", "createdAt"] } else { ["id", "time"] }.map(|name| text(&event, name));
        let source = if bare { "usage_logs".to_owned() } else { text(&event, "source")? };
        let kind = if bare { "ai.usage.recorded.v1".to_owned() } else { text(&event, "type")? };
        let time = DateTime::parse_from_rfc3339(&time?).ok()?.to_utc();
        let age = record.timestamp().to_millis()? - time.timestamp_millis();
        if !(-5 * 60_000..=35 * 86_400_000).contains(&age) {
            return None;
        }
        let (tenant, user) = (text(data, "tenantId")?, text(data, "userId")?);
        let usage = match kind.as_str() {
            "ai.usage.recorded.v1" => Some(usage(data)?),
            "ai.output.created.v1" | "ai.output.deleted.v1" => None,
            _ => return None,
        };
        let output = match (&usage, data.get("output")) {
            (Some(_), None) => None,
            (Some(_), Some(output)) => Some((text(output, "kind")?, text(output, "id")?)),
            (None, _) => Some((text(data, "kind")?, text(data, "outputId")?)),
        };
        if !self.ids.insert((tenant.clone(), source, id?)) {
            return Some(());
        }
        for scope in [(tenant.clone(), Some(user.clone())), (tenant, None)] {
            let account = self.accounts.entry(scope).or_default();
            if let Some((sums, tools)) = &usage {
                account.use_up(time, sums, tools, [text(data, "assistant")?, text(data, "model")?]);
            }
            let Some(output) = output.clone().map(|output| (user.clone(), output)) else { continue };
            if kind == "ai.output.deleted.v1" {
                account.deleted.insert(output);
            } else {
                let earliest = account.created.entry(output).or_insert(i64::MAX);
                *earliest = time.timestamp_millis().min(*earliest);
            }
        }
        Some(())
    }

    /// Holds all that the API and Redis say to what the log says; returns every difference. `applied` is the sum
    /// over all buckets.
    pub(crate) fn differences(&self, applied: usize, api: &Running) -> Vec<String> {
        let mut faults = Faults::default();
        let now = Utc::now();
        for ((tenant, user), account) in &self.accounts {
            let path = match user {
                Some(user) => format!("/v1/tenants/{tenant}/users/{user}"),
                None => format!("/v1/tenants/{tenant}"),
            };
            for month in [now, now - Days::new(u64::from(now.day()))].map(|time| month_of(time.timestamp_millis())) {
                let path = format!("{path}/stats?month={month}");
                let answer = api.get(&path).json();
                account.compare(&answer, &month, &path, &mut faults);
                if user.is_some() {
                    let used = account.months.get(&month).map_or(0, |usage| usage.total[1] + usage.total[2]);
                    faults.equal(&format!("{path} quota"), &answer["quota"]["usedTokens"], &json!(used));
                    account.compare_recent(&answer, &path, &mut faults);
                }
            }
            let days: Vec<_> = (0..50).map(|back| (now - Days::new(back)).date_naive()).collect();
            let path = format!("{path}/usage?bucket=day&from={}&to={}", days[49], days[0] + Days::new(1));
            let answer = api.get(&path).json();
            let buckets: BTreeMap<_, _> =
                list(&answer["buckets"]).map(|bucket| (bucket["start"].as_str().unwrap_or("?"), bucket)).collect();
            for day in days {
                let sums = account.days.get(&day).copied().unwrap_or_default();
                let bucket = buckets.get(format!("{day}T00:00:00Z").as_str()).copied().unwrap_or(&Value::Null);
                let found = json!([bucket["requests"], bucket["totalTokens"], nanos(&bucket["cost"]["amount"], 9)]);
                faults.equal(&format!("{path} {day}"), &found, &json!([sums[0], sums[1] + sums[2], sums[5]]));
            }
        }
        faults.equal("Σ applied", &json!(applied), &json!(self.ids.len()));
        // Every poison at least once, and nothing else.
        faults.equal("dead letters", &json!(self.letters), &json!(self.poison));
        faults.0
    }

    pub(crate) fn summary(&self) -> String {
        let (records, ids, poison) = (self.records, self.ids.len(), self.poison.len());
        format!("{records} records: {ids} events, {} repeats, {poison} poison", records - ids - poison)
    }
}

fn origin(letter: &OwnedMessage) -> (i32, i64) {
    let header = |name: &str| -> i64 {
        let found = letter.headers().into_iter().flat_map(Headers::iter).find(|header| header.key == name);
        let text = found.and_then(|header| std::str::from_utf8(header.value?).ok());
        text.and_then(|text| text.parse().ok()).expect("a dead letter says where it came from")
    };
    let partition = header("__connect.errors.partition");
    (i32::try_from(partition).expect("a partition"), header("__connect.errors.offset"))
}

impl Account {
    fn use_up(&mut self, time: DateTime<Utc>, sums: &Sums, tools: &[(String, i128)], names: [String; 2]) {
        for month in [month_of(time.timestamp_millis()), String::new()] {
            let usage = self.months.entry(month).or_default();
            add(&mut usage.total, sums);
            add(usage.assistants.entry(names[0].clone()).or_default(), sums);
            add(usage.models.entry(names[1].clone()).or_default(), sums);
            tools.iter().for_each(|(tool, calls)| *usage.tools.entry(tool.clone()).or_default() += calls);
        }
        add(self.days.entry(time.date_naive()).or_default(), sums);
    }

    fn compare(&self, answer: &Value, month: &str, path: &str, faults: &mut Faults) {
        let nothing = Usage::default();
        for (period, key) in [("thisMonth", month), ("allTime", "")] {
            let (expected, found) = (self.months.get(key).unwrap_or(&nothing), &answer[period]);
            let path = format!("{path} {period}");
            faults.sums(&path, found, Some(&expected.total));
            faults.equal(&path, &found["toolInvocations"], &json!(expected.tools));
            for (by, name, all) in
                [("byAssistant", "assistant", &expected.assistants), ("byModel", "model", &expected.models)]
            {
                let names: BTreeSet<_> = list(&found[by]).map(|entry| entry[name].as_str().unwrap_or("?")).collect();
                faults.equal(&format!("{path} {by}"), &json!(names), &json!(all.keys().collect::<Vec<_>>()));
                for entry in list(&found[by]) {
                    let name = entry[name].as_str().unwrap_or("?");
                    faults.sums(&format!("{path} {by} {name}"), entry, all.get(name));
                }
            }
            let mut saved = BTreeMap::<&str, i64>::new();
            for ((_, (kind, _)), created) in self.saved() {
                *saved.entry(kind).or_default() += i64::from(key.is_empty() || month_of(created) == key);
            }
            // A kind without any may be listed with 0, or not be listed.
            let mut found: BTreeMap<&str, i64> = BTreeMap::new();
            for (kind, count) in answer["outputs"][period].as_object().into_iter().flatten() {
                found.insert(kind, count.as_i64().unwrap_or(-1));
            }
            saved.retain(|_, count| *count != 0);
            found.retain(|_, count| *count != 0);
            faults.equal(&format!("{path} outputs"), &json!(found), &json!(saved));
        }
    }

    /// The newest 20; which of two of the same instant comes first is left open.
    fn compare_recent(&self, answer: &Value, path: &str, faults: &mut Faults) {
        let mut times: Vec<i64> = self.saved().map(|(_, created)| created).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.truncate(20);
        let at = |entry: &Value| entry["createdAt"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let found: Vec<_> = list(&answer["recentActivity"]).filter_map(|e| Some(at(e)?.timestamp_millis())).collect();
        faults.equal(&format!("{path} recentActivity"), &json!(found), &json!(times));
        for entry in list(&answer["recentActivity"]) {
            let [kind, id] = ["kind", "outputId"].map(|name| text(entry, name).unwrap_or_default());
            let saved = self.saved().find(|((_, output), _)| *output == (kind.clone(), id.clone()));
            faults.equal(path, &json!(at(entry).map(|at| at.timestamp_millis())), &json!(saved.map(|saved| saved.1)));
        }
    }

    fn saved(&self) -> impl Iterator<Item = (&(String, Output), i64)> {
        self.created.iter().filter(|(output, _)| !self.deleted.contains(output)).map(|(output, at)| (output, *at))
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn equal(&mut self, what: &str, found: &Value, expected: &Value) {
        if found != expected {
            self.0.push(format!("{what}: found {found}, the log says {expected}"));
        }
    }

    fn sums(&mut self, what: &str, found: &Value, expected: Option<&Sums>) {
        let [requests, tokens_in, tokens_out, cached, reasoning, cost, latency, timed] =
            expected.copied().unwrap_or_default();
        let average = (timed > 0).then(|| latency / timed);
        let expected =
            json!([requests, tokens_in, tokens_out, tokens_in + tokens_out, cached, reasoning, average, cost, cost]);
        let names = ["requests", "tokensIn", "tokensOut", "totalTokens", "cachedTokens", "reasoningTokens"];
        let mut all: Vec<Value> = names.iter().map(|name| found[name].clone()).collect();
        let cost = [nanos(&found["costCents"], 7), nanos(&found["cost"]["amount"], 9)];
        all.extend([found["averageLatencyMs"].clone(), json!(cost[0]), json!(cost[1])]);
        self.equal(what, &json!(all), &expected);
    }
}

fn usage(data: &Value) -> Option<(Sums, Vec<(String, i128)>)> {
    let count = |name: &str| match data.get(name) {
        None => Some(None),
        Some(value) => value.as_u64().map(|count| Some(i128::from(count))),
    };
    let (tokens_in, tokens_out, latency) = (count("tokensIn")??, count("tokensOut")??, count("latencyMs")?);
    let cost = match data.get("costCents") {
        None => 0,
        cost => nanos(cost?, 7)?,
    };
    let [cached, reasoning] = [count("cachedTokens")?.unwrap_or(0), count("reasoningTokens")?.unwrap_or(0)];
    if cost < 0 || cached > tokens_in || reasoning > tokens_out {
        return None;
    }
    let tools = data.get("toolInvocations").and_then(Value::as_object).unwrap_or(&Map::new()).clone();
    let tools = tools.into_iter().map(|(tool, calls)| Some((tool, i128::from(calls.as_u64()?))));
    let timed = i128::from(latency.is_some());
    let sums = [1, tokens_in, tokens_out, cached, reasoning, cost, latency.unwrap_or(0), timed];
    Some((sums, tools.collect::<Option<_>>()?))
}

/// A decimal, as a number or as text, times 10^places; half-even.
fn nanos(value: &Value, places: usize) -> Option<i128> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{fraction:0<places$}");
    let (kept, rest) = digits.split_at(whole.len() + places);
    let kept: i128 = kept.parse().ok()?;
    let half = format!("5{}", "0".repeat(rest.len().saturating_sub(1)));
    let up = !rest.is_empty() && (rest > half.as_str() || (rest == half && kept % 2 == 1));
    Some(kept + i128::from(up))
}

fn add(sums: &mut Sums, more: &Sums) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn month_of(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).expect("a time").format("%Y-%m").to_string()
}
