# All that is longer than three lines of shell is Go, under e2e/.
# CLUSTER=name works on a cluster beside the default one.
CLUSTER ?=
# FUZZ is how long make fuzz runs each target.
FUZZ ?= 10m
# SOAK is how long make soak breaks things.
SOAK ?= 10m

# Tools, pinned here and nowhere else.
CONTROLLER_GEN = go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
CRD_REF_DOCS   = go run github.com/elastic/crd-ref-docs@v0.3.0
HELM_DOCS      = go run github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
GOLANGCI_LINT  = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help demo test unit verify generate lint bench fuzz soak cluster-up cluster-down

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## From nothing to pods with addresses on a real cluster of two nodes (root).
	@cd e2e && go run ./demo/cmd/demo -name "$(CLUSTER)"

test: ## Everything: unit, race, a real API server, a real cluster (root).
	@echo "test: unit tests with the race detector" && go test -race -timeout 20m ./...
	@echo "test: the model of the life cycle, at large" && go test -count=1 -timeout 30m -run 'TestModel(Large|AtRandom)$$' ./allocator/lifecycle
	@cd e2e && go run ./fuzz/cmd/fuzz -each 10s
	@echo "test: building what the clusters are made of" && cd e2e && go run ./cluster/cmd/cluster build
	@echo "test: against a real API server and a real cluster" && cd e2e && go test -count=1 -p 1 -timeout 60m ./... && echo "test: everything passed"

unit: ## The quick part: no root, no cluster.
	@go test ./... && echo "unit: all packages passed"

verify: ## Lint, and what is generated is what is committed.
	@cd e2e && go run ./verify/cmd/verify

generate: ## Regenerate deepcopy functions, custom resources and references.
	$(CONTROLLER_GEN) object paths=./crds/... crd:maxDescLen=10000 output:crd:dir=chart/files/crds
	$(CRD_REF_DOCS) --source-path=crds/v1 --config=crds/reference.yaml --renderer=markdown --output-path=crds/API.md --log-level=ERROR
	$(HELM_DOCS) --chart-search-root chart --log-level warning
	cd e2e && go run ./verify/cmd/metrics > ../chart/docs/metrics.md

lint: ## Lint both modules.
	$(GOLANGCI_LINT) run ./...
	cd e2e && $(GOLANGCI_LINT) run -c ../.golangci.yml ./...

bench: ## Benchmarks; figures are ratios within one run.
	go test -run '^$$' -bench . -benchtime 1s ./allocator/...
	cd e2e && go test -run '^$$' -bench . -benchtime 200x ./datapath && echo "bench: time-ratio and memory-ratio are ours to host-local's"

fuzz: ## Each parser against what fuzzing makes up; FUZZ=10m is how long.
	@cd e2e && go run ./fuzz/cmd/fuzz -each $(FUZZ)

soak: ## Pods come and go among faults for SOAK=10m; SEED=n repeats a run.
	@cd e2e && go run ./soak/cmd/soak -for $(SOAK) $(if $(SEED),-seed $(SEED))

cluster-up: ## Start the real cluster and leave it up (root).
	@cd e2e && go run ./cluster/cmd/cluster up -name "$(CLUSTER)"

cluster-down: ## Stop it and remove all that it made.
	@cd e2e && go run ./cluster/cmd/cluster down -name "$(CLUSTER)"
