# Every command of the repository. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help check test race compat sim fuzz vuln deadcode bench attack bounds crash gen verify-gen build clean

GO ?= go
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null)
TIME ?= 30s
SEED ?=
ROUNDS ?= 50
# For what hangs: a busy machine fails no test that is only slow.
HANGS = -timeout 2h
SUMMARY = $(GO) run ./scripts/testsummary

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## format, vet, staticcheck, errcheck, the repository's rules and the short tests; three minutes on 2 cores
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) tool -modfile=tools/go.mod errcheck -exclude tools/errcheck.txt ./...
	$(GO) test -json $(HANGS) ./internal/lint/... | $(SUMMARY)
	$(GO) test -json -short $(HANGS) ./... | $(SUMMARY)

test: ## every test, in random order; installs what the tests need
	scripts/setup-apt.sh zsh:zsh fish:fish nginx:nginx wrk:wrk curl:curl initdb:postgresql python3:python3 node:nodejs npm:npm javac:default-jdk-headless mvn:maven
	$(GO) test -json -count=1 -shuffle=on $(HANGS) ./... | $(SUMMARY)

race: ## the short tests under the race detector
	scripts/setup-apt.sh gcc:gcc
	CGO_ENABLED=1 $(GO) test -json -race -short -shuffle=on $(HANGS) ./... | $(SUMMARY)

compat: ## other programs against the real binary: nginx's log, the vendors' clients
	scripts/setup-apt.sh nginx:nginx wrk:wrk curl:curl python3:python3 node:nodejs npm:npm javac:default-jdk-headless mvn:maven
	$(GO) test -json -count=1 $(HANGS) ./compat/... | $(SUMMARY)

sim: ## random histories, disk faults and crashes against a naive model; SEED= replays one
	ODOMETER_SIM_LONG=1 ODOMETER_SEED=$(SEED) $(GO) test -json -count=1 -timeout 6h \
		-run 'Histor|Accounts|Crash|Fault|ADay|Order|Random|Flipped|Shuffled' ./internal/ledger/... ./internal/semanticstest/... ./internal/marketplace/... | $(SUMMARY)

fuzz: ## every fuzz target for TIME= each (default 30s)
	scripts/fuzz.sh $(TIME)

vuln: ## ask the vulnerability database about every module; needs the network
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

deadcode: ## list functions that no command reaches; the public client's aside
	@$(GO) tool -modfile=tools/go.mod deadcode ./cmd/... | grep -v '^client/' || true

bench: build ## the budgets of docs/performance.md on this machine
	bench/budgets.sh

attack: build ## the dearest events an ingest key may send: the server's memory, then and after kill -9
	bench/attack.sh

bounds: build ## the dearest request of every operation against a real server: docs/bounds.md
	$(GO) run ./bench/bounds

crash: ## ROUNDS= (default 50) rounds of kill -9 under load, then count everything
	ODOMETER_CRASH_ROUNDS=$(ROUNDS) $(GO) test -count=1 -timeout 6h -v -run '^TestCrash' ./cmd/odometer

gen: ## write what is generated: docs/configuration.md
	$(GO) run ./cmd/odometer config --markdown > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

verify-gen: ## fail if something generated is out of date
	@$(GO) run ./cmd/odometer config --markdown | diff -u docs/configuration.md - || { echo "run make gen"; exit 1; }

build: ## a static binary in bin/odometer
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w$(if $(VERSION), -X main.version=$(VERSION))' -o bin/odometer ./cmd/odometer

clean: ## remove what builds and tests left: bin, and clients and servers in .tmp
	rm -rf bin .tmp
