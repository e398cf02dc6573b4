# Needs Go and make. `make help` lists the targets.

PKG       = ./cmd/trireme
BIN       = bin/trireme
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 1m
BENCH    ?= .
BENCHTIME ?= 1s
TESTFLAGS ?=

# The linters' versions are pinned in a module of their own.
TOOL  = go tool -modfile=tools/go.mod
NTOOL = go tool -modfile=../tools/go.mod
PTOOL = go tool -modfile=../../tools/go.mod

# The race detector needs a C compiler; the rest of the project does not.
RACE = $(shell go build -race runtime/cgo 2>/dev/null && echo -race)

TESTSUM = go run ./internal/testsum -dir . -dir integration -dir integration/peers -dir integration/faultdisk -dir integration/soakplot --

.PHONY: build
build: ## build the static binary bin/trireme (the default)
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN) $(PKG)

IMAGE ?= trireme

.PHONY: image
image: build ## build the container image IMAGE (trireme), tagged VERSION and latest
	docker build -f ops/Dockerfile --build-arg VERSION=$(VERSION) -t $(IMAGE):$(VERSION) -t $(IMAGE):latest .

.PHONY: run
run: build ## build and serve on loopback, data in ./trireme-data
	@exec $(BIN) serve

.PHONY: test
test: ## run every test, with the race detector where there is a C compiler
	@race='$(RACE)'; test -n "$$race" || echo 'no C compiler: testing without the race detector'; \
	$(TESTSUM) $$race -timeout 20m $(TESTFLAGS) ./...

.PHONY: lint
lint: ## gofumpt, golangci-lint, staticcheck and govulncheck
	@files=$$($(TOOL) gofumpt -l .) || exit 1; \
	test -z "$$files" || { echo "gofumpt would change:"; echo "$$files"; exit 1; }
	$(TOOL) golangci-lint run --allow-parallel-runners ./...
	cd integration && $(NTOOL) golangci-lint run --config ../.golangci.yml ./...
	cd integration/peers && $(PTOOL) golangci-lint run --config ../../.golangci.yml ./...
	cd integration/faultdisk && $(PTOOL) golangci-lint run --config ../../.golangci.yml ./...
	cd integration/soakplot && $(PTOOL) golangci-lint run --config ../../.golangci.yml ./...
	$(TOOL) staticcheck ./...
	cd integration && $(NTOOL) staticcheck ./...
	cd integration/peers && $(PTOOL) staticcheck ./...
	cd integration/faultdisk && $(PTOOL) staticcheck ./...
	cd integration/soakplot && $(PTOOL) staticcheck ./...
	@out=$$($(TOOL) govulncheck ./... 2>&1); code=$$?; case "$$code $$out" in \
	  0*) echo 'govulncheck: no known vulnerability is called' ;; \
	  *'fetching vulnerabilities'*) echo 'govulncheck: not checked, the vulnerability database cannot be reached' ;; \
	  *) echo "$$out"; exit 1 ;; \
	esac

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (1m)
	@listed=$$(go test -list '^Fuzz' ./...) || { echo "$$listed"; exit 1; }; \
	echo "$$listed" | awk '/^Fuzz/ { names[n++] = $$1 } $$1 == "ok" { for (i = 0; i < n; i++) print $$2, names[i]; n = 0 }' | \
	while read -r package name; do \
	  echo "== $$package $$name"; \
	  go test -run '^$$' -fuzz "^$$name$$" -fuzztime '$(FUZZTIME)' "$$package" || exit 1; \
	done

.PHONY: bench
bench: ## measure a single host and print the tables of docs/performance.md
	go run ./internal/perf $(PERFFLAGS)

.PHONY: bench-peers
bench-peers: ## measure three hosts beside etcd and bare JetStream, turn by turn
	cd integration/peers && go run . $(PEERSFLAGS)

.PHONY: microbench
microbench: ## run the Go benchmarks that match BENCH (.) for BENCHTIME (1s) each
	go test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem -timeout 60m ./...

.PHONY: drill
drill: ## run the fault drills at full length, and write docs/track-record.md
	@TRIREME_DRILL=1 TRIREME_TRACK=$(CURDIR)/docs/track-record.jsonl go test -run Drill -v -count 1 -timeout 240m $(TESTFLAGS) ./internal/drill; code=$$?; \
	TRIREME_DRILL=1 go test -run 'Rot|Crashes' -count 1 -timeout 120m ./buckets || code=1; \
	go run ./internal/track/tracked -doc docs/track-record.md docs/track-record.jsonl; \
	exit $$code

SOAK ?= 2h

.PHONY: soak
soak: ## keep three hosts under load and random faults for SOAK (2h), and draw docs/soak.png
	@rm -f docs/soak.jsonl; \
	TRIREME_SOAK=$(SOAK) TRIREME_SOAK_OUT=$(CURDIR)/docs/soak.jsonl go test -run '^TestSoak$$' -v -count 1 -timeout 0 $(TESTFLAGS) ./internal/drill; code=$$?; \
	(cd integration/soakplot && go run . -o ../../docs/soak.png ../../docs/soak.jsonl >/dev/null) || code=1; \
	exit $$code

.PHONY: clean
clean: ## remove what build made; data stays
	rm -rf bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' Makefile
