# White-box tests of hz3.
#   UNIT_MODEL   linked with the objects of the debug lane; hz3 serves the test program too
#   UNIT_RACE    linked with a build of their own, see support.h
#   UNIT_TSAN    the same under ThreadSanitizer
UNIT_SRC := allocator/tests/unit
UNIT_OBJ := $(BUILD)/obj/hz3_unit
UNIT_INCLUDES := -Iallocator/include -Iallocator/src

UNIT_MODEL := size_class segment arena central ledger mapping stats_file
UNIT_RACE := segment_race arena_race packing_race central_race mapping_race lock_race lock
UNIT_TSAN := segment_race arena_race central_race mapping_race lock_race
UNIT_MODEL_TESTS := $(UNIT_MODEL:%=$(BUILD)/tests/unit_%_test)
UNIT_RACE_TESTS := $(UNIT_RACE:%=$(BUILD)/tests/unit_%_test)
UNIT_TSAN_TESTS := $(UNIT_TSAN:%=$(BUILD)/tests/unit_%_tsan)

# A small program that the *.t scripts run under LD_PRELOAD.
UNIT_PROBE := $(BUILD)/tests/unit_probe

TESTS += $(UNIT_MODEL_TESTS) $(UNIT_RACE_TESTS) $(UNIT_TSAN_TESTS) $(wildcard $(UNIT_SRC)/*.t)

# --- model tests ---

# Functions that a test replaces (__wrap_f) and may still call (__real_f).
UNIT_WRAP_arena_test := hz3_os_purge
UNIT_WRAP_central_test := hz3_os_cpu
UNIT_WRAP_ledger_test := hz3_os_purge hz3_os_purge_ranges
UNIT_WRAP_mapping_test := hz3_os_map hz3_os_map_aligned hz3_os_unmap hz3_os_remap

UNIT_DEBUG_OBJECTS := $(patsubst allocator/src/%.c,$(BUILD)/obj/hz3_debug/%.o,$(wildcard allocator/src/*.c))

# `allocator` is phony, so the recipe always runs; the archive changes, and with it the programs, only when an object
# did.
$(UNIT_OBJ)/debug.a: allocator
	@mkdir -p $(@D)
	@if [ ! -e $@ ] || [ -n "$$(find $(UNIT_DEBUG_OBJECTS) -newer $@)" ]; then \
	    rm -f $@ && ar rcs $@ $(UNIT_DEBUG_OBJECTS); fi

$(UNIT_OBJ)/%.o: $(UNIT_SRC)/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(UNIT_INCLUDES) -DHZ3_DEBUG=1 -fno-builtin -pthread -c $< -o $@

$(UNIT_MODEL_TESTS): $(BUILD)/tests/unit_%: $(UNIT_OBJ)/%.o $(UNIT_OBJ)/support.o $(UNIT_OBJ)/debug.a \
		$(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -pthread $(filter %.o,$^) $(UNIT_WRAP_$*:%=-Wl,--wrap=%) \
	    -Wl,--whole-archive $(UNIT_OBJ)/debug.a -Wl,--no-whole-archive -lcmocka -o $@

$(UNIT_PROBE): $(UNIT_OBJ)/probe.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -pthread $^ -o $@

test-built: $(UNIT_PROBE)

# --- race tests ---
# Always gcc: Debian's clang comes without the sanitizers' runtime, and yield_atomics.h uses gcc's generic builtins.

UNIT_RENAMED := malloc free calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc \
    malloc_usable_size malloc_trim mallinfo mallinfo2 malloc_stats malloc_info mallopt
UNIT_RACE_FLAGS := $(BASE_CFLAGS) -O1 -g $(UNIT_INCLUDES) -DHZ3_DEBUG=1 -pthread
UNIT_RACE_HZ3_FLAGS := $(UNIT_RACE_FLAGS) $(foreach name,$(UNIT_RENAMED),-D$(name)=hz3_unit_$(name)) \
    -include $(UNIT_SRC)/yield_atomics.h
# -Wno-tsan: the sanitizer does not model fences, which order packing's hints and no data.
UNIT_SANITIZE_race :=
UNIT_SANITIZE_tsan := -fsanitize=thread -Wno-tsan

define UNIT_RACE_RULES
UNIT_OBJECTS_$(1) := $$(patsubst allocator/src/%.c,$(UNIT_OBJ)/$(1)/hz3/%.o,$$(wildcard allocator/src/*.c)) \
    $(UNIT_OBJ)/$(1)/support.o $(UNIT_OBJ)/$(1)/yield_point.o

$(UNIT_OBJ)/$(1)/hz3/%.o: allocator/src/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $$(@D)
	@echo '  CC  $(1) $$<'
	@gcc $(UNIT_RACE_HZ3_FLAGS) $$(UNIT_SANITIZE_$(1)) -c $$< -o $$@

$(UNIT_OBJ)/$(1)/%.o: $(UNIT_SRC)/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $$(@D)
	gcc $(UNIT_RACE_FLAGS) $$(UNIT_SANITIZE_$(1)) -c $$< -o $$@

$(2): $(BUILD)/tests/unit_%_$(3): $(UNIT_OBJ)/$(1)/%_test.o $$(UNIT_OBJECTS_$(1))
	@mkdir -p $$(@D)
	gcc -pthread $$(UNIT_SANITIZE_$(1)) $$^ -lcmocka -o $$@
endef
$(eval $(call UNIT_RACE_RULES,race,$(UNIT_RACE_TESTS),test))
$(eval $(call UNIT_RACE_RULES,tsan,$(UNIT_TSAN_TESTS),tsan))

-include $(wildcard $(UNIT_OBJ)/*.d $(UNIT_OBJ)/*/*.d $(UNIT_OBJ)/*/hz3/*.d)
