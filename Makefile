# make          bin/compose and, once, the engine in libexec/compose
# make test     lint, unit tests under the race detector, and the command line end to end
# make faults   everything broken on purpose, often; prints what was lost (make test does it briefly)
# make fuzz     every fuzz target for FUZZTIME (10m) each
# make demo     examples/guestbook, built, brought up, used, scaled, taken down and up again
# make bench    every speed and memory figure beside its floor
# make install  into PREFIX (/usr/local), below DESTDIR; make uninstall removes it
# make clean    removes what was built, but for the engine; make distclean that too

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

GO ?= go
PREFIX ?= /usr/local
DESTDIR ?=
LIBEXEC := libexec/compose
IMAGES := .cache/images

ifeq ($(shell command -v $(GO)),)
$(error Go is needed to build compose, and no $(GO) is in PATH: see https://go.dev/doc/install)
endif

# A tag names the version; without one, the source does.
VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null | sed 's/^v//')
LDFLAGS := -s -w $(if $(VERSION),-X github.com/compose-first/compose/project.Version=$(VERSION))
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags "$(LDFLAGS)"

include tools/engine.mk

.PHONY: all engine test lint unit e2e faults fuzz fuzz-briefly bench demo images install uninstall clean distclean FORCE
.PHONY: packages-build packages-test packages-debian

all: bin/compose engine

# Go itself knows best what has changed: it is asked each time and links only then.
bin/compose: FORCE
	@$(BUILD) -o $@ ./cmd/compose

ifneq ($(wildcard cmd/compose-init),)
INIT := $(LIBEXEC)/compose-init
$(INIT): $(wildcard cmd/compose-init/*) go.mod | $(LIBEXEC)
	@$(BUILD) -o $@.new ./cmd/compose-init && mv $@.new $@
endif

engine: $(ENGINE) $(INIT)

# What must come from the system's packages: installed through apt where that
# is possible, else named.
packages-build packages-test packages-debian: packages-%:
	@tools/packages.sh $*

images: $(IMAGES)/busybox.tar $(IMAGES)/systemd.tar

$(IMAGES)/busybox.tar: tools/images/main.go tools/images/archive.go tools/images/busybox.go | packages-test
	@cd tools && $(GO) run -buildvcs=false ./images busybox $(CURDIR)/$@

# debian is for the demo; systemd, which has that for its init, for e2e/boot.
$(IMAGES)/debian.tar $(IMAGES)/systemd.tar: $(IMAGES)/%.tar: tools/images/main.go tools/images/archive.go tools/images/debian.go | packages-debian
	@echo "making the image $* with debootstrap (about a minute)"
	@cd tools && $(GO) run -buildvcs=false ./images $* $(CURDIR)/$@

examples/hello/hello: examples/hello/main.go
	@$(BUILD) -o $@ ./examples/hello

# Tests find the engine of this folder, wherever their binaries are.
test unit e2e faults bench: export COMPOSE_LIBEXEC = $(CURDIR)/$(LIBEXEC)
ALL_FOR_TESTS := all packages-test images examples/hello/hello $(ENGINE_FOR_TESTS)

test: lint unit fuzz-briefly e2e

# The packages that build quickly for the fuzzer: those without the client of
# an engine, all of which it would have to instrument first.
fuzz-briefly:
	tools/fuzz.sh 1000x ./internal/escape ./internal/logfile ./netplan/dns ./project

# Two packages at a time: many of them start an engine of their own.
unit: $(ALL_FOR_TESTS)
	$(GO) test -race -count=1 -p 2 -timeout 10m $$($(GO) list ./... | grep -v /e2e)
	cd tools && $(GO) test -count=1 ./images

e2e: $(ALL_FOR_TESTS)
	$(GO) test -count=1 -p 1 -timeout 20m ./e2e/...

# The long form; its table of figures comes last.
faults: fuzz $(ALL_FOR_TESTS)
	COMPOSE_FAULTS=long $(GO) test -count=1 -v -timeout 6h ./e2e/faults

# Every fuzz target there is, FUZZTIME each; their seeds run in every `make test`.
FUZZTIME ?= 10m
fuzz:
	tools/fuzz.sh $(FUZZTIME)

STATICCHECK := .cache/bin/staticcheck
$(STATICCHECK): $(ENGINE_PINS)
	@cd tools && CGO_ENABLED=0 $(GO) build -buildvcs=false -o $(CURDIR)/$@ honnef.co/go/tools/cmd/staticcheck

# The last line holds the walls between the rooms of the architecture.
lint: $(STATICCHECK) packages-build
	@unformatted=$$(find . -name '*.go' -not -path './.cache/*' -print0 | xargs -0 gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "not as gofmt writes it:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	cd tools && $(GO) vet ./images
	$(STATICCHECK) ./...
	cd tools && ../$(STATICCHECK) ./images
	$(GO) test -count=1 ./internal/rooms

bench: all $(IMAGES)/busybox.tar $(LIBEXEC)/ctr
	$(GO) run -buildvcs=false ./bench

demo: all
	@$(GO) run -buildvcs=false ./examples/demo

INSTALLED := $(notdir $(ENGINE) $(INIT))

install:
	@for file in bin/compose $(ENGINE) $(INIT); do \
		if [ ! -x $$file ]; then echo "$$file is not built yet: run make first" >&2; exit 1; fi; done
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/compose
	install -m 755 bin/compose $(DESTDIR)$(PREFIX)/bin/compose
	install -m 755 $(ENGINE) $(INIT) $(DESTDIR)$(PREFIX)/libexec/compose/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/compose $(addprefix $(DESTDIR)$(PREFIX)/libexec/compose/,$(INSTALLED))
	if [ -d $(DESTDIR)$(PREFIX)/libexec/compose ]; then rmdir --ignore-fail-on-non-empty $(DESTDIR)$(PREFIX)/libexec/compose; fi

clean:
	rm -rf bin .cache examples/hello/hello

distclean: clean
	rm -rf libexec
