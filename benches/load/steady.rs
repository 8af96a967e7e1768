//! The row "steady": how soon an event is visible while others come in, and what each costs.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::arrivals::Arrivals;
use crate::bench::Bench;
use crate::catch_up::{self, Counting};
use crate::check;
use crate::goal;
use crate::people::Spread;
use crate::process::{Cpu, peak_resident};
use crate::report::{Report, Row, ms, rate, us_each};
use crate::support::deployment::Deployment;
use crate::support::program::{Program, Running};
use crate::times::Times;
use crate::topic::Topic;
use crate::usage::Usage;
use crate::visible::{self, Seen};
use crate::warm;

/// `indelible serve` in one of its roles, ready. Counting and answering are processes of their own here, so that each
/// one's processor time is its own.
pub(crate) fn serve(deployment: &Deployment, role: &str) -> Running {
    let mut env = deployment.env();
    env.push(("INDELIBLE_ROLE", role));
    Program::serve(&env)
}

pub(crate) fn steady(bench: &mut Bench, report: &mut Report) {
    warm::settle_disk();
    let topic = Topic::empty(Spread::Skewed);
    let deployment = bench.deployment(&topic.name);
    let mut counting = Counting::of(vec![serve(&deployment, "worker")], 0);
    let api = serve(&deployment, "api");
    let (probes, looking) = mpsc::channel();
    let looking = visible::look(api.api_url().trim_start_matches("http://"), looking);
    let arrivals = Arrivals::start(topic, bench.size.rate, Some(probes));

    // Not measured: connections are made.
    let warming = Instant::now();
    let compiling = warm::await_kafka(bench.size.warm);
    let warming = warming.elapsed();
    let (start, before, answering, here) =
        (Instant::now(), Usage::now(&deployment, &counting.workers), Cpu::of(api.child.pid()), Cpu::here());
    let (sent, done) = (arrivals.sent(), counting.look().all());
    thread::sleep(bench.size.steady);
    let (sent, done) = (arrivals.sent() - sent, counting.look().all() - done);
    let usage = Usage::now(&deployment, &counting.workers) - before;
    let (answering, here) = (Cpu::of(api.child.pid()) - answering, Cpu::here() - here);
    let (took, end) = (start.elapsed(), Instant::now());

    let topic = arrivals.stop();
    let Seen { probes, asked } = looking.join().expect("every probe becomes visible");
    let all = probes.len() as u64;
    counting.expect(topic.records());
    counting.await_all(bench.patience(topic.records()));
    check::endings(counting.look(), &topic.mix.tally);
    check::answers(&api, topic.spread, &topic.mix);

    let within = probes.iter().filter(|(sent, _)| (start..end).contains(sent)).map(|(_, took)| *took);
    let times = Times::new(within.collect());
    let mut row = Row::new(&format!("steady: {} events a second, for {:.0?}", bench.size.rate, bench.size.steady));
    row.add("sent", rate(sent, took), "/s");
    row.add("counted", rate(done, took), "/s");
    row.time("from produce to visible, median", times.median());
    row.judge("from produce to visible, p99", ms(times.p99()), "ms", goal::VISIBLE_MS);
    row.time("from produce to visible, longest", times.longest());
    row.add("probes", times.count() as f64, "");
    row.add("questions for each until it was visible", asked as f64 / all as f64, "");
    row.add("worker", us_each(usage.workers.own, done), "us/event");
    row.add("redis", us_each(usage.redis.own + usage.redis.children, done), "us/event");
    row.add("kafka", us_each(usage.kafka.own, done), "us/event");
    row.add("the API, for the questions", us_each(answering.own, done), "us/event");
    row.add("who sends and asks", us_each(here.own, done), "us/event");
    row.add("worker resident, peak", (peak_resident(counting.workers[0].child.pid()) >> 20) as f64, "MiB");
    row.add("before it, until Kafka was warm", warming.as_secs_f64(), "s");
    row.add("its compiler by then", compiling, "of a core");
    row.note("an answer is asked for every millisecond or so, which is in the times");
    report.add(row);
    catch_up::end(counting.workers);
}
