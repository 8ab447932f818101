# mod_orgs: `make` builds build/mod_orgs.so and build/orgsctl; the README names the other targets.

BUILD ?= build
PREFIX ?= /usr/local
PORT ?= 8080
RUN_DIR ?= build/run
CONF ?=
export BUILD PORT RUN_DIR CONF

# The client library is the one that MYSQL_CONFIG names, here or by the environment; the server that make run and the
# tests start: conf/servers.sh (MYSQLD, MYSQL, MYSQL_INSTALL_DB).
ifneq ($(origin MYSQL_CONFIG),undefined)
export MYSQL_CONFIG
endif

# $(call once,NAME,COMMAND): asked when first needed (the tools may come with the packages of the very same
# `make run`) and only once.
once = $(eval $(1) := $$(shell $(2)))$($(1))
APXS ?= $(call once,APXS,command -v apxs || command -v apxs2 || echo apxs)
APR_CONFIG ?= $(call once,APR_CONFIG,$(APXS) -q APR_CONFIG)
APU_CONFIG ?= $(call once,APU_CONFIG,$(APXS) -q APU_CONFIG)
MYSQL_CONFIG ?= $(call once,MYSQL_CONFIG,command -v mysql_config || command -v mariadb_config || echo mysql_config)
PKG_CONFIG ?= pkg-config
LIBEXECDIR = $(call once,LIBEXECDIR,$(APXS) -q LIBEXECDIR)
SYSCONFDIR = $(call once,SYSCONFDIR,$(APXS) -q SYSCONFDIR)

INCLUDES = $(call once,INCLUDES,echo -I`$(APXS) -q INCLUDEDIR` `$(APR_CONFIG) --includes` `$(APU_CONFIG) --includes` \
             `$(MYSQL_CONFIG) --include` `$(PKG_CONFIG) --silence-errors --cflags-only-I jansson`)
APR_CPPFLAGS = $(call once,APR_CPPFLAGS,$(APR_CONFIG) --cppflags)
APR_LIBS = $(call once,APR_LIBS,echo `$(APU_CONFIG) --link-ld` `$(APR_CONFIG) --link-ld`)
LIBS = $(call once,MYSQL_LIBS,$(MYSQL_CONFIG) --libs) \
       $(call once,JANSSON_LIBS,$(PKG_CONFIG) --silence-errors --libs jansson || echo -ljansson) -lcrypto $(APR_LIBS)

# /usr/include itself stays where the compiler has it: as -isystem it would come before the compiler's own headers.
ALL_CPPFLAGS = -Iinclude $(patsubst -I%,-isystem %,$(filter-out -I/usr/include,$(INCLUDES))) $(APR_CPPFLAGS) \
               -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -fstack-protector-strong \
             -Wall -Wextra -Wshadow -Wconversion -Werror $(CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro -Wl,-z,now $(LDFLAGS)

objects = $(patsubst %.c,$(BUILD)/%.o,$(notdir $(1)))
SHARED := $(call objects,$(wildcard src/orgs_*.c))
MODULE := $(call objects,mod_orgs.c $(wildcard src/mod_orgs_*.c)) $(BUILD)/orgs_files_api.o $(SHARED)
TOOL := $(call objects,$(wildcard src/orgsctl*.c)) $(BUILD)/orgs_files_sql.o $(SHARED)
SQL := $(sort $(wildcard sql/*.sql))

# One line for each command; V=1 shows them whole.
quiet = $(if $(V),,@echo "  $(1) $(2)" && )

.PHONY: all install uninstall run start stop test test-long test-matrix check-asan check-tsan check-valgrind bench bench-tools clean
.DELETE_ON_ERROR:

all: $(BUILD)/mod_orgs.so $(BUILD)/orgsctl
	@:

# nodelete: the client library keeps threads' keys that must not dangle when httpd unloads the module at a restart.
$(BUILD)/mod_orgs.so: $(MODULE)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) -shared -Wl,-z,nodelete $(ALL_LDFLAGS) -o $@ $(MODULE) $(LIBS)
	@echo "  client library: $(MYSQL_CONFIG) $$($(MYSQL_CONFIG) --version); server: $$(. conf/servers.sh && server_version)"

$(BUILD)/orgsctl: $(TOOL)
	$(call quiet,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(TOOL) $(LIBS)

COMPILE = $(call quiet,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.c Makefile | $(BUILD)
	$(COMPILE)
$(BUILD)/%.o: src/%.c Makefile | $(BUILD)
	$(COMPILE)
$(BUILD)/%.o: $(BUILD)/%.c Makefile
	$(COMPILE)

# The directory itself is asked too: a file that went away must leave the tool.
$(BUILD)/orgs_files_sql.c: conf/embed.pl $(SQL) sql | $(BUILD)
	$(call quiet,EMBED,$@)perl conf/embed.pl orgs_files_sql $(SQL) >$@
$(BUILD)/orgs_files_api.c: conf/embed.pl conf/openapi.json | $(BUILD)
	$(call quiet,EMBED,$@)perl conf/embed.pl orgs_files_api conf/openapi.json >$@

$(BUILD):
	@command -v $(APXS) >/dev/null || \
	    { echo "apxs is missing: \`make run\`, as root, installs all that is needed." >&2; exit 1; }
	@mkdir -p $@

-include $(wildcard $(BUILD)/*.d)

install: all
	install -d "$(DESTDIR)$(LIBEXECDIR)" "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 $(BUILD)/mod_orgs.so "$(DESTDIR)$(LIBEXECDIR)/mod_orgs.so"
	install -m 755 $(BUILD)/orgsctl "$(DESTDIR)$(PREFIX)/bin/orgsctl"
	conf/install.sh "$(SYSCONFDIR)/mods-available" "$(LIBEXECDIR)"

uninstall:
	conf/install.sh -r "$(SYSCONFDIR)/mods-available" "$(LIBEXECDIR)"
	rm -f "$(DESTDIR)$(LIBEXECDIR)/mod_orgs.so" "$(DESTDIR)$(PREFIX)/bin/orgsctl"

run start:
	@conf/packages.sh
	@$(MAKE) --no-print-directory all
	@conf/private.sh $@

stop:
	@conf/private.sh stop

test test-long:
	@conf/packages.sh test
	@$(MAKE) --no-print-directory all
	@$(if $(filter test-long,$@),ORGS_TEST_LONG=1 )t/run

# On other systems' servers and client libraries, too.
test-matrix:
	@t/matrix $(PLACES)

check-asan check-tsan:
	@conf/packages.sh test
	@t/sanitize $(@:check-%=%) $(TESTS)

check-valgrind:
	@conf/packages.sh test
	@command -v valgrind >/dev/null || { echo "valgrind is not installed." >&2; exit 1; }
	@$(MAKE) --no-print-directory all
	@t/run valgrind/requests.t

# Threads of the code below httpd, for t/sanitize.
$(BUILD)/harness/%: t/harness/%.c t/harness/atomic.c $(SHARED) | $(BUILD)
	@mkdir -p $(@D)
	$(call quiet,LINK,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.c %.o,$^) $(LIBS)

bench:
	@conf/packages.sh bench
	@$(MAKE) --no-print-directory all bench-tools
	@t/bench/$(if $(filter budget growth soak,$(BENCH)),$(BENCH),run)

# What t/bench's programs need besides (the peer in Go they build themselves).
TOOLS = $(BUILD)/bench
bench-tools: all $(addprefix $(TOOLS)/,load statements constant.so allocations.so)
	@:

BENCH_COMPILE = $(call quiet,CC,$@)mkdir -p $(TOOLS) && $(CC) -D_GNU_SOURCE $(filter-out -D_GNU_SOURCE,$(ALL_CPPFLAGS)) $(ALL_CFLAGS) -o $@ $(filter %.c,$^)
$(TOOLS)/load: t/bench/load.c t/bench/answer.c t/bench/answer.h
	$(BENCH_COMPILE)
$(TOOLS)/statements: t/bench/statements.c src/orgs_sql.c include/orgs_sql.h
	$(BENCH_COMPILE) $(LIBS) -pthread
$(TOOLS)/constant.so: t/bench/constant.c
	$(BENCH_COMPILE) -shared
$(TOOLS)/allocations.so: t/bench/allocations.c
	$(BENCH_COMPILE) -shared

clean:
	@RUN_DIR=build/run conf/private.sh idle
	rm -rf $(BUILD)
