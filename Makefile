# make demo   a real Slurm job receives its MIG UUID on simulated GPUs (root, Debian 12)
# make test   everything that can be shown on this machine
SHELL := /bin/bash
CARGO ?= cargo

# Build: libslurm-dev has slurm/spank.h, libclang-dev is bindgen's. Run: a real Slurm to test in.
PACKAGES := libslurm-dev libclang-dev gcc pkg-config slurmctld slurmd slurm-client iproute2 strace lua5.4 python3 python3-venv debootstrap

.PHONY: setup build release test lint demo bench soak fuzz test-slurm-matrix install

# Only what is missing is installed, so that a prepared machine needs neither network nor root.
setup:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

build:
	$(CARGO) build --locked

release:
	$(CARGO) build --locked --release

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

# The plugin is tested as it is shipped: the launch tests load the release build. Cargo sums up each test program;
# the last line here sums up all of them.
test: setup
	$(CARGO) build --locked --release -p slurm-plugin
	@set -o pipefail; SPANK_MIG_SO=$(CURDIR)/target/release/libspank_mig.so \
	  $(CARGO) test --locked --workspace --no-fail-fast 2>&1 | tee target/test.log
	@awk '/^test result:/ { passed += $$4; failed += $$6 } END { print passed " passed, " failed " failed" }' target/test.log

demo: setup release
	target/release/lab demo

# Method and results: docs/benchmarks.md.
bench: setup
	$(CARGO) build --locked --release -p gresgen -p nvml-sim
	$(CARGO) bench --locked -p mig --bench planner
	$(CARGO) bench --locked -p mig --bench acceptance
	benches/calls.py
