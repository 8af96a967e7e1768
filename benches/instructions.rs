//! Does one thing so many times and ends: `instructions decode-structured 1000`. scripts/instructions.sh runs it under
//! callgrind with two numbers of times; the difference is what the thing itself takes.

mod samples;

use std::hint::black_box;
use std::process::ExitCode;

use indelible::pricing::Table;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, times] = arguments.as_slice() else { return usage() };
    let Ok(times) = times.parse() else { return usage() };
    if let Some(sample) = samples::RECORDS.iter().find(|sample| what.strip_prefix("decode-") == Some(sample.name)) {
        repeat(times, || sample.decode());
        return ExitCode::SUCCESS;
    }
    match what.as_str() {
        "seen" => {
            let event = samples::RECORDS[0].decode();
            repeat(times, || samples::seen(&event));
        }
        "fold-1000" => {
            let events = samples::events(1000);
            repeat(times, || samples::fold(&events));
        }
        "rate" => {
            let (table, event) = (Table::builtin(), samples::priced());
            repeat(times, || samples::rate(&table, &event));
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn repeat<T>(times: usize, work: impl Fn() -> T) {
    for _ in 0..times {
        black_box(work());
    }
}

/// `cargo bench` without a name runs this too: no fault.
fn usage() -> ExitCode {
    eprintln!("nothing is timed here; run scripts/instructions.sh");
    ExitCode::SUCCESS
}
