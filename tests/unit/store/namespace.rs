use super::*;

#[track_caller]
fn check(infos: &[&str], used_memory: u64, max_memory: u64) {
    assert_eq!(fullest(infos), Checked { used_memory, max_memory, seen_ids: 0 });
}

#[test]
fn the_fullest_node_is_the_one_that_is_nearest_to_its_limit() {
    let info =
        "# Memory\r\nused_memory:900\r\nused_memory_human:900B\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n";
    check(&[info], 900, 1000);
    check(&["used_memory:5000\r\nmaxmemory:10000", info], 900, 1000);
    check(&[info, "used_memory:5000\r\nmaxmemory:0"], 900, 1000);
    check(&["used_memory:7\r\nmaxmemory:0", "used_memory:5000\r\nmaxmemory:0"], 5000, 0);
    check(&[], 0, 0);
}
