//! Three brokers of which one is lost: its partitions get other leaders, its groups another coordinator, and the sums
//! of the running program stay exact.

use crate::support::deployment::Deployment;
use crate::support::kafka_cluster::{BROKERS, KafkaCluster};
use crate::support::rounds::Rounds;
use crate::support::wait::{START, eventually};

/// One test for both: a start of three brokers is most of its time.
#[test]
fn brokers_that_are_lost_and_come_back_cost_no_event() {
    let (mut kafka, deployment) = (KafkaCluster::start(), Deployment::new(3));
    kafka.create_topic(&deployment.topic, deployment.partitions, 3);
    let group = format!("{}.group", deployment.topic);
    let deployment = deployment.set("INDELIBLE_KAFKA_BROKERS", &kafka.bootstrap());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.flow(&deployment, || {
        rounds.await_progress(&running);
        // In order: the group is handed over.
        let coordinator = kafka.coordinator(&group);
        kafka.stop(coordinator);
        assert_ne!(kafka.coordinator(&group), coordinator);
        rounds.await_progress(&running);
        kafka.restart(coordinator);
        for broker in 0..BROKERS {
            kafka.kill(broker);
            rounds.await_progress(&running);
            kafka.restart(broker);
        }
        rounds.await_progress(&running);
    });
    rounds.check(&running);
    eventually(START, "/readyz to be green", || running.is_ready().then_some(()));
    drop(running);
    a_broker_is_taken_for_dead_and_goes_on(&mut kafka);
}

/// Its partitions have no leader meanwhile, and all connections outlast that: a client may never find back to them.
fn a_broker_is_taken_for_dead_and_goes_on(kafka: &mut KafkaCluster) {
    let deployment = Deployment::new(3);
    kafka.create_topic(&deployment.topic, deployment.partitions, 1);
    let deployment = deployment.set("INDELIBLE_KAFKA_BROKERS", &kafka.bootstrap());
    let (running, rounds) = (deployment.serve(), Rounds::default());
    rounds.send(&deployment);
    rounds.check(&running);
    kafka.freeze(0);
    running.await_red("kafka");
    kafka.thaw(0);
    rounds.send(&deployment);
    rounds.check(&running);
    running.await_green();
}
