# The test suites of redis, sqlite, python, perl and git, with glibc's malloc and with hz3. Not part of `make test`:
# they are fetched from Debian's archive, and take an hour.
SOFTWARE_SRC := allocator/tests/software

TESTS += $(SOFTWARE_SRC)/compare.t

check-software: allocator
	@bash harness/setup.sh dpkg-dev tcl tcl-dev zlib1g-dev python3.11 redis-server redis-tools git sqlite3
	@BUILD=$(BUILD) bash $(SOFTWARE_SRC)/software.sh $(SUITES)

.PHONY: check-software
