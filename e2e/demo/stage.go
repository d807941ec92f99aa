package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// stage is where the demo runs.
type stage struct {
	out   io.Writer
	start time.Time

	// Of the cluster, once it is up.
	bin, kubeconfig, home string
	tree                  string // where commands are run
}

// step prints what is done next, and the time since the start.
func (s *stage) step(what string) {
	fmt.Fprintf(s.out, "[%5.1fs] %s\n", time.Since(s.start).Seconds(), what)
}

// kubectl runs kubectl visibly: it prints the command, then its output.
func (s *stage) kubectl(ctx context.Context, args ...string) error {
	fmt.Fprintf(s.out, "\n$ kubectl %s\n", quoted(args))
	out, err := s.quietly(ctx, args...)
	fmt.Fprint(s.out, out)
	return err
}

// quietly runs kubectl without showing it.
func (s *stage) quietly(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + s.kubeconfig, "HOME=" + s.home}
	cmd.Dir = s.tree
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", quoted(args), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.String(), nil
}

// quoted quotes arguments as a shell would read them.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if strings.ContainsAny(a, " {}()*?'\"$") {
			words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
