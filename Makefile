# Builds the allocator, the workloads and the harness into build/.
#
#   make            everything            make test       set-up, build, all tests
#   make setup      Debian packages       make install    PREFIX=/usr/local DESTDIR=
#   make clean      removes build/        make CC=clang   the other compiler, after make clean
#   make check-model                      the models of the lock-free protocols with their large bounds
#   make fuzz       the malloc API and hzb's readers of files under libFuzzer, 60 s each
#   make fuzz-storm                       the same calls at random and at full speed, until 1e9 are verified
#   make check-detectors                  faults seeded into the allocator: does a test find each of them?
#   make check-all                        all tests in groups, with the models, fuzz and check-detectors, and a table
#   make hyperfine  ROUNDS=10             whole programs under hz3 and its peers, timed by hyperfine
#   make soak       SOAK_MIN=30           a mixed load whose every byte is checked and whose memory may not creep
#   make scale-costs                      what an epoch, a fork and others cost with up to 100,000 segments open
#   make coverage                         what the tests reach of the allocator, per file; needs gcovr
#   make check-software                   the test suites of redis, sqlite, python, perl, git: as with glibc?
#   make check-format                     is every C file as clang-format 14 writes it?
#   make check-busy BUSY=20               all tests beside so many endless loops: does the suite mind a busy machine?
#   make check-hardened                   every black-box test that lane hardened is held to
#   make diagrams                         the diagrams, from plots/diagrams/*.graph into the pages that show them
#   make check-faults                     every call to the kernel refused, at every moment: hours on a busy machine
#   make check-machines                   the tests on emulated machines: many CPUs, nodes, other kernels, aarch64
#   make CROSS=aarch64-linux-gnu- allocator    for aarch64, into build/aarch64-linux-gnu/
#
# Each part brings its own fragment; a fragment appends to PROGRAMS (built by `make`), TESTS (cmocka programs and TAP
# scripts run by `make test`, `program@lane` runs one under LD_PRELOAD of that lane) and INSTALLS (targets).

CROSS ?=
BUILD ?= build$(CROSS:%-=/%)
PREFIX ?= /usr/local
CC := $(if $(filter default,$(origin CC)),$(CROSS)gcc,$(CC))
# Parts of the tests need gcc, whatever CC is. For another architecture cmocka lies where check-machines unpacks it.
CROSS_CMOCKA := $(BUILD)/../machines/bookworm-arm64/libcmocka-dev/usr
CROSS_FLAGS := $(if $(CROSS),-idirafter $(CROSS_CMOCKA)/include -L$(CROSS_CMOCKA)/lib/$(CROSS:%-=%))
override CC += $(CROSS_FLAGS)
GCC := $(CROSS)gcc $(CROSS_FLAGS)
AR := $(CROSS)ar

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE $(WARNINGS) -MMD -MP

PROGRAMS :=
TESTS := .ci/format.t .ci/links.t .ci/prose.t .ci/within.t
INSTALLS :=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

include workloads/workloads.mk
include harness/harness.mk
include allocator/allocator.mk
include plots/diagrams/diagrams.mk

ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

all: allocator $(PROGRAMS)

setup:
	@bash harness/setup.sh

test: setup
	@$(MAKE) --no-print-directory test-built

# Split from `test` so that set-up has installed the compiler and the libraries before this Makefile is read again.
test-built: test-programs
	@BUILD=$(BUILD) perl .ci/tap $(TESTS)

test-programs: all $(filter $(BUILD)/%,$(foreach t,$(TESTS),$(firstword $(subst @, ,$(t)))))

# Every test is in one group; what no pattern below names is in the last. MODEL_LARGE= takes the models' small bounds
# only. The group of a lane is its black-box tests.
MODEL_LARGE ?= 1
CHECK_SANITIZED := $(filter %_tsan %_asan allocator/tests/sanitized/%,$(TESTS))
CHECK_MODELS := $(filter allocator/tests/model/%,$(TESTS))
CHECK_LANES := $(foreach lane,$(HZ3_LANES),$(filter %@$(lane),$(TESTS)))
CHECK_UNIT := $(filter-out $(CHECK_SANITIZED),$(filter $(BUILD)/tests/unit_% allocator/tests/unit/%,$(TESTS)))
CHECK_OTHERS := $(filter-out $(CHECK_SANITIZED) $(CHECK_MODELS) $(CHECK_LANES) $(CHECK_UNIT),$(TESTS))

check-all: test-programs
	@BUILD=$(BUILD) perl .ci/groups 'unit=$(CHECK_UNIT)' \
	    $(foreach lane,$(HZ3_LANES),'black box, $(lane)=$(filter %@$(lane),$(TESTS))') \
	    'models=!LITMUS_NEEDED=1 MODEL_LARGE=$(MODEL_LARGE) TEST_TIMEOUT_S=14400 perl .ci/tap $(CHECK_MODELS)' \
	    'sanitizers=$(CHECK_SANITIZED)' 'fuzz=!make BUILD=$(BUILD) fuzz' \
	    'detectors=!make BUILD=$(BUILD) check-detectors' \
	    'others=$(CHECK_OTHERS)'

BUSY ?= 20

check-busy: test-programs
	@BUILD=$(BUILD) .ci/busy $(BUSY) perl .ci/tap $(TESTS)

check-format:
	@bash .ci/format

install: all $(INSTALLS)

clean:
	rm -rf $(BUILD)

.PHONY: all setup test test-built test-programs check-all check-busy check-format install clean
