# White-box tests of hz3.
#   UNIT_MODEL   linked with the objects of the debug lane; hz3 serves the test program too
#   UNIT_RACE    linked with a build of their own, see support.h
#   UNIT_TSAN    the same under ThreadSanitizer
UNIT_SRC := allocator/tests/unit
UNIT_OBJ := $(BUILD)/obj/hz3_unit
UNIT_INCLUDES := -Iallocator/include -Iallocator/src

UNIT_MODEL := os size_class segment arena arena_full arena_growth packing small central central_valid strewn bulk_free \
    node depot magazine ledger purge partial_purge lock_faults mapping mapping_cache mapping_registry span_cache \
    stats_file front front_fork
UNIT_RACE := segment_race arena_race packing_race central_race mapping_race span_race lock_race lock
UNIT_TSAN := segment_race arena_race central_race mapping_race span_race lock_race
UNIT_MODEL_TESTS := $(UNIT_MODEL:%=$(BUILD)/tests/unit_%_test)
UNIT_RACE_TESTS := $(UNIT_RACE:%=$(BUILD)/tests/unit_%_test)
UNIT_TSAN_TESTS := $(UNIT_TSAN:%=$(BUILD)/tests/unit_%_tsan)

# A small program that the *.t scripts run under LD_PRELOAD.
UNIT_PROBE := $(BUILD)/tests/unit_probe

TESTS += $(UNIT_MODEL_TESTS) $(UNIT_RACE_TESTS) $(UNIT_TSAN_TESTS) $(wildcard $(UNIT_SRC)/*.t)

# --- model tests ---

# Functions that a test replaces (__wrap_f) and may still call (__real_f).
UNIT_WRAP_arena_test := hz3_os_purge hz3_segment_claim
UNIT_WRAP_arena_full_test := hz3_pack_claim_unhinted
UNIT_WRAP_bulk_free_test := hz3_os_cpu
UNIT_WRAP_central_test := hz3_os_cpu
UNIT_WRAP_central_valid_test := hz3_os_cpu
UNIT_WRAP_strewn_test := hz3_os_cpu
UNIT_WRAP_node_test := hz3_arena_slot_open hz3_os_cpu
UNIT_WRAP_os_test := hz3_os_read_file
UNIT_WRAP_depot_test := hz3_lock_acquire hz3_lock_try hz3_os_cpu hz3_os_map_own
UNIT_WRAP_magazine_test := hz3_os_cpu hz3_os_map_own hz3_os_purge
UNIT_WRAP_front_test := hz3_os_membarrier hz3_slab_watch
UNIT_WRAP_front_fork_test := hz3_front_fork_stop hz3_os_membarrier
UNIT_WRAP_PURGES := hz3_os_now_us hz3_os_purge hz3_os_purge_ranges hz3_os_unmap
UNIT_WRAP_ledger_test := $(UNIT_WRAP_PURGES)
UNIT_WRAP_purge_test := $(UNIT_WRAP_PURGES)
UNIT_WRAP_partial_purge_test := hz3_os_purge hz3_os_purge_ranges
UNIT_WRAP_lock_faults_test := hz3_lock_acquire hz3_lock_release
UNIT_WRAP_packing_test := hz3_segment_claim
UNIT_WRAP_small_test := hz3_os_cpu
UNIT_WRAP_span_cache_test := hz3_os_cpu
UNIT_WRAP_MAPPINGS := hz3_os_map hz3_os_map_aligned hz3_os_unmap hz3_os_remap hz3_os_purge hz3_os_memory_limit \
    hz3_os_is_alone
UNIT_WRAP_mapping_test := $(UNIT_WRAP_MAPPINGS)
UNIT_WRAP_mapping_cache_test := $(UNIT_WRAP_MAPPINGS)

UNIT_DEBUG_OBJECTS := $(patsubst allocator/src/%.c,$(BUILD)/obj/hz3_debug/%.o,$(HZ3_SOURCES))

# `allocator` is phony, so the recipe always runs; the archive changes, and with it the programs, only when an object
# did.
$(UNIT_OBJ)/debug.a: allocator
	@mkdir -p $(@D)
	@if [ ! -e $@ ] || [ -n "$$(find $(UNIT_DEBUG_OBJECTS) -newer $@)" ]; then \
	    rm -f $@ && $(AR) rcs $@ $(UNIT_DEBUG_OBJECTS); fi

$(UNIT_OBJ)/%.o: $(UNIT_SRC)/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	@echo '  CC  unit $<'
	@$(CC) $(BASE_CFLAGS) $(CFLAGS) $(UNIT_INCLUDES) -DHZ3_DEBUG=1 -fno-builtin -pthread -c $< -o $@

$(UNIT_MODEL_TESTS): $(BUILD)/tests/unit_%: $(UNIT_OBJ)/%.o $(UNIT_OBJ)/support.o $(UNIT_OBJ)/debug.a \
		$(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) -pthread $(filter %.o,$^) $(UNIT_WRAP_$*:%=-Wl,--wrap=%) \
	    -Wl,--whole-archive $(UNIT_OBJ)/debug.a -Wl,--no-whole-archive -lcmocka -o $@

# What some of them share.
UNIT_SHARED := mapping_model central_support purge_kernel front_support
UNIT_SHARED_mapping_model := mapping mapping_cache
UNIT_SHARED_central_support := central strewn bulk_free node
UNIT_SHARED_purge_kernel := ledger purge
UNIT_SHARED_front_support := front front_fork
# $(1): a program, with % for the test; $(2): where the objects lie.
UNIT_LINK_SHARED = $(foreach object,$(UNIT_SHARED),$(eval $(UNIT_SHARED_$(object):%=$(1)): $(2)/$(object).o))
$(call UNIT_LINK_SHARED,$(BUILD)/tests/unit_%_test,$(UNIT_OBJ))

$(UNIT_PROBE): $(UNIT_OBJ)/probe.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(CC) $(CFLAGS) -pthread $^ -o $@

test-programs: $(UNIT_PROBE)

# --- race tests ---
# Always gcc: Debian's clang comes without the sanitizers' runtime, and yield_atomics.h uses gcc's generic builtins.

UNIT_RENAMED := malloc free calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc \
    malloc_usable_size malloc_trim mallinfo mallinfo2 malloc_stats malloc_info mallopt free_sized free_aligned_sized
# The validators run here too, so that ThreadSanitizer sees what they read. A sleep on a lock has no end of a second,
# which a lost wake would pass by.
UNIT_RACE_FLAGS := $(BASE_CFLAGS) -O1 -g $(UNIT_INCLUDES) -DHZ3_DEBUG=2 -DHZ3_LOCK_SLEEP_MAX_MS=3600000 -pthread
UNIT_RACE_HZ3_FLAGS := $(UNIT_RACE_FLAGS) $(foreach name,$(UNIT_RENAMED),-D$(name)=hz3_unit_$(name)) \
    -include $(UNIT_SRC)/yield_atomics.h
# -Wno-tsan: the sanitizer does not model fences, which order packing's hints and no data.
UNIT_SANITIZE_race :=
UNIT_SANITIZE_tsan := -fsanitize=thread -Wno-tsan

define UNIT_RACE_RULES
UNIT_OBJECTS_$(1) := $$(patsubst allocator/src/%.c,$(UNIT_OBJ)/$(1)/hz3/%.o,$$(HZ3_SOURCES)) \
    $(UNIT_OBJ)/$(1)/support.o $(UNIT_OBJ)/$(1)/yield_point.o

$(UNIT_OBJ)/$(1)/hz3/%.o: allocator/src/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $$(@D)
	@echo '  CC  $(1) $$<'
	@$(GCC) $(UNIT_RACE_HZ3_FLAGS) $$(UNIT_SANITIZE_$(1)) -c $$< -o $$@

$(UNIT_OBJ)/$(1)/%.o: $(UNIT_SRC)/%.c $(UNIT_SRC)/unit.mk
	@mkdir -p $$(@D)
	@echo '  CC  $(1) $$<'
	@$(GCC) $(UNIT_RACE_FLAGS) $$(UNIT_SANITIZE_$(1)) -c $$< -o $$@

$(2): $(BUILD)/tests/unit_%_$(3): $(UNIT_OBJ)/$(1)/%_test.o $$(UNIT_OBJECTS_$(1))
	@mkdir -p $$(@D)
	@echo '  LD  $$(@F)'
	@$(GCC) -pthread $$(UNIT_SANITIZE_$(1)) $$^ -lcmocka -o $$@
endef
$(eval $(call UNIT_RACE_RULES,race,$(UNIT_RACE_TESTS),test))
$(eval $(call UNIT_RACE_RULES,tsan,$(UNIT_TSAN_TESTS),tsan))

# --- packing's hints where a fence counts ---
PACKING_WEAK := $(UNIT_OBJ)/packing_weak
TESTS += $(BUILD)/tests/unit_packing_weak_test

$(PACKING_WEAK)/hz3_segment_packing.o: allocator/src/pages/hz3_segment_packing.c $(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	@echo '  CC  packing_weak $<'
	@$(GCC) $(UNIT_RACE_HZ3_FLAGS) -include $(UNIT_SRC)/weak_atomics.h -c $< -o $@

$(PACKING_WEAK)/packing_race_test.o: $(UNIT_SRC)/packing_race_test.c $(UNIT_SRC)/unit.mk
	@mkdir -p $(@D)
	@echo '  CC  packing_weak $<'
	@$(GCC) $(UNIT_RACE_FLAGS) -DROUNDS=1500 -c $< -o $@

$(BUILD)/tests/unit_packing_weak_test: $(UNIT_OBJ)/race/weak_atomics.o \
		$(addprefix $(PACKING_WEAK)/,packing_race_test.o hz3_segment_packing.o) \
		$(filter-out %/pages/hz3_segment_packing.o,$(UNIT_OBJECTS_race))
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(GCC) -pthread $^ -lcmocka -o $@

# --- the front under a storm ---
# The race build's objects, but those that contain operations of the front are compiled from a copy of the sources, into
# which each program has its own seeds planted: wider windows (front_stress.plants), and for the programs that must fail
# one fault each, a mutant of front.mutants.
FRONT_STRESS_FAULTS_cpu := commit_behind_the_section abort_goes_on_with_the_commit
FRONT_STRESS_cpu := front_stress $(FRONT_STRESS_FAULTS_cpu:%=front_stress_%)
FRONT_STRESS_thread := front_stress_thread
FRONT_STRESS_PLANTS_cpu := pauses_before_the_commit
FRONT_STRESS_FLAGS_thread := -DHZ3_FRONT_CPU=0

FRONT_STRESS_OWN := api/hz3_api api/hz3_api_new front/hz3_front_cpu front/hz3_front_drain front/hz3_front_slow \
    front/hz3_front_thread
FRONT_STRESS_SHARED := $(filter-out $(FRONT_STRESS_OWN:%=$(UNIT_OBJ)/race/hz3/%.o),\
    $(patsubst allocator/src/%.c,$(UNIT_OBJ)/race/hz3/%.o,$(HZ3_SOURCES))) $(UNIT_OBJ)/race/yield_point.o
FRONT_STRESS_SEEDS := allocator/tests/mutants/run allocator/tests/mutants/front.mutants $(UNIT_SRC)/front_stress.plants

# $(1): the program, $(2): the front it is for.
define FRONT_STRESS_RULES
$(UNIT_OBJ)/$(1)/planted: $(wildcard allocator/src/*/*) $(FRONT_STRESS_SEEDS) $(UNIT_SRC)/unit.mk
	@perl allocator/tests/mutants/run --plant $(FRONT_STRESS_PLANTS_$(2)) \
	    $(filter $(1:front_stress_%=%),$(FRONT_STRESS_FAULTS_$(2))) $$(@D)/src
	@touch $$@

$(UNIT_OBJ)/$(1)/%.o: $(UNIT_OBJ)/$(1)/planted
	@mkdir -p $$(@D)
	@echo '  CC  $(1) $$*.c'
	@$(GCC) -I$(UNIT_OBJ)/$(1)/src $(UNIT_RACE_HZ3_FLAGS) $(FRONT_STRESS_FLAGS_$(2)) -c $(UNIT_OBJ)/$(1)/src/$$*.c -o $$@

$(BUILD)/tests/$(1): $(UNIT_OBJ)/race/front_stress.o $(FRONT_STRESS_OWN:%=$(UNIT_OBJ)/$(1)/%.o) $(FRONT_STRESS_SHARED)
	@mkdir -p $$(@D)
	@echo '  LD  $$(@F)'
	@$(GCC) -pthread $$^ -o $$@
endef
$(foreach front,cpu thread,$(foreach name,$(FRONT_STRESS_$(front)),$(eval $(call FRONT_STRESS_RULES,$(name),$(front)))))

# As in lane fast: without a CPU front malloc and free have the thread's operations inline.
TESTS += $(BUILD)/tests/unit_front_race_test
$(BUILD)/tests/unit_front_race_test: $(addprefix $(UNIT_OBJ)/race/,front_race_test.o support.o) \
		$(FRONT_STRESS_OWN:%=$(UNIT_OBJ)/front_stress_thread/%.o) $(FRONT_STRESS_SHARED)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(GCC) -pthread $^ -lcmocka -o $@

$(BUILD)/tests/front_stress_tsan: $(UNIT_OBJ)/tsan/front_stress.o \
		$(patsubst allocator/src/%.c,$(UNIT_OBJ)/tsan/hz3/%.o,$(HZ3_SOURCES)) $(UNIT_OBJ)/tsan/yield_point.o
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@$(GCC) -pthread -fsanitize=thread $^ -o $@

test-programs: $(FRONT_STRESS_cpu:%=$(BUILD)/tests/%) $(FRONT_STRESS_thread:%=$(BUILD)/tests/%) \
    $(BUILD)/tests/front_stress_tsan

-include $(wildcard $(UNIT_OBJ)/*.d $(UNIT_OBJ)/*/*.d $(UNIT_OBJ)/*/hz3/*/*.d $(UNIT_OBJ)/front_stress*/*/*.d)
