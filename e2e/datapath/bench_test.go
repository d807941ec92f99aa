package datapath

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkADDAgainstHostLocal starts our plugin and host-local in turn, as a
// runtime does, and reports the medians of wall time and the greatest memory of
// each, and their ratios. The budgets are 0.5 of the time and 1 of the memory.
func BenchmarkADDAgainstHostLocal(b *testing.B) {
	p := newPod(b, "measured")
	ours := &subject{program: ownProgram("spiderpool"), input: stdin(b, "")}
	theirs := &subject{program: referenceProgram("host-local"), input: encode(b, map[string]any{
		"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "eth0",
		"ipam": map[string]any{
			"type": "host-local", "dataDir": b.TempDir(),
			"ranges": []any{[]any{map[string]any{"subnet": "172.18.41.0/24", "gateway": "172.18.41.1"}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}, map[string]any{"dst": "10.0.0.0/8"}},
		},
	})}
	turns := []*subject{ours, theirs}
	for i := 0; b.Loop(); i++ {
		for _, s := range turns {
			s.add(b, p, i)
		}
		theirs.del(b, p, i) // its subnet has 254 addresses
		slices.Reverse(turns)
	}
	b.ReportMetric(0, "ns/op") // means nothing for two programs
	b.ReportMetric(ours.median().Seconds()*1e3, "ours-ms")
	b.ReportMetric(theirs.median().Seconds()*1e3, "host-local-ms")
	b.ReportMetric(ours.median().Seconds()/theirs.median().Seconds(), "time-ratio")
	b.ReportMetric(ours.memory()/1024, "ours-MiB")
	b.ReportMetric(theirs.memory()/1024, "host-local-MiB")
	b.ReportMetric(ours.memory()/theirs.memory(), "memory-ratio")
}

// subject is a plugin that is measured.
type subject struct {
	program string
	input   []byte
	took    []time.Duration
	kib     []int64 // greatest resident memory of each run
}

func (s *subject) add(b *testing.B, p *pod, i int) {
	b.Helper()
	command := s.command(b, addEnv(p, fmt.Sprintf("c%d", i)))
	start := time.Now()
	output, err := command.CombinedOutput()
	s.took = append(s.took, time.Since(start))
	if err != nil {
		b.Fatalf("%s: %v\n%s", s.program, err, output)
	}
	usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("no resource usage")
	}
	s.kib = append(s.kib, usage.Maxrss)
}

func (s *subject) del(b *testing.B, p *pod, i int) {
	b.Helper()
	command := s.command(b, append(addEnv(p, fmt.Sprintf("c%d", i)), "CNI_COMMAND=DEL"))
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", s.program, err, output)
	}
}

func (s *subject) command(b *testing.B, env []string) *exec.Cmd {
	b.Helper()
	command := exec.CommandContext(b.Context(), s.program)
	command.Env = env
	command.Stdin = bytes.NewReader(s.input)
	return command
}

func (s *subject) median() time.Duration {
	slices.Sort(s.took)
	return s.took[len(s.took)/2]
}

func (s *subject) memory() float64 {
	slices.Sort(s.kib)
	return float64(s.kib[len(s.kib)/2])
}
