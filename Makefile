# The words people try first. Each only calls meshctl or nox, so that there is no second truth.
PYTHON_ENV := .venv
export PATH := $(CURDIR)/$(PYTHON_ENV)/bin:$(PATH)
NOX := nox --no-error-on-external-run -s

.PHONY: demo test test-cluster parity lint bench chaos docs clean help

help:            ## these words
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(PYTHON_ENV)/ready    ## a real Kubernetes, Istio, two services under STRICT mTLS, and nothing left
	examples/demo/run

test: $(PYTHON_ENV)/ready    ## everything that CI asks for
	$(NOX) lint types layers test

test-cluster: $(PYTHON_ENV)/ready    ## only what runs on the real sandbox
	$(NOX) cluster

parity: $(PYTHON_ENV)/ready    ## only the comparisons with upstream
	$(NOX) parity

lint: $(PYTHON_ENV)/ready    ## format, lint, types, layers, spelling
	$(NOX) lint types layers

bench: $(PYTHON_ENV)/ready    ## ratios against istioctl, in one run
	$(NOX) bench

chaos: $(PYTHON_ENV)/ready    ## the long seeded matrices: killed at every step
	$(NOX) chaos

docs: $(PYTHON_ENV)/ready    ## write the reference anew
	$(NOX) docs

clean:           ## the environment; caches and sandboxes stay
	rm -rf $(PYTHON_ENV)

$(PYTHON_ENV)/ready: pyproject.toml requirements/dev.txt .ci/environment
	.ci/environment $(PYTHON_ENV)
	touch $@
