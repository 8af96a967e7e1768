use super::*;

#[test]
fn a_plan_is_a_point_and_a_pass() {
    for (name, point) in NAMES {
        let plan: Plan = format!("{name}:7").parse().expect("a plan");
        assert!(plan.point == point && plan.pass == 7, "{plan:?}");
    }
    let refused = |text: &str| text.parse::<Plan>().expect_err("no plan");
    assert!(refused("after_reply").contains("point:pass"));
    assert!(refused("after_lunch:1").contains("no point after_lunch"));
    assert!(refused("after_reply:0").contains("whole number from 1"));
}
