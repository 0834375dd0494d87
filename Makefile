# make demo   a real Slurm job receives its MIG UUID on simulated GPUs (root, Debian 12)
# make test   everything that can be shown on this machine
SHELL := /bin/bash
CARGO ?= cargo

# Build: libslurm-dev has slurm/spank.h, libclang-dev is bindgen's. Run: a real Slurm to test in.
PACKAGES := libslurm-dev libclang-dev gcc pkg-config slurmctld slurmd slurm-client iproute2 strace lua5.4 python3 python3-venv debootstrap

.PHONY: setup build release test lint demo bench soak fuzz valgrind test-slurm-matrix install

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

# The plugin is tested as it is shipped: the launch tests load the release build.
test: setup
	$(CARGO) build --locked --release -p slurm-plugin
	$(CARGO) test --locked --workspace

demo: setup release
	target/release/lab demo

bench: release
	$(CARGO) bench --locked -p mig --bench planner
	target/release/lab bench

# The hooks of the plugin as it is shipped, under valgrind.
valgrind:
	@command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 1; }
	ABI_VALGRIND=1 $(CARGO) test --locked --release -p slurm-plugin --test abi

# One plugin on every release: root filesystems of Debian 13 and unstable are made once.
test-slurm-matrix: setup
	LAB_RELEASES=all $(CARGO) test --locked --release -p slurm-plugin --test launch
