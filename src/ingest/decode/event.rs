//! The event: who it is, by its envelope in each of the three forms, and what happened, by its data.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::assigned::assigned;
use super::count::count;
use super::field::{Field, Text};
use super::fields::Fields;
use super::headers::{check_json, need};
use super::reason::{Reason, Reject, quote};
use crate::domain::event::{Body, Event, Output, ToolCalls, Usage};
use crate::domain::ids::{Assistant, EventId, Model, OutputId, OutputKind, Provider, Source, TenantId, Tool, UserId};

/// The source of bare records, which name none.
const BARE_SOURCE: Text<'_> = Text { name: "source", text: Cow::Borrowed("usage_logs") };
/// The most tools that one event may name: each is a counter that is kept for months.
const MAX_TOOLS: usize = 64;

/// What happened, as the event's type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Usage,
    OutputCreated,
    OutputDeleted,
    QuotaAssigned,
}

/// Who an event is, apart from its data.
#[derive(Debug)]
pub(super) struct Envelope {
    of: Type,
    id: EventId,
    source: Source,
    time: DateTime<Utc>,
}

impl Envelope {
    /// From the headers of a CloudEvent in binary mode.
    pub(super) fn binary(headers: &[(&str, &[u8])]) -> Result<Self, Reject> {
        check_version(&need(headers, "ce_specversion")?)?;
        Ok(Self {
            of: by_type(&need(headers, "ce_type")?)?,
            id: need(headers, "ce_id")?.id(EventId::new)?,
            source: need(headers, "ce_source")?.id(Source::new)?,
            time: need(headers, "ce_time")?.time()?,
        })
    }

    /// From the top of a CloudEvent in structured mode.
    pub(super) fn structured(top: &Fields<'_>) -> Result<Self, Reject> {
        check_version(&top.spec_version().text()?)?;
        let of = by_type(&top.event_type().text()?)?;
        if let Some(content_type) = top.content_type().optional(Field::text)? {
            check_json(&content_type)?;
        }
        if top.data_base64().is_there() {
            return Err(top.data_base64().invalid("is not accepted; send the data as a JSON object in data"));
        }
        Ok(Self {
            of,
            id: top.id().id(EventId::new)?,
            source: top.source().id(Source::new)?,
            time: top.time().text()?.time()?,
        })
    }

    /// From a bare record, as a `usage_logs` collection holds it: always usage.
    pub(super) fn bare(record: &Fields<'_>) -> Result<Self, Reject> {
        if !record.request_id().is_there() {
            // Perhaps it was never meant to be a bare record.
            let detail = "requestId is missing or null; add it, or specversion if the record is a CloudEvent";
            return Err(Reject::new(Reason::MissingField, detail));
        }
        Ok(Self {
            of: Type::Usage,
            id: record.request_id().id(EventId::new)?,
            source: BARE_SOURCE.id(Source::new)?,
            time: record.created_at().text()?.time()?,
        })
    }

    /// The event with this envelope and data.
    pub(super) fn event(self, data: &Fields<'_>) -> Result<Event, Reject> {
        let Self { of, id, source, time } = self;
        let tenant = data.tenant_id().id(TenantId::new)?;
        // A quota alone may be a whole tenant's.
        let user = match data.user_id() {
            field if of == Type::QuotaAssigned && !field.is_there() => None,
            field => Some(field.id(UserId::new)?),
        };
        let body = match of {
            Type::Usage => usage(data)?,
            Type::OutputCreated => Body::OutputCreated(output(data.output_id(), data.kind())?),
            Type::OutputDeleted => Body::OutputDeleted(output(data.output_id(), data.kind())?),
            Type::QuotaAssigned => Body::QuotaAssigned(assigned(data)?),
        };
        Ok(Event { id, source, time, tenant, user, body })
    }
}

fn check_version(version: &Text<'_>) -> Result<(), Reject> {
    if version.text == "1.0" { Ok(()) } else { Err(version.invalid("is not read; send CloudEvents 1.0")) }
}

fn by_type(event_type: &Text<'_>) -> Result<Type, Reject> {
    match event_type.text.as_ref() {
        "ai.usage.recorded.v1" => Ok(Type::Usage),
        "ai.output.created.v1" => Ok(Type::OutputCreated),
        "ai.output.deleted.v1" => Ok(Type::OutputDeleted),
        "ai.quota.assigned.v1" => Ok(Type::QuotaAssigned),
        other => {
            let ours = "send ai.usage.recorded.v1, ai.output.created.v1, ai.output.deleted.v1 or ai.quota.assigned.v1";
            Err(Reject::new(Reason::UnknownType, format!("{} is {}; {ours}", event_type.name, quote(other))))
        }
    }
}

fn usage(data: &Fields<'_>) -> Result<Body, Reject> {
    let usage = Usage {
        assistant: data.assistant().id(Assistant::new)?,
        provider: data.provider().optional(|field| field.id(Provider::new))?,
        model: data.model().id(Model::new)?,
        tokens_in: data.tokens_in().count()?,
        tokens_out: data.tokens_out().count()?,
        cached_tokens: data.cached_tokens().optional(Field::count)?.unwrap_or(0),
        cache_write_tokens: data.cache_write_tokens().optional(Field::count)?.unwrap_or(0),
        reasoning_tokens: data.reasoning_tokens().optional(Field::count)?.unwrap_or(0),
        cost: data.cost_cents().optional(Field::cents)?,
        latency_ms: data.latency_ms().optional(Field::count)?,
        tools: data.tool_invocations().optional(tools)?.unwrap_or_default(),
        output: data.output().optional(nested_output)?,
    };
    check_totals(&usage, data.total_tokens().optional(Field::count)?)?;
    Ok(Body::Usage(usage))
}

fn nested_output(field: Field<'_>) -> Result<Output, Reject> {
    let fields: Fields<'_> = field.object()?;
    output(fields.id(), fields.kind()).map_err(|reject| reject.within(field.name))
}

fn output(id: Field<'_>, kind: Field<'_>) -> Result<Output, Reject> {
    Ok(Output { kind: kind.id(OutputKind::new)?, id: id.id(OutputId::new)? })
}

/// Calls by tool in the order of the tools' names, without those of 0 calls.
fn tools(field: Field<'_>) -> Result<ToolCalls, Reject> {
    let entries = field.entries()?;
    if entries.len() > MAX_TOOLS {
        return Err(field.invalid(&format!("names {} tools; send at most {MAX_TOOLS}", entries.len())));
    }
    let mut tools = ToolCalls::with_capacity(entries.len());
    for (name, calls) in entries {
        let reject = |reason, fault| Reject::new(reason, format!("{} {fault}", quote(&name))).within(field.name);
        let tool = Tool::new(&name).map_err(|fault| reject(Reason::InvalidId, fault.to_string()))?;
        let calls = if calls == "null" { Ok(0) } else { count(calls) };
        tools.push((tool, calls.map_err(|fault| reject(Reason::InvalidField, fault))?));
    }
    tools.sort_unstable();
    if let Some(twice) = tools.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let tool = quote(twice[0].0.as_str());
        return Err(field.invalid(&format!("names {tool} more than once; send each tool once")));
    }
    tools.retain(|(_, calls)| *calls != 0);
    Ok(tools)
}

fn check_totals(usage: &Usage, total: Option<i64>) -> Result<(), Reject> {
    let Usage { tokens_in, tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, .. } = *usage;
    // Two counts of at most 2^53: the sum is far from an i64's end.
    let sum = tokens_in + tokens_out;
    let detail = if let Some(total) = total.filter(|total| *total != sum) {
        format!("totalTokens is {total}, but tokensIn + tokensOut is {sum}; omit it or make them equal")
    } else if cached_tokens > tokens_in {
        format!("cachedTokens is {cached_tokens}, but tokensIn is {tokens_in}; count cached tokens in both")
    } else if cached_tokens + cache_write_tokens > tokens_in {
        format!(
            "cacheWriteTokens is {cache_write_tokens} beside cachedTokens {cached_tokens}, but tokensIn is {tokens_in}; \
             count both in it"
        )
    } else if reasoning_tokens > tokens_out {
        format!("reasoningTokens is {reasoning_tokens}, but tokensOut is {tokens_out}; count reasoning tokens in both")
    } else {
        return Ok(());
    };
    Err(Reject::new(Reason::TotalsMismatch, detail))
}
