// Command cluster makes, shows and removes a real Kubernetes cluster on this computer; see package
// cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"spidernet.io/spiderpool/e2e/cluster"
)

const usage = `usage: cluster up|down|status [-name name]
       cluster build

  up      make a cluster and leave it running
  down    end it and remove what it had but its logs
  status  show its processes
  build   make everything that up needs, and nothing else
`

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	flags := flag.NewFlagSet("cluster "+os.Args[1], flag.ContinueOnError)
	name := flags.String("name", "", "name of the cluster, for several side by side; empty for the one in .cluster")
	nodes := flags.Int("nodes", 2, "how many nodes up makes")
	if err := flags.Parse(os.Args[2:]); err != nil {
		return 2
	}
	var err error
	switch os.Args[1] {
	case "up":
		err = up(ctx, cluster.Options{Name: *name, Nodes: *nodes})
	case "down":
		err = cluster.Down(ctx, *name, os.Stderr)
	case "status":
		err = status(os.Stdout, *name)
	case "build":
		err = cluster.Build(ctx, os.Stderr)
	default:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		return 1
	}
	return 0
}

func up(ctx context.Context, options cluster.Options) error {
	start := time.Now()
	c, err := cluster.Up(ctx, options)
	if errors.Is(err, cluster.ErrUp) {
		fmt.Println(err)
		c, err = cluster.Open(options.Name)
	} else if err == nil {
		fmt.Printf("cluster is up after %s\n", time.Since(start).Round(100*time.Millisecond))
	}
	if err != nil {
		return err
	}
	c.Describe(os.Stdout)
	return nil
}

func status(out io.Writer, name string) error {
	c, err := cluster.Open(name)
	if err != nil {
		return err
	}
	for _, p := range c.Processes() {
		state := "ended"
		if p.Alive() {
			state = "runs"
		}
		fmt.Fprintf(out, "%-8d %-6s %s\n", p.Record().PID, state, strings.Join([]string{p.Spec.Name, filepath.Base(p.Spec.Log)}, "  "))
	}
	c.Describe(out)
	return nil
}
