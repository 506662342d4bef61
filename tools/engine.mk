# The engine's programs, built from the versions that tools/go.mod pins. They
# depend on that file and on this one: what neither changes is not built again.

ENGINE := $(addprefix $(LIBEXEC)/,containerd containerd-shim-runc-v2 runc buildkitd)
ENGINE_FOR_TESTS := $(addprefix $(LIBEXEC)/,ctr registry)
ENGINE_PINS := tools/go.mod tools/go.sum tools/engine.mk

# What compose has no use for, left out of containerd.
CONTAINERD_TAGS := no_cri no_btrfs no_devmapper no_zfs no_tracing

# $(call engine,PACKAGE,FLAGS) builds beside the target and then renames, so
# that a running engine is never written into. The version that a program
# reports is its module's: VERSION_OF is the variable that holds it.
engine = @echo "building $@"; cd tools && \
	version=$$($(GO) list -f '{{slice .Module.Version 1}}' $(1)) && \
	CGO_ENABLED=$(or $(CGO),0) $(GO) build -buildvcs=false -trimpath $(2) \
		-ldflags "-s -w $(if $(VERSION_OF),-X $(VERSION_OF)=$$version) $(LINKING)" \
		-o $(CURDIR)/$@.new $(1) && \
	mv $(CURDIR)/$@.new $(CURDIR)/$@

$(LIBEXEC)/containerd $(LIBEXEC)/containerd-shim-runc-v2 $(LIBEXEC)/ctr: VERSION_OF = github.com/containerd/containerd/v2/version.Version
$(LIBEXEC)/containerd: $(ENGINE_PINS)
	$(call engine,github.com/containerd/containerd/v2/cmd/containerd,-tags "$(CONTAINERD_TAGS)")
$(LIBEXEC)/containerd-shim-runc-v2: $(ENGINE_PINS)
	$(call engine,github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2,-tags "$(CONTAINERD_TAGS)")
$(LIBEXEC)/ctr: $(ENGINE_PINS)
	$(call engine,github.com/containerd/containerd/v2/cmd/ctr,-tags "$(CONTAINERD_TAGS)")

# runc enters namespaces in C before Go starts, and filters system calls with
# libseccomp. It is linked statically: it starts three times for each container,
# a millisecond sooner each time, and runs where libseccomp is not installed.
$(LIBEXEC)/runc: CGO = 1
$(LIBEXEC)/runc: VERSION_OF = main.version
$(LIBEXEC)/runc: LINKING = -extldflags=-static
$(LIBEXEC)/runc: $(ENGINE_PINS) | packages-build
	$(call engine,github.com/opencontainers/runc,-tags "seccomp netgo osusergo")

$(LIBEXEC)/buildkitd: VERSION_OF = github.com/moby/buildkit/version.Version
$(LIBEXEC)/buildkitd: $(ENGINE_PINS)
	$(call engine,github.com/moby/buildkit/cmd/buildkitd)

$(LIBEXEC)/registry: VERSION_OF = github.com/distribution/distribution/v3/version.version
$(LIBEXEC)/registry: $(ENGINE_PINS)
	$(call engine,github.com/distribution/distribution/v3/cmd/registry)

$(ENGINE) $(ENGINE_FOR_TESTS): | $(LIBEXEC)
$(LIBEXEC):
	@mkdir -p $@
