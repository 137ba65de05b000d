# hz3 under AddressSanitizer and UndefinedBehaviorSanitizer, linked into the tests, whose own malloc is the sanitizer's.
# It does not know hz3's blocks, but everything else: tables, stacks, what the tests allocate, and undefined arithmetic.
# The first report ends the program. -fsanitize=undefined of gcc has no part that hz3 breaks on purpose: none is left out.
#   SANITIZED_RACE        the race tests of unit.mk
#   UNIT_MODEL            all model tests but one
#   SANITIZED_BLACK_BOX   tests of the public API, run by sanitized.t
SANITIZED_OBJ := $(BUILD)/obj/hz3_asan
UNIT_SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SANITIZED_RACE := segment_race arena_race packing_race central_race mapping_race lock_race lock
SANITIZED_BLACK_BOX := stress_test exhaustion_test
SANITIZED_RACE_TESTS := $(SANITIZED_RACE:%=$(BUILD)/tests/unit_%_asan)
# arena_growth counts slots, of which the program's own blocks have none here, and takes minutes to close them.
SANITIZED_MODEL_TESTS := $(patsubst %,$(BUILD)/tests/unit_%_model_asan,$(filter-out arena_growth,$(UNIT_MODEL)))
SANITIZED_BLACK_BOX_TESTS := $(SANITIZED_BLACK_BOX:%=$(BUILD)/tests/%_asan)

TESTS += $(SANITIZED_RACE_TESTS) $(SANITIZED_MODEL_TESTS) allocator/tests/sanitized/sanitized.t
test-programs: $(SANITIZED_BLACK_BOX_TESTS) $(BUILD)/tests/front_stress_asan

$(eval $(call UNIT_RACE_RULES,asan,$(SANITIZED_RACE_TESTS),asan))
SANITIZED_HZ3 := $(patsubst allocator/src/%.c,$(UNIT_OBJ)/asan/hz3/%.o,$(HZ3_SOURCES)) \
    $(UNIT_OBJ)/asan/yield_point.o

# These call malloc and mean hz3's.
SANITIZED_FLAGS := $(UNIT_RACE_FLAGS) $(foreach name,$(UNIT_RENAMED),-D$(name)=hz3_unit_$(name)) -fno-builtin \
    -Wno-deprecated-declarations $(UNIT_SANITIZE_asan)

$(SANITIZED_OBJ)/unit/%.o: $(UNIT_SRC)/%.c $(UNIT_SRC)/unit.mk allocator/tests/sanitized/sanitized.mk
	@mkdir -p $(@D)
	@echo '  CC  asan $<'
	@gcc $(SANITIZED_FLAGS) -c $< -o $@

$(SANITIZED_OBJ)/%.o: $(TESTS_SRC)/%.c allocator/tests/sanitized/sanitized.mk
	@mkdir -p $(@D)
	@echo '  CC  asan $<'
	@gcc $(SANITIZED_FLAGS) $(TESTS_GCC_ONLY) -c $< -o $@

$(SANITIZED_MODEL_TESTS): $(BUILD)/tests/unit_%_model_asan: $(SANITIZED_OBJ)/unit/%_test.o $(UNIT_OBJ)/asan/support.o \
		$(SANITIZED_HZ3)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@gcc -pthread $(UNIT_SANITIZE_asan) $(UNIT_WRAP_$*_test:%=-Wl,--wrap=%) $^ -lcmocka -o $@

$(call UNIT_LINK_SHARED,$(BUILD)/tests/unit_%_model_asan,$(SANITIZED_OBJ)/unit)

$(SANITIZED_BLACK_BOX_TESTS): $(BUILD)/tests/%_asan: $(SANITIZED_OBJ)/%.o \
		$(patsubst $(TESTS_OBJ)/%,$(SANITIZED_OBJ)/%,$(TESTS_SUPPORT)) $(SANITIZED_HZ3) $(TESTS_PLUGINS)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@gcc -pthread $(UNIT_SANITIZE_asan) $(filter %.o,$^) -ldl -o $@

$(BUILD)/tests/front_stress_asan: $(UNIT_OBJ)/asan/front_stress.o $(SANITIZED_HZ3)
	@mkdir -p $(@D)
	@echo '  LD  $(@F)'
	@gcc -pthread $(UNIT_SANITIZE_asan) $^ -o $@

-include $(wildcard $(SANITIZED_OBJ)/*.d $(SANITIZED_OBJ)/unit/*.d)
