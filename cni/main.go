package cni

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

// Main runs the command that CNI_COMMAND names and returns the exit code.
func Main() int {
	if os.Getenv("CNI_COMMAND") == "DEL" {
		// Before skel, which refuses a DEL whose environment or configuration
		// is wrong. Read to the end, so that the runtime's write succeeds.
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	// Held back until skel has made its last check: an error printed behind a
	// result is no JSON.
	var result bytes.Buffer
	plugin := &Plugin{
		Lookup: func() (Lookup, error) { return siblingLookup() },
		Stdout: &result,
		Now:    time.Now,
	}
	commands := skel.CNIFuncs{Add: plugin.Add, Check: plugin.Check, GC: plugin.GC, Status: plugin.Status}
	err := skel.PluginMainFuncsWithError(commands, version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0"),
		"CNI IPAM plugin "+PluginName+", started by container runtimes")
	if err == nil {
		return report(result.WriteTo(os.Stdout))
	}
	if printErr := err.Print(); printErr != nil {
		fmt.Fprintf(os.Stderr, "%s: writing error %q: %v\n", PluginName, err, printErr)
	}
	return 1
}

// report returns the exit code for a result that was written or could not be.
func report(_ int64, err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: writing the result: %v\n", PluginName, err)
		return 1
	}
	return 0
}
