# A convenience: "go test ./..." alone is enough to work on the library.

GO            ?= go
DURATION      ?= 10
FUZZTIME      ?= 15s
BENCHTIME     ?= 300ms
GOLANGCI      ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SEEDS_PER_MIN := 1500
MUTANTS       ?=
MUTANT_PARTS  := 4
ID            ?= G1

# The library, and the modules in it that have dependencies of their own.
MODULES       := . $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod))

# Those whose tests start MariaDB, PostgreSQL and etcd.
ENGINE_MODULES := $(patsubst %/go.mod,%,$(wildcard reparent/*/go.mod leadership/*/go.mod examples/failover/go.mod examples/compare/go.mod))
PLAIN_MODULES  := $(filter-out $(ENGINE_MODULES),$(MODULES))
ENGINE_RACE    ?=

.PHONY: test unit guarantee engines engines-install race bench bench-peers check lint tidy vet32 licences api vulnerabilities cover fuzz soak mutants mutants-ci mutants-engines quickstart compare

# Everything that must hold before a commit. Tests that need a server which is
# not installed say so and are skipped.
test: unit engines

# The part of it without servers, but for internal/engines: about a minute on two
# cores.
unit:
	@scripts/each.sh '$(GO) vet ./... && $(GO) test ./...' $(PLAIN_MODULES)

# The part of it on real servers, one package at a time. ENGINE_RACE=-race puts
# our side under the race detector.
engines:
	@scripts/each.sh '$(GO) vet ./... && $(GO) test -count=1 -p 1 -timeout 12m $(ENGINE_RACE) ./...' $(ENGINE_MODULES)

# Installs the servers from apt where they are missing.
engines-install:
	scripts/engines.sh

# What checks one guarantee, wherever it is: make guarantee ID=G2.
guarantee:
	@scripts/each.sh '$(GO) test -count=1 -p 1 -run "^Test(G[0-9]+_)*$(ID)_" ./... | { grep -v "no test.* to run\|no test files" || true; }' $(MODULES)

# The same under the race detector, which needs a C compiler. The simulations and
# the interleavings of lameduck run fewer schedules under it.
race:
	@scripts/each.sh '$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -v /reparenttest$$)' $(PLAIN_MODULES)
	TENURE_SEEDS=30 $(GO) test -race -short -skip '^TestScenario$$' -timeout 10m ./reparent/reparenttest

# Time and allocations of the paths that requests take, beside what they would
# cost otherwise. Compare rows of one run; figures of two machines do not compare.
bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./leadership ./leadership/acceptor ./lameduck ./buffer/...
	cd buffer/grpcbuffer && $(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

# The same work on Tenure and on its peers, in one run: writes BENCHMARKS.md. It
# takes some minutes, on a machine that does nothing else, and the Go version that
# examples/peers/go.mod names.
bench-peers:
	cd examples/peers && $(GO) run . -o ../../BENCHMARKS.md

# What can be said of the code without running it.
check: lint tidy vet32 licences api

# gofmt, vet, staticcheck and the others in .golangci.yml.
lint:
	@scripts/each.sh '$(GOLANGCI) run --show-stats=false ./...' $(MODULES)

tidy:
	@scripts/each.sh '$(GO) mod tidy -diff' $(MODULES)

# That it compiles where an int has 32 bits, tests too.
# examples/peers is left out: Vitess does not compile for 32 bits.
vet32:
	@GOARCH=386 scripts/each.sh '$(GO) vet ./...' $(filter-out examples/peers,$(MODULES))

# That what we are built from may be.
licences:
	@scripts/each.sh '$(GO) run github.com/tenure-go/tenure/internal/licences .' $(MODULES)

# What changed for users since the last tag.
api:
	@scripts/api.sh $(filter-out examples/%,$(MODULES))

# What is known of the modules we are built from. It needs vuln.go.dev, or another
# database at VULNDB, and says when it cannot be reached.
vulnerabilities:
	@scripts/vulnerabilities.sh $(MODULES)

# Statements that the tests run, per package, with a floor for the core.
cover:
	@scripts/cover.sh

# Every fuzz target for FUZZTIME.
fuzz:
	@set -e; for file in $$(grep -rl '^func Fuzz' --include='*_test.go' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "== $$(dirname $$file) $$target"; \
			(cd $$(dirname $$file) && $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) .); \
		done; \
	done

# Simulated clusters under rival coordinators and faults, as many seeds as take
# about DURATION minutes on two cores. A failure prints how to run it alone.
soak:
	TENURE_SEEDS=$$(( $(DURATION) * $(SEEDS_PER_MIN) )) $(GO) test -count=1 -timeout $$(( $(DURATION) * 4 + 5 ))m -v -run '^TestG1_' ./reparent/reparenttest

# Takes the rules out of the code one at a time, MUTANTS by name, and prints
# which test notices, and how fast. One that no test notices is an error.
mutants:
	$(GO) run ./internal/mutants -run '$(MUTANTS)'

# A part of them within five minutes, the same for everybody who has the same
# commit, another one for the next.
mutants-ci:
	$(GO) run ./internal/mutants -shard commit/$(MUTANT_PARTS) -budget 4m30s

# The rules of the nodes that are MariaDB and PostgreSQL, whose tests start such
# servers: one mutation at a time, since few clusters fit beside each other. Without
# the servers each is an error.
mutants-engines:
	$(GO) run ./internal/mutants -engines -workers 1 -timeout 2m -run '$(MUTANTS)'

# What a change of leader costs an application, beside what others' tools cost it, on
# real servers, which are installed from apt where that can be done.
compare:
	-scripts/engines.sh mariadb postgres etcd patroni haproxy mha
	cd examples/compare && $(GO) run . -o ../../COMPARISON.md

quickstart:
	$(GO) run ./examples/quickstart
