//! Events as services would write them.

use chrono::Utc;
use serde_json::json;

/// A bare record of one request: 10 tokens in, 5 out, a quarter of a cent.
pub(crate) fn bare(id: &str, tenant: &str, user: &str) -> String {
    json!({
        "requestId": id, "createdAt": Utc::now().to_rfc3339(), "tenantId": tenant, "userId": user,
        "assistant": "chat", "model": "m", "tokensIn": 10, "tokensOut": 5, "costCents": 0.25,
    })
    .to_string()
}
