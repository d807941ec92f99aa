package syspkg

import (
	"debug/elf"
	"os/exec"
)

// Need is something that must come from the system.
type Need struct {
	What    string // for messages: "the nft program"
	Why     string // what it is for
	Present func() bool
	// package tool -> the packages that contain it
	packages map[string][]string
}

// What the cluster and its tests need.
var (
	CCompiler = Need{
		What:     "a C compiler",
		Why:      "runc is partly written in C",
		Present:  func() bool { return found("gcc") && found("pkg-config") },
		packages: map[string][]string{"apt-get": {"gcc", "libc6-dev", "pkg-config"}, "dnf": {"gcc", "glibc-devel", "pkgconf-pkg-config"}, "apk": {"gcc", "musl-dev", "linux-headers", "pkgconf"}},
	}
	Seccomp = Need{
		What:     "libseccomp with its headers",
		Why:      "runc filters the system calls of containers with it",
		Present:  func() bool { return exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil },
		packages: map[string][]string{"apt-get": {"libseccomp-dev"}, "dnf": {"libseccomp-devel"}, "apk": {"libseccomp-dev"}},
	}
	Nftables = Need{
		What:     "the nft program",
		Why:      "kube-proxy writes the rules for Services with it",
		Present:  func() bool { return found("nft") },
		packages: map[string][]string{"apt-get": {"nftables"}, "dnf": {"nftables"}, "apk": {"nftables"}},
	}
	Mount = Need{
		What:     "the mount program",
		Why:      "the kubelet mounts volumes with it",
		Present:  func() bool { return found("mount") && found("umount") },
		packages: map[string][]string{"apt-get": {"mount"}, "dnf": {"util-linux"}, "apk": {"util-linux-misc"}},
	}
	Busybox = Need{
		What:     "a statically linked busybox",
		Why:      "the image busybox of the test pods is made of it",
		Present:  func() bool { _, err := BusyboxPath(); return err == nil },
		packages: map[string][]string{"apt-get": {"busybox-static"}, "dnf": {"busybox"}, "apk": {"busybox-static"}},
	}
	Strace = Need{
		What:     "the strace program",
		Why:      "a test reads which system calls the CNI plugin makes",
		Present:  func() bool { return found("strace") },
		packages: map[string][]string{"apt-get": {"strace"}, "dnf": {"strace"}, "apk": {"strace"}},
	}
)

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// BusyboxPath returns a busybox that needs no shared library.
func BusyboxPath() (string, error) {
	var last error
	for _, name := range []string{"busybox", "busybox.static", "/bin/busybox", "/bin/busybox.static"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = checkStatic(path)
		}
		if err == nil {
			return path, nil
		}
		last = err
	}
	return "", last
}

// checkStatic refuses programs that need a dynamic loader.
func checkStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return &dynamicError{path}
		}
	}
	return nil
}

type dynamicError struct{ path string }

func (e *dynamicError) Error() string { return e.path + " is linked dynamically" }
