# Thin on purpose: the work is in scripts/. Every target does its own set-up.
.DEFAULT_GOAL := help
.PHONY: help demo check test soak bounds bench bench-gate instructions oracle faults fuzz mutants check-api setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## See it count: made-up events, a private Redis, a page in the browser (ONCE=1: print the numbers and end)
	@scripts/demo.sh $(if $(ONCE),--once)

check: ## The fast checks: format, clippy, unit tests
	@scripts/check.sh

test: ## Everything: set-up, format, clippy, licences, all tests against a real Kafka and Redis
	@scripts/test.sh

soak: ## Ten minutes of load while everything breaks, then every number is held to the log (SECONDS=600 SEED=n)
	@$(if $(SECONDS),INDELIBLE_SOAK_SECONDS=$(SECONDS)) $(if $(SEED),INDELIBLE_SEED=$(SEED)) scripts/soak.sh

bounds: ## Measure what must stay within bounds, at full size: memory, fairness
	@scripts/bounds.sh

bench: ## How fast it is, beside what Kafka's client and Redis can do, in ten minutes (ROWS="steady read" measures some)
	@scripts/bench.sh $(ROWS)

bench-gate: ## Ask the gate 5,000 times a second with 100,000 users stored: how long an answer takes, and on what machine
	@scripts/bench-gate.sh

instructions: ## Count the instructions that an event takes, step by step: the same on a busy machine
	@scripts/instructions.sh

oracle: ## Count the log again, apart from the program, and compare with Redis and the API (ARGS="--api http://… --dlq")
	@scripts/oracle.sh $(ARGS)

faults: ## The crash matrix: SIGKILL at each step that matters, 20 times each, every number held to an oracle
	@scripts/faults.sh

fuzz: ## Bytes by chance into decoder, key names and queries, for SECONDS each (1200); what was learned is kept in tests/fuzz
	@$(if $(SECONDS),INDELIBLE_FUZZ_SECONDS=$(SECONDS)) scripts/fuzz.sh

mutants: ## Plant known mistakes one at a time and report which tests catch each (ALL=1: run the whole suite on each)
	@scripts/mutants.sh $(if $(ALL),--all)

check-api: ## Ask every operation of the API's description with good and bad values (SEED=n EXAMPLES=n)
	@$(if $(SEED),SEED=$(SEED)) $(if $(EXAMPLES),EXAMPLES=$(EXAMPLES)) scripts/check-api.sh

setup: ## Install what `make test` needs, and nothing else
	@scripts/setup.sh test
