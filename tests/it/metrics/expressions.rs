//! What an expression of PromQL names, held against what is exported.

use std::collections::BTreeSet;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::scrape::{Labels, Scrape};

/// Labels that Prometheus gives to whatever it scrapes, as the chart and the compose file have it.
const TARGET: [&str; 3] = ["job", "instance", "namespace"];
/// Made by Prometheus itself.
const OF_PROMETHEUS: &str = "up";
/// Any status may come: no run has them all.
const OPEN: &str = "status";

/// Every fault of an expression, as one sentence each.
pub(super) fn faults(expression: &str, scrape: &Scrape) -> Vec<String> {
    let parsed = match parser::parse(expression) {
        Ok(parsed) => parsed,
        Err(why) => return vec![format!("{expression}: {why}")],
    };
    let mut check = Check { scrape, faults: Vec::new() };
    let Ok(_) = walk_expr(&mut check, &parsed);
    check.faults.iter().map(|fault| format!("{expression}: {fault}")).collect()
}

/// The names of the metrics in it.
pub(super) fn names(expression: &str) -> BTreeSet<String> {
    let mut names = Names::default();
    let Ok(_) = walk_expr(&mut names, &parser::parse(expression).expect("it parses"));
    names.0
}

struct Check<'s> {
    scrape: &'s Scrape,
    faults: Vec<String>,
}

impl Check<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let name = selector.name.as_deref().unwrap_or_default();
        if name == OF_PROMETHEUS {
            return;
        }
        let Some(labels) = self.scrape.samples.get(name) else {
            self.faults.push(format!("{name} is not exported"));
            return;
        };
        let wrong = selector.matchers.matchers.iter().filter_map(|matcher| wrong(matcher, labels));
        self.faults.extend(wrong.map(|wrong| format!("{name} {wrong}")));
    }

    /// Labels that are grouped or matched by must be there.
    fn grouping(&mut self, modifier: Option<&LabelModifier>, of: &[&Expr]) {
        let Some(LabelModifier::Include(labels)) = modifier else { return };
        let mut names = Names::default();
        for expression in of {
            let Ok(_) = walk_expr(&mut names, expression);
        }
        let exported = names.0.iter().filter_map(|name| self.scrape.samples.get(name));
        let known: BTreeSet<&str> = exported.flat_map(|labels| labels.keys().map(String::as_str)).collect();
        let strange = labels.labels.iter().map(String::as_str);
        let strange = strange.filter(|label| !known.contains(label) && !TARGET.contains(label));
        self.faults.extend(strange.map(|label| format!("nothing that is grouped has the label {label}")));
    }
}

fn wrong(matcher: &Matcher, labels: &Labels) -> Option<String> {
    let name = matcher.name.as_str();
    if TARGET.contains(&name) {
        return None;
    }
    let Some(values) = labels.get(name) else { return Some(format!("has no label {name}")) };
    let found = match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => values.contains(&matcher.value),
        MatchOp::Re(pattern) | MatchOp::NotRe(pattern) => values.iter().any(|value| pattern.is_match(value)),
    };
    (!found && name != OPEN).then(|| format!("never has {matcher}"))
}

impl ExprVisitor for Check<'_> {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(range) => self.selector(&range.vs),
            Expr::Aggregate(AggregateExpr { expr, modifier, .. }) => self.grouping(modifier.as_ref(), &[expr]),
            Expr::Binary(BinaryExpr { lhs, rhs, modifier: Some(modifier), .. }) => {
                self.grouping(modifier.matching.as_ref(), &[lhs, rhs]);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Names of metrics.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl ExprVisitor for Names {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        let selector = match expression {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(range) => &range.vs,
            _ => return Ok(true),
        };
        self.0.extend(selector.name.clone());
        Ok(true)
    }
}

/// That it finds what is wrong: made-up expressions against a made-up scrape.
#[test]
fn what_an_expression_may_not_name_is_found() {
    let text = "# TYPE a_total counter\na_total{kind=\"x\",other=\"1\"} 1\n# TYPE b_seconds histogram\n\
                b_seconds_bucket{route=\"/v1/{id}\",le=\"+Inf\"} 1\nb_seconds_sum{route=\"/v1/{id}\"} 1\n\
                b_seconds_count{route=\"/v1/{id}\"} 1\n";
    let scrape = Scrape::read(text);
    assert_eq!((scrape.series, scrape.labels_of("b_seconds")), (4, BTreeSet::from(["route"])));
    for fine in [
        "sum by (kind, job) (rate(a_total{kind=\"x\",job=~\".*\",kind=~\"x|y\"}[5m])) > 0",
        "histogram_quantile(0.9, sum by (route, le) (rate(b_seconds_bucket{route=\"/v1/{id}\"}[5m])))",
        "up{job=\"indelible\"} == 0 unless on (namespace, job) sum by (namespace, job) (a_total)",
    ] {
        assert_eq!(faults(fine, &scrape), [""; 0]);
    }
    for (wrong, why) in [
        ("sum(rate(a_total[5m]) > 0", "unclosed"),
        ("rate(c_total[5m])", "c_total is not exported"),
        ("rate(b_seconds[5m])", "b_seconds is not exported"),
        ("a_total{sort=\"x\"}", "a_total has no label sort"),
        ("a_total{kind=\"y\"}", "a_total never has kind=\"y\""),
        ("a_total{kind=~\"y|z\"}", "a_total never has kind=~\"y|z\""),
        ("sum by (route) (a_total)", "nothing that is grouped has the label route"),
        ("a_total / on (sort) a_total", "nothing that is grouped has the label sort"),
    ] {
        let found = faults(wrong, &scrape);
        assert!(found.len() == 1 && found[0].contains(why), "{wrong}: {found:?}");
    }
    assert_eq!(
        names("sum(a_total) / sum(rate(b_seconds_count[5m]))"),
        ["a_total", "b_seconds_count"].map(str::to_owned).into()
    );
}
