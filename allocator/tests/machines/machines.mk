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
machine-programs: allocator

$(BUILD)/tests/node_traffic $(BUILD)/tests/crowd: $(BUILD)/tests/%: $(MACHINES_SRC)/%.c
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
