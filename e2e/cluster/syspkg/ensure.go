package syspkg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// tools are the known package tools. Only the first is ever run.
var tools = []string{"apt-get", "dnf", "apk"}

// installing keeps two goroutines of one process from installing at once; two processes wait for
// one another through apt-get's own lock.
var installing sync.Mutex

// Ensure checks all needs, and installs what is missing where it may.
func Ensure(ctx context.Context, out io.Writer, needs ...Need) error {
	installing.Lock()
	defer installing.Unlock()
	missing := absent(needs)
	if len(missing) == 0 {
		return nil
	}
	tool := packageTool()
	if tool != "apt-get" || os.Geteuid() != 0 {
		return explain(missing, tool, os.Geteuid() == 0)
	}
	for _, n := range missing {
		fmt.Fprintf(out, "installing %s for %s: %s\n", strings.Join(n.packages[tool], " "), n.What, n.Why)
	}
	if err := aptInstall(ctx, packagesOf(missing, tool)); err != nil {
		return err
	}
	if still := absent(needs); len(still) > 0 {
		return fmt.Errorf("installed %s, yet %s is still missing", strings.Join(packagesOf(still, tool), " "), still[0].What)
	}
	return nil
}

func absent(needs []Need) []Need {
	var missing []Need
	for _, n := range needs {
		if !n.Present() {
			missing = append(missing, n)
		}
	}
	return missing
}

func packageTool() string {
	for _, tool := range tools {
		if found(tool) {
			return tool
		}
	}
	return ""
}

func packagesOf(needs []Need, tool string) []string {
	var names []string
	for _, n := range needs {
		names = append(names, n.packages[tool]...)
	}
	return names
}

// explain says what is missing and what to do, for a system where nothing can be installed from
// here.
func explain(missing []Need, tool string, root bool) error {
	var text strings.Builder
	for _, n := range missing {
		fmt.Fprintf(&text, "%s is missing (%s); ", n.What, n.Why)
	}
	switch tool {
	case "":
		names := strings.Join(packagesOf(missing, "apt-get"), " ")
		fmt.Fprintf(&text, "no known package tool is here: install what Debian calls %s", names)
	default:
		sudo := "sudo "
		if root {
			sudo = ""
		}
		verb := map[string]string{"apt-get": "install", "dnf": "install", "apk": "add"}[tool]
		fmt.Fprintf(&text, "run: %s%s %s %s", sudo, tool, verb, strings.Join(packagesOf(missing, tool), " "))
	}
	return errors.New(text.String())
}

// aptInstall installs from the existing package lists, and fetches new lists only if that fails: a
// fresh image often has no lists.
func aptInstall(ctx context.Context, packages []string) error {
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if apt(ctx, install...) == nil {
		return nil
	}
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, install...)
}

func apt(ctx context.Context, args ...string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running apt-get %s: %w\n%s", strings.Join(args, " "), err, output.Bytes())
	}
	return nil
}
