//! What happened: usage, or a change to a saved output, from the fields of an event's data.

use super::envelope::Kind;
use super::field::Field;
use super::object::{Key, Level, Object};
use super::reason::{Reason, Reject};
use crate::domain::event::{Body, Output, Usage};
use crate::domain::ids::{Assistant, Model, OutputId, OutputKind};

pub(super) fn body(kind: Kind, data: &Object<'_>) -> Result<Body, Reject> {
    match kind {
        Kind::Usage => usage(data).map(Body::Usage),
        Kind::OutputCreated => output(data, Key::OutputId).map(Body::OutputCreated),
        Kind::OutputDeleted => output(data, Key::OutputId).map(Body::OutputDeleted),
    }
}

fn usage(data: &Object<'_>) -> Result<Usage, Reject> {
    let optional = |key| data.get(key)?.map(Field::count).transpose();
    let usage = Usage {
        assistant: data.need(Key::Assistant)?.id(Assistant::new)?,
        model: data.need(Key::Model)?.id(Model::new)?,
        tokens_in: data.need(Key::TokensIn)?.count()?,
        tokens_out: data.need(Key::TokensOut)?.count()?,
        cached_tokens: optional(Key::CachedTokens)?.unwrap_or(0),
        reasoning_tokens: optional(Key::ReasoningTokens)?.unwrap_or(0),
        cost: data.get(Key::CostCents)?.map(Field::cents).transpose()?,
        latency_ms: optional(Key::LatencyMs)?,
        tools: data.get(Key::ToolInvocations)?.map(Field::tools).transpose()?.unwrap_or_default(),
        output: match data.get(Key::Output)? {
            Some(field) => Some(output(&field.object(Level::Output)?, Key::Id)?),
            None => None,
        },
    };
    check_totals(&usage, optional(Key::TotalTokens)?)?;
    Ok(usage)
}

/// An output, whose id goes by another name where it stands beside other ids.
fn output(fields: &Object<'_>, id: Key) -> Result<Output, Reject> {
    Ok(Output { kind: fields.need(Key::Kind)?.id(OutputKind::new)?, id: fields.need(id)?.id(OutputId::new)? })
}

fn check_totals(usage: &Usage, total: Option<i64>) -> Result<(), Reject> {
    let mismatch = |detail| Err(Reject::new(Reason::TotalsMismatch, detail));
    let Usage { tokens_in, tokens_out, cached_tokens, reasoning_tokens, .. } = *usage;
    // Two counts of at most 2^53: the sum is far from an i64's end.
    let sum = tokens_in + tokens_out;
    if let Some(total) = total.filter(|total| *total != sum) {
        return mismatch(format!(
            "totalTokens is {total}, but tokensIn + tokensOut is {sum}; omit it or make them equal"
        ));
    }
    if cached_tokens > tokens_in {
        return mismatch(format!(
            "cachedTokens is {cached_tokens}, but tokensIn is {tokens_in}; tokensIn counts all input tokens, cached ones included"
        ));
    }
    if reasoning_tokens > tokens_out {
        return mismatch(format!(
            "reasoningTokens is {reasoning_tokens}, but tokensOut is {tokens_out}; tokensOut counts all output tokens, reasoning ones included"
        ));
    }
    Ok(())
}
