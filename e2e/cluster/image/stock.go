package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/syspkg"
)

// Names of the images that every cluster has.
const (
	PauseName   = "spidernet.io/e2e/pause:latest"
	BusyboxName = "docker.io/library/busybox:latest"
)

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Pause returns the tarball of the pause image.
func Pause(ctx context.Context) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp("", "pause-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	program, err := component.Own(ctx, "e2e/cluster/cmd/pause", temp)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	return Write(dir, Spec{
		Name:    PauseName,
		Entries: []Entry{File("pause", 0o755, data)},
		Command: []string{"/pause"},
	})
}

// Busybox returns the tarball of the busybox image; it installs busybox where that is needed and
// possible.
func Busybox(ctx context.Context, out io.Writer) (string, error) {
	if err := syspkg.Ensure(ctx, out, syspkg.Busybox); err != nil {
		return "", err
	}
	program, err := syspkg.BusyboxPath()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	list, err := exec.CommandContext(ctx, program, "--list-full").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its applets: %w", program, err)
	}
	dir, err := folder()
	if err != nil {
		return "", err
	}
	return Write(dir, Spec{
		Name:    BusyboxName,
		Entries: append(busyboxBase(data), applets(list)...),
		Command: []string{"sh"},
		Env:     []string{searchPath},
	})
}

func busyboxBase(program []byte) []Entry {
	return []Entry{
		Dir("bin", 0o755), Dir("sbin", 0o755), Dir("usr", 0o755), Dir("usr/bin", 0o755), Dir("usr/sbin", 0o755),
		Dir("etc", 0o755), Dir("home", 0o755), Dir("root", 0o700), Dir("var", 0o755), Dir("var/www", 0o755),
		{Path: "tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
		File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")),
		File("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n")),
		File("bin/busybox", 0o755, program),
	}
}

// applets makes a link for each line of busybox --list-full, with its folder where the system's
// busybox lists folders, and otherwise in /bin.
func applets(list []byte) []Entry {
	var entries []Entry
	seen := map[string]bool{"bin/busybox": true} // path -> exists
	for line := range bytes.Lines(list) {
		path := strings.TrimPrefix(strings.TrimSpace(string(line)), "/")
		if path == "" {
			continue
		}
		switch filepath.Dir(path) {
		case "bin", "sbin", "usr/bin", "usr/sbin":
		default:
			path = "bin/" + filepath.Base(path)
		}
		if !seen[path] {
			seen[path] = true
			entries = append(entries, Symlink(path, "/bin/busybox"))
		}
	}
	return entries
}

func folder() (string, error) {
	cache, err := component.CacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "images"), nil
}
