/* A system call policy as the kernel takes it, made by libseccomp, which liblxc makes its own with: see policy.go. It is here already, as
 * liblxc needs it. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/mount.h>

#include "policy.h"

/* seccomp.h, which need not be installed where this is built: the interface has not changed since libseccomp 2.0 (2012). */
enum { CMP_MASKED_EQ = 7, NR_ERROR = -1 };
enum { ARCH_NATIVE = 0, ARCH_X86 = 0x40000003, ARCH_X32 = 0x4000003e, ARCH_X86_64 = 0xc000003e, ARCH_AARCH64 = 0xc00000b7, ARCH_ARM = 0x40000028 };
struct argument {
	unsigned int number;
	int comparison;
	uint64_t mask, value;
};

struct library {
	void *(*init)(uint32_t);
	void (*release)(void *);
	uint32_t (*arch_native)(void);
	int (*arch_add)(void *, uint32_t);
	int (*resolve)(const char *);
	int (*rule_add)(void *, uint32_t, int, unsigned int, const struct argument *);
	int (*export_bpf)(void *, int);
};

static int load(struct library *l, const char **step)
{
	void *so = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
	struct { void *to; const char *name; } symbols[] = {
		{&l->init, "seccomp_init"}, {&l->release, "seccomp_release"}, {&l->arch_native, "seccomp_arch_native"},
		{&l->arch_add, "seccomp_arch_add"}, {&l->resolve, "seccomp_syscall_resolve_name"},
		{&l->rule_add, "seccomp_rule_add_array"}, {&l->export_bpf, "seccomp_export_bpf"},
	};

	*step = "libseccomp.so.2";
	if (!so)
		return -ENOSYS;
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		*step = symbols[i].name;
		void *found = dlsym(so, *step);
		if (!found)
			return -ENOSYS;
		*(void **)symbols[i].to = found;
	}
	return 0;
}

static int add(struct library *l, void *filter, uint32_t usual, const struct call *calls, size_t n, int no_forced_umount, const char **step)
{
	uint32_t native = l->arch_native();
	uint32_t more[2] = {native == ARCH_X86_64 ? ARCH_X86 : native == ARCH_AARCH64 ? ARCH_ARM : ARCH_NATIVE,
			    native == ARCH_X86_64 ? ARCH_X32 : ARCH_NATIVE};
	struct argument forced = {1, CMP_MASKED_EQ, MNT_FORCE, MNT_FORCE};
	int err;

	*step = "an architecture";
	for (int i = 0; i < 2; i++)
		if (more[i] != ARCH_NATIVE && (err = l->arch_add(filter, more[i])) < 0 && err != -EEXIST)
			return err;
	for (size_t i = 0; i < n; i++) {
		*step = calls[i].name;
		int number = l->resolve(calls[i].name);
		if (number == NR_ERROR)
			return -ENOENT;
		if (calls[i].action == usual) /* which the library refuses: that is what happens anyway */
			continue;
		if ((err = l->rule_add(filter, calls[i].action, number, 0, NULL)) < 0)
			return err;
	}
	*step = "umount2";
	if (no_forced_umount)
		return l->rule_add(filter, 0x00050000 | EACCES, l->resolve("umount2"), 1, &forced);
	return 0;
}

int sysctl_policy(uint32_t usual, const struct call *calls, size_t n, int no_forced_umount, int fd, const char **step)
{
	struct library l;
	int err = load(&l, step);

	if (err < 0)
		return err;
	void *filter = l.init(usual);
	*step = "a filter";
	if (!filter)
		return -ENOMEM;
	err = add(&l, filter, usual, calls, n, no_forced_umount, step);
	if (err == 0) {
		*step = "the filter's program";
		err = l.export_bpf(filter, fd);
	}
	l.release(filter);
	return err;
}
