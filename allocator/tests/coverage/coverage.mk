# make coverage: lines and branches of allocator/src that the tests reach, per file and in total. One build of hz3 with
# gcc's counters and the layer of tests/faults/ is preloaded into the black-box tests and into the workload of the fault tests,
# and linked into the model tests. The race tests and the models have builds of their own and do not count.
# Needs gcovr (Debian package), so it is no part of `make test`. COVERAGE_STRIDE=n: every n-th fault.
#
# Branches of asserts are not counted: their other way is a bug of ours. Those of the fault layer are: each call to the
# kernel is refused and not.
#
# It is no test. Under the counters a program is several times slower; they are LOCK instructions, which some tests look
# for; and gcc's runtime crashes at exit() when malloc returns NULL. allocator/doc/reliability.md has what failed.
COVERAGE := $(BUILD)/coverage
COVERAGE_SRC := allocator/tests/coverage
COVERAGE_OBJ := $(COVERAGE)/obj
COVERAGE_LIB := $(COVERAGE)/libhakozuna_hz3_faults.so
COVERAGE_STRIDE ?= 8
COVERAGE_FLAGS := $(filter-out -O1 -MMD -MP,$(FAULTS_HZ3_FLAGS)) -O0 -MMD -MP
COVERAGE_GCOV := --coverage -fprofile-update=atomic
COVERAGE_OBJECTS := $(patsubst allocator/src/%.c,$(COVERAGE_OBJ)/hz3/%.o,$(HZ3_SOURCES)) \
    $(COVERAGE_OBJ)/fault_calls.o $(COVERAGE_OBJ)/coverage_exit.o
COVERAGE_UNIT := $(UNIT_MODEL:%=$(COVERAGE)/unit_%_test)
COVERAGE_SCRIPTS := $(addprefix $(UNIT_SRC)/,knobs.t front.t)
COVERAGE_THREAD := stress_test api_content_test life_threads_test life_handover_test life_fork_test \
    life_memory_test

$(COVERAGE_OBJ)/hz3/api/hz3_api.o: COVERAGE_RENAMED := $(foreach name,malloc calloc realloc free,-D$(name)=hz3_covered_$(name))

$(COVERAGE_OBJ)/hz3/%.o: allocator/src/%.c $(COVERAGE_SRC)/coverage.mk $(FAULTS_SRC)/faults.mk
	@mkdir -p $(@D)
	@echo '  CC  coverage $<'
	@gcc $(COVERAGE_FLAGS) $(COVERAGE_GCOV) $(COVERAGE_RENAMED) -include $(FAULTS_SRC)/fault_calls.h -c $< -o $@

$(COVERAGE_OBJ)/%.o: $(COVERAGE_SRC)/%.c $(COVERAGE_SRC)/coverage.mk
	@mkdir -p $(@D)
	@gcc $(COVERAGE_FLAGS) -c $< -o $@

$(COVERAGE_OBJ)/%.o: $(FAULTS_SRC)/%.c $(COVERAGE_SRC)/coverage.mk
	@mkdir -p $(@D)
	@gcc $(COVERAGE_FLAGS) -c $< -o $@

$(COVERAGE_LIB): $(COVERAGE_OBJECTS)
	@echo '  LD  $(@F)'
	@gcc -shared -pthread --coverage -Wl,-z,now -Wl,-z,nodelete $^ -ldl -o $@
	@ln -sfn ../tests $(COVERAGE)/tests
	@for lane in $(HZ3_LANES); do ln -sf $(@F) $(COVERAGE)/libhakozuna_hz3_$$lane.so; done

$(COVERAGE_UNIT): $(COVERAGE)/unit_%: $(UNIT_OBJ)/%.o $(UNIT_OBJ)/support.o $(COVERAGE_OBJECTS)
	@echo '  LD  $(@F)'
	@gcc -pthread --coverage $^ $(UNIT_WRAP_$*:%=-Wl,--wrap=%) -lcmocka -ldl -o $@

$(call UNIT_LINK_SHARED,$(COVERAGE)/unit_%_test,$(UNIT_OBJ))

coverage: $(COVERAGE_LIB) $(COVERAGE_UNIT) $(FAULTS_TESTS) $(BLACK_BOX_TESTS) $(UNIT_PROBE)
	@command -v gcovr > /dev/null || { echo 'coverage: gcovr is not installed (Debian package gcovr)' >&2; exit 69; }
	@find $(COVERAGE_OBJ) -name '*.gcda' -delete
	-@BUILD=$(COVERAGE) TEST_TIMEOUT_S=1200 FAULTS_STRIDE=$(COVERAGE_STRIDE) perl .ci/tap $(COVERAGE_UNIT) \
	    $(BLACK_BOX_NAMES:%=$(COVERAGE)/tests/%@faults) $(COVERAGE)/tests/fault_sites_test $(COVERAGE_SCRIPTS)
	-@BUILD=$(COVERAGE) TEST_TIMEOUT_S=1200 HZ3_FRONT=thread perl .ci/tap $(COVERAGE_THREAD:%=$(COVERAGE)/tests/%@faults)
	@$(MAKE) --no-print-directory coverage-report

# A process that is killed amid an update leaves counts that do not add up, which gcov prints as -1 now and then.
coverage-report:
	@for of in lines branches; do gcovr --root . --filter allocator/src/ --object-directory $(COVERAGE_OBJ) -j 2 \
	    --gcov-ignore-parse-errors --exclude-branches-by-pattern '.*hz3_assert.*' $$([ $$of = lines ] || echo --branches) $(COVERAGE_OBJ)/hz3; done

.PHONY: coverage coverage-report

-include $(wildcard $(COVERAGE_OBJ)/*.d $(COVERAGE_OBJ)/hz3/*/*.d)
