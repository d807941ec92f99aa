package datapath

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// row is how many pods a measured node starts before they end. host-local reads the record of every
// address on the node at each ADD; kubelet's limit is 110.
const row = 20

// BenchmarkADDAgainstHostLocal starts our plugin and host-local in turn, and reports the medians of
// wall time and of the greatest memory of each, and their ratios. The budget is 0.9 of the time;
// the memory, which lasts no longer than the process, has none. An empty process shows what of it
// is Go's own start and the kernel's.
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
	empty := &subject{program: ownProgram("empty")}
	turns := []*subject{ours, theirs, empty}
	for i := 0; b.Loop(); i++ {
		for _, s := range turns {
			s.took = append(s.took, s.run(b, commandEnv("ADD", p, fmt.Sprintf("c%d", i))))
		}
		turns = append(turns[1:], turns[0])
		if i%row == row-1 {
			for j := i - row + 1; j <= i; j++ {
				theirs.run(b, commandEnv("DEL", p, fmt.Sprintf("c%d", j)))
			}
		}
	}
	b.ReportMetric(0, "ns/op") // means nothing for three programs
	b.ReportMetric(ours.median(), "ours-ms")
	b.ReportMetric(theirs.median(), "host-local-ms")
	b.ReportMetric(empty.median(), "empty-ms")
	b.ReportMetric(ours.median()/theirs.median(), "time-ratio")
	b.ReportMetric(ours.peak(b, p)/1024, "ours-MiB")
	b.ReportMetric(theirs.peak(b, p)/1024, "host-local-MiB")
	b.ReportMetric(ours.peak(b, p)/theirs.peak(b, p), "memory-ratio")
}

// subject is a program that is measured.
type subject struct {
	program string
	input   []byte
	took    []time.Duration
}

// run starts the program and returns how long it was there. What it reads lies ready in a pipe and
// what it writes is read afterwards, so that nothing of this process is measured but starting and
// waiting.
func (s *subject) run(b *testing.B, env []string) time.Duration {
	b.Helper()
	in, out := pipe(b), pipe(b)
	if _, err := in.w.Write(s.input); err != nil {
		b.Fatal(err)
	}
	_ = in.w.Close() // it is at its end, or the program waits for ever
	start := time.Now()
	process, err := os.StartProcess(s.program, []string{s.program}, &os.ProcAttr{Env: env, Files: []*os.File{in.r, out.w, os.Stderr}})
	if err != nil {
		b.Fatal(err)
	}
	state, err := process.Wait()
	took := time.Since(start)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = in.r.Close(), out.w.Close() // only the program's are left, and it has ended
	output, err := io.ReadAll(out.r)
	if err != nil || !state.Success() {
		b.Fatalf("%s: %v, %v, %s", s.program, state, err, output)
	}
	_ = out.r.Close() // read to its end
	return took
}

// ends are those of a pipe.
type ends struct{ r, w *os.File }

func pipe(b *testing.B) ends {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	return ends{r, w}
}

// median of wall times in milliseconds.
func (s *subject) median() float64 {
	slices.Sort(s.took)
	return s.took[len(s.took)/2].Seconds() * 1e3
}

// peak is the median of the greatest resident memory of an ADD in KiB.
func (s *subject) peak(b *testing.B, p *pod) float64 {
	b.Helper()
	kib := make([]float64, 11)
	for i := range kib {
		kib[i] = s.peakOnce(b, commandEnv("ADD", p, fmt.Sprintf("p%d", i)))
		s.run(b, commandEnv("DEL", p, fmt.Sprintf("p%d", i)))
	}
	slices.Sort(kib)
	return kib[len(kib)/2]
}

func (s *subject) peakOnce(b *testing.B, env []string) float64 {
	b.Helper()
	in, out, told := pipe(b), pipe(b), pipe(b)
	if _, err := in.w.Write(s.input); err != nil {
		b.Fatal(err)
	}
	_ = in.w.Close() // it is at its end, or the program waits for ever
	process, err := os.StartProcess(ownProgram("peak"), []string{"peak", s.program},
		&os.ProcAttr{Env: env, Files: []*os.File{in.r, out.w, os.Stderr, told.w}})
	if err != nil {
		b.Fatal(err)
	}
	state, err := process.Wait()
	if err != nil || !state.Success() {
		b.Fatalf("%s: %v, %v", s.program, state, err)
	}
	_, _, _, _ = in.r.Close(), out.w.Close(), out.r.Close(), told.w.Close() // only the number is of interest
	text, err := io.ReadAll(told.r)
	if err != nil {
		b.Fatal(err)
	}
	kib, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		b.Fatal(err)
	}
	_ = told.r.Close() // read to its end
	return kib
}
