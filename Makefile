# Everything is one command from a clean checkout; each finds and installs what it needs first (tools/setup).
#
#   make run      builds and starts the gateway        make lint    formatting, static checks, forgotten focus marks
#   make test     builds and runs every test           make asan    unit and gateway specs under ASan and UBSan
#   make build    leaves build/perilune                make tsan    the same under TSan
#   make bench    measures, side by side with nginx    make clean   removes the build folders
#   make deb      build/perilune_VERSION_ARCH.deb     make install   into PREFIX, /usr/local
#   make first-run  a new user's way from a bare Debian to the first answer, with times; as root
#   make profile  instructions a request, and where they go
#   make fuzz     looks for inputs that break a decoder or a dialect: TARGET=adapted SECONDS=60 (spec/fuzz/*_fuzz.c)
#   make hostile  every malformed request beside nginx, HAProxy and node; thousands of slow clients; the worst of upstreams (minutes)
#   make soak     half an hour of everything failing by chance, MINUTES=30: memory and descriptors must stay flat
#   make kill-soak   a hundred thousand policy calls and as many trusted ones stopped, on three threads (minutes)
#   make ledger-kills    three hundred processes killed while they write the ledger, and gateways under load as often (minutes)
#   make cap-rush        ten thousand requests at once under a cap with room for some hundred (a minute)
#   make cut-streams     twenty thousand streams that end before their time, their records beside the provider's count (minutes)
#   make breaker-model   a million random sequences through the breaker, beside its rules said a second time (a minute)
#   make budget-model    the same of the caps on money (three minutes)

JOBS ?= $(shell nproc)
TARGET ?= adapted
SECONDS ?= 60
MINUTES ?= 30
ARGS ?=
CMAKE = cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo --log-level=WARNING

C_FILES = find core spec -type d \( -name node_modules -o -name venv \) -prune -o \( -name '*.[ch]' -o -name '*.cpp' \) -print

.PHONY: run build test lint asan tsan bench profile fuzz hostile soak kill-soak ledger-kills cap-rush cut-streams breaker-model budget-model install deb first-run clean

run: build
	build/perilune run $(ARGS)

build:
	@tools/setup run
	@$(CMAKE) -S . -B build
	@cmake --build build -j $(JOBS) --target perilune

test:
	@tools/setup run test
	@$(CMAKE) -S . -B build
	@cmake --build build -j $(JOBS) --target perilune units
	@tools/test build units structure lua gateway hostile clients

asan:
	@tools/setup run sanitize
	@$(CMAKE) -S . -B build-asan -DSANITIZER=address
	@cmake --build build-asan -j $(JOBS) --target perilune units
	@tools/test build-asan units gateway hostile

tsan:
	@tools/setup run sanitize
	@$(CMAKE) -S . -B build-tsan -DSANITIZER=thread
	@cmake --build build-tsan -j $(JOBS) --target perilune units
	@tools/test build-tsan units gateway hostile

lint:
	@tools/setup run lint
	@$(C_FILES) | xargs clang-format --dry-run -Werror
	@cppcheck --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 -j $(JOBS) \
	    --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=internalAstError --suppress=memleak \
	    -I core $$(find core -name '*.c')
	@luacheck --quiet $$(find lua policies providers spec tools bench -name '*.lua' -not -path '*/node_modules/*' -not -path '*/venv/*')
	@! grep -rnE '#(only|focus)\b' --include='*_spec.lua' spec
	@! grep -rnE '\b(test|it|describe)\.only\b' --include='*.mjs' --exclude-dir=node_modules spec

bench: build
	@tools/setup bench
	@cmake --build build -j $(JOBS) --target bench_events bench_day bench_policies
	@bench/run $(ARGS)

profile: build
	@tools/setup bench
	@bench/profile $(ARGS)

# What is found lies in build-fuzz/found; with its fix it goes to spec/fuzz/corpus/TARGET/NAME.input.
fuzz:
	@tools/setup run fuzz
	@$(CMAKE) -S . -B build-fuzz -DSANITIZER=fuzzer -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
	@cmake --build build-fuzz -j $(JOBS) --target fuzz_$(TARGET) fuzz_$(TARGET)_guided
	@mkdir -p build-fuzz/found build-fuzz/seeds/$(TARGET) build-fuzz/grown/$(TARGET)
	@build-fuzz/fuzz_$(TARGET) --seeds spec build-fuzz/seeds/$(TARGET)
	@build-fuzz/fuzz_$(TARGET)_guided -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/found/$(TARGET)- build-fuzz/grown/$(TARGET) build-fuzz/seeds/$(TARGET)

hostile: build
	@tools/setup test hostile
	@SPEC_OPINIONS=1 SPEC_SLOW_CLIENTS=4000 tools/test build hostile

soak: build
	@bench/soak --minutes $(MINUTES) $(ARGS)

kill-soak: build
	@tools/setup test
	@cmake --build build -j $(JOBS) --target kill_soak

ledger-kills: build
	@tools/setup test
	@cmake --build build -j $(JOBS) --target ledger_kills
	@SPEC_LEDGER_KILLS=300 luajit /usr/bin/busted spec/gateway/ledger_kill_spec.lua

cap-rush: build
	@tools/setup test
	@SPEC_CAP_REQUESTS=10000 luajit /usr/bin/busted spec/gateway/caps_spec.lua

cut-streams: build
	@tools/setup test
	@SPEC_CUT_STREAMS=20000 SPEC_FIGURES=1 luajit /usr/bin/busted spec/gateway/cut_streams_spec.lua

breaker-model: build
	@tools/setup test
	@cmake --build build -j $(JOBS) --target breaker_model

budget-model: build
	@tools/setup test
	@cmake --build build -j $(JOBS) --target budget_model

PREFIX ?= /usr/local
install: build
	cmake --install build --strip --prefix $(PREFIX)

deb:
	@tools/setup run deb
	@$(CMAKE) -S . -B build
	@cmake --build build -j $(JOBS) --target perilune
	@tools/deb build

first-run:
	@tools/first-run

clean:
	rm -rf build build-asan build-tsan build-fuzz build-first-run
