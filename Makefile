# What people run. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test lint format demo cluster bench simulate mutants chaos clean

SOURCES := Package.swift Libraries Services Examples Tests
SEEDS ?= 1..10000

help: ## lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: ## builds everything for use
	swift build -c release

lint: ## checks the style; changes nothing
	swift format lint --strict --recursive --parallel $(SOURCES)

format: ## brings the sources into style
	swift format format --in-place --recursive --parallel $(SOURCES)

test: lint ## builds and tests everything, as a change must before it lands
	swift build --build-tests
	swift test --skip-build --skip EndToEndTests --skip FlotillaClientTests --skip FlotillaControlTests --skip FlotillaNodeTests
	# These wait for clocks and sockets, which they can't beside tests that compute for a minute on all processors.
	swift test --skip-build --filter 'FlotillaClientTests|FlotillaControlTests|FlotillaNodeTests'
	swift build -c release
	FLOTILLA_BIN=$(CURDIR)/.build/release swift test --skip-build --filter EndToEndTests
	.build/release/flotilla-simulate --seeds 1..2000

simulate: ## runs simulated worlds on networks, disks and clocks that fail (SEEDS=1..10000)
	swift build -c release --product flotilla-simulate
	@echo "commit $$(git describe --always --dirty 2>/dev/null || echo unknown)"
	.build/release/flotilla-simulate --seeds $(SEEDS)

demo: ## three nodes, real data, a killed leader, nothing lost
	ops/need-packages unicode-data
	swift build -c release
	ops/demo

cluster: ## three local nodes in the foreground; Ctrl-C stops them
	swift build -c release
	ops/local-cluster

bench: ## measures a fresh three-node cluster on this machine
	swift build -c release
	ops/bench

mutants: ## plants known bugs and shows that the simulator finds every one (FLOTILLA_MUTANT_SEEDS=100)
	ops/mutants

chaos: ## kills nodes of three under load for ten minutes; nothing acknowledged is lost (FLOTILLA_CHAOS_SECONDS=600)
	swift build --build-tests
	swift build -c release
	FLOTILLA_CHAOS_SECONDS=$${FLOTILLA_CHAOS_SECONDS:-600} FLOTILLA_BIN=$(CURDIR)/.build/release \
		swift test --skip-build --filter ChaosTests

clean: ## removes what was built
	rm -rf .build
