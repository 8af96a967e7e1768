//! How long one event takes, step by step: `cargo bench --bench micro`. On a machine with other work the count of
//! instructions says more: `make instructions`.

mod samples;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use indelible::pricing::Table;

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for sample in samples::RECORDS {
        group.throughput(Throughput::Bytes(sample.value.len() as u64));
        group.bench_function(sample.name, |bench| bench.iter(|| sample.decode()));
    }
}

fn hashing(criterion: &mut Criterion) {
    let event = samples::RECORDS[0].decode();
    criterion.bench_function("seen", |bench| bench.iter(|| samples::seen(&event)));
}

fn folding(criterion: &mut Criterion) {
    let events = samples::events(1000);
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("1000", |bench| bench.iter(|| samples::fold(&events)));
}

fn rating(criterion: &mut Criterion) {
    let (table, event) = (Table::builtin(), samples::priced());
    criterion.bench_function("rate", |bench| bench.iter(|| samples::rate(&table, &event)));
}

criterion_group!(benches, decoding, hashing, folding, rating);
criterion_main!(benches);
