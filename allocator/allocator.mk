# hz3 as the top level sees it: allocator/Makefile builds the lanes, so that it also works alone (`make -C allocator`).
HZ3_LANES := scale fast debug hardened
HZ3_SOURCES := $(wildcard allocator/src/*/*.c)
HZ3_LIBS := $(foreach lane,$(HZ3_LANES),$(BUILD)/libhakozuna_hz3_$(lane).so)

allocator:
	@$(MAKE) --no-print-directory -C allocator BUILD=$(abspath $(BUILD)) CC='$(CC)' $(HZ3_LANES:%=all_ldpreload_%)

install-allocator: allocator
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 755 $(addprefix $(BUILD)/libhakozuna_hz3_,scale.so fast.so hardened.so) $(DESTDIR)$(PREFIX)/lib
	install -m 644 allocator/include/hz3.h $(DESTDIR)$(PREFIX)/include
	install -m 644 allocator/hz3.3 $(DESTDIR)$(PREFIX)/share/man/man3
	sed 's|@PREFIX@|$(PREFIX)|' allocator/hz3.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/hz3.pc

INSTALLS += install-allocator
.PHONY: allocator install-allocator

-include allocator/tests/black_box/black_box.mk
-include allocator/tests/unit/unit.mk
-include allocator/tests/sanitized/sanitized.mk
-include allocator/tests/model/model.mk
-include allocator/tests/fuzz/fuzz.mk
-include allocator/tests/mutants/mutants.mk
-include allocator/tests/faults/faults.mk
-include allocator/tests/soak/soak.mk
-include allocator/tests/software/software.mk
-include allocator/tests/scale/scale.mk
-include allocator/tests/coverage/coverage.mk
-include allocator/tests/machines/machines.mk
