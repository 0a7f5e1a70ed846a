# Hare. `make help` lists the targets.
#
# The core (everything below src/cli) is compiled twice: freestanding, into the program loader
# build/hare-ld that runs inside every program, and hosted, into build/hare and the unit tests.

CC ?= gcc
BUILD ?= build
PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/^\#\# \[\{0,1\}\([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -1)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion \
	-Wno-sign-conversion
ifdef WERROR
WARN += -Werror
endif
# One short line a command; `make V=1` shows all of it, `make -s` nothing.
Q = $(if $(V),,@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '  CC $@' &&))
OPT ?= -O2 -g
# Paths in debug information are relative, so the same sources give the same objects anywhere.
BASE_FLAGS := -std=gnu17 $(WARN) $(OPT) -Isrc -ffile-prefix-map=$(CURDIR)=. -MMD -MP -DHARE_VERSION='"$(VERSION)"' $(EXTRA)
# Loops that cross a line of instructions by chance cost a pwrite of one byte up to half its time.
ALIGN := -falign-functions=64
# Without vector registers gcc copies and clears a struct of some words by `rep`, which takes as
# long as a hundred plain moves to begin.
NO_REP_WANTED := -mmemcpy-strategy=unrolled_loop:512:noalign,libcall:-1:noalign \
	-mmemset-strategy=unrolled_loop:512:noalign,libcall:-1:noalign
NO_REP := $(shell $(CC) $(NO_REP_WANTED) -E -x c /dev/null >/dev/null 2>&1 && echo '$(NO_REP_WANTED)')
FREE_FLAGS := $(BASE_FLAGS) -DHARE_FREESTANDING -ffreestanding -fPIE -fvisibility=hidden \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -fomit-frame-pointer $(ALIGN) $(NO_REP)
HOST_FLAGS := $(BASE_FLAGS) -D_GNU_SOURCE
LD_FLAGS := -nostdlib -static-pie -Wl,-z,noexecstack -Wl,-z,max-page-size=4096

CORE_DIRS := base mem msg proto fileserver sched client
CORE_SRC := $(sort $(foreach d,$(CORE_DIRS),$(wildcard src/$(d)/*.c)))
ICPT_ALL := $(sort $(wildcard src/intercept/*.c src/intercept/*.S))
ICPT_SRC := $(filter-out src/intercept/passthrough.c,$(ICPT_ALL))
PASS_SRC := $(ICPT_ALL) src/base/str.c $(wildcard src/base/bug.c)
CLI_SRC := $(sort $(wildcard src/cli/*.c))

free_obj = $(patsubst src/%,$(BUILD)/free/%.o,$(basename $(1)))
host_obj = $(patsubst src/%.c,$(BUILD)/host/%.o,$(1))
crash_obj = $(patsubst src/%.c,$(BUILD)/crash/%.o,$(1))

LD_OBJ := $(call free_obj,$(CORE_SRC) $(ICPT_SRC))
HARE_OBJ := $(call host_obj,$(CORE_SRC) $(CLI_SRC))
CORE_HOST_OBJ := $(call host_obj,$(CORE_SRC) src/cli/host.c)

.PHONY: all check check-unit check-matrix check-suites demo bench help clean setup layers tidy cppcheck format check-format \
	san tsan fuzz cover figures compdb docs install
.DEFAULT_GOAL := all

all: $(BUILD)/hare $(BUILD)/hare-ld $(BUILD)/hare-passthrough $(BUILD)/bench/hb ## the hare command, the program loader, the benchmark programs

setup: ## install what the build and the tests need (Debian packages)
	@scripts/setup

$(BUILD)/free/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FREE_FLAGS) -c -o $@ $<
$(BUILD)/free/%.o: src/%.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(FREE_FLAGS) -c -o $@ $<
$(BUILD)/host/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -c -o $@ $<
# Crash points: the same code, dying at a chosen store (tests of recovery).
$(BUILD)/crash/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -DHARE_CRASH_POINTS -c -o $@ $<

$(BUILD)/hare-ld: $(LD_OBJ)
	$(Q)$(CC) $(LD_FLAGS) -o $@ $^ -lgcc
$(BUILD)/hare-passthrough: $(call free_obj,$(PASS_SRC))
	$(Q)$(CC) $(LD_FLAGS) -o $@ $^ -lgcc
$(BUILD)/hare: $(HARE_OBJ)
	$(Q)$(CC) -o $@ $^ -lpthread
$(BUILD)/bench/hb: $(wildcard bench/workloads/*.c bench/workloads/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 -Wall -Wextra -o $@ $(filter %.c,$^) -lpthread

-include $(LD_OBJ:.o=.d) $(HARE_OBJ:.o=.d) $(patsubst %.o,%.d,$(call free_obj,$(PASS_SRC)))
-include $(wildcard $(BUILD)/crash/*/*.d $(BUILD)/tests/*/*.d)

# --- tests ---------------------------------------------------------------------------------------

UNIT_SRC := $(sort $(filter-out %_crash.c %_speed.c,$(wildcard tests/unit/*.c tests/proto/*.c)))
UNIT_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
CRASH_SRC := $(sort $(wildcard tests/unit/*_crash.c) $(filter-out tests/race/hook.c,$(wildcard tests/race/*.c)))
CRASH_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(CRASH_SRC))
CRASH_OBJ := $(call crash_obj,$(CORE_SRC) src/cli/host.c)
ICPT_TEST := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/intercept/*.c)))

$(UNIT_BIN): $(BUILD)/tests/%: tests/%.c $(CORE_HOST_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -Itests -o $@ $< $(CORE_HOST_OBJ) -lpthread
$(CRASH_BIN): $(BUILD)/tests/%: tests/%.c $(CRASH_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -DHARE_CRASH_POINTS -Itests -o $@ $< $(CRASH_OBJ) -lpthread
$(ICPT_TEST): $(BUILD)/tests/%: tests/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O1 -o $@ $< -lpthread

tests-build: all $(UNIT_BIN) $(CRASH_BIN) $(ICPT_TEST)
.PHONY: tests-build

# build/race: an instance whose programs stop at race points (tests/race/hook.c). What has points is
# compiled again, the rest of the loader is as it is.
RACE_SRC := $(sort $(shell grep -lE 'race_point|rpc_race|pos_lock_local|STEP_CALL' $(CORE_SRC) $(filter %.c,$(ICPT_SRC))))
RACE_OBJ := $(patsubst src/%.c,$(BUILD)/race/obj/%.o,$(RACE_SRC)) $(BUILD)/race/hook.o
$(BUILD)/race/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FREE_FLAGS) -DHARE_RACE_POINTS -c -o $@ $<
$(BUILD)/race/hook.o: tests/race/hook.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FREE_FLAGS) -DHARE_RACE_POINTS -c -o $@ $<
$(BUILD)/race/hare-ld: $(RACE_OBJ) $(call free_obj,$(filter-out $(RACE_SRC),$(CORE_SRC) $(ICPT_SRC)))
	$(Q)$(CC) $(LD_FLAGS) -o $@ $^ -lgcc
$(BUILD)/race/hare: $(BUILD)/hare $(BUILD)/race/hare-ld
	@ln -f $< $@
tests-build: $(BUILD)/race/hare
-include $(wildcard $(BUILD)/race/*.d $(BUILD)/race/obj/*/*.d)

SPEED_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/*_speed.c)))
$(SPEED_BIN): $(BUILD)/tests/%: tests/%.c $(CORE_HOST_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -Itests -o $@ $< $(CORE_HOST_OBJ) -lpthread
speed: $(SPEED_BIN) ## what single handlers and far calls cost
	@for b in $(SPEED_BIN); do $$b; done
.PHONY: speed

check: setup ## all tests, from a bare machine on
	@$(MAKE) --no-print-directory -j$$(nproc) tests-build
	@$(MAKE) --no-print-directory layers
	@tests/run $(UNIT_BIN) $(CRASH_BIN) $(sort $(wildcard tests/*/*.t))

check-matrix: setup tests-build ## the POSIX tests under every configuration (MATRIX=1/20: a part)
	@tests/matrix $(MATRIX)

SUITES ?= $(sort $(patsubst tests/suites/%.sh,%,$(filter-out %/lib.sh %/inside.sh %/steps.sh,$(wildcard tests/suites/*.sh))))
check-suites: setup tests-build ## other people's suites in Hare, compared with tmpfs: hours (SUITES="cpython git")
	@scripts/setup suites
	@tests/run -t 7200 $(SUITES:%=tests/suites/%.sh)

check-unit: $(UNIT_BIN) $(CRASH_BIN) ## the unit tests alone
	@tests/run -j2 $(UNIT_BIN) $(CRASH_BIN)

demo: ## what Hare is for: builds, then Hare builds Hare on four cores
	@scripts/setup build
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@scripts/demo

bench: setup ## speed beside tmpfs, measured in the same run
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bench/run $(BENCH_ARGS)

layers: ## no folder includes a folder below it, nor another's private header
	@scripts/layers

san: ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/san EXTRA='-fsanitize=address,undefined' \
		check-unit

tsan: ## unit tests under ThreadSanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan EXTRA=-fsanitize=thread check-unit
fuzz: all $(UNIT_BIN) ## random requests, messages and operations, other ones each time (FUZZ_SECONDS=60)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz $(BUILD)
cover: ## lines that the unit tests reach, by file (package gcovr)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/cover OPT='-O0 -g' EXTRA=--coverage check-unit
	@gcovr --root . --object-directory $(BUILD)/cover --exclude tests
figures: setup ## bench's numbers as pictures in build/figures (package gnuplot-nox)
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bench/figures $(BUILD)/figures --quick $(BENCH_ARGS)

FORMATTED := $(wildcard src/*/*.c src/*/*.h)
format: ## clang-format in place
	clang-format -i $(FORMATTED)
check-format: ## clang-format, as a check
	@clang-format --dry-run -Werror $(FORMATTED)
tidy: ## clang-tidy
	clang-tidy --quiet $(CORE_SRC) -- -std=gnu17 -Isrc -ffreestanding
cppcheck: ## cppcheck
	cppcheck --quiet --enable=warning,portability --inline-suppr -Isrc src
compdb: ## compile_commands.json
	bear -- $(MAKE) -B all

docs: PROTOCOL.md docs/syscalls.md man/hare-run.1 ## documents made from the tables
PROTOCOL.md: src/proto/rpc.def src/msg/msg.h scripts/protocol
	scripts/protocol > $@
docs/syscalls.md: src/intercept/syscalls.def scripts/syscalls
	scripts/syscalls > $@
man/hare-run.1: src/base/settings.def scripts/man
	scripts/man > $@

install: all ## to PREFIX (default /usr/local)
	install -D -m755 $(BUILD)/hare $(DESTDIR)$(PREFIX)/bin/hare
	install -D -m755 $(BUILD)/hare-ld $(DESTDIR)$(PREFIX)/libexec/hare/hare-ld
	for p in man/*.[1-8]; do s=$${p##*.}; install -D -m644 $$p \
		$(DESTDIR)$(PREFIX)/share/man/man$$s/$$(basename $$p); done

clean: ## remove the build
	rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
