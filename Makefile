# make help lists what there is. Nothing here asks or reads standard input.
SHELL    := /bin/bash
PREFIX   ?= /usr/local
DESTDIR  ?=
GO       := internal/make/go
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

bindir   := $(PREFIX)/bin
execdir  := $(PREFIX)/libexec/sysctl
sharedir := $(PREFIX)/share
unitdir  := $(PREFIX)/lib/systemd/system
bashcomp := $(sharedir)/bash-completion/completions/sysctl
zshcomp  := $(sharedir)/zsh/site-functions/_sysctl
fishcomp := $(sharedir)/fish/vendor_completions.d/sysctl.fish
mandir   := $(sharedir)/man/man1
units    := sysctl-autostart.service sysctl-autorestart.service sysctl-autorestart.timer sysctl-network.service sysctl-snapshots.service sysctl-snapshots.timer

.DEFAULT_GOAL := help
.PHONY: help setup quickstart build test test-host install uninstall bench clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install the distribution packages that are missing (root)
	@internal/make/setup

quickstart: setup ## from a clone to a running Debian 12: install, launch web1, show it (root)
	@[ "$$(id -u)" = 0 ] || { echo "quickstart needs root: sudo make quickstart" >&2; exit 1; }
	@$(MAKE) --no-print-directory install
	@SYSCTL=$(bindir)/sysctl internal/make/quickstart

# Every verb starts a fifth faster without the dynamic linker; liblxc is no static library, so the keeper needs it. The tags leave
# out what looks for libraries at run time. A system without a static libc gets the same program, linked dynamically.
ldflags  := -s -w -X main.version=$(VERSION)
tags     := netgo,osusergo,sqlite_omit_load_extension
static    = $(shell echo 'int main(void) { return 0; }' | gcc -static -x c -o /dev/null - 2>/dev/null && echo -extldflags=-static)

bin := bin

build: boot ## bin/sysctl, bin/sysctl-forward, bin/sysctl-keeper and bin/sysctl-boot
	@CGO_ENABLED=1 $(GO) build -trimpath -buildvcs=false -tags $(tags) -ldflags "$(ldflags) $(static)" -o bin/ ./cmd/sysctl ./cmd/sysctl-forward
	@CGO_ENABLED=1 $(GO) build -trimpath -buildvcs=false -tags $(tags) -ldflags "$(ldflags)" -o bin/ ./cmd/sysctl-keeper

# What a running instance keeps in memory: C, and nothing that it does not need (doc/adr/0026).
boot:
	@mkdir -p $(bin)
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -s -rdynamic -o $(bin)/sysctl-boot cmd/sysctl-boot/boot.c $$(pkg-config --cflags --libs lxc)

test: setup ## vet, gofmt and every test; as root the root tests too
	@internal/make/test $(TESTFLAGS)

test-host: setup ## a few minutes more: instances on a Debian 12 of its own in QEMU, with reboot and power cut (root)
	@internal/make/test-host $(SCRIPTS)

install: build ## into PREFIX=/usr/local, below DESTDIR=
	@install -d $(addprefix $(DESTDIR),$(bindir) $(execdir) $(unitdir) $(mandir) $(dir $(bashcomp) $(zshcomp) $(fishcomp)))
	@install -m 755 bin/sysctl $(DESTDIR)$(bindir)/sysctl
	@install -m 755 bin/sysctl-forward bin/sysctl-keeper bin/sysctl-boot $(DESTDIR)$(execdir)/
	@bin/sysctl completion bash >$(DESTDIR)$(bashcomp)
	@bin/sysctl completion zsh >$(DESTDIR)$(zshcomp)
	@bin/sysctl completion fish >$(DESTDIR)$(fishcomp)
	@bin/sysctl docs --man $(DESTDIR)$(mandir)
	@for u in $(units); do sed 's|@BINDIR@|$(bindir)|g' internal/make/$$u.in >$(DESTDIR)$(unitdir)/$$u || exit; done
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	@echo "installed $(VERSION) in $(DESTDIR)$(PREFIX)"
	@echo "to keep networks' rules when a firewall is reloaded: systemctl enable --now sysctl-network"
	@echo "to start instances when the host boots, and stop them in order before: systemctl enable --now sysctl-autostart"
	@echo "to keep schedules of snapshots (snapshots.schedule=@daily): systemctl enable --now sysctl-snapshots.timer"

uninstall: ## what install put there; instances stay
	@rm -f $(addprefix $(DESTDIR),$(bindir)/sysctl $(execdir)/sysctl-forward $(execdir)/sysctl-keeper $(execdir)/sysctl-boot $(bashcomp) $(zshcomp) $(fishcomp) $(addprefix $(unitdir)/,$(units)))
	@rm -f $(DESTDIR)$(mandir)/sysctl.1 $(DESTDIR)$(mandir)/sysctl-*.1
	@[ ! -d $(DESTDIR)$(execdir) ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$(execdir)
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	@echo "removed from $(DESTDIR)$(PREFIX)"

bench: setup build ## measure against plain LXC and other installed runtimes; BENCHFLAGS="-n 20 -peers lxc" (root)
	@$(GO) run ./internal/bench $(BENCHFLAGS)

clean: ## remove bin/
	@rm -rf bin
