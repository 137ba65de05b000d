# Black-box tests of hz3 through the public malloc API. Each runs in lanes scale, fast and debug; hardened has the lists
# below. What a test needs besides its own file is in support*.c. -fno-builtin and the -Wno flags: the tests do on
# purpose what compilers fold away or warn about.
TESTS_SRC := allocator/tests/black_box
TESTS_CFLAGS := $(BASE_CFLAGS) $(CFLAGS) -fno-builtin -pthread -Wno-deprecated-declarations
TESTS_GCC_ONLY := $(if $(findstring clang,$(CC)),,-Wno-use-after-free -Wno-free-nonheap-object \
    -Wno-alloc-size-larger-than)

BLACK_BOX_NAMES := api_policy_test api_content_test contract_test misuse_test misuse_address_test bad_input_test \
    life_threads_test life_handover_test life_fork_test life_fork_inside_test life_limits_test life_footing_test \
    life_memory_test life_loading_test life_interposed_test life_purger_test life_alone_test life_sandbox_test \
    life_places_test life_signals_test exhaustion_test full_arena_test stress_test new_test large_test
BLACK_BOX_TESTS := $(addprefix $(BUILD)/tests/,$(BLACK_BOX_NAMES))
BLACK_BOX_PROGRAMS := $(BLACK_BOX_TESTS) $(BUILD)/tests/hardened_test
TESTS_PLUGINS := $(patsubst $(TESTS_SRC)/%.c,$(BUILD)/tests/%.so,$(wildcard $(TESTS_SRC)/*_plugin.c))
TESTS_OBJ := $(BUILD)/obj/black_box
TESTS_SUPPORT := $(patsubst %,$(TESTS_OBJ)/%.o,support support_memory support_heap support_check support_audit \
    support_forbid support_tasks)

# What lane hardened promises, and what its states and locks could break; it is slow where others reuse large blocks.
HARDENED_NAMES := hardened_test misuse_test misuse_address_test bad_input_test stress_test new_test
# Held to the same, too long for `make test`.
HARDENED_LONG_NAMES := api_policy_test api_content_test contract_test life_threads_test life_handover_test \
    life_fork_test life_fork_inside_test life_loading_test life_interposed_test

TESTS += $(foreach test,$(BLACK_BOX_TESTS),$(test)@scale $(test)@fast $(test)@debug) \
    $(HARDENED_NAMES:%=$(BUILD)/tests/%@hardened) \
    $(TESTS_SRC)/real_programs.t $(TESTS_SRC)/sandboxes.t $(TESTS_SRC)/arena_fill.t

$(TESTS_OBJ)/%.o: $(TESTS_SRC)/%.c $(TESTS_SRC)/black_box.mk
	@mkdir -p $(@D)
	@echo '  CC  $<'
	@$(CC) $(TESTS_CFLAGS) $(TESTS_GCC_ONLY) -c -o $@ $<

$(BLACK_BOX_PROGRAMS): $(BUILD)/tests/%: $(TESTS_OBJ)/%.o $(TESTS_SUPPORT) $(TESTS_PLUGINS)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(or $(TESTS_LD),$(CC)) $(CFLAGS) -pthread -o $@ $(filter %.o,$^) -ldl

$(BUILD)/tests/misuse_test $(BUILD)/tests/misuse_address_test: $(TESTS_OBJ)/misuse.o
$(BUILD)/tests/misuse_address_test $(BUILD)/tests/bad_input_test: $(TESTS_OBJ)/bad_input_foreign.o
$(BUILD)/tests/contract_test: $(TESTS_OBJ)/contract_entries.o $(TESTS_OBJ)/contract_refusals.o

# operator new and delete are C++. The operators are called by name, so nothing of a compiler's is in between.
TESTS_CXX := $(if $(findstring clang,$(CC)),clang++,g++)
TESTS_CXXFLAGS := -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP $(CFLAGS) -fno-builtin -pthread \
    $(if $(findstring clang,$(CC)),,-Wno-sized-deallocation)

$(TESTS_OBJ)/%.o: $(TESTS_SRC)/%.cpp $(TESTS_SRC)/black_box.mk
	@mkdir -p $(@D)
	@echo '  CXX $<'
	@$(TESTS_CXX) $(TESTS_CXXFLAGS) -c -o $@ $<

$(BUILD)/tests/new_test: $(BUILD)/tests/new_guest
$(BUILD)/tests/new_test: TESTS_LD := $(TESTS_CXX)

$(BUILD)/tests/new_guest: $(TESTS_OBJ)/new_guest.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(TESTS_CXX) $(CFLAGS) -o $@ $<

$(BUILD)/tests/life_places_test: $(BUILD)/tests/life_guest $(BUILD)/tests/life_guest_static

$(BUILD)/tests/life_guest $(BUILD)/tests/life_guest_static: $(TESTS_OBJ)/life_guest.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) -pthread $(if $(findstring static,$(@F)),-static) -o $@ $<

$(TESTS_PLUGINS): $(BUILD)/tests/%.so: $(TESTS_SRC)/%.c $(TESTS_SRC)/black_box.mk
	@mkdir -p $(@D) $(TESTS_OBJ)
	@echo '  LD  $(@F)'
	@$(CC) $(TESTS_CFLAGS) $(TESTS_GCC_ONLY) -fPIC -shared -MF $(TESTS_OBJ)/$*.d -o $@ $<

-include $(wildcard $(TESTS_OBJ)/*.d)

check-hardened: allocator $(BLACK_BOX_PROGRAMS)
	@BUILD=$(BUILD) perl .ci/tap $(patsubst %,$(BUILD)/tests/%@hardened,$(HARDENED_NAMES) $(HARDENED_LONG_NAMES))

.PHONY: check-hardened
