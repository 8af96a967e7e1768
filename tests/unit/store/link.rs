use super::*;

#[track_caller]
fn check(url: &str, nodes: usize) {
    match Target::parse(url).expect(url) {
        Target::Single(_) => assert_eq!(nodes, 1),
        Target::Cluster(found) => assert_eq!(nodes, found.len()),
        Target::Sentinel { sentinels, .. } => assert_eq!(nodes, sentinels.len()),
    }
}

#[test]
fn every_form_is_read() {
    check("redis://localhost", 1);
    check("redis://user:p%40ss@127.0.0.1:6380/2", 1);
    check("rediss://localhost:6380", 1);
    check("unix:///run/redis.sock", 1);
    check("redis-cluster://a:7000,b:7001,c:7002", 3);
    check("rediss-cluster://user:secret@a,b", 2);
    check("redis+sentinel://user:secret@a:26379,b:26379/mymaster/1", 2);
}

#[test]
fn a_bad_url_is_refused_without_repeating_it() {
    for url in
        ["", "localhost:6379", "http://:secret@x", "redis+sentinel://:secret@a:1", "redis-cluster://:secret@a,,b"]
    {
        let fault = Target::parse(url).expect_err(url);
        assert!(fault.contains("the forms are") && !fault.contains("secret"), "{fault}");
    }
}
