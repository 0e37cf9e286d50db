# Builds the C module into build/, runs programs and specs from the tree.
# `make help` lists the targets.

LUA        ?= lua5.4
LUA_INCDIR ?= /usr/include/lua5.4
ifeq ($(origin CC),default)
CC         := gcc
endif
CFLAGS     ?= -O2
LIBFLAG    ?= $(if $(filter Darwin,$(shell uname -s)),-bundle -undefined dynamic_lookup,-shared)
BUILD      ?= build$(if $(ISOLATE_NO_THREADS),/no_threads)
SANITIZE   ?=

PREFIX      ?= /usr/local
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_LUADIR ?= $(PREFIX)/share/lua/5.4

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wpointer-arith -Wvla
ifdef ISOLATE_NO_THREADS
CPPFLAGS += -DISOLATE_NO_THREADS
endif
FLAGS    = -std=c11 -fPIC -pthread $(WARNINGS) -I$(LUA_INCDIR) $(CPPFLAGS) $(CFLAGS) $(SANITIZE)

ROCKSPEC = isolate-scm-1.rockspec
CORE     = $(BUILD)/isolate/core.so
OBJECTS  = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/*.c))

STRESS   = $(patsubst %,spec/%_spec.lua,load fault plugin host pool_stress map)

# What each target needs, as Debian packages.
FOR_BUILD = lua5.4 liblua5.4-dev gcc libc6-dev
FOR_RUN   = $(FOR_BUILD) lua-cjson lua-system
FOR_TEST  = $(FOR_RUN) lua-busted lua-filesystem lua-socket lua-sql-sqlite3 lua-zlib
FOR_LINT  = $(FOR_BUILD) clang lua-check luarocks
FOR_TSAN  = $(FOR_TEST) dpkg-dev
FOR_FUZZ  = $(FOR_BUILD) clang libclang-rt-dev llvm dpkg-dev
FOR_BENCH = $(FOR_RUN) lua-luv lua-cqueues
FOR_DOC   = lua-ldoc

# Programs started from here, and those that they start, use the tree.
export LUA
export LUA_PATH_5_4  = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;$(CURDIR)/examples/?.lua;;
export LUA_CPATH_5_4 = $(CURDIR)/$(BUILD)/?.so;;

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: all run test check stress asan tsan fuzz corpus lint bench doc rockspec install clean help

all: $(CORE)                            ## builds the module in the tree

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

run:                                    ## installs what is missing, builds, runs the photos example
	@tools/install.sh $(FOR_RUN)
	@$(MAKE) all
	@$(LUA) examples/photos.lua

test:                                   ## installs what is missing, builds, runs the specs (SPEC=file for one)
	@tools/install.sh $(FOR_TEST)
	@$(MAKE) check

check: all                              ## builds and runs the specs, installs nothing
	@tools/specs.sh $(BUILD) $(BUSTED_FLAGS) $(SPEC)

stress:                                 ## the specs of load, faults and hosts in full size (ISOLATE_STRESS=0.1: a tenth)
	@tools/install.sh $(FOR_TEST)
	@$(MAKE) check SPEC="$(STRESS)" ISOLATE_STRESS=$(or $(ISOLATE_STRESS),1) LIMIT=$(or $(LIMIT),3600)

asan:                                   ## the specs with the address and undefined behaviour sanitizers
	@tools/install.sh $(FOR_TEST)
	@$(MAKE) check BUILD=build/asan CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined" SANITIZER=asan

tsan:                                   ## the specs with the thread sanitizer, in a Lua built with it
	@tools/install.sh $(FOR_TSAN)
	@tools/tsan-lua.sh build/tsan
	@$(MAKE) check BUILD=build/tsan CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer" \
	  SANITIZE=-fsanitize=thread SANITIZER=tsan LUA="$(CURDIR)/build/tsan/lua" \
	  BUSTED_FLAGS="--exclude-tags=signal,host,slow $(BUSTED_FLAGS)"

fuzz:                                   ## messages of any bytes for the decoder, for 30 seconds (SECONDS=300)
	@tools/install.sh $(FOR_FUZZ)
	@tools/fuzz.sh build/fuzz run $(or $(SECONDS),30)

corpus:                                 ## keeps what `make fuzz` found new in spec/fuzz/corpus
	@tools/install.sh $(FOR_FUZZ)
	@tools/fuzz.sh build/fuzz corpus

lint:                                   ## luacheck, warnings of gcc and clang as errors, the rockspec
	@tools/install.sh $(FOR_LINT)
	@tools/lint.sh $(ROCKSPEC) $(FLAGS)

bench:                                  ## the measurements; P=P1 or P="P1 P3" for some
	@tools/install.sh $(FOR_BENCH)
	@$(MAKE) all
	@$(LUA) bench/run.lua

doc:                                    ## the pages of the Lua modules, in build/doc
	@tools/install.sh $(FOR_DOC)
	@mkdir -p build
	@ldoc --quiet . >build/doc.log 2>&1 || { cat build/doc.log; exit 1; }

rockspec:                               ## puts the rockspec's list of files right
	@$(LUA) tools/rockspec.lua $(ROCKSPEC) write

install: all                            ## copies the module to PREFIX (or INST_LIBDIR, INST_LUADIR)
	mkdir -p $(DESTDIR)$(INST_LIBDIR)/isolate $(DESTDIR)$(INST_LUADIR)
	cp $(CORE) $(DESTDIR)$(INST_LIBDIR)/isolate/
	cp -R lua/. $(DESTDIR)$(INST_LUADIR)/

clean:                                  ## removes what was built
	rm -rf $(BUILD)

help:                                   ## this list
	@sed -n 's/^\([a-z]*\):.*## */  make \1\t/p' Makefile | expand -t 18
