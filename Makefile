# Everything is one command from a clean checkout; each finds and installs what it needs first (tools/setup).
#
#   make run      builds and starts the gateway        make lint    formatting, static checks, forgotten focus marks
#   make test     builds and runs every test           make asan    unit and gateway specs under ASan and UBSan
#   make build    leaves build/perilune                make tsan    the same under TSan
#   make bench    measures, side by side with nginx    make clean   removes the build folders
#   make profile  instructions a request, and where they go
#   make kill-soak   a hundred thousand policy calls stopped, on three threads, beside states that raise errors (minutes)

JOBS ?= 2
ARGS ?=
CMAKE = cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo --log-level=WARNING

C_FILES = find core spec -name '*.[ch]' -o -name '*.cpp'

.PHONY: run build test lint asan tsan bench profile kill-soak install clean

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
	@tools/test build units structure lua gateway clients

asan:
	@tools/setup run sanitize
	@$(CMAKE) -S . -B build-asan -DSANITIZER=address
	@cmake --build build-asan -j $(JOBS) --target perilune units
	@tools/test build-asan units gateway

tsan:
	@tools/setup run sanitize
	@$(CMAKE) -S . -B build-tsan -DSANITIZER=thread
	@cmake --build build-tsan -j $(JOBS) --target perilune units
	@tools/test build-tsan units gateway

lint:
	@tools/setup run lint
	@$(C_FILES) | xargs clang-format --dry-run -Werror
	@cppcheck --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 -j $(JOBS) \
	    --enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=internalAstError --suppress=memleak \
	    -I core $$(find core -name '*.c')
	@luacheck --quiet $$(find lua policies providers spec tools bench -name '*.lua' -not -path '*/node_modules/*')
	@! grep -rnE '#(only|focus)\b' --include='*_spec.lua' spec
	@! grep -rnE '\b(test|it|describe)\.only\b' --include='*.mjs' --exclude-dir=node_modules spec

bench: build
	@tools/setup bench
	@bench/run $(ARGS)

profile: build
	@tools/setup bench
	@bench/profile $(ARGS)

kill-soak: build
	@tools/setup test
	@cmake --build build -j $(JOBS) --target kill_soak

PREFIX ?= /usr/local
install: build
	cmake --install build --strip --prefix $(PREFIX)

clean:
	rm -rf build build-asan build-tsan
