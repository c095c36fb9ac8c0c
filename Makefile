# A convenience: "go test ./..." alone is enough to work on the library.

GO            ?= go
DURATION      ?= 10
FUZZTIME      ?= 15s
BENCHTIME     ?= 300ms
STATICCHECK   ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
SEEDS_PER_MIN := 1500
MUTANTS       ?=
MUTANT_PARTS  := 4

# The library, and the modules in it that have dependencies of their own.
MODULES       := . $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod))

.PHONY: test race bench lint fuzz soak mutants mutants-ci quickstart

# Everything that must hold before a commit. No engine, no network beyond the
# module proxy, about a minute on two cores.
test:
	@set -e; for dir in $(MODULES); do echo "== $$dir"; (cd $$dir && $(GO) vet ./... && $(GO) test ./...); done

# The same under the race detector, which needs a C compiler. The simulations and
# the interleavings of lameduck run fewer schedules under it.
race:
	@set -e; for dir in $(MODULES); do echo "== $$dir"; (cd $$dir && \
		$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -v '/reparenttest$$')); done
	TENURE_SEEDS=30 $(GO) test -race -short -skip '^TestScenario$$' -timeout 10m ./reparent/reparenttest

# Time and allocations of the paths that requests take, beside what they would
# cost otherwise. Compare rows of one run; figures of two machines do not compare.
bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./leadership ./leadership/acceptor ./lameduck ./buffer/...
	cd buffer/grpcbuffer && $(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	@set -e; for dir in $(MODULES); do (cd $$dir && $(GO) vet ./... && $(STATICCHECK) ./...); done

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

quickstart:
	$(GO) run ./examples/quickstart
