# Shortcuts; each is a plain command that also works without just.

set shell := ["bash", "-euo", "pipefail", "-c"]

# The login of Mongo Express; compose.yml has the same defaults.
mongo_express_user := env("MONGO_EXPRESS_USER", "orderflow")
mongo_express_password := env("MONGO_EXPRESS_PASSWORD", "orderflow")

# Lists what there is
default:
    @just --list --unsorted

# Everything in one process, nothing else needed
run *arguments:
    cargo run --release -- {{ arguments }}

# The tests that need no server
test *arguments:
    cargo test --workspace {{ arguments }}

# The tests that need real servers, each by name, on the test bed
test-real:
    eval "$(deploy/testbed/up)" && bash .ci/ignored-tests run single

# The tests that need three Kafka nodes; stops the test bed first if it runs with another number
test-cluster:
    deploy/testbed/down
    eval "$(KAFKA_NODES=3 deploy/testbed/up)" && bash .ci/ignored-tests run cluster

# The tests that take too long for CI
soak:
    deploy/testbed/down
    eval "$(KAFKA_NODES=3 deploy/testbed/up)" && PROFILE=dist bash .ci/ignored-tests run soak

# Our Kafka client beside others on the test bed, one table: about 20 minutes, with --quick 3; --help tells the other arguments
bench-client *arguments:
    eval "$(deploy/testbed/up)" && cargo run --release --manifest-path crates/peer-bench/Cargo.toml --target-dir target/peer-bench -- table {{ arguments }}

# From POST to SHIPPED on an idle pipeline, the time to be ready, the memory: embedded, then on real servers
bench-latency:
    cargo run --profile dist -p orderflow --example latency
    eval "$(deploy/testbed/up)" && cargo run --profile dist -p orderflow --example latency

# Orders a second from POST to SHIPPED, latencies at a steady rate, memory: embedded, then on real servers; --help tells the arguments
bench-pipeline *arguments:
    cargo run --profile dist -p orderflow --example pipeline -- {{ arguments }}
    eval "$(deploy/testbed/up)" && cargo run --profile dist -p orderflow --example pipeline -- {{ arguments }}

# What CI runs
ci:
    bash .ci/run

# Formatting, spelling (if typos is installed), lints, and that no C is compiled under the Kafka layer
lint:
    cargo fmt --all --check
    ! command -v typos >/dev/null || typos
    cargo clippy --workspace --all-targets -- -D warnings
    bash .ci/c-free

# Formats the code
fmt:
    cargo fmt --all

# Starts (or finds) a real Kafka and a Mongo wire server and prints the variables that point orderflow at them
testbed:
    deploy/testbed/up

# Docker: builds and starts everything, and waits until it is healthy
up:
    docker compose up --build --detach --wait
    @just urls

# Docker: stops everything; `just down --volumes` also removes the data
down *arguments:
    docker compose down {{ arguments }}

# Docker: follows the logs, of all services or of those named
logs *services:
    docker compose logs --follow {{ services }}

# Docker: where everything is
urls:
    @echo "dashboard      http://127.0.0.1:3000"
    @echo "orders         http://127.0.0.1:8001/orders"
    @echo "payments       http://127.0.0.1:8002/payments"
    @echo "inventory      http://127.0.0.1:8003/inventory"
    @echo "shipments      http://127.0.0.1:8004/shipments"
    @echo "mails          http://127.0.0.1:8005/outbox"
    @echo "Mailpit        http://127.0.0.1:8025"
    @echo "Kafdrop        http://127.0.0.1:9000"
    @echo "Mongo Express  http://127.0.0.1:8081  (login {{ mongo_express_user }}, password {{ mongo_express_password }})"
    @echo "Kafka          127.0.0.1:9092"
    @echo "MongoDB        mongodb://127.0.0.1:27017"
