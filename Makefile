# make demo         jobs of a real Slurm on simulated GPUs, each alone on its slice (root, Debian 12)
# make playground   a shell on such a node
# make test         the tests; docs/testing.md says which ones take longer, and what takes a GPU
SHELL := /bin/bash
CARGO ?= cargo

# Build: libslurm-dev has slurm/spank.h, libclang-dev is bindgen's. Run: a real Slurm.
PACKAGES := libslurm-dev libclang-dev gcc pkg-config slurmctld slurmd slurm-client iproute2
# Lint: judges of scripts, manual pages, packages and units, beside those of tests/lint/tools.
LINT_PACKAGES := shellcheck mandoc lintian dpkg-dev rpm python3-rpm python3-venv systemd
# Tests: other releases of Slurm, judges, package formats; and a systemd, which without systemd-sysv is nobody's init.
TEST_PACKAGES := git procps strace lua5.4 python3 python3-jsonschema python3-pip python3-yaml debootstrap dpkg-dev rpm systemd prometheus prometheus-node-exporter podman crun \
  mariadb-server-core mariadb-client-core slurmdbd slurm-wlm-mysql-plugin fish zsh openssh-client openssh-server

.PHONY: root setup setup-tests setup-lint build programs release test lint demo playground bench soak race storm sweep fuzz valgrind test-slurm-matrix test-shared-unwinder test-rpm containers accounting hardware hardware-kit install uninstall deb dist rpm

# Only what is missing is installed, so that a prepared machine needs neither network nor root.
setup:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

setup-tests: PACKAGES += $(TEST_PACKAGES)
setup-tests: setup

setup-lint: PACKAGES += $(LINT_PACKAGES)
setup-lint: setup
	tests/lint/tools

build:
	$(CARGO) build --locked

# What is shipped says which commit it is of, `-dirty` where it is of none; nothing where there is no git.
GIT_ID ?= $(or $(GRESGEN_GIT_ID),$(shell git describe --always --dirty --abbrev=9 --exclude='*' 2>/dev/null))
BUILD_RELEASE = GRESGEN_GIT_ID=$(GIT_ID) $(CARGO) build --locked --release

programs:
	$(BUILD_RELEASE)

release: programs target/release/THIRD-PARTY

# The licences of what the programs are linked with; written once for each Cargo.lock.
%/THIRD-PARTY: Cargo.lock packaging/third-party
	@CARGO=$(CARGO) packaging/third-party > $@.new && mv -f $@.new $@

# Form: code, documentation of it (for those who change the code, hence of private items too), dependencies, scripts,
# packages. docs/testing.md says who judges what.
lint: setup-lint release
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-Dwarnings -Arustdoc::private_intra_doc_links" $(CARGO) doc --locked --quiet --workspace --no-deps --document-private-items
	tests/lint/dependencies
	tests/lint/shell
	tests/lint/packages $(BUILD)

# Most tests wait for daemons of their own: two for each core of a small machine keep it busy.
test test-slurm-matrix: export RUST_TEST_THREADS ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? 2 * cores : cores)))

# What is shipped is tested: the launch tests load the release build of the plugin, the sweep runs that of gresgen. Cargo
# sums up each test program; the last line here sums up all of them.
test: setup-tests programs
	@set -o pipefail; SPANK_MIG_SO=$(CURDIR)/target/release/libspank_mig.so SWEEP_GRESGEN=$(CURDIR)/target/release/gresgen \
	  $(CARGO) test --locked --workspace --no-fail-fast 2>&1 | tee target/test.log
	@awk '/^test result:/ { passed += $$4; failed += $$6 } END { print passed " passed, " failed " failed" }' target/test.log

# Said before anything is installed or compiled.
root:
	@[ "$$(id -u)" = 0 ] || { echo "error: $(MAKECMDGOALS): a node is simulated in namespaces with device nodes, which takes root" >&2; \
	  echo "hint: sudo make $(MAKECMDGOALS)" >&2; exit 1; }
	@[ -e target/release/lab ] || echo "Debian's Slurm is installed where it is missing, and the programs are built: 3 minutes, once."

demo: root setup programs
	target/release/lab demo

playground: root setup programs
	@target/release/lab playground

# Beyond `make test`, because they take minutes or hours; docs/testing.md says what each shows.

# Slurm 22.05, 24.11 and 26.05, the newer two from Debian's archive (debootstrap, once). RELEASES picks some:
# bookworm, trixie, sid.
RELEASES ?= all

test-slurm-matrix: setup-tests
	$(CARGO) build --locked
	$(BUILD_RELEASE) -p slurm-plugin
	LAB_RELEASES=$(RELEASES) SPANK_MIG_SO=$(CURDIR)/target/release/libspank_mig.so $(CARGO) test --locked -p slurm-plugin --test launch --test guard --test safety
	LAB_RELEASES=$(RELEASES) $(CARGO) test --locked -p lab -p gresgen --test lab --test render --test cluster --test holders --test race --test health --test autodetect
	LAB_RELEASES=$(RELEASES) $(CARGO) test --locked -p gresgen --test docs a_node_lives_on_the_packages

# Runtimes of Debian, and Slurm's own containers, in jobs; what they are made of is fetched once and not installed.
containers: setup-tests
	LAB_RELEASES=$(RELEASES) $(CARGO) test --locked -p slurm-plugin --test launch -- --ignored --test-threads=1 containers

# A real slurmdbd of each release: billing, shares, limits, reservations. 22.05's is in `make test`.
accounting: setup-tests
	LAB_RELEASES=$(RELEASES) $(CARGO) test --locked -p gresgen --test render -- slurmdbd

# What `make rpm` makes is installed, upgraded and removed.
test-rpm: setup-tests
	$(CARGO) build --locked
	$(CARGO) test --locked -p gresgen --test docs -- --ignored rpms_are

soak: setup-tests
	$(BUILD_RELEASE) -p slurm-plugin
	SPANK_MIG_SO=$(CURDIR)/target/release/libspank_mig.so \
	  $(CARGO) test --locked -p slurm-plugin --test launch -- --ignored --nocapture soak

# Layouts applied beside jobs, with and without SIGKILL of the apply.
race: setup-tests
	RACE_ROUNDS=$${RACE_ROUNDS:-1000} $(CARGO) test --locked -p gresgen --test race -- --nocapture --test-threads=1

# Jobs on GPUs that the arbiter cuts, while everything ends that can; then fifty nodes, and how long a job waits for its cut.
storm: setup-tests
	LAB_RELEASES=$(RELEASES) STORM_JOBS=$${STORM_JOBS:-1000} STORM_ROUNDS=$${STORM_ROUNDS:-1} \
	  $(CARGO) test --locked -p gresgen --test storm -- --nocapture --test-threads=1 --include-ignored storm
	LAB_RELEASES=$(RELEASES) $(CARGO) test --locked -p gresgen --test storm -- --nocapture --test-threads=1 --ignored nodes waits

sweep:
	GRESGEN_SWEEP=full $(CARGO) test --locked --release -p gresgen --test sweep -- --nocapture

# Seconds for each parser of gresgen.
FUZZ_SECONDS ?= 20

fuzz:
	$(CARGO) run --locked --profile fuzz -p slurm-plugin --example fuzz
	$(CARGO) run --locked --profile fuzz -p gresgen --example fuzz-texts -- $(FUZZ_SECONDS)

# The hooks of the plugin as it is shipped, under valgrind.
valgrind:
	@command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 1; }
	ABI_VALGRIND=1 $(CARGO) test --locked --release -p slurm-plugin --test abi

# The plugin with the unwinder of the system (docs/install.md): which glibc it needs, its symbols, hooks and panics, and jobs.
SHARED_UNWINDER = target/shared-unwinder

test-shared-unwinder: export SPANK_MIG_UNWINDER = shared
test-shared-unwinder: setup-tests
	CARGO_TARGET_DIR=$(SHARED_UNWINDER) $(CARGO) test --locked --release -p slurm-plugin --test abi
	tests/lint/glibc $(SHARED_UNWINDER)/release/deps/libspank_mig.so 2.34
	SPANK_MIG_SO=$(CURDIR)/$(SHARED_UNWINDER)/release/deps/libspank_mig.so \
	  $(CARGO) test --locked -p slurm-plugin --test launch -- table faults

# On a machine with a GPU; docs/hardware.md. The kit is all it takes, and runs where there is no cargo.
hardware: hardware-kit
	target/hardware/run

hardware-kit: release
	tests/hardware/build $(BUILD) target/hardware

# Method and results: docs/benchmarks.md.
bench: setup release
	$(CARGO) bench --locked -p mig --bench planner
	$(CARGO) bench --locked -p mig --bench acceptance
	$(CARGO) bench --locked -p demand --bench demand
	$(CARGO) bench --locked -p advice --bench on-request -- 3 layouts
	benches/calls.py
	benches/render.py
	benches/slices.py
	benches/demand.py
	benches/arbiter.py
	target/release/lab bench
	target/release/lab crowd

# `make install` copies what `make release` built, as root or below DESTDIR.
DESTDIR ?=
PREFIX ?= /usr
BUILD ?= target/release
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
# Where the installed Slurm looks for plugins: the folder of one that every Slurm has.
PLUGIN_DIR ?= $(firstword $(patsubst %/select_cons_tres.so,%,$(wildcard \
  /usr/lib/*/slurm-wlm/select_cons_tres.so /usr/lib64/slurm/select_cons_tres.so /usr/lib/slurm/select_cons_tres.so \
  /usr/lib/*/slurm/select_cons_tres.so /usr/local/lib/slurm/select_cons_tres.so /opt/slurm/lib/slurm/select_cons_tres.so)))
SHARE = $(DESTDIR)$(PREFIX)/share
DOC = $(SHARE)/doc/gresgen

# install FILE TO MODE: by rename, because install(1) leaves a moment without the file, and writing in place
# would change a library that a daemon has mapped.
define put
install -D -m $(3) $(1) $(2).new && mv -f $(2).new $(2)
endef
# generate ARGUMENTS TO: what the program prints, as a file.
define generate
install -d $(dir $(2)) && $(BUILD)/gresgen $(1) > $(2).new && chmod 644 $(2).new && mv -f $(2).new $(2)
endef

install: $(BUILD)/THIRD-PARTY
	@for f in gresgen libnvml_sim.so libspank_mig.so; do \
	  test -e $(BUILD)/$$f || { echo "$(BUILD)/$$f: not built; run make release first" >&2; exit 1; }; done
	@test -n "$(PLUGIN_DIR)" || { echo "no Slurm found; say PLUGIN_DIR=... (scontrol show config | grep PluginDir)" >&2; exit 1; }
	$(call put,$(BUILD)/gresgen,$(DESTDIR)$(PREFIX)/bin/gresgen,755)
	$(call put,$(BUILD)/libnvml_sim.so,$(DESTDIR)$(PREFIX)/lib/gresgen/libnvml_sim.so,644)
	$(call put,$(BUILD)/libspank_mig.so,$(DESTDIR)$(PLUGIN_DIR)/spank_mig.so,644)
	$(call put,packaging/systemd/gresgen-boot.service,$(DESTDIR)$(UNIT_DIR)/gresgen-boot.service,644)
	$(call put,packaging/systemd/gresgen-arbiter.service,$(DESTDIR)$(UNIT_DIR)/gresgen-arbiter.service,644)
	$(call put,packaging/systemd/gresgen-metrics.service,$(DESTDIR)$(UNIT_DIR)/gresgen-metrics.service,644)
	$(call put,packaging/systemd/gresgen-metrics.timer,$(DESTDIR)$(UNIT_DIR)/gresgen-metrics.timer,644)
	$(call put,packaging/health/gresgen-health.sh,$(DESTDIR)$(PREFIX)/libexec/gresgen/gresgen-health.sh,755)
	$(call generate,man,$(SHARE)/man/man1/gresgen.1)
	$(call generate,man gresgen.yaml,$(SHARE)/man/man5/gresgen.yaml.5)
	$(call generate,man spank_mig,$(SHARE)/man/man8/spank_mig.8)
	$(call generate,schema,$(SHARE)/gresgen/config.schema.json)
	$(call generate,completions bash,$(SHARE)/bash-completion/completions/gresgen)
	$(call generate,completions zsh,$(SHARE)/zsh/site-functions/_gresgen)
	$(call generate,completions fish,$(SHARE)/fish/vendor_completions.d/gresgen.fish)
	$(call put,packaging/guard/mig_guard.lua,$(SHARE)/gresgen/mig_guard.lua,644)
	$(call put,$(BUILD)/THIRD-PARTY,$(DOC)/THIRD-PARTY,644)
	for f in LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs/*.md docs/*.svg examples/* templates/*; do \
	  install -D -m 644 $$f $(DOC)/$$f || exit 1; done
	install -d $(DESTDIR)/etc/gresgen

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/gresgen $(DESTDIR)$(PLUGIN_DIR)/spank_mig.so $(DESTDIR)$(UNIT_DIR)/gresgen-boot.service \
	  $(DESTDIR)$(UNIT_DIR)/gresgen-arbiter.service $(DESTDIR)$(UNIT_DIR)/gresgen-metrics.service $(DESTDIR)$(UNIT_DIR)/gresgen-metrics.timer \
	  $(SHARE)/man/man1/gresgen.1 $(SHARE)/man/man5/gresgen.yaml.5 $(SHARE)/man/man8/spank_mig.8 \
	  $(SHARE)/bash-completion/completions/gresgen \
	  $(SHARE)/zsh/site-functions/_gresgen $(SHARE)/fish/vendor_completions.d/gresgen.fish
	rm -rf $(DESTDIR)$(PREFIX)/lib/gresgen $(DESTDIR)$(PREFIX)/libexec/gresgen $(SHARE)/gresgen $(DOC)

# Packages of what `make install` lays out. They go to other machines, so where Slurm has its plugins there is not
# looked up here: PLUGIN_DIR, where it is given, or what the distribution's Slurm has.
PACKAGES_DIR ?= target/packages
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
packaged_plugin_dir = $(if $(filter file,$(origin PLUGIN_DIR)),$(1),$(PLUGIN_DIR))
# Whoever makes a package answers for it: DEBFULLNAME and DEBEMAIL, as Debian's tools have it.
MAINTAINER ?= $(or $(DEBFULLNAME),The gresgen packagers) <$(or $(DEBEMAIL),gresgen@localhost.localdomain)>

deb: $(BUILD)/THIRD-PARTY
	@packaging/deb/build $(VERSION) $(BUILD) $(PACKAGES_DIR) \
	  $(call packaged_plugin_dir,/usr/lib/$(shell dpkg-architecture -qDEB_HOST_MULTIARCH)/slurm-wlm) '$(MAINTAINER)'

# What rpmbuild, mock and COPR begin with. VENDOR=yes puts all crates into it, so that it builds without a network.
dist:
	@packaging/dist $(VERSION) $(PACKAGES_DIR) $(VENDOR)

# --build-in-place: the checkout is the source, and what is in BUILD is packed as it is. --nodeps: where rustup brings
# the compiler, no package provides it.
rpm: $(BUILD)/THIRD-PARTY
	@command -v rpmbuild >/dev/null || { echo "rpmbuild: not found; install rpm-build (Debian: rpm)" >&2; exit 1; }
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	  rpmbuild --quiet --nodeps --build-in-place -bb packaging/rpm/gresgen.spec --define "_topdir $$work" \
	    --define "release_version $(VERSION)" --define "built $(BUILD)" --define 'packager $(MAINTAINER)' \
	    --define "plugin_dir $(call packaged_plugin_dir,/usr/lib64/slurm)" && \
	  mkdir -p $(PACKAGES_DIR) && find "$$work/RPMS" -name '*.rpm' -exec cp {} $(PACKAGES_DIR) \; && \
	  find "$$work/RPMS" -name '*.rpm' -printf '$(abspath $(PACKAGES_DIR))/%f\n' | sort
	@tests/lint/glibc $(BUILD)/libspank_mig.so 2.34 2>/dev/null || \
	  echo "note: slurm-spank-mig: needs a newer glibc than EL 9 has; SPANK_MIG_UNWINDER=shared make release rpm makes one for it" >&2
