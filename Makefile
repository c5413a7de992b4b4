# radiator: `make run` starts a broker, `make help` lists the rest.
#
# SEEDS=N   how many seeds `make simulate` tries; FROM=K: from which on; JOBS=J: in how many processes
# SEED=N    the one seed that `make simulate` tells step by step; KIND=crashes: of that kind only
# ARGS=...  passed on to the program that `make run`, `make bench` and `make instructions` start

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build test bench lint format simulate deps deps-build clean \
	test-swift test-clients test-instructions instructions

# Every release build has the same flags, for all of them share .build/release.
RELEASE := swift build -c release --static-swift-stdlib
BIN := .build/release
SWIFT_FILES := Sources Tests tools Benchmarks Package.swift
STEP := .ci/step
SEEDS ?= 20000
FROM ?= 0
JOBS ?= $(shell nproc)
SEED ?=
KIND ?=
ARGS ?=

help:
	@echo 'make run           build the daemon and start it on 127.0.0.1:61613, data in ./radiator-data'
	@echo 'make test          everything: lint, Swift tests, stock clients and the real daemon, instruction counts'
	@echo 'make instructions  what each operation costs, against recorded bounds; ARGS=--record'
	@echo 'make bench         throughput, latency, CPU and memory over real sockets; ARGS="--compare"'
	@echo 'make simulate      the long simulation of the storage engine; SEEDS=20000 (docs/simulation.md)'
	@echo 'make build         the release daemon, log tool and benchmark in $(BIN)'
	@echo 'make lint          check the format of all Swift files; make format corrects it'
	@echo 'make deps          install what building and testing needs (or say what to install)'
	@echo 'make clean         remove everything that was built; the data stays'
	@echo
	@echo 'ARGS="--config radiator.toml" is passed on to the program of run and bench.'

run: deps-build
	@$(RELEASE) --product radiatord
	@exec $(BIN)/radiatord $(ARGS)

build: deps-build
	@$(RELEASE) --product radiatord
	@$(RELEASE) --product radiator-log
	@$(RELEASE) --product radiator-bench
	@$(RELEASE) --product radiator-sink

# With `make -k test` the client tests run even if a Swift test has failed.
test: lint test-swift test-clients test-instructions

test-swift: deps-build
	@$(STEP) swift-build swift build --build-tests
	@$(STEP) swift-tests swift test --skip-build --disable-xctest

test-clients: deps
	@$(STEP) build-daemon $(RELEASE) --product radiatord
	@$(STEP) build-log-tool $(RELEASE) --product radiator-log
	@$(STEP) client-tests .build-clients/bin/python Tests/EndToEndTests/run.py \
		--daemon $(BIN)/radiatord --log-tool $(BIN)/radiator-log

test-instructions: deps
	@$(STEP) build-micro $(RELEASE) --product radiator-micro
	@$(STEP) instructions tools/count-instructions $(BIN)/radiator-micro

instructions: deps-build
	@$(RELEASE) --product radiator-micro
	@tools/count-instructions $(BIN)/radiator-micro $(ARGS)

bench: deps-build
	@$(RELEASE) --product radiatord
	@$(RELEASE) --product radiator-bench
	@$(RELEASE) --product radiator-sink
	@$(BIN)/radiator-bench --daemon $(BIN)/radiatord $(ARGS)

lint: deps-build
	@$(STEP) lint swift format lint --strict -r -p $(SWIFT_FILES)

format: deps-build
	@swift format format -i -r -p $(SWIFT_FILES)

# A build of its own, for tests in release mode need flags that the shipped programs have not.
simulate: deps-build
	@$(STEP) simulation swift build -c release -Xswiftc -enable-testing --build-tests \
		--scratch-path .build-simulation
	@BIN=.build-simulation/release/radiatorPackageTests.xctest tools/simulate \
		$(if $(SEED),--seed $(SEED) $(KIND),$(SEEDS) $(FROM) $(JOBS))

deps:
	@.ci/deps build test

deps-build:
	@.ci/deps build

clean:
	@rm -rf .build .build-simulation .build-clients .build-logs
