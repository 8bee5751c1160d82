.PHONY: world world-down

# A real cluster and its vendors on this machine; see tests/world/README.md.
world:
	cargo run --quiet -p world -- build
	cargo run --quiet -p world -- up

world-down:
	cargo run --quiet -p world -- down
