# A thin front: what each word does is in tools/ and in CMakePresets.json.

SHELL := /bin/bash
PREFIX ?= /usr/local
# The build that run, demo and install take their programs from: release or dev.
PRESET ?= release
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-asan test-tsan test-kernel bench-echo bench-http bench-kernel bench-serve bench-faults bench-llm install format tidy clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | column -t -s '|'

setup:  ## get everything that is built with, once (tools/setup --help)
	@tools/setup

run: setup  ## build and start troupe-node here, with apps/node/troupe.toml
	@tools/build "$(PRESET)" programs
	@exec "build/$(PRESET)/bin/troupe-node" --config apps/node/troupe.toml

demo: setup  ## build, start a node, compare three sentences, ask a question, stop the node
	@tools/build "$(PRESET)" programs
	@tools/demo "build/$(PRESET)"

test:  ## build and run every test
	@tools/setup --python
	@tools/build dev
	@ctest --preset dev -j "$(JOBS)"

test-asan:  ## the same with AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/setup --python
	@tools/build asan
	@ctest --preset asan -j "$(JOBS)"

test-tsan:  ## the same with ThreadSanitizer
	@tools/setup --python --tsan
	@tools/build tsan
	@$$(setarch -R true 2>/dev/null && echo setarch -R) ctest --preset tsan -j "$(JOBS)"

test-kernel:  ## the kernel's own tests, with each of these
	@tools/setup --python --tsan
	@tools/build asan concurrency_test supervision_test
	@ctest --preset asan -j "$(JOBS)" -R '^(concurrency|supervision)\.'
	@tools/build tsan concurrency_test supervision_test
	@$$(setarch -R true 2>/dev/null && echo setarch -R) ctest --preset tsan -j "$(JOBS)" -R '^(concurrency|supervision)\.'

bench-echo: setup  ## compare the node with a bare gRPC echo
	@tools/build release troupe-node bench_load bench_bare_echo
	@bench/echo/run --build build/release

bench-http: setup  ## compare the HTTP server with a bare one
	@tools/build release bench_http_gateway bench_http_bare bench_http_load
	@bench/http/run --build build/release

bench-serve: setup  ## measure what serving costs, cancels and overload
	@tools/build release troupe-node troupe bench_load bench_engine bench_boundary bench_cancel troupe-host text_embedding
	@bench/serve/run --build build/release

bench-faults:  ## measure what the death of host processes costs
	@tools/setup --python
	@tools/build release troupe troupe-node troupe-host text_embedding text_generation
	@bench/faults/run --build build/release

bench-llm:  ## compare a language model in the node with llama.cpp's own server
	@tools/setup --bench
	@tools/build release troupe-node troupe-host text_generation
	@bench/llm/run --build build/release

bench-kernel:  ## compare the concurrency kernel with Asio, CAF, moodycamel and AnyIO
	@tools/setup --bench
	@tools/build release bench_kernel
	@bench/kernel/run --build build/release

install: setup  ## install below PREFIX (/usr/local); the tree runs from anywhere
	@tools/build "$(PRESET)" programs
	@cmake --install "build/$(PRESET)" --prefix "$(PREFIX)" >/dev/null
	@echo "installed in $(PREFIX)"

format:  ## lay out the C++ as .clang-format says
	@tools/format

tidy: setup  ## run clang-tidy over our sources
	@tools/build dev
	@run-clang-tidy -quiet -p build/dev -extra-arg=-Wno-unknown-warning-option -j "$(JOBS)" "$(CURDIR)/(actors|apps|skillsets)/.*"

clean:  ## remove what was built (not what tools/setup keeps in the cache)
	@rm -rf build
