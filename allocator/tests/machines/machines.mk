# The tests on machines that this one is not: allocator/tests/machines/machines is their table.
#
#   make check-machines [MACHINES='small aarch64']    half an hour and more; one machine at a time
#   make CROSS=aarch64-linux-gnu- machine-programs    what a machine of that architecture runs
MACHINES_SRC := allocator/tests/machines
MACHINES ?=
MACHINE_PROGRAMS := $(addprefix $(BUILD)/tests/,$(shell perl $(MACHINES_SRC)/run --programs $(if $(CROSS),arm64,amd64)))

TESTS += $(MACHINES_SRC)/small.t

# small.t runs them as well.
test-programs machine-programs: $(MACHINE_PROGRAMS)
machine-programs: allocator $(BUILD)/tests/cpus_are_counted_once_plugin.so

# Lane scale with a fault, from a copy of the sources.
LATECOMER := $(BUILD)/obj/latecomer
$(BUILD)/tests/cpus_are_counted_once_plugin.so: $(wildcard allocator/src/*/*) $(MACHINES_SRC)/latecomer.plants
	@mkdir -p $(LATECOMER) $(@D)
	@cp -r allocator/Makefile allocator/lanes allocator/include $(LATECOMER)
	@perl allocator/tests/mutants/run --plant cpus_are_counted_once $(LATECOMER)/src
	@$(MAKE) --no-print-directory -C $(LATECOMER) BUILD=build CROSS=$(CROSS) all_ldpreload_scale
	@cp $(LATECOMER)/build/libhakozuna_hz3_scale.so $@

$(BUILD)/tests/node_traffic $(BUILD)/tests/crowd $(BUILD)/tests/latecomer: $(BUILD)/tests/%: $(MACHINES_SRC)/%.c
	@mkdir -p $(@D)
	@echo '  CC  $(@F)'
	@$(CC) $(BASE_CFLAGS) $(CFLAGS) -fno-builtin -pthread $< -o $@

check-machines: machine-programs
	@bash harness/setup.sh qemu-system-x86 qemu-system-arm qemu-user cpio busybox-static gcc-aarch64-linux-gnu \
	    libc6-dev-arm64-cross
	@$(MACHINES_SRC)/fetch $(BUILD)/machines bookworm arm64 libcmocka-dev libcmocka0 > /dev/null
	@$(MAKE) --no-print-directory CROSS=aarch64-linux-gnu- BUILD=$(BUILD)/aarch64-linux-gnu machine-programs
	@BUILD=$(BUILD) perl $(MACHINES_SRC)/run $(MACHINES)

.PHONY: check-machines machine-programs
