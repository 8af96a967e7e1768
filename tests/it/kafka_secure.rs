//! A Kafka as deployments have it: TLS of a private authority, and users with passwords or certificates.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::support::authority::Authority;
use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::port::free_port;
use crate::support::program::Program;
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

const USER: &str = "meter";
/// With what a list of properties, or a log, could stumble over.
const PASSWORD: &str = "p=ss word%41";

/// The harness has a listener of its own, without all that.
struct Secure {
    kafka: Kafka,
    authority: Authority,
    /// Users with passwords.
    sasl: String,
    /// Users with certificates.
    tls: String,
}

impl Secure {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Secure> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let (authority, ports) = (Authority::new(), Cell::new((0, 0)));
        let (certificate, key) = authority.issue("broker");
        let read = |path: &str| std::fs::read_to_string(path).expect("openssl has written it");
        let both = authority.path("broker.pem");
        std::fs::write(&both, read(&key) + &read(&certificate)).expect("the folder can be written");
        let kafka = Kafka::start_with(&|port, controller| {
            let (sasl, tls) = (free_port(), free_port());
            ports.set((sasl, tls));
            let outer = format!("BROKER://127.0.0.1:{port},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}");
            format!(
                "listeners={outer},CONTROLLER://127.0.0.1:{controller}\n\
                 advertised.listeners={outer}\n\
                 listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL\n\
                 ssl.keystore.type=PEM\n\
                 ssl.keystore.location={}\n\
                 ssl.truststore.type=PEM\n\
                 ssl.truststore.location={}\n\
                 listener.name.tls.ssl.client.auth=required\n\
                 sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512\n\
                 listener.name.sasl.scram-sha-256.sasl.jaas.config={SCRAM} required;\n\
                 listener.name.sasl.scram-sha-512.sasl.jaas.config={SCRAM} required;\n",
                both.display(),
                authority.certificate(),
            )
        });
        let (sasl, tls) = ports.get();
        Self { kafka, authority, sasl: format!("127.0.0.1:{sasl}"), tls: format!("127.0.0.1:{tls}") }
    }

    fn add_user(&self, user: &str, mechanism: &str) {
        let scram = format!("{mechanism}=[password={PASSWORD}]");
        let user = ["--alter", "--add-config", &scram, "--entity-type", "users", "--entity-name", user];
        self.kafka.tool("kafka.admin.ConfigCommand", &user);
    }

    /// A deployment whose topic is here.
    fn deployment(&self, brokers: &str, properties: &str) -> Deployment {
        let deployment = Deployment::new(3);
        self.kafka.create_topic(&deployment.topic, 3, &[]);
        deployment
            .set("INDELIBLE_KAFKA_BROKERS", brokers)
            // Soon after what was wrong is right.
            .set("INDELIBLE_KAFKA_PROPERTIES", &format!("reconnect.backoff.max.ms=500,{properties}"))
    }

    /// Over SASL, for a user.
    fn with_password(&self, mechanism: &str, user: &str, password: &str) -> Deployment {
        let ca = self.authority.certificate();
        let properties = format!(
            "security.protocol=SASL_SSL,ssl.ca.location={ca},sasl.mechanism={mechanism},sasl.username={user},\
             sasl.password={password}"
        );
        self.deployment(&self.sasl, &properties)
    }
}

const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// Every command that speaks to Kafka: `serve` with its admin, its consumer and its dead letters, `emit`, `dlq`.
#[track_caller]
fn counts(deployment: &Deployment) {
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.send(deployment);
    rounds.check(&running);
    let emitted = Program::run(&["emit", "-", "--lenient"], &deployment.env(), "no JSON\n");
    assert!(emitted.status.success(), "{emitted:?}");
    let listed = || Program::run(&["dlq", "list"], &deployment.env(), "");
    eventually(START, "the dead letter", || {
        String::from_utf8_lossy(&listed().stdout).contains("1 rejected records; not_json 1").then_some(())
    });
    // A transaction, though of nothing.
    let replayed = Program::run(&["dlq", "replay", "--all"], &deployment.env(), "");
    assert_eq!(replayed.status.code(), Some(2), "{replayed:?}");
    assert!(!running.child.output().contains(PASSWORD), "{}", running.child.output());
}

#[test]
fn over_tls_for_users_with_passwords() {
    let secure = Secure::shared();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        secure.add_user(USER, mechanism);
        counts(&secure.with_password(mechanism, USER, PASSWORD));
    }
}

#[test]
fn over_tls_for_users_with_certificates() {
    let secure = Secure::shared();
    let ((certificate, key), ca) = (secure.authority.issue("meter"), secure.authority.certificate());
    let trust = format!("security.protocol=SSL,ssl.ca.location={ca}");
    let whole = format!("{trust},ssl.certificate.location={certificate},ssl.key.location={key}");
    counts(&secure.deployment(&secure.tls, &whole));
    // Without one.
    Program::launch(&secure.deployment(&secure.tls, &trust).env()).await_red("SSL");
}

#[test]
fn a_user_who_is_not_known_yet_is_told_so_and_counts_as_soon_as_he_is() {
    let secure = Secure::shared();
    // As much in the log as there can be.
    let deployment = secure.with_password("SCRAM-SHA-512", "late", PASSWORD).set("RUST_LOG", "trace");
    let running = Program::launch(&deployment.env());
    running.await_red("Authentication failed");
    let listed = Program::run(&["dlq", "list"], &deployment.env(), "");
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert_eq!(listed.status.code(), Some(1), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("Authentication failed")), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");

    secure.add_user("late", "SCRAM-SHA-512");
    eventually(START, "/readyz to be green", || running.is_ready().then_some(()));
    let rounds = Rounds::default();
    rounds.send(&deployment);
    rounds.check(&running);
    assert!(!running.child.output().contains(PASSWORD), "the password is in the log");
}

#[test]
fn an_authority_that_nobody_told_of_is_not_trusted() {
    let secure = Secure::shared();
    let properties = format!(
        "security.protocol=SASL_SSL,sasl.mechanism=SCRAM-SHA-512,sasl.username={USER},sasl.password={PASSWORD}"
    );
    let deployment = secure.deployment(&secure.sasl, &properties);
    Program::launch(&deployment.env()).await_red("certificate verify failed");
    let listed = Program::run(&["dlq", "list"], &deployment.env(), "");
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert_eq!(listed.status.code(), Some(1), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("certificate verify failed")), "{said}");
}
