# The front door; CMake underneath. `make demo` and `make test` do all the set-up on a bare Debian.
#
#   make          build the libraries, the program build/cupel, the examples and the tests
#   make demo     run the main job on the sample in the repository
#   make test     run the tests           (make test TESTS=REGEX runs those whose name matches)
#   make check    run the checks of style, layering, banned calls and READMEs
#   make bench    run the benchmarks (beside the peers that bench/install-peers has made)
#   make install  install (PREFIX=/usr/local, DESTDIR)
#   make clean    remove the build folder
BUILD = build
PREFIX = /usr/local
JOBS := $(shell nproc 2>/dev/null || echo 2)
TESTS =
CMAKE_ARGS =
BENCH_ARGS =

.PHONY: all deps demo test check bench install clean

all: $(BUILD)/CMakeCache.txt
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/CMakeCache.txt:
	@command -v cmake >/dev/null || { echo "cmake is missing: run tools/install-deps" >&2; exit 1; }
	@generator=; if command -v ninja >/dev/null; then generator="-G Ninja"; fi; \
	cmake -S . -B $(BUILD) $$generator $(CMAKE_ARGS) || { rm -f $@; exit 1; }

deps:
	@tools/install-deps

demo: deps
	@$(MAKE) --no-print-directory $(BUILD)/CMakeCache.txt
	@cmake --build $(BUILD) -j $(JOBS) --target cupel_program
	@tools/demo $(BUILD)

test: deps
	@$(MAKE) --no-print-directory all
	@OMP_WAIT_POLICY=passive ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure \
	    $(if $(TESTS),-R '$(TESTS)')

check:
	@tools/check

bench: deps
	@command -v python3 >/dev/null || { echo "make bench runs a Python script and python3 is missing:" \
	    "install it (on Debian: apt-get install python3)" >&2; exit 1; }
	@$(MAKE) --no-print-directory all
	@cmake --build $(BUILD) -j $(JOBS) --target bench_peak bench_winograd
	@bench/run $(BUILD) $(BENCH_ARGS)

install: all
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

clean:
	@rm -rf $(BUILD)
