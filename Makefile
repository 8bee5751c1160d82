.PHONY: bench demo deny laws mutants soak test test-apps lint world world-down

APPS := tests/world/apps

# Goes live with an example on this machine: a real cluster, a real CA, vendors that behave like the real ones.
demo:
	cargo run --quiet -p world -- demo

# Everything, with the count at the end.
test: test-apps
	.ci/count cargo test --workspace --no-fail-fast

test-apps:
	cd $(APPS)/hello && go test ./...
	python3 -m venv target/csvboard
	target/csvboard/bin/pip install --quiet --requirement $(APPS)/csvboard/requirements.txt
	cd $(APPS)/csvboard && ../../../../target/csvboard/bin/pytest -q

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	shellcheck .ci/run .ci/count

# A real cluster and its vendors on this machine; see tests/world/README.md.
world:
	cargo run --quiet -p world -- build
	cargo run --quiet -p world -- up

world-down:
	cargo run --quiet -p world -- down

# With the advisory database, where it can be reached; tests/dependencies.rs checks the rest of deny.toml without it.
deny:
	cargo deny check

# Any crash, any fault, any order, in a simulated world: ten minutes of search for a breach; writes docs/laws.md.
laws:
	cargo run --quiet --profile laws -p sim -- --pairs --page docs/laws.md

# A thousand kills of the operator, and twenty minutes of everything flapping, on a real cluster: an hour and a half.
soak:
	KILLS=1000 cargo test --test cluster -- again_and_again
	SOAK_SECONDS=1200 cargo test --test cluster -- everything_flapped

# Which changes of the code that decides no test notices: some 1,500, each built and tried, for hours. Parts of it:
# `make mutants ARGS='--file src/rows.rs'`. Needs `cargo install cargo-mutants --locked`; .cargo/mutants.toml says what counts.
mutants:
	cargo mutants $(ARGS)

# Speed as ratios in one run: golive beside a bare client and its peers on a real API server; writes docs/performance.md.
bench:
	cargo run --quiet -p world -- build kubernetes gateway
	cargo build --quiet --profile measured -p golive -p bench
	cargo run --quiet --profile measured -p bench -- run
