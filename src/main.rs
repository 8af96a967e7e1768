#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    indelible::cli::run()
}
