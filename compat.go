package sysctl

// Host is what matters to guests of the machine they run on. Every field is found out by trying or by asking the
// kernel, never told from a distribution's name. The zero value is a machine that lacks everything.
type Host struct {
	Release        string        `json:"kernel"` // uname -r
	Major          int           `json:"-"`
	Minor          int           `json:"-"`
	Arch           string        `json:"architecture"` // as Guest.Arch
	Emulated       string        `json:"emulated"`     // architectures whose programs an emulator runs, as Guest.Arch, separated by spaces
	Cgroups        CgroupLayout  `json:"cgroups"`
	Named          string        `json:"named_hierarchy_refused,omitempty"` // why no cgroup v1 hierarchy name=systemd can be made or used; "": it can
	Unified        bool          `json:"cgroup2"`                           // a cgroup2 mount is there that liblxc uses
	Vsyscall       VsyscallState `json:"vsyscall"`
	IA32           bool          `json:"ia32"`                     // programs for i386 run
	LoginUID       bool          `json:"login_uid"`                // set for this process, so that a guest's pam_loginuid cannot set its own
	SELinuxFS      bool          `json:"selinuxfs"`                // /proc/filesystems has it
	Lxcfs          string        `json:"lxcfs"`                    // where lxcfs is mounted, "" where it does not run
	LegacyTables   bool          `json:"legacy_iptables"`          // the kernel has, or can load, the tables of iptables before nft
	LegacyUnloaded bool          `json:"legacy_iptables_unloaded"` // it can load them, and has not yet
}

// CgroupLayout is how the host's /sys/fs/cgroup is made.
type CgroupLayout string

// The layouts.
const (
	CgroupV2     CgroupLayout = "v2"
	CgroupHybrid CgroupLayout = "hybrid" // v1 controllers, and a cgroup2 mount beside them
	CgroupV1     CgroupLayout = "v1"
)

// VsyscallState is what becomes of a program that calls the vsyscall page (vsyscall_64.c).
type VsyscallState string

// The states.
const (
	VsyscallWorks  VsyscallState = "works"  // xonly or emulate
	VsyscallNone   VsyscallState = "none"   // it gets SIGSEGV
	VsyscallAbsent VsyscallState = "absent" // not an x86-64 machine: no program has it
)

// Compat is what a start does differently because of its guest: the sum of the effects of all measures in force. The zero
// value is a start like any other.
type Compat struct {
	Cgroups  CgroupView // what the guest finds at /sys/fs/cgroup
	Vsyscall bool       // its files that call the vsyscall page are replaced by ones that do not
	UNAME26  bool       // uname(2) says 2.6 (personality(2))

	Cmdline        bool   // /proc/cmdline is not the host's
	Filesystems    bool   // /proc/filesystems is the host's without selinuxfs
	SharedMemory   bool   // a tmpfs is on /dev/shm before init runs
	Tmpfs          bool   // those on /run and /dev/shm are there before init runs, of sizes that are the instance's
	Files          uint64 // how many files a process may open at most (RLIMIT_NOFILE, hard); 0: as the host's
	LoginUID       bool   // the audit login id is taken away, so that the guest can set its own
	Lxcfs          bool   // files of lxcfs are mounted over those of /proc
	LegacyTables   bool   // the host's kernel has the tables of iptables before nft
	CopyRPM        bool   // the rpm database is copied out of the layers
	Modules        bool   // there is an empty list of modules for the host's kernel
	PrivateDevices Choice // On: systemd's units are not to have a /dev of their own; Off: what On wrote is removed; else nothing is done
}

// CgroupView is what a guest finds at /sys/fs/cgroup.
type CgroupView string

// The views.
const (
	CgroupsOfHost CgroupView = ""      // what the host has, as liblxc gives it
	CgroupsNamed  CgroupView = "named" // nothing: it mounts the v1 hierarchy name=systemd by itself, and nothing else
	CgroupsV2     CgroupView = "v2"    // cgroup2 alone
)

// Choice is what a user says of a measure: compat.<measure>.
type Choice string

// The choices. Auto is the same as none.
const (
	Auto Choice = "auto" // the table decides
	On   Choice = "on"   // whatever the table says
	Off  Choice = "off"
)

// Verdict is what the compat table says of a guest on a host.
type Verdict struct {
	Boots    bool      `json:"boots"`
	Measures []Measure `json:"measures"` // in force, in the table's order
	Refusals []Remark  `json:"refusals"` // why it does not boot; none where it does
	Notes    []Remark  `json:"notes"`    // what it has to live with
	Effect   Compat    `json:"-"`
}

// Measure is one thing that is done so that a guest boots or works.
type Measure struct {
	ID      string `json:"id"`
	Does    string `json:"does"`    // one sentence for people
	Because string `json:"because"` // what would happen without
	Forced  bool   `json:"forced"`  // by compat.<measure>=on: the table alone would not take it
	Told    bool   `json:"-"`       // a start says that it is taken
}

// Remark is a fact about a guest on a host and the way out of it.
type Remark struct {
	ID  string `json:"id"`
	Why string `json:"why"` // one sentence
	Way string `json:"way"` // the command or the change that helps; "" where nothing does
}

// Measures are the names of all measures, in the order of the table in manager/compat.
func Measures() []string {
	return []string{
		"cgroup-named", "cgroup2", "vsyscall", "uname26",
		"cmdline", "filesystems", "dev-shm", "tmpfs", "nofile", "loginuid", "lxcfs", "iptables", "rpmdb", "private-devices", "modules",
	}
}
