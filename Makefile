# Builds the allocator, the workloads and the harness into build/.
#
#   make            everything            make test       set-up, build, all tests
#   make setup      Debian packages       make install    PREFIX=/usr/local DESTDIR=
#   make clean      removes build/        make CC=clang   the other compiler
#   make check-model                      the models of the lock-free protocols with their large bounds
#   make check-faults                     every call to the kernel refused, at every moment: hours on a busy machine
#   make fuzz       the malloc API under libFuzzer, 60 s
#
# Each part brings its own fragment; a fragment appends to PROGRAMS (built by `make`), TESTS (cmocka programs and TAP
# scripts run by `make test`, `program@lane` runs one under LD_PRELOAD of that lane) and INSTALLS (targets).

BUILD ?= build
PREFIX ?= /usr/local
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -MMD -MP

PROGRAMS :=
TESTS :=
INSTALLS :=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

include workloads/workloads.mk
include harness/harness.mk
include allocator/allocator.mk

ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

all: allocator $(PROGRAMS)

setup:
	@bash harness/setup.sh

test: setup
	@$(MAKE) --no-print-directory test-built

# Split from `test` so that set-up has installed pkg-config and the libraries before this Makefile is read again.
test-built: all $(filter $(BUILD)/%,$(foreach t,$(TESTS),$(firstword $(subst @, ,$(t)))))
	@BUILD=$(BUILD) perl .ci/tap $(TESTS)

install: all $(INSTALLS)

clean:
	rm -rf $(BUILD)

.PHONY: all setup test test-built install clean
